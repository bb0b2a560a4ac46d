// Text to vectors in passes over rows, told to the events.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/encoder/encoder.h"
#include "host/encoder/opening.h"
#include "host/io/events.h"

namespace tracer {

inline constexpr char kEmbedding[] = "embedding";  // what a pass is called

// One pass over the rows of a source. Encoder and events must outlive it.
class Embedding {
 public:
  // The time left is judged by the share of the source's bytes that has been read; of a pipe it is not known.
  Embedding(const Encoder& encoder, const Events& events, const std::string& source);

  // A group of at most TextEncoder::kGroup texts; read_bytes: of the source, after the last of them.
  Status encode(const std::vector<std::string>& texts, int64_t read_bytes, HostMatrix<float> out);
  // After the last group.
  void finish();

  int64_t dimension() const { return encoder_.identity.dimension; }
  bool groups_matter() const { return encoder_.text->groups_matter(); }

 private:
  const Encoder& encoder_;
  const Events events_;
  Pass pass_;
  int64_t source_bytes_ = 0;  // 0: not known
};

// All of a log: row i of the result is texts[i]. doing: what the pass is called.
Result<Matrix<float>> embed_log(const Encoder& encoder, const std::vector<std::string>& texts, const Events& events,
                                const std::string& doing = kEmbedding);

}  // namespace tracer
