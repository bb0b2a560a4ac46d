// Randomness keyed by (seed, stream, counter): the same draw whatever the order or the thread that asks for it.
#pragma once

#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace tracer {

// One name for each use, so that two uses never share draws. Values are frozen: they decide splits.
enum class Stream : uint64_t {
  kCertify = 1,
  kFold = 2,
  kPosterior = 3,
  kRows = 4,
  kDisagree = 5,
  kBet = 6,
  kPermute = 7,
  kPosteriorKept = 8,
  kSample = 9,
  kSubsample = 10,
  kWeights = 11,
  kBatch = 12,
  kAudit = 13,
  kBackoff = 14
};

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
inline uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

class Random {
 public:
  Random(uint64_t seed, Stream stream) : key_(mix64(mix64(seed) ^ (static_cast<uint64_t>(stream) << 56))) {}

  uint64_t bits(uint64_t counter) const { return mix64(key_ ^ mix64(counter)); }
  // In [0, 1).
  double uniform(uint64_t counter) const { return static_cast<double>(bits(counter) >> 11) * 0x1p-53; }
  // In [0, n).
  int64_t below(uint64_t counter, int64_t n) const {
    return static_cast<int64_t>(static_cast<unsigned __int128>(bits(counter)) * static_cast<uint64_t>(n) >> 64);
  }
  // Standard normal (Box-Muller; counters 2c and 2c+1 are used).
  double normal(uint64_t counter) const {
    const double u = 1.0 - uniform(2 * counter);
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * uniform(2 * counter + 1));
  }
  // A permutation of 0..n-1 (Fisher-Yates).
  std::vector<int32_t> permutation(int64_t n, uint64_t first_counter = 0) const {
    std::vector<int32_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    for (int64_t i = n - 1; i > 0; --i)
      std::swap(order[i], order[below(first_counter + static_cast<uint64_t>(i), i + 1)]);
    return order;
  }

 private:
  uint64_t key_;
};

}  // namespace tracer
