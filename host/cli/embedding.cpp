#include "host/cli/embedding.h"

#include <sys/stat.h>

#include <algorithm>

#include "host/cli/flags.h"

namespace tracer::cli {

std::string LocalEncoderOptions::given() const {
  return precision ? "--precision" : prompt.text ? "--embed-prompt" : prompt.name ? "--embed-prompt-name" : "";
}

void add_local_encoder_options(Flags& app, LocalEncoderOptions& o) {
  app.add_option("--precision", o.precision,
                 "of the text encoder: float32 (default); bfloat16 or int8, faster on processors that have them")
      ->check(one_of({"float32", "bfloat16", "int8"}))
      ->excludes(app.get_option("--embed-url"));
  Flag* text = app.add_option("--embed-prompt", o.prompt.text,
                              "put this in front of every text, as the encoder was trained: \"query: \"; \"\" for "
                              "nothing (default: the default prompt of its config_sentence_transformers.json)");
  text->excludes(app.get_option("--embed-url"));
  app.add_option("--embed-prompt-name", o.prompt.name,
                 "put the prompt of this name in that file in front of every text")
      ->excludes(app.get_option("--embed-url"))
      ->excludes(text);
}

Precision precision_of(const std::optional<std::string>& option) {
  return option ? *parse_precision(*option) : Precision::kFloat32;
}

EncoderMachine machine_of(const Backend& backend) { return {backend.threads(), std::string(backend.name())}; }

void note_encoder(const Encoder& encoder, const Console& console) {
  console.note("embedding text with " + describe(encoder.identity) + (encoder.place.empty() ? "" : ", ") +
               encoder.place);
}

Result<Encoder> open_named_encoder(const InputOptions& input, const LocalEncoderOptions& local, const Backend& backend,
                                   const Console& console) {
  if (!input.embed.url.empty()) return open_embed_server(input.embed, input.encoder, console);
  TRACER_ASSIGN_OR_RETURN(auto cache, open_cache(input.embed, console));
  auto encoder = open_encoder(input.encoder.empty() ? default_encoder_folder() : input.encoder,
                              precision_of(local.precision), machine_of(backend), std::move(cache), local.prompt);
  if (encoder.ok()) note_encoder(*encoder, console);
  return encoder;
}

Embedding::Embedding(const Encoder& encoder, const Console& console, const std::string& source)
    : encoder_(encoder), console_(console), progress_(console, kEmbedding) {
  struct stat info {};
  if (source != "-" && ::stat(source.c_str(), &info) == 0 && S_ISREG(info.st_mode)) source_bytes_ = info.st_size;
}

Status Embedding::encode(const std::vector<std::string>& texts, int64_t read_bytes, HostMatrix<float> out) {
  // Of the rows read so far, this group is the last part.
  const auto read_rows = static_cast<double>(progress_.rows() + static_cast<int64_t>(texts.size()));
  const double read = static_cast<double>(read_bytes) / static_cast<double>(std::max<int64_t>(source_bytes_, 1));
  return encoder_.text->encode(texts, out, [&](int64_t done) {
    progress_.advance(done, source_bytes_ > 0 ? read * static_cast<double>(progress_.rows() + done) / read_rows : -1);
  });
}

void note_counts(const TextSource& text, const Console& console) {
  const TextSource::Counts c = text.counts();
  if (c.found > 0) console.note(counted(c.found, "vector") + " from the cache, " + std::to_string(c.made) + " made");
  if (c.requests > 0)
    console.note("embedding server: " + counted(c.made, "text") + " in " + counted(c.requests, "request") +
                 (c.retried > 0 ? ", " + std::to_string(c.retried) + " of them again" : ""));
}

void Embedding::finish() {
  progress_.finish();
  note_counts(*encoder_.text, console_);
}

Result<Matrix<float>> embed_log(const Encoder& encoder, const std::vector<std::string>& texts, const Console& console,
                                const std::string& doing) {
  const auto n = static_cast<int64_t>(texts.size());
  Matrix<float> vectors(n, encoder.identity.dimension);
  Progress progress(console, doing);
  for (int64_t first = 0; first < n; first += TextEncoder::kGroup) {
    const int64_t count = std::min(n - first, TextEncoder::kGroup);
    TRACER_RETURN_IF_ERROR(encoder.text->encode({texts.data() + first, static_cast<size_t>(count)},
                                                vectors.view().rows_from(first, count), [&](int64_t done) {
                                                  const auto rows = static_cast<double>(progress.rows() + done);
                                                  progress.advance(done, rows / static_cast<double>(n));
                                                }));
  }
  progress.finish();
  note_counts(*encoder.text, console);
  return vectors;
}

}  // namespace tracer::cli
