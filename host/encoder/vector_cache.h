// A VectorStore that costs no work when it fails: what it cannot read is made again, what it cannot keep is not kept,
// and either is said once.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/encoder/vector_store.h"

namespace tracer {

// The key of a vector: SHA-256 over the parts, each with its length before it.
VectorKey vector_key(std::initializer_list<std::string_view> parts);

// Belongs to one thread.
class VectorCache {
 public:
  using Warn = std::function<void(const std::string&)>;
  // A path that names something else, a damaged file or a later version: kBadInput, as VectorStore::open. A file that
  // cannot be opened or written is warned of, and the cache keeps nothing.
  static Result<VectorCache> open(const std::string& path, int64_t most_bytes, Warn warn);

  // As of VectorStore. After a failure get() finds nothing; put() keeps nothing.
  void get(std::span<const VectorKey> keys, HostMatrix<float> out, std::vector<bool>& found);
  void put(std::span<const VectorKey> keys, HostMatrix<const float> vectors);

  struct Counts {
    int64_t found = 0, made = 0;  // vectors taken from the file; vectors that were not there and were put
  };
  const Counts& counts() const { return counts_; }
  const std::string& path() const { return path_; }

 private:
  VectorCache() = default;
  std::string path_;
  Warn warn_;
  std::optional<VectorStore> store_;
  bool writes_ = true;
  int64_t damaged_ = 0;
  Counts counts_;
};

}  // namespace tracer
