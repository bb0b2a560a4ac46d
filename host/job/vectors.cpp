#include "host/job/vectors.h"

#include <utility>

#include "host/encoder/encoder_identity.h"
#include "host/encoder/log_vectors.h"
#include "host/encoder/source.h"

namespace tracer::job {

Result<JobVectors> JobVectors::open(const std::string& vectors, const std::string& input, const Store& store,
                                    const std::string& npy) {
  TRACER_ASSIGN_OR_RETURN(auto in, io::NpyReader::open(vectors));
  if (input.empty() && in.rows() != store.routed())
    return bad_input(vectors + ": expected " + std::to_string(store.routed()) +
                     " vectors, one for each row that the job has routed, found " + std::to_string(in.rows()) +
                     "; where rows of its input could not be read, or it is not routed to the end, name it with " +
                     option("input"));
  TRACER_ASSIGN_OR_RETURN(auto out, io::NpyWriter::create(npy, in.cols()));
  JobVectors all(vectors, input, npy, std::move(in), std::move(out));
  all.vector_ = Matrix<float>(1, all.in_.cols());
  if (input.empty()) return all;
  RowSource rows;
  rows.input_key = store.config().rows.input_key;
  rows.format = store.config().rows.format;
  io::TraceReaderOptions reading = reader_options(rows);
  reading.need_label = false;
  reading.read_timestamp = false;
  TRACER_ASSIGN_OR_RETURN(all.reader_, io::TraceReader::open(input, reading));
  return all;
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

Result<int64_t> JobVectors::position(const DeferredRow& row) {
  if (!reader_) return row.row;
  while (read_ <= row.row) {
    TRACER_ASSIGN_OR_RETURN(auto more, next_good());
    if (!more) return bad_input(input_ + ": not the job's input: it ends before row " + std::to_string(row.row + 1));
  }
  if (reader_->row().input != row.input)
    return bad_input(input_ + ": not the job's input: line " + std::to_string(reader_->row().line) +
                     " has another text than the job's row " + std::to_string(row.row + 1));
  return reader_->row().position;
}

Status JobVectors::add(const DeferredRow& row) {
  TRACER_ASSIGN_OR_RETURN(auto at, position(row));
  if (at >= in_.rows())
    return bad_input(path_ + ": " + std::to_string(in_.rows()) + " vectors, but the job's input has more rows");
  TRACER_RETURN_IF_ERROR(in_.read_rows(at, 1, vector_.view()));
  return out_.write(vector_.view());
}

Status JobVectors::commit() {
  if (reader_) {
    Result<bool> more = true;
    while (more.ok() && *more) more = next_good();
    if (!more.ok()) return more.status();
    if (reader_->positions() != in_.rows())
      return bad_input(path_ + ": expected " + std::to_string(reader_->positions()) + " vectors, one for each row of " +
                       input_ + ", found " + std::to_string(in_.rows()));
  }
  TRACER_ASSIGN_OR_RETURN(auto encoder, read_vector_note(path_));
  TRACER_RETURN_IF_ERROR(out_.commit());
  return encoder.known() ? write_vector_note(npy_, encoder) : Status();
}

}  // namespace tracer::job
