// Rows of a file and where their vectors come from: what callers say of both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/status.h"

namespace tracer {

// Text that a model wants in front of every input ("query: "). Neither given: the folder's default_prompt_name, else
// none.
struct PromptChoice {
  std::optional<std::string> text;  // itself; "" for none
  std::optional<std::string> name;  // of the folder's prompts; looked at where there is no text
};

// How an encoder of this machine is run, where no policy says it.
struct EncoderRun {
  std::optional<std::string> precision;  // float32 (default), bfloat16, int8
  PromptChoice prompt;

  // The option that makes no sense where vectors are given, or "".
  std::string given() const;
};

// A server that embeds text, and the file that keeps vectors.
struct EmbedServer {
  std::string url;           // "": no server
  std::string api = "auto";  // auto, openai, tei, json
  std::string input_key = "texts";
  std::string encoding = "float";  // float, base64
  std::string key_env, key_file, ca_file;
  int64_t dimensions = 0;
  int64_t batch = 32, concurrency = 8;
  int max_attempts = 6;
  double timeout_seconds = 120, give_up_seconds = 600;
  std::string cache;  // "": none
  uint64_t cache_bytes = uint64_t{4} << 30;
};

// Options without a default of their own are those of the command line (docs/cli.md).
struct RowSource {
  std::string traces;      // a file, "-": standard input
  std::string embeddings;  // "": beside the traces, else made from the text
  std::string encoder;     // folder of the encoder, or model of the server; not "": vectors are made from the text
  EmbedServer embed;       // a server in it: likewise
  std::string input_key;   // "": the first usual key that a row has
  std::string label_key;
  std::string format = "auto";  // auto, jsonl, csv
  std::string rejects;          // where bad rows go; "": what the call says
  double max_bad_ratio = 0.01;
};

// What labels mean, to learn from beside a log that shows a label few times.
struct DescriptionOptions {
  std::optional<std::string> source;  // "names", "none" or a file; not given: names where they can be had
  std::string embeddings;             // of the file; "": as for logs
};

// Whether text is to be embedded whatever vectors lie beside it.
bool wants_encoder(const RowSource& source);

// Where the vectors of traces lie: X.jsonl, X.jsonl.gz, X.csv, X.csv.gz -> X.npy.
std::string vectors_beside(const std::string& traces);

// The vectors that are given; else, unless an encoder or a server was named, those beside the traces, else in
// X_embeddings.npy. "" when there are none: text is to be embedded. kIo when the traces are absent or a folder.
Result<std::string> vectors_path(const RowSource& source);

}  // namespace tracer
