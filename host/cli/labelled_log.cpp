#include "host/cli/labelled_log.h"

#include "host/cli/embedding.h"
#include "host/io/npy.h"

namespace tracer::cli {
namespace {

Result<Matrix<float>> read_vectors(const std::string& path, const io::TraceFile& file, const std::string& traces) {
  auto reader = io::NpyReader::open(path);
  if (!reader.ok()) return reader.status();
  if (reader->rows() != file.positions)
    return bad_input(path + ": expected " + std::to_string(file.positions) + " vectors, one for each row of " + traces +
                     ", found " + std::to_string(reader->rows()));
  const int64_t n = file.traces.rows();
  Matrix<float> x(n, reader->cols());
  // Positions ascend; bad rows leave gaps.
  for (int64_t i = 0; i < n;) {
    int64_t j = i + 1;
    while (j < n && file.position[j] == file.position[j - 1] + 1) ++j;
    TRACER_RETURN_IF_ERROR(reader->read_rows(file.position[i], j - i, x.view().rows_from(i, j - i)));
    i = j;
  }
  return x;
}

}  // namespace

Result<io::TraceFile> read_log(const InputOptions& input, const std::string& group_by, const std::string& rejects_path,
                               bool keep_input, const Console& console) {
  io::TraceReadOptions read;
  read.reader = reader_options(input);
  read.reader.group_by = group_by;
  read.rejects_path = rejects_path;
  read.max_bad_ratio = input.max_bad_ratio;
  read.keep_input = keep_input;
  auto file = io::read_traces(input.traces, read);
  if (file.ok() && file->bad > 0)
    console.warn(std::to_string(file->bad) + " of " + std::to_string(file->positions) +
                 " rows could not be read and were left out; first, " + file->first_bad +
                 (rejects_path.empty() ? "" : "; all of them in " + rejects_path));
  return file;
}

Result<LogVectors> read_or_embed(const std::string& npy, const Encoder* encoder, const io::TraceFile& file,
                                 const std::string& traces, const Console& console) {
  LogVectors vectors;
  if (encoder != nullptr) {
    vectors.encoder = encoder->identity;
  } else {
    auto noted = read_vector_note(npy);
    if (!noted.ok()) return noted.status();
    vectors.encoder = std::move(noted).value();
  }
  auto x = encoder != nullptr ? embed_log(*encoder, file.input, console) : read_vectors(npy, file, traces);
  if (!x.ok()) return x.status();
  vectors.x = std::move(x).value();
  return vectors;
}

}  // namespace tracer::cli
