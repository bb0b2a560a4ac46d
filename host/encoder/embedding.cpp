#include "host/encoder/embedding.h"

#include <sys/stat.h>

#include <algorithm>

namespace tracer {

Embedding::Embedding(const Encoder& encoder, const Events& events, const std::string& source)
    : encoder_(encoder), events_(events), pass_(events_, kEmbedding) {
  struct stat info {};
  if (source != "-" && ::stat(source.c_str(), &info) == 0 && S_ISREG(info.st_mode)) source_bytes_ = info.st_size;
}

Status Embedding::encode(const std::vector<std::string>& texts, int64_t read_bytes, HostMatrix<float> out) {
  // Of the rows read so far, this group is the last part.
  const auto read_rows = static_cast<double>(pass_.rows() + static_cast<int64_t>(texts.size()));
  const double read = static_cast<double>(read_bytes) / static_cast<double>(std::max<int64_t>(source_bytes_, 1));
  return encoder_.text->encode(texts, out, [&](int64_t done) {
    pass_.advance(done, source_bytes_ > 0 ? read * static_cast<double>(pass_.rows() + done) / read_rows : -1);
  });
}

void Embedding::finish() {
  pass_.finish();
  note_counts(*encoder_.text, events_);
}

Result<Matrix<float>> embed_log(const Encoder& encoder, const std::vector<std::string>& texts, const Events& events,
                                const std::string& doing) {
  const auto n = static_cast<int64_t>(texts.size());
  Matrix<float> vectors(n, encoder.identity.dimension);
  Pass pass(events, doing);
  for (int64_t first = 0; first < n; first += TextEncoder::kGroup) {
    const int64_t count = std::min(n - first, TextEncoder::kGroup);
    TRACER_RETURN_IF_ERROR(encoder.text->encode({texts.data() + first, static_cast<size_t>(count)},
                                                vectors.view().rows_from(first, count), [&](int64_t done) {
                                                  const auto rows = static_cast<double>(pass.rows() + done);
                                                  pass.advance(done, rows / static_cast<double>(n));
                                                }));
  }
  pass.finish();
  note_counts(*encoder.text, events);
  return vectors;
}

}  // namespace tracer
