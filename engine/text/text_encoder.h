// Text in, unit vectors out: tokens, batches in order of length, the transformer on all threads. A text that comes
// again is not computed again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/text/transformer.h"
#include "engine/text/wordpiece.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer {

class TextEncoder {
 public:
  // Callers hand over texts in groups of this many: few enough to keep memory flat, enough to sort by length. A row's
  // last bits depend on the texts it shares a group with, so that all of TRACER uses the same groups.
  static constexpr int64_t kGroup = 4096;

  // Of texts and vectors that an encoder remembers, where a vector is the same in any group: beyond it only repeats
  // within a group, and of what was there before, are saved.
  static constexpr int64_t kMemoryBytes = int64_t{1} << 27;

  // max_tokens: of a sequence; at most the transformer's positions. threads: at least 1.
  TextEncoder(WordPiece tokenizer, std::unique_ptr<Transformer> transformer, int64_t dimension, int64_t max_tokens,
              int threads, int64_t memory_bytes = kMemoryBytes);

  // out: texts.size() x dimension, unit rows, in order. done, when given, is called with the number of texts finished
  // since the last call, from any thread but never from two at once. The first error of a batch stops the rest. A text
  // that occurs twice is computed once; over several calls where the transformer's rows stand alone and the memory
  // lasts. Same calls, same bytes, for any number of threads. Not to be called from two threads at once.
  Status encode(std::span<const std::string> texts, HostMatrix<float> out,
                const std::function<void(int64_t)>& done = {}) const;

  int64_t dimension() const { return dimension_; }
  int threads() const { return threads_; }

 private:
  // Computes the rows `wanted` of out, whose texts differ.
  Status compute(std::span<const std::string> texts, const std::vector<int64_t>& wanted, HostMatrix<float> out,
                 const std::function<void(int64_t)>& done) const;
  void remember(const std::string& text, const float* vector) const;

  WordPiece tokenizer_;
  std::unique_ptr<Transformer> transformer_;
  int64_t dimension_;
  int64_t max_tokens_;
  int threads_;
  // What was computed so far; no part of what an encoder is.
  mutable std::unordered_map<std::string, std::vector<float>> known_;
  mutable int64_t memory_bytes_;  // left
};

}  // namespace tracer
