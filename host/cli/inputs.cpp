#include "host/cli/inputs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "host/cli/command.h"
#include "host/io/file.h"

namespace tracer::cli {
namespace {

constexpr int64_t kBatchRows = 4096;

namespace fs = std::filesystem;

bool same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// Where a path leads, or would once created: links followed, also those to nothing yet.
fs::path resolved(fs::path path) {
  std::error_code ec;
  for (int i = 0; i < 8 && fs::is_symlink(path, ec) && !fs::exists(path, ec); ++i)
    path = path.parent_path() / fs::read_symlink(path, ec);
  const fs::path whole = fs::weakly_canonical(fs::absolute(path, ec), ec);
  return ec ? path : whole;
}

// A file named on the command line, by identity where it exists.
struct Named {
  const FileUse* use = nullptr;
  fs::path path;
  bool standard = false;
  bool exists = false;
  struct stat info {};

  Named(const FileUse& u, int standard_fd) : use(&u), standard(u.path == "-") {
    if (standard) {
      exists = ::fstat(standard_fd, &info) == 0;
    } else {
      path = resolved(u.path);
      exists = ::stat(u.path.c_str(), &info) == 0;
    }
  }
  bool holds_nothing() const { return exists && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode); }
  bool is(const Named& other) const {
    if (holds_nothing() || other.holds_nothing()) return false;
    if (exists && other.exists) return same(info, other.info);
    return !exists && !other.exists && !standard && !other.standard && path == other.path;
  }
  bool below(const fs::path& folder) const {
    if (standard || holds_nothing()) return false;
    for (fs::path p = path; p.has_relative_path(); p = p.parent_path())
      if (p == folder) return true;
    return false;
  }
};

}  // namespace

void add_input_options(CLI::App& app, InputOptions& o, bool labelled) {
  app.add_option("--embeddings", o.embeddings,
                 "vectors, one row a trace: .npy, float16/32/64 (default: X.npy beside X.jsonl)");
  app.add_option("--input-key", o.input_key, "field of the input (default: input, query, text, prompt or question)");
  app.add_option(
      "--label-key", o.label_key,
      labelled ? "field of the teacher's answer (default: teacher, teacher_output, label, intent, output or answer)"
               : "field of the teacher's answer; not needed here");
  app.add_option("--format", o.format, "auto (by the file's name), jsonl or csv")
      ->check(CLI::IsMember({"auto", "jsonl", "csv"}))
      ->capture_default_str();
  app.add_option("--rejects", o.rejects, "file for rows that cannot be read, with line and reason");
  app.add_option("--max-bad-ratio", o.max_bad_ratio, "share of bad rows above which the run stops")
      ->check(unit_interval())
      ->capture_default_str();
  app.parse_complete_callback([&o] {
    if (o.traces == "-" && o.embeddings.empty())
      throw CLI::ValidationError("rows from standard input need --embeddings FILE");
  });
}

std::string check_outputs(const std::vector<FileUse>& outputs, const std::vector<FileUse>& inputs,
                          const std::string& policy_folder) {
  std::vector<FileUse> protected_files = inputs;
  std::error_code ec;
  for (fs::directory_iterator it(policy_folder, ec), end; !ec && it != end; it.increment(ec))
    protected_files.push_back({"a file of the policy", it->path().string()});
  const fs::path folder = resolved(policy_folder);
  std::vector<Named> written;
  for (const FileUse& output : outputs) {
    if (output.path.empty()) continue;
    const Named out(output, STDOUT_FILENO);
    const std::string start = output.option + " " + output.path + ": ";
    if (!policy_folder.empty() && out.below(folder)) return start + "lies in the policy's folder; name another file";
    for (const FileUse& input : protected_files)
      if (!input.path.empty() && out.is(Named(input, STDIN_FILENO)))
        return start + "is the same file as " + input.option + " " + input.path + "; name another file";
    for (const Named& other : written)
      if (out.is(other))
        return start + "is the same file as " + other.use->option + " " + other.use->path + "; name another file";
    written.push_back(out);
  }
  return "";
}

bool makes_regular_file(const std::string& path) {
  struct stat info {};
  return !path.empty() && path != "-" && (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode));
}

io::TraceReaderOptions reader_options(const InputOptions& o) {
  io::TraceReaderOptions r;
  r.input_key = o.input_key;
  r.label_key = o.label_key;
  r.format = o.format == "csv"     ? io::TraceFormat::kCsv
             : o.format == "jsonl" ? io::TraceFormat::kJsonl
                                   : io::TraceFormat::kAuto;
  return r;
}

Result<std::string> vectors_path(const InputOptions& o) {
  if (!o.embeddings.empty()) return o.embeddings;
  if (o.traces == "-") return bad_input("traces from standard input need --embeddings FILE");
  struct stat info {};  // absent traces must not read as absent vectors
  if (::stat(o.traces.c_str(), &info) != 0) return io::errno_error(o.traces, "cannot open", errno);
  if (S_ISDIR(info.st_mode)) return io::errno_error(o.traces, "cannot read", EISDIR);
  std::string stem = o.traces;
  for (const char* ending : {".gz", ".jsonl", ".json", ".ndjson", ".csv"})
    if (stem.size() > std::string_view(ending).size() && stem.ends_with(ending))
      stem.resize(stem.size() - std::string_view(ending).size());
  for (const std::string& candidate : {stem + ".npy", stem + "_embeddings.npy"})
    if (::access(candidate.c_str(), F_OK) == 0) return candidate;
  return bad_input(o.traces + ": no vectors: expected " + stem + ".npy or " + stem +
                   "_embeddings.npy beside it, or --embeddings FILE (this version does not embed text)");
}

Result<BatchReader> BatchReader::open(const InputOptions& o, bool need_label, bool keep_input, int64_t dimension,
                                      const std::string& rejects_path) {
  auto path = vectors_path(o);
  if (!path.ok()) return path.status();
  auto vectors = io::NpyReader::open(*path);
  if (!vectors.ok()) return vectors.status();
  if (vectors->cols() != dimension)
    return bad_input(*path + ": expected vectors of dimension " + std::to_string(dimension) +
                     " as the policy was fitted on, found " + std::to_string(vectors->cols()));
  auto options = reader_options(o);
  options.need_label = need_label;
  options.read_timestamp = false;
  auto reader = io::TraceReader::open(o.traces, options);
  if (!reader.ok()) return reader.status();
  BatchReader batches(std::move(reader).value(), std::move(vectors).value(),
                      io::Rejects(o.traces, rejects_path, o.max_bad_ratio));
  batches.traces_path_ = o.traces;
  batches.keep_input_ = keep_input;
  return batches;
}

Result<bool> BatchReader::next(Backend& backend, RowBatch& batch) {
  batch.rows.clear();
  if (done_) return false;
  const int64_t most = std::min(kBatchRows, vectors_.rows());  // one row should not pay for a batch
  if (batch.vectors.empty()) batch.vectors = Matrix<float>(most, vectors_.cols());
  // Vectors are read in stretches of consecutive positions: a bad row ends one.
  int64_t first = -1, count = 0;
  const auto read_stretch = [&]() -> Status {
    if (count == 0) return {};
    const int64_t at = static_cast<int64_t>(batch.rows.size()) - count;
    if (first + count > vectors_.rows())
      return bad_input(vectors_.name() + ": " + std::to_string(vectors_.rows()) + " vectors, but " + traces_path_ +
                       " has more rows (row " + std::to_string(vectors_.rows() + 1) + " has none)");
    TRACER_RETURN_IF_ERROR(vectors_.read_rows(first, count, batch.vectors.view().rows_from(at, count)));
    count = 0;
    return {};
  };
  while (static_cast<int64_t>(batch.rows.size()) < kBatchRows) {
    auto kind = reader_.next();
    if (!kind.ok()) return kind.status();
    if (*kind == io::RowKind::kEnd) {
      done_ = true;
      break;
    }
    if (*kind == io::RowKind::kBad) {
      TRACER_RETURN_IF_ERROR(read_stretch());
      TRACER_RETURN_IF_ERROR(rejects_.add(reader_.bad()));
      if (rejects_.clearly_above(reader_.positions())) return rejects_.too_many(reader_.positions(), /*early=*/true);
      continue;
    }
    const io::TraceRow& row = reader_.row();
    if (count == 0) first = row.position;
    ++count;
    batch.rows.emplace_back();
    RowBatch::Row& out = batch.rows.back();
    out.line = row.line;
    if (row.has_id) out.id = std::string(row.id);
    out.label = row.label;
    if (keep_input_) out.input = row.input;
  }
  TRACER_RETURN_IF_ERROR(read_stretch());
  if (done_) {
    TRACER_RETURN_IF_ERROR(rejects_.close());
    if (rejects_.above(reader_.positions())) return rejects_.too_many(reader_.positions(), /*early=*/false);
    if (reader_.positions() != vectors_.rows())
      return bad_input(vectors_.name() + ": " + std::to_string(vectors_.rows()) + " vectors, but " + traces_path_ +
                       " has " + std::to_string(reader_.positions()) + " rows");
  }
  TRACER_RETURN_IF_ERROR(
      backend.normalise_rows(batch.vectors.view().rows_from(0, static_cast<int64_t>(batch.rows.size()))));
  return !batch.rows.empty();
}

}  // namespace tracer::cli
