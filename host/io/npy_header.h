// The header of a .npy file (NumPy's "NPY format", versions 1.0 to 3.0).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/status.h"

namespace tracer::io {

struct NpyHeader {
  std::string descr;  // the dtype as written, such as "<f4"; "" for a structured one
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

// Bytes of magic, version and length field in front of the dictionary, and of the dictionary itself.
struct NpyPreamble {
  int64_t dictionary_at = 0;
  int64_t dictionary_bytes = 0;
};

constexpr int64_t kNpyPreambleBytes = 12;            // enough of a file to read the preamble of any version
constexpr int64_t kMaxNpyDictionaryBytes = 1 << 20;  // a longer one is refused

// From the first bytes of a file (kNpyPreambleBytes, or all it has). kBadInput without the file's name in front.
Result<NpyPreamble> parse_npy_preamble(std::string_view head);

// The Python dictionary with exactly the keys descr, fortran_order and shape, in any order. kBadInput likewise.
Result<NpyHeader> parse_npy_dictionary(std::string_view text);

// Magic, version 1.0 and dictionary, padded so that data begins at a multiple of 64 bytes.
std::string make_npy_header(std::string_view descr, int64_t rows, int64_t cols);

}  // namespace tracer::io
