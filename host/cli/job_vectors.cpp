#include "host/cli/job_vectors.h"

#include <utility>

#include "host/cli/flags.h"
#include "host/encoder/encoder_identity.h"
#include "host/encoder/log_vectors.h"
#include "host/encoder/source.h"

namespace tracer::cli {

Flag* add_job_vector_options(Flags& app, JobVectorOptions& options) {
  return app.add_option("--vectors", options.vectors,
                        "vectors of the job's input (.npy); those of the traces go beside them");
}

Result<JobVectors> JobVectors::open(const JobVectorOptions& options, const job::Store& store, const std::string& npy) {
  TRACER_ASSIGN_OR_RETURN(auto in, io::NpyReader::open(options.vectors));
  if (options.input.empty() && in.rows() != store.routed())
    return bad_input(
        options.vectors + ": expected " + std::to_string(store.routed()) +
        " vectors, one for each row that the job has routed, found " + std::to_string(in.rows()) +
        "; where rows of its input could not be read, or it is not routed to the end, name it with --input");
  TRACER_ASSIGN_OR_RETURN(auto out, io::NpyWriter::create(npy, in.cols()));
  JobVectors vectors(options, npy, std::move(in), std::move(out));
  vectors.vector_ = Matrix<float>(1, vectors.in_.cols());
  if (options.input.empty()) return vectors;
  RowSource rows;
  rows.input_key = store.config().value("input_key", "");
  rows.format = store.config().value("format", "auto");
  io::TraceReaderOptions reading = reader_options(rows);
  reading.need_label = false;
  reading.read_timestamp = false;
  TRACER_ASSIGN_OR_RETURN(vectors.reader_, io::TraceReader::open(options.input, reading));
  return vectors;
}

// The input's next row that could be read; false at its end.
Result<bool> JobVectors::next_good() {
  while (true) {
    TRACER_ASSIGN_OR_RETURN(auto kind, reader_->next());
    if (kind == io::RowKind::kEnd) return false;
    if (kind == io::RowKind::kBad) continue;
    ++read_;
    return true;
  }
}

Result<int64_t> JobVectors::position(const job::DeferredRow& row) {
  if (!reader_) return row.row;
  while (read_ <= row.row) {
    TRACER_ASSIGN_OR_RETURN(auto more, next_good());
    if (!more)
      return bad_input(options_.input + ": not the job's input: it ends before row " + std::to_string(row.row + 1));
  }
  if (reader_->row().input != row.input)
    return bad_input(options_.input + ": not the job's input: line " + std::to_string(reader_->row().line) +
                     " has another text than the job's row " + std::to_string(row.row + 1));
  return reader_->row().position;
}

Status JobVectors::add(const job::DeferredRow& row) {
  TRACER_ASSIGN_OR_RETURN(auto at, position(row));
  if (at >= in_.rows())
    return bad_input(options_.vectors + ": " + std::to_string(in_.rows()) +
                     " vectors, but the job's input has more rows");
  TRACER_RETURN_IF_ERROR(in_.read_rows(at, 1, vector_.view()));
  return out_.write(vector_.view());
}

Status JobVectors::commit() {
  if (reader_) {
    Result<bool> more = true;
    while (more.ok() && *more) more = next_good();
    if (!more.ok()) return more.status();
    if (reader_->positions() != in_.rows())
      return bad_input(options_.vectors + ": expected " + std::to_string(reader_->positions()) +
                       " vectors, one for each row of " + options_.input + ", found " + std::to_string(in_.rows()));
  }
  TRACER_ASSIGN_OR_RETURN(auto encoder, read_vector_note(options_.vectors));
  TRACER_RETURN_IF_ERROR(out_.commit());
  return encoder.known() ? write_vector_note(npy_, encoder) : Status();
}

}  // namespace tracer::cli
