#include "host/explain/trace_texts.h"

#include <algorithm>
#include <filesystem>

#include "host/io/sha256.h"
#include "host/io/trace_reader.h"

namespace tracer {

std::unordered_map<int64_t, std::string> trace_texts(const Provenance& from, const std::vector<int64_t>& rows) {
  std::unordered_map<int64_t, std::string> texts;
  std::error_code error;
  if (!std::filesystem::is_regular_file(from.traces_path, error) ||
      static_cast<int64_t>(std::filesystem::file_size(from.traces_path, error)) > kMostLogBytes || error)
    return texts;
  const auto digest = io::sha256_file(from.traces_path);
  if (!digest.ok() || *digest != from.traces_sha256) return texts;
  io::TraceReaderOptions options;
  options.need_label = false;
  options.read_timestamp = false;
  auto reader = io::TraceReader::open(from.traces_path, options);
  if (!reader.ok()) return texts;
  while (texts.size() < rows.size()) {
    const auto kind = reader->next();
    if (!kind.ok() || *kind == io::RowKind::kEnd) break;
    if (*kind == io::RowKind::kRow && std::count(rows.begin(), rows.end(), reader->row().position) > 0)
      texts.emplace(reader->row().position, reader->row().input);
  }
  return texts;
}

}  // namespace tracer
