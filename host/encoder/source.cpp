#include "host/encoder/source.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "host/io/file.h"

namespace tracer {
namespace {

// X of X.jsonl, X.csv.gz and the like.
std::string stem_of(std::string traces) {
  for (const char* ending : {".gz", ".jsonl", ".json", ".ndjson", ".csv"})
    if (traces.size() > std::string_view(ending).size() && traces.ends_with(ending))
      traces.resize(traces.size() - std::string_view(ending).size());
  return traces;
}

}  // namespace

std::string EncoderRun::given() const {
  return precision ? "precision" : prompt.text ? "embed_prompt" : prompt.name ? "embed_prompt_name" : "";
}

bool wants_encoder(const RowSource& o) { return !o.encoder.empty() || !o.embed.url.empty(); }

std::string vectors_beside(const std::string& traces) { return stem_of(traces) + ".npy"; }

Result<std::string> vectors_path(const RowSource& o) {
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

}  // namespace tracer
