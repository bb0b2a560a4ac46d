// Hashes that tell whether two texts are the same.
#pragma once

#include <cstdint>
#include <string_view>

namespace tracer::io {

// XXH64 (Y. Collet) of the bytes. The same on every machine and in every version.
uint64_t xxh64(std::string_view bytes, uint64_t seed = 0);

// xxh64 of the text after ASCII lower-casing, runs of ASCII whitespace made one space, and trimming: equal for texts
// that differ only so.
uint64_t normalized_text_hash(std::string_view text);

}  // namespace tracer::io
