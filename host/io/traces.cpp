#include "host/io/traces.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "host/io/rejects.h"

namespace tracer::io {
namespace {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return static_cast<size_t>(xxh64(s)); }
};

// Strings numbered in order of appearance.
template <class Index>
class Dictionary {
 public:
  Index number(std::string_view text) {
    const auto found = map_.find(text);
    if (found != map_.end()) return found->second;
    const Index next = static_cast<Index>(map_.size());
    map_.emplace(text, next);
    return next;
  }
  size_t size() const { return map_.size(); }
  // The strings, by number. Empties the dictionary.
  std::vector<std::string> take() {
    std::vector<std::string> out(map_.size());
    while (!map_.empty()) {
      auto node = map_.extract(map_.begin());
      out[static_cast<size_t>(node.mapped())] = std::move(node.key());
    }
    return out;
  }

 private:
  std::unordered_map<std::string, Index, StringHash, std::equal_to<>> map_;
};

// Gathers rows; labels and groups are numbered as they come, labels put into byte order at the end.
class Gatherer {
 public:
  Gatherer(bool with_groups, bool keep_input, bool with_provenance)
      : with_groups_(with_groups), keep_input_(keep_input), with_provenance_(with_provenance) {}

  Status add(const TraceRow& row) {
    Traces& t = file_.traces;
    const auto n = static_cast<size_t>(t.rows());
    t.label.push_back(row.has_label ? labels_.number(row.label) : -1);
    if (labels_.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()) - 1) {
      return bad_input("line " + std::to_string(row.line) + ": too many different labels");
    }
    t.text_hash.push_back(normalized_text_hash(row.input));
    t.line.push_back(row.line);
    file_.position.push_back(row.position);
    if (keep_input_) file_.input.emplace_back(row.input);
    if (with_provenance_) add_provenance(row);
    if (with_groups_) {
      t.group.push_back(row.has_group ? groups_.number(row.group) : -1);
      grouped_ = grouped_ || row.has_group;
    }
    if (!std::isnan(row.timestamp) && !timed_) {
      t.timestamp.assign(n, std::numeric_limits<double>::quiet_NaN());
      timed_ = true;
    }
    if (timed_) t.timestamp.push_back(row.timestamp);
    if (row.has_id && !named_) {
      t.id.assign(n, "");
      named_ = true;
    }
    if (named_) t.id.emplace_back(row.id);
    return {};
  }

  bool grouped() const { return grouped_; }

  TraceFile finish() {
    Traces& t = file_.traces;
    std::vector<std::string> names = labels_.take();
    std::vector<int32_t> order(names.size()), rank(names.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return names[size_t(a)] < names[size_t(b)]; });
    for (size_t i = 0; i < order.size(); ++i) {
      rank[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);
      t.labels.push_back(std::move(names[static_cast<size_t>(order[i])]));
    }
    for (int32_t& label : t.label)
      if (label >= 0) label = rank[static_cast<size_t>(label)];
    auto next_group = static_cast<int64_t>(groups_.size());
    for (int64_t& group : t.group) {
      if (group < 0) group = next_group++;
    }
    return std::move(file_);
  }

 private:
  void add_provenance(const TraceRow& row) {
    file_.provenance.push_back(row.provenance == kAuditProvenance      ? RowOrigin::kAudit
                               : row.provenance == kDeferredProvenance ? RowOrigin::kDeferred
                                                                       : RowOrigin::kTrace);
    file_.policy.emplace_back(row.policy);
    if (!row.occurrence.empty()) {
      file_.name.push_back(xxh64(row.occurrence, 1));
    } else if (row.has_id) {
      file_.name.push_back(xxh64(row.id, 2));
    } else {
      const uint64_t content = xxh64(row.label, file_.traces.text_hash.back());
      file_.name.push_back(xxh64(std::to_string(++times_[content]), content));
    }
  }

  bool with_groups_;
  bool keep_input_;
  bool with_provenance_;
  std::unordered_map<uint64_t, int64_t> times_;  // rows without a name of their own
  bool grouped_ = false;
  bool timed_ = false;
  bool named_ = false;
  Dictionary<int32_t> labels_;
  Dictionary<int64_t> groups_;
  TraceFile file_;
};

}  // namespace

Result<TraceFile> read_traces(const std::string& path, const TraceReadOptions& options) {
  if (!(options.max_bad_ratio >= 0 && options.max_bad_ratio <= 1)) {
    return bad_input("the largest ratio of bad rows must lie between 0 and 1");
  }
  TraceReaderOptions reader_options = options.reader;
  reader_options.need_label = true;
  reader_options.lines.digest = true;
  Result<TraceReader> reader = TraceReader::open(path, reader_options);
  if (!reader.ok()) return reader.status();

  Gatherer rows(!reader_options.group_by.empty(), options.keep_input, reader_options.read_provenance);
  Rejects rejects(path, options.rejects_path, options.max_bad_ratio);
  for (;;) {
    Result<RowKind> kind = reader->next();
    if (!kind.ok()) return kind.status();
    if (*kind == RowKind::kEnd) break;
    if (*kind == RowKind::kRow) {
      TRACER_RETURN_IF_ERROR(rows.add(reader->row()));
      continue;
    }
    TRACER_RETURN_IF_ERROR(rejects.add(reader->bad()));
    if (rejects.clearly_above(reader->positions())) {
      TRACER_RETURN_IF_ERROR(rejects.close());
      return rejects.too_many(reader->positions(), /*early=*/true);
    }
  }
  TRACER_RETURN_IF_ERROR(rejects.close());
  const int64_t positions = reader->positions();
  if (positions == 0) return bad_input(path + ": no rows");
  if (rejects.above(positions)) return rejects.too_many(positions, /*early=*/false);
  if (rejects.count() == positions) return bad_input(path + ": no good row; first bad one, " + rejects.first());
  if (!reader_options.group_by.empty() && !rows.grouped()) {
    return bad_input(path + ": no row has the group key " + reader_options.group_by +
                     ", at the top level or in metadata");
  }
  TraceFile file = rows.finish();
  file.positions = positions;
  file.bad = rejects.count();
  file.first_bad = rejects.first();
  file.sha256 = reader->sha256();
  return file;
}

Result<TraceFile> gather_traces(const std::string& name, const std::function<bool(TraceRow&)>& next,
                                const TraceReadOptions& options) {
  const bool with_groups = !options.reader.group_by.empty();
  Gatherer rows(with_groups, options.keep_input, /*with_provenance=*/false);
  int64_t count = 0;
  for (TraceRow row; next(row); row = TraceRow(), ++count) {
    row.line = count + 1, row.position = count;
    if (!row.has_label || row.label.empty())
      return bad_input(name + ": row " + std::to_string(row.line) + ": no label: expected the teacher's answer");
    TRACER_RETURN_IF_ERROR(rows.add(row));
  }
  if (count == 0) return bad_input(name + ": no rows");
  if (with_groups && !rows.grouped()) return bad_input(name + ": no row has a group");
  TraceFile file = rows.finish();
  file.positions = count;
  return file;
}

}  // namespace tracer::io
