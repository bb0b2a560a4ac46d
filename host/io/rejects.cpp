#include "host/io/rejects.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace tracer::io {
namespace {

bool same_file(const std::string& a, const std::string& b) {
  struct stat sa, sb;
  return ::stat(a.c_str(), &sa) == 0 && ::stat(b.c_str(), &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

double ratio(int64_t bad, int64_t positions) { return static_cast<double>(bad) / static_cast<double>(positions); }

}  // namespace

Status Rejects::add(const BadRow& row) {
  if (count_++ == 0) {
    first_ = "line " + std::to_string(row.line) + ": " + row.reason;
    TRACER_RETURN_IF_ERROR(open());
  }
  if (!out_) return {};
  const nlohmann::ordered_json line = {{"line", row.line}, {"error", row.reason}};
  return out_->write_line(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

bool Rejects::clearly_above(int64_t positions) const {
  return positions >= 1000 && ratio(count_, positions) > std::min(10 * max_ratio_, (1 + max_ratio_) / 2);
}

bool Rejects::above(int64_t positions) const { return positions > 0 && ratio(count_, positions) > max_ratio_; }

Status Rejects::too_many(int64_t positions, bool early) const {
  std::string text = source_ + ": " + std::to_string(count_) + " of " + std::to_string(positions) + " rows are bad";
  if (early) text += " so far";
  char limit[32];
  std::snprintf(limit, sizeof limit, "%g", max_ratio_);
  text += ", more than the ratio of " + std::string(limit) + " allowed; first, " + first_;
  if (out_) text += "; all of them in " + path_;
  return bad_input(std::move(text));
}

Status Rejects::open() {
  if (path_.empty()) return {};
  if (same_file(path_, source_)) return bad_input(path_ + ": the file for rejected rows is the trace file itself");
  Result<OutputStream> out = OutputStream::open(path_);
  if (!out.ok())
    return Status(out.status().code(), "rows that cannot be read have nowhere to go: " + out.status().message() +
                                           " (name another file with " + option("rejects") + ")");
  out_.emplace(std::move(*out));
  return {};
}

}  // namespace tracer::io
