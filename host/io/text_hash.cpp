#include "host/io/text_hash.h"

#include <bit>
#include <cstring>
#include <string>

namespace tracer::io {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87ULL;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4FULL;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9ULL;
constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63ULL;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5ULL;

static_assert(std::endian::native == std::endian::little, "xxh64 reads words as they lie in memory");

template <class T>
uint64_t load(const char* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

uint64_t round(uint64_t acc, uint64_t input) { return std::rotl(acc + input * kPrime2, 31) * kPrime1; }
uint64_t merge(uint64_t acc, uint64_t v) { return (acc ^ round(0, v)) * kPrime1 + kPrime4; }

}  // namespace

uint64_t xxh64(std::string_view bytes, uint64_t seed) {
  const char* p = bytes.data();
  size_t left = bytes.size();
  uint64_t h;
  if (left >= 32) {
    uint64_t a = seed + kPrime1 + kPrime2, b = seed + kPrime2, c = seed, d = seed - kPrime1;
    for (; left >= 32; p += 32, left -= 32) {
      a = round(a, load<uint64_t>(p));
      b = round(b, load<uint64_t>(p + 8));
      c = round(c, load<uint64_t>(p + 16));
      d = round(d, load<uint64_t>(p + 24));
    }
    h = std::rotl(a, 1) + std::rotl(b, 7) + std::rotl(c, 12) + std::rotl(d, 18);
    h = merge(merge(merge(merge(h, a), b), c), d);
  } else {
    h = seed + kPrime5;
  }
  h += bytes.size();
  for (; left >= 8; p += 8, left -= 8) h = std::rotl(h ^ round(0, load<uint64_t>(p)), 27) * kPrime1 + kPrime4;
  if (left >= 4) {
    h = std::rotl(h ^ load<uint32_t>(p) * kPrime1, 23) * kPrime2 + kPrime3;
    p += 4, left -= 4;
  }
  for (; left > 0; ++p, --left) h = std::rotl(h ^ load<uint8_t>(p) * kPrime5, 11) * kPrime1;
  h = (h ^ (h >> 33)) * kPrime2;
  h = (h ^ (h >> 29)) * kPrime3;
  return h ^ (h >> 32);
}

uint64_t normalized_text_hash(std::string_view text) {
  thread_local std::string normal;
  normal.resize(text.size());
  size_t n = 0;
  bool gap = false;
  for (char c : text) {
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
      gap = n > 0;
      continue;
    }
    if (gap) normal[n++] = ' ';
    gap = false;
    normal[n++] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  return xxh64({normal.data(), n});
}

}  // namespace tracer::io
