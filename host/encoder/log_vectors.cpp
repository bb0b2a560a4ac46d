#include "host/encoder/log_vectors.h"

#include "host/encoder/embedding.h"
#include "host/io/npy.h"

namespace tracer {
namespace {

Result<Matrix<float>> read_vectors(const std::string& path, const io::TraceFile& file, const std::string& traces) {
  TRACER_ASSIGN_OR_RETURN(auto reader, io::NpyReader::open(path));
  if (reader.rows() != file.positions)
    return bad_input(path + ": expected " + std::to_string(file.positions) + " vectors, one for each row of " + traces +
                     ", found " + std::to_string(reader.rows()));
  const int64_t n = file.traces.rows();
  Matrix<float> x(n, reader.cols());
  // Positions ascend; bad rows leave gaps.
  for (int64_t i = 0; i < n;) {
    int64_t j = i + 1;
    while (j < n && file.position[j] == file.position[j - 1] + 1) ++j;
    TRACER_RETURN_IF_ERROR(reader.read_rows(file.position[i], j - i, x.view().rows_from(i, j - i)));
    i = j;
  }
  return x;
}

}  // namespace

io::TraceReaderOptions reader_options(const RowSource& o) {
  io::TraceReaderOptions r;
  r.input_key = o.input_key;
  r.label_key = o.label_key;
  r.format = o.format == "csv"     ? io::TraceFormat::kCsv
             : o.format == "jsonl" ? io::TraceFormat::kJsonl
                                   : io::TraceFormat::kAuto;
  return r;
}

Result<io::TraceFile> read_log(const RowSource& input, const std::string& group_by, const std::string& rejects_path,
                               bool keep_input, const Events& events) {
  io::TraceReadOptions read;
  read.reader = reader_options(input);
  read.reader.group_by = group_by;
  read.rejects_path = rejects_path;
  read.max_bad_ratio = input.max_bad_ratio;
  read.keep_input = keep_input;
  auto file = io::read_traces(input.traces, read);
  if (file.ok() && file->bad > 0)
    events.caution(std::to_string(file->bad) + " of " + std::to_string(file->positions) +
                   " rows could not be read and were left out; first, " + file->first_bad +
                   (rejects_path.empty() ? "" : "; all of them in " + rejects_path));
  return file;
}

Result<LogVectors> read_or_embed(const std::string& npy, const Encoder* encoder, const io::TraceFile& file,
                                 const std::string& traces, const Events& events) {
  LogVectors vectors;
  if (encoder != nullptr) {
    vectors.encoder = encoder->identity;
  } else {
    TRACER_ASSIGN_OR_RETURN(vectors.encoder, read_vector_note(npy));
  }
  TRACER_ASSIGN_OR_RETURN(
      auto x, encoder != nullptr ? embed_log(*encoder, file.input, events) : read_vectors(npy, file, traces));
  vectors.x = std::move(x);
  return vectors;
}

Result<AlikeEncoder> AlikeEncoder::open(const std::string& start, const std::string& option, const RowSource& rows,
                                        const LearnedLog& learned, const Encoder* encoder, const Backend& backend,
                                        const Events& events) {
  AlikeEncoder out;
  out.given_ = encoder;
  if (encoder != nullptr) return out;
  const EncoderIdentity& known = learned.vectors.encoder;
  const std::string instead = option.empty() ? "" : "; give " + option;
  if (!known.known())
    return bad_input(start + "nothing is known of what made the vectors of " + learned.path + instead);
  if (known.is_server())
    return bad_input(start + "the vectors of " + learned.path + " are of a server, " + describe(known) +
                     (option.empty() ? "" : "; embed it with `tracer embed` and give " + option));
  RowSource same = rows;
  same.encoder = known.path;
  TRACER_ASSIGN_OR_RETURN(auto opened,
                          open_named_encoder(same, {known.precision, {known.prompt, {}}}, backend, events));
  out.own_.emplace(std::move(opened));
  return out;
}

Result<AlikeRows> read_alike(const Backend& backend, const std::string& start, const std::string& option,
                             const RowSource& rows, const std::string& vectors, const LearnedLog& learned,
                             const Encoder* encoder, const Events& events) {
  AlikeEncoder embeds;
  if (vectors.empty()) {
    TRACER_ASSIGN_OR_RETURN(
        embeds, AlikeEncoder::open(start + "has no vectors, and ", option, rows, learned, encoder, backend, events));
  }
  TRACER_ASSIGN_OR_RETURN(auto file, read_log(rows, "", "", vectors.empty(), events));
  TRACER_ASSIGN_OR_RETURN(auto read, read_or_embed(vectors, embeds.encoder(), file, rows.traces, events));
  const EncoderIdentity& known = learned.vectors.encoder;
  if (read.encoder.known() && known.known() && !read.encoder.makes_vectors_of(known))
    return bad_input(start + "its vectors are of " + describe(read.encoder) + ", those of the log of " +
                     describe(known));
  if (read.x.cols() != learned.vectors.x.cols())
    return bad_input(start + "expected vectors of dimension " + std::to_string(learned.vectors.x.cols()) + ", found " +
                     std::to_string(read.x.cols()));
  return AlikeRows{std::move(file), std::move(read)};
}

}  // namespace tracer
