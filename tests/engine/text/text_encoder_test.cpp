// Batching, order, threads and errors of the text encoder, over a transformer that only counts.
#include "engine/text/text_encoder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>

namespace tracer {
namespace {

struct Seen {
  std::mutex mutex;
  std::vector<TokenBatch> batches;
};

// A row: number of tokens, sum of the ids, first id of the text.
class Counting : public Transformer {
 public:
  explicit Counting(Seen* seen, int64_t fail_at = -1, bool alone = true)
      : seen_(seen), fail_at_(fail_at), alone_(alone) {}
  bool rows_stand_alone() const override { return alone_; }
  Status encode(const TokenBatch& batch, HostMatrix<float> out) const override {
    for (int64_t i = 0; i < batch.sequences(); ++i) {
      double sum = 0;
      for (int64_t t = batch.start[i]; t < batch.start[i + 1]; ++t) sum += batch.ids[t];
      out(i, 0) = static_cast<float>(batch.start[i + 1] - batch.start[i]);
      out(i, 1) = static_cast<float>(sum);
      out(i, 2) = static_cast<float>(batch.ids[batch.start[i] + 1]);
    }
    const std::lock_guard lock(seen_->mutex);
    seen_->batches.push_back(batch);
    if (fail_at_ >= 0 && static_cast<int64_t>(seen_->batches.size()) > fail_at_) return internal_error("no more");
    return {};
  }

 private:
  Seen* seen_;
  int64_t fail_at_;
  bool alone_;
};

WordPiece tokenizer() {
  auto made = WordPiece::make({{"[UNK]", 0}, {"[CLS]", 1}, {"[SEP]", 2}, {"a", 3}, {"b", 4}, {"c", 5}}, {}, {});
  EXPECT_TRUE(made.ok()) << made.status().message();
  return std::move(made).value();
}

TextEncoder encoder(Seen& seen, int threads, int64_t fail_at = -1) {
  return {tokenizer(), std::make_unique<Counting>(&seen, fail_at), 3, 64, threads};
}

// Text i: a word of its own, then i % 97 more; i + 1 blanks, which no token tells of, keep it from being another's
// repeat.
std::vector<std::string> texts(int n) {
  std::vector<std::string> out;
  for (int i = 0; i < n; ++i) {
    out.emplace_back(1, static_cast<char>('a' + i % 3));
    for (int j = 0; j < i % 97; ++j) out.back() += " b";
    out.back() += std::string(static_cast<size_t>(i + 1), ' ');
  }
  return out;
}

TEST(TextEncoderThreads, RowsComeBackInTheirPlaces) {
  for (const int n : {0, 1, 2, 255, 256, 257, 5000}) {
    for (const int threads : {1, 2, 5}) {
      Seen seen;
      const auto text = texts(n);
      Matrix<float> out(n, 3);
      int64_t done = 0;
      ASSERT_TRUE(encoder(seen, threads).encode(text, out.view(), [&](int64_t rows) { done += rows; }).ok());
      EXPECT_EQ(done, n);
      for (int i = 0; i < n; ++i) {
        const int length = std::min(64, 3 + i % 97);
        ASSERT_EQ(out(i, 0), static_cast<float>(length)) << i << " of " << n;
        ASSERT_EQ(out(i, 1), static_cast<float>(1 + 2 + (3 + i % 3) + 4 * (length - 3))) << i;
        ASSERT_EQ(out(i, 2), static_cast<float>(3 + i % 3)) << i;
      }
    }
  }
}

TEST(TextEncoderThreads, BatchesAreTheSameForAnyNumberOfThreadsAndInOrderOfLength) {
  std::vector<std::vector<int32_t>> first;
  for (const int threads : {1, 4}) {
    Seen seen;
    const auto text = texts(3000);
    Matrix<float> out(3000, 3);
    ASSERT_TRUE(encoder(seen, threads).encode(text, out.view()).ok());
    std::vector<std::vector<int32_t>> batches;
    for (const TokenBatch& batch : seen.batches) {
      batches.push_back(batch.ids);
      for (int64_t i = 1; i < batch.sequences(); ++i)
        EXPECT_GE(batch.start[i] - batch.start[i - 1], batch.start[i + 1] - batch.start[i]);
      EXPECT_LE(batch.ids.size(), 1024u);
    }
    std::sort(batches.begin(), batches.end());
    if (first.empty()) first = batches;
    EXPECT_EQ(batches, first);
  }
  EXPECT_GT(first.size(), 50u);
}

TEST(TextEncoderThreads, ARepeatIsComputedOnceAndGetsItsRow) {
  const auto text = texts(500);
  std::vector<std::string> repeated;
  for (int i = 0; i < 2000; ++i) repeated.push_back(text[static_cast<size_t>(i * i % 500)]);
  const std::set<std::string> distinct(repeated.begin(), repeated.end());
  ASSERT_LT(distinct.size(), 400u);
  for (const int threads : {1, 4}) {
    Seen seen;
    Matrix<float> out(2000, 3);
    int64_t done = 0;
    ASSERT_TRUE(encoder(seen, threads).encode(repeated, out.view(), [&](int64_t rows) { done += rows; }).ok());
    EXPECT_EQ(done, 2000);
    size_t computed = 0;
    for (const TokenBatch& batch : seen.batches) computed += static_cast<size_t>(batch.sequences());
    EXPECT_EQ(computed, distinct.size());
    for (int i = 0; i < 2000; ++i) {
      ASSERT_EQ(out(i, 0), static_cast<float>(std::min(64, 3 + i * i % 500 % 97))) << i;
      ASSERT_EQ(out(i, 2), static_cast<float>(3 + i * i % 500 % 3)) << i;
    }
  }
}

TEST(TextEncoderThreads, ATextOfAnEarlierCallIsNotComputedAgainWhileMemoryLasts) {
  const auto text = texts(900);
  const std::vector<std::string> early(text.begin(), text.begin() + 600), late(text.begin() + 300, text.end());
  int64_t room_for_500 = 0;
  for (int i = 0; i < 500; ++i) room_for_500 += static_cast<int64_t>(text[static_cast<size_t>(i)].size() + 3 * 4);
  struct Case {
    int64_t memory;
    bool alone;  // what it computed would be the same bytes in this call
    size_t expected;
  };
  const int64_t all = TextEncoder::kMemoryBytes;
  for (const auto& [memory, alone, expected] :
       {Case{all, true, 900}, {room_for_500, true, 1000}, {0, true, 1200}, {all, false, 1200}}) {
    Seen seen;
    const TextEncoder encoder(tokenizer(), std::make_unique<Counting>(&seen, -1, alone), 3, 64, 2, memory);
    Matrix<float> first(600, 3), second(600, 3);
    ASSERT_TRUE(encoder.encode(early, first.view()).ok());
    int64_t done = 0;
    ASSERT_TRUE(encoder.encode(late, second.view(), [&](int64_t rows) { done += rows; }).ok());
    EXPECT_EQ(done, 600);
    size_t computed = 0;
    for (const TokenBatch& batch : seen.batches) computed += static_cast<size_t>(batch.sequences());
    EXPECT_EQ(computed, expected) << memory;
    for (int i = 0; i < 600; ++i) {
      ASSERT_EQ(second(i, 0), static_cast<float>(std::min(64, 3 + (i + 300) % 97))) << i;
      ASSERT_EQ(second(i, 2), static_cast<float>(3 + i % 3)) << i;
    }
  }
}

TEST(TextEncoderThreads, TheFirstErrorStopsTheRest) {
  for (const int threads : {1, 4}) {
    Seen seen;
    const auto text = texts(5000);
    Matrix<float> out(5000, 3);
    const Status status = encoder(seen, threads, 3).encode(text, out.view());
    EXPECT_EQ(status.code(), ErrorCode::kInternal);
    EXPECT_EQ(status.message(), "no more");
    EXPECT_LE(seen.batches.size(), 4u + static_cast<size_t>(threads));
  }
}

TEST(TextEncoderThreads, AnOutputOfAnotherShapeIsABug) {
  Seen seen;
  const auto text = texts(4);
  Matrix<float> rows(3, 3), cols(4, 2);
  EXPECT_EQ(encoder(seen, 1).encode(text, rows.view()).code(), ErrorCode::kInternal);
  EXPECT_EQ(encoder(seen, 1).encode(text, cols.view()).code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace tracer
