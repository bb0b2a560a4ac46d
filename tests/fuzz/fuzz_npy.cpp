// Any bytes as a .npy file: refused, or every element read is finite and in place.
#include <cmath>
#include <cstdlib>

#include "host/io/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tracer;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Result<io::NpyReader> reader = io::NpyReader::from_memory(bytes, "fuzz");
  if (!reader.ok()) {
    if (reader.status().code() != ErrorCode::kBadInput || reader.status().message().empty()) std::abort();
    return 0;
  }
  // What was accepted lies in the input, so it is small.
  if (reader->rows() < 1 || reader->cols() < 1 || reader->rows() * reader->cols() > static_cast<int64_t>(size)) {
    std::abort();
  }
  Matrix<float> m(reader->rows(), reader->cols());
  if (!reader->read_rows(0, reader->rows(), m.view()).ok()) return 0;
  for (int64_t i = 0; i < m.size(); ++i) {
    if (!std::isfinite(m.data()[i])) std::abort();
  }
  return 0;
}
