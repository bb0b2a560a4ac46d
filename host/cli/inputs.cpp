#include "host/cli/inputs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/io/file.h"

namespace tracer::cli {
namespace {

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

// X of X.jsonl, X.csv.gz and the like.
std::string stem_of(std::string traces) {
  for (const char* ending : {".gz", ".jsonl", ".json", ".ndjson", ".csv"})
    if (traces.size() > std::string_view(ending).size() && traces.ends_with(ending))
      traces.resize(traces.size() - std::string_view(ending).size());
  return traces;
}

}  // namespace

void add_row_options(Flags& app, InputOptions& o, bool labelled) {
  app.add_option(
      "--embed-model", o.encoder,
      "folder of the text encoder, in Hugging Face layout (default: the fetched all-MiniLM-L6-v2, or the one "
      "of the policy); with --embed-url the server's name of its model");
  add_embed_options(app, o.embed);
  app.add_option("--input-key", o.input_key, "field of the input (default: input, query, text, prompt or question)");
  app.add_option(
      "--label-key", o.label_key,
      labelled ? "field of the teacher's answer (default: teacher, teacher_output, label, intent, output or answer)"
               : "field of the teacher's answer; not needed here");
  app.add_option("--format", o.format, "auto (by the file's name), jsonl or csv")
      ->check(one_of({"auto", "jsonl", "csv"}))
      ->capture_default_str();
  app.add_option("--rejects", o.rejects, "file for rows that cannot be read, with line and reason");
  app.add_option("--max-bad-ratio", o.max_bad_ratio, "share of bad rows above which the run stops")
      ->check(unit_interval())
      ->capture_default_str();
}

void add_input_options(Flags& app, InputOptions& o, bool labelled) {
  app.add_option("--embeddings", o.embeddings,
                 "vectors, one row a trace: .npy, float16/32/64 (default: X.npy beside X.jsonl; without it, text is "
                 "embedded)");
  add_row_options(app, o, labelled);
  app.finish([&o] {
    if (o.embeddings.empty() || !wants_encoder(o)) return std::string();
    return std::string("--embeddings gives vectors and ") + (o.embed.url.empty() ? "--embed-model" : "--embed-url") +
           " makes them: leave one out";
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

bool wants_encoder(const InputOptions& o) { return !o.encoder.empty() || !o.embed.url.empty(); }

std::string vectors_beside(const std::string& traces) { return stem_of(traces) + ".npy"; }

Result<std::string> vectors_path(const InputOptions& o) {
  if (!o.embeddings.empty()) return o.embeddings;
  if (o.traces == "-") return std::string();
  struct stat info {};  // absent traces must not read as absent vectors
  if (::stat(o.traces.c_str(), &info) != 0) return io::errno_error(o.traces, "cannot open", errno);
  if (S_ISDIR(info.st_mode)) return io::errno_error(o.traces, "cannot read", EISDIR);
  if (wants_encoder(o)) return std::string();
  const std::string stem = stem_of(o.traces);
  for (const std::string& candidate : {stem + ".npy", stem + "_embeddings.npy"})
    if (::access(candidate.c_str(), F_OK) == 0) return candidate;
  return std::string();
}

}  // namespace tracer::cli
