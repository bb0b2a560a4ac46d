#include "engine/text/text_encoder.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

#include "engine/text/distinct_texts.h"

namespace tracer {
namespace {

// A stretch of the texts in order of length.
struct Stretch {
  int64_t first = 0, count = 0;
};

// Longest first, so that what is left at the end is short. Texts are never split; one alone may exceed the limit.
std::vector<Stretch> batches_of(const std::vector<std::vector<int32_t>>& ids, const std::vector<int64_t>& order,
                                int64_t most_tokens) {
  std::vector<Stretch> batches;
  int64_t tokens = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(order.size()); ++i) {
    const auto length = static_cast<int64_t>(ids[order[i]].size());
    if (batches.empty() || tokens + length > most_tokens) {
      batches.push_back({i, 0});
      tokens = 0;
    }
    ++batches.back().count;
    tokens += length;
  }
  return batches;
}

// Runs work(i) for i in [0, n) on up to `threads` threads, until one fails. Which thread takes which i is left to
// chance.
template <class Work>
Status parallel(int64_t n, int threads, const Work& work) {
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  Status failed;
  const auto fail = [&](Status status) {
    const std::lock_guard lock(mutex);
    if (failed.ok()) failed = std::move(status);
    next = n;
  };
  const auto loop = [&] {
    try {
      for (int64_t i = next++; i < n; i = next++)
        if (Status status = work(i); !status.ok()) fail(std::move(status));
    } catch (const std::bad_alloc&) {
      fail(out_of_memory("embedding text"));
    }
  };
  std::vector<std::jthread> others;
  for (int64_t t = 1; t < std::min<int64_t>(threads, n); ++t) others.emplace_back(loop);
  loop();
  others.clear();  // joins
  return failed;
}

}  // namespace

TextEncoder::TextEncoder(WordPiece tokenizer, std::unique_ptr<Transformer> transformer, int64_t dimension,
                         int64_t max_tokens, int threads, int64_t memory_bytes)
    : tokenizer_(std::move(tokenizer)),
      transformer_(std::move(transformer)),
      dimension_(dimension),
      max_tokens_(max_tokens),
      threads_(threads),
      memory_bytes_(memory_bytes) {}

Status TextEncoder::encode(std::span<const std::string> texts, HostMatrix<float> out,
                           const std::function<void(int64_t)>& done) const {
  const auto all = static_cast<int64_t>(texts.size());
  if (out.rows != all || out.cols != dimension_) return internal_error("text encoder: output of another shape");
  const DistinctTexts distinct = distinct_texts(texts);
  std::vector<int64_t> wanted;
  for (const int64_t i : distinct.first) {
    const auto known = known_.find(texts[i]);
    if (known == known_.end())
      wanted.push_back(i);
    else
      std::copy_n(known->second.data(), dimension_, out.row(i));
  }
  TRACER_RETURN_IF_ERROR(compute(texts, wanted, out, done));
  if (transformer_->rows_stand_alone()) {
    for (const int64_t i : wanted) remember(texts[i], out.row(i));
  }
  for (int64_t i = 0; i < all; ++i)
    if (const int64_t first = distinct.first[distinct.of[i]]; first != i)
      std::copy_n(out.row(first), dimension_, out.row(i));
  if (const int64_t copied = all - static_cast<int64_t>(wanted.size()); done && copied > 0) done(copied);
  return {};
}

Status TextEncoder::compute(std::span<const std::string> texts, const std::vector<int64_t>& wanted,
                            HostMatrix<float> out, const std::function<void(int64_t)>& done) const {
  const auto n = static_cast<int64_t>(wanted.size());
  std::vector<std::vector<int32_t>> ids(wanted.size());
  constexpr int64_t kStretch = 256;
  TRACER_RETURN_IF_ERROR(parallel((n + kStretch - 1) / kStretch, threads_, [&](int64_t s) -> Status {
    for (int64_t i = s * kStretch; i < std::min(n, (s + 1) * kStretch); ++i)
      tokenizer_.encode(texts[wanted[i]], max_tokens_, ids[i]);
    return {};
  }));
  std::vector<int64_t> order(ids.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return ids[a].size() > ids[b].size(); });
  const std::vector<Stretch> batches = batches_of(ids, order, transformer_->batch_tokens());

  std::mutex reporting;
  return parallel(static_cast<int64_t>(batches.size()), threads_, [&](int64_t b) -> Status {
    const Stretch& stretch = batches[b];
    TokenBatch batch;
    for (int64_t i = stretch.first; i < stretch.first + stretch.count; ++i) {
      const std::vector<int32_t>& row = ids[order[i]];
      batch.ids.insert(batch.ids.end(), row.begin(), row.end());
      batch.start.push_back(static_cast<int64_t>(batch.ids.size()));
    }
    Matrix<float> vectors(stretch.count, dimension_);
    TRACER_RETURN_IF_ERROR(transformer_->encode(batch, vectors.view()));
    for (int64_t i = 0; i < stretch.count; ++i)
      std::copy_n(vectors.row(i), dimension_, out.row(wanted[order[stretch.first + i]]));
    if (done) {
      const std::lock_guard lock(reporting);
      done(stretch.count);
    }
    return {};
  });
}

void TextEncoder::remember(const std::string& text, const float* vector) const {
  const auto bytes = static_cast<int64_t>(text.size()) + dimension_ * static_cast<int64_t>(sizeof(float));
  if (bytes > memory_bytes_) return;
  memory_bytes_ -= bytes;
  known_.emplace(text, std::vector<float>(vector, vector + dimension_));
}

}  // namespace tracer
