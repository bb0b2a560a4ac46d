// Rows with their vectors in batches, for evaluate and route. Vectors come from a file, or are made from the text.
#pragma once

#include <algorithm>
#include <cstdint>
#include <future>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/policy/router.h"
#include "host/encoder/embedding.h"
#include "host/encoder/encoder.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "host/io/npy.h"
#include "host/io/rejects.h"
#include "host/io/trace_reader.h"
#include "kernels/backend.h"

namespace tracer {

// What a pass over labelled or unlabelled rows takes its vectors from: a file, or an encoder.
struct VectorSource {
  std::string npy;
  std::optional<Encoder> encoder;
  // Of a cascade: its text stage, which answers rows before a vector is made of them, and the rule it answers by. Both
  // belong to the policy, which must outlive the source. Null where no row is the text stage's.
  const TextStage* text_stage = nullptr;
  const DecisionRule* rule = nullptr;
};

// Rows of one batch, and the unit vectors of those that the text stage of a cascade did not answer, in order.
struct RowBatch {
  struct Row {
    int64_t line = 0;
    std::optional<std::string> id;
    std::string label;
    std::string input;
  };
  struct Stretch {      // vectors of consecutive positions
    int64_t first = 0;  // in the file
    int64_t at = 0;     // in the batch
    int64_t count = 0;
  };
  std::vector<Row> rows;
  std::vector<std::optional<RowScore>> answered;  // by the text stage, aligned; empty where there is none
  std::vector<Stretch> stretches;                 // where the file has the vectors of all rows
  Matrix<float> vectors;                          // at least vector_rows() rows; the rest is unused
  int64_t vector_rows() const {
    return static_cast<int64_t>(rows.size()) -
           std::count_if(answered.begin(), answered.end(), [](const auto& score) { return score.has_value(); });
  }
  HostMatrix<const float> view() const { return vectors.view().rows_from(0, vector_rows()); }
};

// Streams traces and vectors together in constant memory.
class BatchReader {
 public:
  // keep_input: rows carry their text. dimension: what the policy was fitted on (kBadInput otherwise). The source must
  // outlive the reader.
  static Result<BatchReader> open(const RowSource& options, bool need_label, bool keep_input, int64_t dimension,
                                  const std::string& rejects_path, const VectorSource& source, const Events& events);
  // False at the end. Bad rows go to the rejects file, and above the allowed share of bad rows reading fails
  // (looked at from 1,000 rows on, and at the end). The vector file must have one row for each data line.
  Result<bool> next(Backend& backend, RowBatch& batch);
  // After next() gave a batch: a thread begins to read the one after, unless the reader embeds.
  void read_ahead();
  // Before the first next(): that many good rows are read over and not given. Fewer rows: kBadInput. Where a vector's
  // last bits depend on its group, rows are embedded in the groups that a pass from the first row on has: up to a group
  // of those read over is embedded too, and of those after the last.
  void skip(int64_t rows) { skip_ = rows, lead_ = lead_of(rows); }
  // Likewise: `count` good rows after the first `rows`. Nothing is checked beyond them.
  void only(int64_t rows, int64_t count) { skip(rows), left_ = count; }
  const io::Rejects& rejects() const { return rejects_; }

 private:
  BatchReader(io::TraceReader reader, io::Rejects rejects) : reader_(std::move(reader)), rejects_(std::move(rejects)) {}
  int64_t lead_of(int64_t rows) const;
  Status read_rows(RowBatch& batch);
  Status complete_group();
  void answer(Backend* backend, RowBatch& batch, int64_t lead);
  Status embed(RowBatch& batch, int64_t lead);
  Status read_vectors(Backend& backend, RowBatch& batch);
  Result<bool> read_batch(Backend* backend, RowBatch& batch);
  Status finish();

  io::TraceReader reader_;
  io::Rejects rejects_;
  std::optional<io::NpyReader> vectors_;  // either this
  std::unique_ptr<Embedding> embedding_;  // or this
  const TextStage* text_stage_ = nullptr;
  const DecisionRule* rule_ = nullptr;
  std::vector<std::string> texts_;                // of the batch, for the text stage and the encoder
  std::vector<std::optional<RowScore>> answers_;  // of the text stage to them
  std::string traces_path_;
  bool keep_input_ = false;
  int64_t skip_ = 0;                                    // good rows still to be read over
  int64_t lead_ = 0;                                    // the last of them, which are embedded with those that follow
  int64_t left_ = std::numeric_limits<int64_t>::max();  // good rows still to be given
  bool done_ = false;
  RowBatch ahead_;
  std::future<Result<bool>> reading_;  // of ahead_; last, so that it ends before what it uses
};

}  // namespace tracer
