#include "host/io/trace_reader.h"

#include <algorithm>
#include <optional>

#include "host/io/csv_reader.h"
#include "host/io/json_row.h"
#include "host/io/timestamp.h"

namespace tracer::io {
namespace {

bool is_csv(const std::string& name, TraceFormat format) {
  if (format != TraceFormat::kAuto) return format == TraceFormat::kCsv;
  std::string lower(name.size(), ' ');
  std::transform(name.begin(), name.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return lower.ends_with(".csv") || lower.ends_with(".csv.gz");
}

constexpr size_t kNoColumn = SIZE_MAX;

// Where the fields are, from the header.
struct CsvColumns {
  size_t count = 0;
  size_t input = kNoColumn, label = kNoColumn, id = kNoColumn, truth = kNoColumn, timestamp = kNoColumn,
         group = kNoColumn, provenance = kNoColumn, policy = kNoColumn, occurrence = kNoColumn;
};

}  // namespace

struct TraceReader::State {
  std::string name;
  TraceReaderOptions options;
  TraceRow row;
  BadRow bad;
  int64_t positions = 0;
  Status failed;

  // Exactly one of these.
  std::optional<LineReader> lines;
  std::optional<CsvReader> csv;

  std::optional<JsonRowParser> json;
  std::optional<CsvColumns> columns;  // once the header is read

  State(LineReader source, std::string path, const TraceReaderOptions& o) : name(std::move(path)), options(o) {
    if (is_csv(name, o.format)) {
      csv.emplace(std::move(source), o.lines.max_line_bytes);
    } else {
      lines.emplace(std::move(source));
      json.emplace(o);
    }
  }

  RowKind reject(int64_t line, std::string reason) {
    bad = {line, positions++, std::move(reason)};
    return RowKind::kBad;
  }

  RowKind accept(int64_t line) {
    row.line = line;
    row.position = positions++;
    return RowKind::kRow;
  }

  Result<RowKind> next_json() {
    Line line;
    for (;;) {
      Result<bool> more = lines->next(line);
      if (!more.ok()) return more.status();
      if (!*more) return RowKind::kEnd;
      if (line.problem == LineProblem::kTooLong) {
        return reject(line.number,
                      "the line is longer than " + std::to_string(options.lines.max_line_bytes) + " bytes");
      }
      if (line.problem == LineProblem::kNul) return reject(line.number, "the line holds a zero byte");
      if (line.text.find_first_not_of(" \t") == std::string_view::npos) continue;
      std::string reason;
      if (!json->parse(line.text, row, reason)) return reject(line.number, std::move(reason));
      return accept(line.number);
    }
  }

  // The columns of the header's first record, or which is missing or there twice.
  Status read_header() {
    const TraceKeys keys = trace_keys(options);
    Result<bool> more = csv->next();
    if (!more.ok()) return more.status();
    if (!*more) return bad_input(name + ": empty; expected a CSV header");
    if (!csv->problem().empty()) {
      return bad_input(name + ": line " + std::to_string(csv->line()) + ", the CSV header: " + csv->problem());
    }
    std::vector<std::string> header;
    for (std::string_view cell : csv->cells()) header.emplace_back(trimmed(cell));
    auto column = [&](const std::string& key) {
      return static_cast<size_t>(std::find(header.begin(), header.end(), key) - header.begin());
    };
    Status problem;
    auto find = [&](const std::vector<std::string>& names) {
      for (const std::string& key : names) {
        if (key.empty() || column(key) == header.size()) continue;
        if (std::count(header.begin(), header.end(), key) > 1) {
          problem = bad_input(name + ": the CSV header has column " + key + " twice");
        }
        return column(key);
      }
      return kNoColumn;
    };
    CsvColumns c;
    c.count = header.size();
    c.input = find(keys.input);
    c.label = find(keys.label);
    c.id = find({"id"});
    c.truth = find({"ground_truth"});
    if (options.read_timestamp) c.timestamp = find({"timestamp"});
    c.group = find({options.group_by});
    if (options.read_provenance) {
      c.provenance = find({"provenance"});
      c.policy = find({"policy"});
      c.occurrence = find({"occurrence"});
    }
    if (!problem.ok()) return problem;
    if (c.input == kNoColumn) {
      return bad_input(name + ": the CSV header has no input column (looked for " + joined(keys.input) + ")");
    }
    if (c.label == kNoColumn && options.need_label) {
      return bad_input(name + ": the CSV header has no label column (looked for " + joined(keys.label) + ")");
    }
    columns = c;
    return {};
  }

  Result<RowKind> next_csv() {
    if (!columns) TRACER_RETURN_IF_ERROR(read_header());
    Result<bool> more = csv->next();
    if (!more.ok()) return more.status();
    if (!*more) return RowKind::kEnd;
    if (!csv->problem().empty()) return reject(csv->line(), csv->problem());
    const CsvColumns& c = *columns;
    const auto& cells = csv->cells();
    if (cells.size() != c.count) {
      return reject(csv->line(), std::to_string(cells.size()) + " cells; the header has " + std::to_string(c.count));
    }
    auto cell = [&](size_t i) { return i == kNoColumn ? std::string_view() : cells[i]; };
    row = TraceRow();
    row.input = cell(c.input);
    row.label = trimmed(cell(c.label));
    row.has_label = !row.label.empty();
    row.id = cell(c.id);
    row.has_id = !row.id.empty();
    row.provenance = trimmed(cell(c.provenance));
    row.policy = trimmed(cell(c.policy));
    row.occurrence = cell(c.occurrence);
    if (std::string problem = provenance_problem(row); !problem.empty()) return reject(csv->line(), std::move(problem));
    if (options.need_label && !row.has_label && row.provenance != kAuditProvenance)
      return reject(csv->line(), "the label is empty");
    row.ground_truth = trimmed(cell(c.truth));
    row.has_ground_truth = !row.ground_truth.empty();
    row.group = cell(c.group);
    row.has_group = !row.group.empty();
    if (const std::string_view t = trimmed(cell(c.timestamp)); !t.empty()) {
      const std::optional<double> seconds = parse_timestamp(t);
      if (!seconds) return reject(csv->line(), "\"timestamp\" is not a number of seconds or an ISO 8601 time");
      row.timestamp = *seconds;
    }
    return accept(csv->line());
  }
};

TraceReader::TraceReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
TraceReader::~TraceReader() = default;
TraceReader::TraceReader(TraceReader&&) noexcept = default;
TraceReader& TraceReader::operator=(TraceReader&&) noexcept = default;

Result<TraceReader> TraceReader::open(const std::string& path, const TraceReaderOptions& options) {
  Result<LineReader> lines = LineReader::open(path, options.lines);
  if (!lines.ok()) return lines.status();
  std::string name = lines->name();
  return TraceReader(std::make_unique<State>(std::move(*lines), std::move(name), options));
}

TraceReader TraceReader::from_memory(std::string_view bytes, std::string name, const TraceReaderOptions& options) {
  return TraceReader(std::make_unique<State>(LineReader::from_memory(bytes, name, options.lines), name, options));
}

Result<RowKind> TraceReader::next() {
  if (!state_->failed.ok()) return state_->failed;
  Result<RowKind> kind = state_->csv ? state_->next_csv() : state_->next_json();
  if (!kind.ok()) state_->failed = kind.status();
  return kind;
}

const TraceRow& TraceReader::row() const { return state_->row; }
const BadRow& TraceReader::bad() const { return state_->bad; }
int64_t TraceReader::positions() const { return state_->positions; }
std::string TraceReader::sha256() const {
  return state_->csv ? state_->csv->lines().sha256() : state_->lines->sha256();
}

int64_t TraceReader::raw_bytes() const {
  return state_->csv ? state_->csv->lines().raw_bytes() : state_->lines->raw_bytes();
}

}  // namespace tracer::io
