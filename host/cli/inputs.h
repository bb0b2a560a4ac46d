// Traces with their vectors, as the commands take them: whole for fit, in batches for evaluate and route.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/io/npy.h"
#include "host/io/rejects.h"
#include "host/io/trace_reader.h"
#include "host/io/traces.h"
#include "kernels/backend.h"
#include "kernels/status.h"

namespace tracer::cli {

struct InputOptions {
  std::string traces;
  std::string embeddings;  // "": beside the traces
  std::string input_key;
  std::string label_key;
  std::string format = "auto";
  std::string rejects;  // "": the command's default
  double max_bad_ratio = 0.01;
};
void add_input_options(CLI::App& app, InputOptions& options, bool labelled);

io::TraceReaderOptions reader_options(const InputOptions& options);

// X.jsonl, X.jsonl.gz, X.csv, X.csv.gz -> X.npy, else X_embeddings.npy. kBadInput, naming both, when neither is there;
// kIo when the traces are absent or a folder.
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

// Rows of one batch; vectors are unit rows, aligned.
struct RowBatch {
  struct Row {
    int64_t line = 0;
    std::optional<std::string> id;
    std::string label;
    std::string input;
  };
  std::vector<Row> rows;
  Matrix<float> vectors;  // at least rows.size() rows; the rest is unused
  HostMatrix<const float> view() const { return vectors.view().rows_from(0, static_cast<int64_t>(rows.size())); }
};

// Streams traces and vectors together in constant memory.
class BatchReader {
 public:
  // keep_input: rows carry their text. dimension: what the policy was fitted on (kBadInput otherwise).
  static Result<BatchReader> open(const InputOptions& options, bool need_label, bool keep_input, int64_t dimension,
                                  const std::string& rejects_path);
  // False at the end. Bad rows go to the rejects file, and above the allowed share of bad rows reading fails
  // (looked at from 1,000 rows on, and at the end). The vector file must have one row for each data line.
  Result<bool> next(Backend& backend, RowBatch& batch);
  const io::Rejects& rejects() const { return rejects_; }

 private:
  BatchReader(io::TraceReader reader, io::NpyReader vectors, io::Rejects rejects)
      : reader_(std::move(reader)), vectors_(std::move(vectors)), rejects_(std::move(rejects)) {}

  io::TraceReader reader_;
  io::NpyReader vectors_;
  io::Rejects rejects_;
  std::string traces_path_;
  bool keep_input_ = false;
  bool done_ = false;
};

}  // namespace tracer::cli
