// What the commands that read rows share: options, where vectors lie, and which outputs would destroy an input.
#pragma once

#include <string>
#include <vector>

#include "host/cli/embed_options.h"
#include "host/cli/flags.h"
#include "host/io/trace_reader.h"
#include "kernels/status.h"

namespace tracer::cli {

struct InputOptions {
  std::string traces;
  std::string embeddings;  // "": beside the traces, else made from the text
  std::string encoder;     // folder of the encoder, or model of the server; not "": vectors are made from the text
  EmbedOptions embed;      // a server in it: likewise
  std::string input_key;
  std::string label_key;
  std::string format = "auto";
  std::string rejects;  // "": the command's default
  double max_bad_ratio = 0.01;
};
void add_input_options(Flags& app, InputOptions& options, bool labelled);
// The part of them that says how rows are read, and which encoder embeds them.
void add_row_options(Flags& app, InputOptions& options, bool labelled);

io::TraceReaderOptions reader_options(const InputOptions& options);

// Whether text is to be embedded whatever vectors lie beside it.
bool wants_encoder(const InputOptions& options);

// Where the vectors of traces lie: X.jsonl, X.jsonl.gz, X.csv, X.csv.gz -> X.npy.
std::string vectors_beside(const std::string& traces);

// The vectors given with --embeddings; else, unless an encoder or a server was named, those beside the traces, else in
// X_embeddings.npy. "" when there are none: text is to be embedded. kIo when the traces are absent or a folder.
Result<std::string> vectors_path(const InputOptions& options);

// What a command reads or writes: the option (for messages) and the path; "" is nothing, "-" a standard stream.
struct FileUse {
  std::string option;
  std::string path;
};

// "" when writing the outputs destroys nothing that matters; else a usage error in words. No output may be one of the
// inputs or another output, under whatever name (links are followed; devices and pipes hold nothing and are fine), nor
// lie in the policy's folder or be one of its files. Neither the outputs nor the folder need exist yet.
std::string check_outputs(const std::vector<FileUse>& outputs, const std::vector<FileUse>& inputs,
                          const std::string& policy_folder);

// Whether a path given as an output is, or would be created as, a regular file.
bool makes_regular_file(const std::string& path);

}  // namespace tracer::cli
