// Rows and their vectors, together, in batches.
#include "host/route/batch_reader.h"

#include <gtest/gtest.h>

#include <cmath>

#include "host/io/npy.h"
#include "kernels/backend.h"
#include "tests/host/io_test_util.h"
#include "tests/host/npy_file.h"

namespace tracer {
namespace {

using io::contains;

constexpr int64_t kDimension = 3;

class BatchReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = make_backend({"cpu", 2, ""});
    ASSERT_TRUE(made.ok()) << made.status().message();
    backend_ = std::move(made).value();
  }
  // n rows; those of `bad` cannot be read. Row i has the vector (i + 1, 1, 0), of which the direction tells i.
  void write(int64_t n, const std::vector<int64_t>& bad = {}, int64_t vectors = -1) {
    std::string text;
    for (int64_t i = 0; i < n; ++i) {
      const bool broken = std::find(bad.begin(), bad.end(), i) != bad.end();
      text += broken ? "{\"id\":1}\n"
                     : "{\"id\":\"r" + std::to_string(i) + "\",\"input\":\"text " + std::to_string(i) + "\"}\n";
    }
    folder_.write("q.jsonl", text);
    Matrix<float> x(vectors < 0 ? n : vectors, kDimension);
    for (int64_t i = 0; i < x.rows(); ++i) x(i, 0) = static_cast<float>(i + 1), x(i, 1) = 1, x(i, 2) = 0;
    io::write_npy(folder_.path("q.npy"), x.view());
    rows_.traces = folder_.path("q.jsonl");
    source_.npy = folder_.path("q.npy");
  }
  Result<BatchReader> open(int64_t dimension = kDimension) {
    return BatchReader::open(rows_, false, true, dimension, folder_.path("rejects.jsonl"), source_, events_);
  }
  // Reads to the end. The numbers of the rows that came, each checked against its vector.
  Status read(BatchReader& reader, std::vector<int64_t>& got, bool ahead = false) {
    RowBatch batch;
    while (true) {
      TRACER_ASSIGN_OR_RETURN(const bool more, reader.next(*backend_, batch));
      if (!more) return {};
      if (ahead) reader.read_ahead();
      EXPECT_EQ(batch.vector_rows(), static_cast<int64_t>(batch.rows.size()));
      for (size_t i = 0; i < batch.rows.size(); ++i) {
        const RowBatch::Row& row = batch.rows[i];
        const int64_t at = std::stoll(row.id.value_or("r-1").substr(1));
        EXPECT_EQ(row.input, "text " + std::to_string(at));
        EXPECT_EQ(row.line, at + 1);
        const double length = std::hypot(static_cast<double>(at + 1), 1.0);
        EXPECT_NEAR(batch.view()(static_cast<int64_t>(i), 0), static_cast<double>(at + 1) / length, 1e-6) << at;
        EXPECT_NEAR(batch.view()(static_cast<int64_t>(i), 1), 1 / length, 1e-6) << at;
        got.push_back(at);
      }
    }
  }
  static std::vector<int64_t> numbers(int64_t first, int64_t end, const std::vector<int64_t>& without = {}) {
    std::vector<int64_t> out;
    for (int64_t i = first; i < end; ++i)
      if (std::find(without.begin(), without.end(), i) == without.end()) out.push_back(i);
    return out;
  }

  const io::TempFolder folder_;
  const Events events_;
  std::unique_ptr<Backend> backend_;
  RowSource rows_;
  VectorSource source_;
};

TEST_F(BatchReaderTest, EveryRowComesOnceWithItsVector) {
  for (const int64_t n : {int64_t{1}, int64_t{127}, int64_t{128}, int64_t{129}, TextEncoder::kGroup - 1,
                          TextEncoder::kGroup, TextEncoder::kGroup + 1, 2 * TextEncoder::kGroup + 37}) {
    write(n);
    for (const bool ahead : {false, true}) {
      auto reader = open();
      ASSERT_TRUE(reader.ok()) << reader.status().message();
      std::vector<int64_t> got;
      const Status read_all = read(*reader, got, ahead);
      EXPECT_TRUE(read_all.ok()) << read_all.message();
      EXPECT_EQ(got, numbers(0, n)) << n << ahead;
      EXPECT_EQ(reader->rejects().count(), 0);
    }
  }
}

TEST_F(BatchReaderTest, NoVectorsAreRefusedAndOnlyBadRowsAreNoBatch) {
  write(0, {}, 0);
  const auto none = open();
  EXPECT_EQ(none.status().code(), ErrorCode::kBadInput);
  EXPECT_TRUE(contains(none.status().message(), "q.npy: no rows"));
  write(3, {0, 1, 2});
  rows_.max_bad_ratio = 1;
  auto reader = open();
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  std::vector<int64_t> got;
  EXPECT_TRUE(read(*reader, got).ok());
  EXPECT_TRUE(got.empty());
  EXPECT_EQ(reader->rejects().count(), 3);
}

TEST_F(BatchReaderTest, BadRowsKeepTheirVectorsAndAreNamed) {
  const int64_t n = TextEncoder::kGroup + 100;
  const std::vector<int64_t> bad = {0, 5, 6, 128, TextEncoder::kGroup - 1, n - 1};
  write(n, bad);
  rows_.max_bad_ratio = 0.5;
  auto reader = open();
  ASSERT_TRUE(reader.ok());
  std::vector<int64_t> got;
  const Status read_all = read(*reader, got, true);
  ASSERT_TRUE(read_all.ok()) << read_all.message();
  EXPECT_EQ(got, numbers(0, n, bad));
  EXPECT_EQ(reader->rejects().count(), static_cast<int64_t>(bad.size()));
  const std::string rejects = io::slurp(folder_.path("rejects.jsonl"));
  EXPECT_EQ(std::count(rejects.begin(), rejects.end(), '\n'), static_cast<int64_t>(bad.size()));
}

TEST_F(BatchReaderTest, TooManyBadRowsAreAnError) {
  write(100, {1, 2, 3});
  rows_.max_bad_ratio = 0.02;
  auto reader = open();
  ASSERT_TRUE(reader.ok());
  std::vector<int64_t> got;
  EXPECT_EQ(read(*reader, got).code(), ErrorCode::kBadInput);
  rows_.max_bad_ratio = 0.03;
  auto again = open();
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(read(*again, got).ok());
}

TEST_F(BatchReaderTest, RowsAndVectorsMustBeAsMany) {
  const int64_t n = TextEncoder::kGroup + 5;
  for (const int64_t vectors : {n - 1, n - 6, n + 1}) {
    write(n, {}, vectors);
    auto reader = open();
    ASSERT_TRUE(reader.ok());
    std::vector<int64_t> got;
    const Status failed = read(*reader, got);
    EXPECT_EQ(failed.code(), ErrorCode::kBadInput) << vectors;
    EXPECT_TRUE(contains(failed.message(), "q.npy: " + std::to_string(vectors) + " vectors, but ")) << vectors;
  }
}

TEST_F(BatchReaderTest, VectorsOfAnotherDimensionAreRefused) {
  write(10);
  const auto reader = open(kDimension + 1);
  EXPECT_EQ(reader.status().code(), ErrorCode::kBadInput);
  EXPECT_TRUE(contains(reader.status().message(), "expected vectors of dimension 4"));
  EXPECT_TRUE(contains(reader.status().message(), "found 3"));
}

TEST_F(BatchReaderTest, APassCanBeginAndEndAnywhere) {
  const int64_t n = 2 * TextEncoder::kGroup + 37;
  const std::vector<int64_t> bad = {3, 700};
  write(n, bad);
  const std::vector<int64_t> all = numbers(0, n, bad);
  const auto good = static_cast<int64_t>(all.size());
  for (const int64_t first : {int64_t{0}, int64_t{1}, int64_t{3}, int64_t{699}, TextEncoder::kGroup, good - 1, good})
    for (const int64_t count : {int64_t{-1}, int64_t{0}, int64_t{1}, TextEncoder::kGroup + 1}) {
      if (count >= 0 && first + count > good) continue;
      auto reader = open();
      ASSERT_TRUE(reader.ok());
      if (count < 0)
        reader->skip(first);
      else
        reader->only(first, count);
      std::vector<int64_t> got;
      const Status read_all = read(*reader, got);
      EXPECT_TRUE(read_all.ok()) << read_all.message();
      const auto begin = all.begin() + first;
      EXPECT_EQ(got, std::vector<int64_t>(begin, count < 0 ? all.end() : begin + count)) << first << " " << count;
    }
  auto reader = open();
  ASSERT_TRUE(reader.ok());
  reader->skip(good + 2);
  std::vector<int64_t> got;
  const Status failed = read(*reader, got);
  EXPECT_EQ(failed.code(), ErrorCode::kBadInput);
  EXPECT_TRUE(contains(failed.message(), "has 2 rows fewer than were read before"));
}

}  // namespace
}  // namespace tracer
