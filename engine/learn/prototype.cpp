#include "engine/learn/prototype.h"

#include <algorithm>
#include <cmath>

#include "engine/learn/softmax_path.h"
#include "engine/maths/logistic.h"

namespace tracer {
namespace {

constexpr int64_t kBlock = 4096;      // rows multiplied at a time
constexpr double kLeastRidge = 1e-6;  // where all rows of a label are equal there is no covariance to speak of

}  // namespace

Result<ClassMoments> class_moments(Backend& backend, HostMatrix<const float> x, std::span<const int32_t> label,
                                   int64_t classes, std::span<const int32_t> rows) {
  const int64_t d = x.cols, n = static_cast<int64_t>(rows.size());
  ClassMoments m{Matrix<double>(d, d), Matrix<double>(classes, d),
                 std::vector<int64_t>(static_cast<size_t>(classes), 0)};
  Matrix<float> block(std::min(kBlock, n), d), product(d, d);
  std::vector<int64_t> index;
  for (int64_t first = 0; first < n; first += kBlock) {
    const auto part = rows.subspan(static_cast<size_t>(first), static_cast<size_t>(std::min(kBlock, n - first)));
    index.assign(part.begin(), part.end());
    const HostMatrix<float> taken(block.data(), static_cast<int64_t>(part.size()), d);
    TRACER_RETURN_IF_ERROR(backend.gather_rows(x, index, taken));
    TRACER_RETURN_IF_ERROR(backend.gemm(Trans::kYes, Trans::kNo, taken, taken, {}, product.view()));
    for (int64_t i = 0; i < m.gram.size(); ++i) m.gram.data()[i] += static_cast<double>(product.data()[i]);
    for (int64_t i = 0; i < taken.rows; ++i) {
      const int32_t c = label[static_cast<size_t>(index[static_cast<size_t>(i)])];
      ++m.rows[static_cast<size_t>(c)];
      for (int64_t j = 0; j < d; ++j) m.sum(c, j) += static_cast<double>(taken(i, j));
    }
  }
  return m;
}

void add(const ClassMoments& a, double factor, ClassMoments& to) {
  for (int64_t i = 0; i < a.gram.size(); ++i) to.gram.data()[i] += factor * a.gram.data()[i];
  for (int64_t i = 0; i < a.sum.size(); ++i) to.sum.data()[i] += factor * a.sum.data()[i];
  for (size_t c = 0; c < a.rows.size(); ++c) to.rows[c] += static_cast<int64_t>(factor) * a.rows[c];
}

Result<AddedMember> fit_prototype(Backend& backend, const ClassMoments& moments, double ridge, double temperature) {
  const int64_t d = moments.gram.rows(), classes = moments.sum.rows();
  int64_t rows = 0, seen = 0;
  for (int64_t r : moments.rows) rows += r, seen += r > 0;
  if (seen == 0) return internal_error("a class prototype needs rows");
  const double n = static_cast<double>(rows);
  // Within-label covariance, the lower half: that is what is factored.
  Matrix<double> a(d, d);
  parallel_for(backend, d, [&](int64_t i) {
    double* row = a.row(i);
    for (int64_t j = 0; j <= i; ++j) row[j] = moments.gram(i, j) / n;
    for (int64_t c = 0; c < classes; ++c) {
      if (moments.rows[static_cast<size_t>(c)] == 0) continue;
      const double* sum = moments.sum.row(c);
      const double share = sum[i] / (static_cast<double>(moments.rows[static_cast<size_t>(c)]) * n);
      for (int64_t j = 0; j <= i; ++j) row[j] -= share * sum[j];
    }
  });
  double trace = 0;
  for (int64_t i = 0; i < d; ++i) trace += std::max(a(i, i), 0.0);
  const double added = std::max(ridge * trace / static_cast<double>(d), kLeastRidge);
  for (int64_t i = 0; i < d; ++i) a(i, i) += added;
  if (!cholesky_factor(a)) return internal_error("class prototype: the covariance is not positive: are rows finite?");

  Matrix<double> w(classes, d);
  std::vector<double> bias(static_cast<size_t>(classes), 0.0);
  parallel_for(backend, classes, [&](int64_t c) {
    const auto count = static_cast<double>(moments.rows[static_cast<size_t>(c)]);
    if (count == 0) return;
    for (int64_t j = 0; j < d; ++j) w(c, j) = moments.sum(c, j) / count;
    cholesky_solve(a, {w.row(c), static_cast<size_t>(d)});
    double half = 0;
    for (int64_t j = 0; j < d; ++j) half += 0.5 * w(c, j) * moments.sum(c, j) / count;
    bias[static_cast<size_t>(c)] = std::log(count / n) - half;
  });
  // Taking the mean of the labels off changes no probability, and keeps float32 logits small.
  std::vector<double> mean(static_cast<size_t>(d) + 1, 0.0);
  for (int64_t c = 0; c < classes; ++c) {
    if (moments.rows[static_cast<size_t>(c)] == 0) continue;
    for (int64_t j = 0; j < d; ++j) mean[static_cast<size_t>(j)] += w(c, j) / static_cast<double>(seen);
    mean[static_cast<size_t>(d)] += bias[static_cast<size_t>(c)] / static_cast<double>(seen);
  }
  AddedMember member;
  member.kind = MemberKind::kPrototype;
  member.w = Matrix<float>(d, classes);
  member.b.assign(static_cast<size_t>(classes), kRemovedBias);
  for (int64_t c = 0; c < classes; ++c) {
    if (moments.rows[static_cast<size_t>(c)] == 0) continue;
    for (int64_t j = 0; j < d; ++j)
      member.w(j, c) = static_cast<float>(temperature * (w(c, j) - mean[static_cast<size_t>(j)]));
    member.b[static_cast<size_t>(c)] =
        static_cast<float>(temperature * (bias[static_cast<size_t>(c)] - mean[static_cast<size_t>(d)]));
  }
  return member;
}

}  // namespace tracer
