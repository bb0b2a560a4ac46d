// Whatever makes vectors of text: an encoder here, or a server.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer {

class TextSource {
 public:
  struct Counts {
    int64_t made = 0;   // vectors that were computed, or asked for
    int64_t found = 0;  // taken from the cache
    int64_t requests = 0, retried = 0;
  };

  virtual ~TextSource() = default;
  // out: texts.size() x dimension, in order. A group is TextEncoder::kGroup texts at most. done, when given, is called
  // with the number of texts finished since the last call, never from two threads at once. Not to be called from two
  // threads at once.
  virtual Status encode(std::span<const std::string> texts, HostMatrix<float> out,
                        const std::function<void(int64_t)>& done = {}) = 0;
  // Whether a vector's last bits depend on the texts of its group.
  virtual bool groups_matter() const = 0;
  virtual Counts counts() const = 0;
};

}  // namespace tracer
