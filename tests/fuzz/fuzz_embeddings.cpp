// Any bytes as an embedding server's answer, in each dialect: a fault of a row that was asked for, or vectors that keep
// the promises of parse_embeddings. Byte 0: dialect, texts and dimension.
#include <cmath>

#include "host/encoder/embed_api.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tracer;
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto dialect = static_cast<EmbedDialect>(data[0] % 3);
  const int64_t count = 1 + data[0] / 3 % 4, dimension = data[0] / 12 % 3;
  Matrix<float> out;
  if (const auto fault = parse_embeddings(dialect, body, count, dimension, out)) {
    check(!fault->what.empty() && fault->row >= -1 && fault->row < count);
    return 0;
  }
  check(out.rows() == count && out.cols() > 0 && (dimension == 0 || out.cols() == dimension));
  for (int64_t i = 0; i < count; ++i) {
    bool zeros = true;
    for (int64_t d = 0; d < out.cols(); ++d) {
      check(std::isfinite(out(i, d)));
      zeros = zeros && out(i, d) == 0;
    }
    check(!zeros);
  }
  return 0;
}
