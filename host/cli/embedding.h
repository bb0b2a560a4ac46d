// Text to vectors under a progress line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/inputs.h"
#include "host/cli/progress.h"
#include "host/encoder/encoder.h"

namespace tracer::cli {

// How an encoder of this machine is run, where no policy says it.
struct LocalEncoderOptions {
  std::optional<std::string> precision;
  PromptChoice prompt;

  // The option that makes no sense where vectors are given, or "".
  std::string given() const;
};
// --precision, --embed-prompt, --embed-prompt-name. After add_row_options.
void add_local_encoder_options(Flags& app, LocalEncoderOptions& options);
Precision precision_of(const std::optional<std::string>& option);

// An encoder computes where the backend does.
EncoderMachine machine_of(const Backend& backend);

// Which encoder is at work, and where.
void note_encoder(const Encoder& encoder, const Console& console);

// The server named with --embed-url, else the folder named with --embed-model, else the default one.
Result<Encoder> open_named_encoder(const InputOptions& input, const LocalEncoderOptions& local, const Backend& backend,
                                   const Console& console);

// What came from a cache and what was asked of a server; a note where there is either.
void note_counts(const TextSource& text, const Console& console);

// One pass over the rows of a source. The encoder must outlive it.
class Embedding {
 public:
  // The time left is judged by the share of the source's bytes that has been read; of a pipe it is not known.
  Embedding(const Encoder& encoder, const Console& console, const std::string& source);

  // A group of at most TextEncoder::kGroup texts; read_bytes: of the source, after the last of them.
  Status encode(const std::vector<std::string>& texts, int64_t read_bytes, HostMatrix<float> out);
  // After the last group.
  void finish();

  int64_t dimension() const { return encoder_.identity.dimension; }
  bool groups_matter() const { return encoder_.text->groups_matter(); }

 private:
  const Encoder& encoder_;
  const Console& console_;
  Progress progress_;
  int64_t source_bytes_ = 0;  // 0: not known
};

// All of a log: row i of the result is texts[i]. doing: as Progress shows it.
inline constexpr char kEmbedding[] = "embedding";
Result<Matrix<float>> embed_log(const Encoder& encoder, const std::vector<std::string>& texts, const Console& console,
                                const std::string& doing = kEmbedding);

}  // namespace tracer::cli
