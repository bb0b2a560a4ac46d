#include "engine/study/scan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/maths/binomial.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::cpu;
using testing::Draws;
using testing::traces_of;

ScanOptions by_rows(double alpha = 0.9) {
  ScanOptions o;
  o.alpha = alpha;
  o.split.kind = SplitKind::kRows;
  return o;
}

Scan scanned(const Traces& traces, const Matrix<float>& x, const ScanOptions& options, int threads = 1) {
  auto backend = cpu(threads);
  auto result = scan(*backend, traces, x.clone(), options);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return result.ok() ? std::move(result).value() : Scan{};
}

const Certificate& at(const Scan& s, double alpha) {
  for (const Certificate& c : s.certificates)
    if (std::abs(c.alpha - alpha) < 1e-9) return c;
  ADD_FAILURE() << "no certificate at " << alpha;
  return s.certificates.front();
}

TEST(Scan, WhatNeighboursTellApartIsHandled) {
  const auto rows = clusters(1200, 6, 12, 0.2, 0, 5);
  const Scan s = scanned(traces_of(rows.label, 6), rows.x, by_rows());
  const Certificate& c = at(s, 0.9);
  ASSERT_TRUE(c.certified) << c.reason;
  EXPECT_EQ(c.n_certify, 300);
  EXPECT_GT(c.n_handled, 290);
  EXPECT_EQ(s.certificates.size(), 7u);
  int64_t agree = 0, of_cells = 0, handled = 0;
  for (size_t i = 0; i < s.vote.size(); ++i) {
    EXPECT_EQ(s.agree[i] != 0, s.vote[i] == rows.label[static_cast<size_t>(s.split.certify[i])]) << i;
    agree += s.agree[i];
  }
  ASSERT_FALSE(s.cells.empty());
  for (const ScanCell& cell : s.cells) {
    of_cells += cell.rows;
    handled += cell.handled;
    EXPECT_LE(cell.lower, static_cast<double>(cell.agree) / static_cast<double>(cell.rows));
    EXPECT_GE(cell.upper, static_cast<double>(cell.agree) / static_cast<double>(cell.rows));
    const double level = 0.05 / (2.0 * static_cast<double>(s.cells.size()));
    EXPECT_EQ(cell.lower, clopper_pearson_lower(cell.agree, cell.rows, level));
    EXPECT_EQ(cell.verdict == ScanCell::Verdict::kHandle, cell.lower >= 0.9);
    EXPECT_EQ(cell.verdict == ScanCell::Verdict::kDefer, cell.upper < 0.9);
  }
  EXPECT_EQ(of_cells, c.n_certify);
  EXPECT_EQ(handled, c.n_handled);
  EXPECT_GT(agree, 290);
}

TEST(Scan, TheSameForAnyNumberOfThreads) {
  const auto rows = clusters(900, 5, 10, 0.7, 0.1, 8);
  const Traces traces = traces_of(rows.label, 5);
  const Scan one = scanned(traces, rows.x, by_rows(), 1), three = scanned(traces, rows.x, by_rows(), 3);
  EXPECT_EQ(one.vote, three.vote);
  EXPECT_EQ(one.score, three.score);
  EXPECT_EQ(at(one, 0.9).threshold, at(three, 0.9).threshold);
}

// Labels that have nothing to do with the vectors agree with a vote half of the time: a certificate at 0.6 would be
// false. Of 200 logs at most delta may have one, within three standard deviations.
TEST(Scan, ProvesNothingAboutNoise) {
  constexpr int kLogs = 200;
  int false_certificates = 0;
  for (int log = 0; log < kLogs; ++log) {
    Draws draws(static_cast<uint64_t>(log));
    Matrix<float> x(400, 6);
    for (int64_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(draws.normal());
    std::vector<int32_t> label;
    for (int64_t i = 0; i < x.rows(); ++i) label.push_back(static_cast<int32_t>(draws.below(2)));
    ScanOptions options = by_rows(0.6);
    options.sweep = {};
    options.delta = 0.1;
    options.split.seed = static_cast<uint64_t>(log);
    false_certificates += at(scanned(traces_of(label, 2), x, options), 0.6).certified;
  }
  EXPECT_LE(false_certificates, 0.1 * kLogs + 3 * std::sqrt(0.1 * 0.9 * kLogs));
}

// Every row stands twice, one after the other, with a label of its own: who lets a twin vote sees full agreement.
TEST(Scan, RelativesDoNotVoteForEachOther) {
  Draws draws(3);
  Matrix<float> x(1600, 8);
  std::vector<int32_t> label;
  for (int64_t i = 0; i < x.rows(); i += 2) {
    for (int64_t j = 0; j < x.cols(); ++j) x(i, j) = x(i + 1, j) = static_cast<float>(draws.normal());
    label.insert(label.end(), 2, static_cast<int32_t>(draws.below(4)));
  }
  ScanOptions options = by_rows();
  options.split.kind = SplitKind::kRuns;
  const Scan s = scanned(traces_of(label, 4), x, options);
  for (const Certificate& c : s.certificates) EXPECT_FALSE(c.certified) << c.alpha;
}

TEST(Scan, TooFewRowsAreRefusedInWords) {
  const auto rows = clusters(3, 2, 4, 0.2, 0, 1);
  const Scan s = scanned(traces_of({0, 1, 0}, 2), rows.x, by_rows());
  for (const Certificate& c : s.certificates) EXPECT_FALSE(c.certified);
  EXPECT_TRUE(s.cells.empty() || s.cells.size() == 1);
  EXPECT_EQ(fewest_scan_rows(by_rows(0.95)), 4 * 2 * 59);  // ln 0.05 / ln 0.95 = 58.4
}

TEST(Scan, BadOptionsAreNamed) {
  const auto rows = clusters(300, 2, 4, 0.2, 0, 1);
  const Traces traces = traces_of(rows.label, 2);
  auto backend = cpu();
  for (const double alpha : {0.0, 1.0, -1.0, std::nan("")}) {
    const auto result = scan(*backend, traces, rows.x.clone(), by_rows(alpha));
    ASSERT_FALSE(result.ok()) << alpha;
    EXPECT_EQ(result.status().code(), ErrorCode::kBadInput);
  }
  ScanOptions options = by_rows();
  options.delta = 0;
  EXPECT_FALSE(scan(*backend, traces, rows.x.clone(), options).ok());
  EXPECT_FALSE(scan(*backend, traces_of({}, 0), Matrix<float>(0, 4), by_rows()).ok());
}

}  // namespace
}  // namespace tracer
