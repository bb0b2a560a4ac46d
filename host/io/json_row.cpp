#include "host/io/json_row.h"

#include <simdjson.h>

#include <optional>
#include <utility>

#include "host/io/timestamp.h"

namespace tracer::io {
namespace {

namespace json = simdjson::ondemand;

constexpr int kMaxDepth = 128;

std::string_view describe(simdjson::error_code code) {
  switch (code) {
    case simdjson::UTF8_ERROR:
      return "invalid UTF-8";
    case simdjson::UNCLOSED_STRING:
      return "not valid JSON: a string is not closed";
    case simdjson::UNESCAPED_CHARS:
      return "not valid JSON: a control character in a string";
    case simdjson::STRING_ERROR:
      return "not valid JSON: a bad escape in a string";
    case simdjson::NUMBER_ERROR:
      return "not valid JSON: a bad number";
    case simdjson::DEPTH_ERROR:
      return "nested deeper than 128";
    case simdjson::MEMALLOC:
      return "out of memory";
    default:
      return "not valid JSON";
  }
}

// The JSON grammar's number. Checked here because simdjson refuses numbers beyond 64 bits, which are fine as text.
bool is_number(std::string_view s) {
  size_t i = 0;
  auto digits = [&] {
    size_t from = i;
    while (i < s.size() && s[i] >= '0' && s[i] <= '9') ++i;
    return i - from;
  };
  if (i < s.size() && s[i] == '-') ++i;
  const bool leading_zero = i < s.size() && s[i] == '0';
  const size_t whole = digits();
  if (whole == 0 || (leading_zero && whole > 1)) return false;
  if (i < s.size() && s[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < s.size() && (s[i] == 'e' || s[i] == 'E')) {
    ++i;
    if (i < s.size() && (s[i] == '+' || s[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == s.size();
}

enum class Kind { kAbsent, kNull, kString, kNumber, kBool, kOther };

struct Field {
  Kind kind = Kind::kAbsent;
  std::string_view text;

  bool present() const { return kind != Kind::kAbsent && kind != Kind::kNull; }
  bool is_text() const { return kind == Kind::kString || kind == Kind::kNumber || kind == Kind::kBool; }
};

// Reads a scalar, or validates an array or object and forgets it.
simdjson::error_code read(json::value value, Field& out, int depth);

// Calls visit(key, value) -> error_code for each field; visit must consume the value.
template <class Visit>
simdjson::error_code for_each_field(json::object object, Visit visit) {
  for (simdjson::simdjson_result<json::field> item : object) {
    json::field field;
    if (auto e = std::move(item).get(field)) return e;
    std::string_view key;
    if (auto e = field.unescaped_key().get(key)) return e;
    if (auto e = visit(key, field.value())) return e;
  }
  return simdjson::SUCCESS;
}

simdjson::error_code read_object(json::object object, int depth) {
  Field ignored;
  return for_each_field(object, [&](std::string_view, json::value v) { return read(v, ignored, depth); });
}

simdjson::error_code read_array(json::array array, int depth) {
  Field ignored;
  for (simdjson::simdjson_result<json::value> item : array) {
    json::value value;
    if (auto e = std::move(item).get(value)) return e;
    if (auto e = read(value, ignored, depth)) return e;
  }
  return simdjson::SUCCESS;
}

// Without what JSON calls white space; trimmed() takes away more.
std::string_view token_of(json::value value) {
  std::string_view token = value.raw_json_token();
  const size_t last = token.find_last_not_of(" \t\n\r");
  return token.substr(0, last + 1);
}

simdjson::error_code read(json::value value, Field& out, int depth) {
  if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
  json::json_type type;
  if (auto e = value.type().get(type)) return e;
  out.kind = Kind::kOther;
  switch (type) {
    case json::json_type::object: {
      json::object object;
      if (auto e = value.get_object().get(object)) return e;
      return read_object(object, depth + 1);
    }
    case json::json_type::array: {
      json::array array;
      if (auto e = value.get_array().get(array)) return e;
      return read_array(array, depth + 1);
    }
    case json::json_type::string:
      out.kind = Kind::kString;
      return value.get_string().get(out.text);
    case json::json_type::number:
      out.kind = Kind::kNumber;
      out.text = token_of(value);
      return is_number(out.text) ? simdjson::SUCCESS : simdjson::NUMBER_ERROR;
    case json::json_type::boolean:
      out.kind = Kind::kBool;
      out.text = token_of(value);
      return out.text == "true" || out.text == "false" ? simdjson::SUCCESS : simdjson::TAPE_ERROR;
    case json::json_type::null:
      out.kind = Kind::kNull;
      return token_of(value) == "null" ? simdjson::SUCCESS : simdjson::TAPE_ERROR;
  }
  return simdjson::TAPE_ERROR;
}

// The best candidate so far among alternative names: an earlier name wins, of equal names the first met.
struct Choice {
  Field field;
  size_t rank = SIZE_MAX;
  bool saw_null = false;

  void offer(const std::vector<std::string>& names, std::string_view key, const Field& f) {
    for (size_t i = 0; i < names.size() && i < rank; ++i) {
      if (key != names[i]) continue;
      if (f.kind == Kind::kNull) {
        saw_null = true;
      } else {
        field = f;
        rank = i;
      }
      return;
    }
  }
};

void keep_first(Field& slot, const Field& f) {
  if (slot.kind == Kind::kAbsent) slot = f;
}

}  // namespace

struct JsonRowParser::State {
  explicit State(const TraceReaderOptions& o) : options(o), keys(trace_keys(o)) {}

  TraceReaderOptions options;
  TraceKeys keys;
  json::parser parser;
  Choice input, label;
  Field id, truth, timestamp, group, metadata_group, provenance, policy, occurrence;

  simdjson::error_code read_metadata(json::object object) {
    return for_each_field(object, [&](std::string_view key, json::value value) {
      Field f;
      const simdjson::error_code e = read(value, f, 3);
      if (key == options.group_by) keep_first(metadata_group, f);
      return e;
    });
  }

  simdjson::error_code read_fields(json::object object) {
    return for_each_field(object, [&](std::string_view key, json::value value) {
      Field f;
      json::json_type type;
      if (auto e = value.type().get(type)) return e;
      if (type == json::json_type::object && key == "metadata" && !options.group_by.empty()) {
        f.kind = Kind::kOther;
        json::object metadata;
        if (auto e = value.get_object().get(metadata)) return e;
        if (auto e = read_metadata(metadata)) return e;
      } else if (auto e = read(value, f, 2)) {
        return e;
      }
      input.offer(keys.input, key, f);
      label.offer(keys.label, key, f);
      if (key == "id") keep_first(id, f);
      if (key == "ground_truth") keep_first(truth, f);
      if (key == "timestamp") keep_first(timestamp, f);
      if (!options.group_by.empty() && key == options.group_by) keep_first(group, f);
      if (options.read_provenance) {
        if (key == "provenance") keep_first(provenance, f);
        if (key == "policy") keep_first(policy, f);
        if (key == "occurrence") keep_first(occurrence, f);
      }
      return simdjson::SUCCESS;
    });
  }

  std::string missing(std::string_view what, const Choice& choice, const std::vector<std::string>& names) const {
    return "no " + std::string(what) + " (" + (names.size() == 1 ? "key " : "none of the keys ") + joined(names) +
           (choice.saw_null ? "; null counts as absent)" : ")");
  }

  // From the fields to the row; "" or the reason.
  std::string assign(TraceRow& row) const {
    if (!input.field.present()) return missing("input", input, keys.input);
    if (input.field.kind != Kind::kString) return "input \"" + keys.input[input.rank] + "\" is not a string";
    row.input = input.field.text;

    if (label.field.is_text()) row.label = trimmed(label.field.text);
    row.has_label = !row.label.empty();
    if (provenance.present()) {
      row.provenance = provenance.text;
      if (provenance.kind != Kind::kString) return "\"provenance\" is not a string";
    }
    if (policy.kind == Kind::kString) row.policy = policy.text;
    if (occurrence.present()) {
      if (occurrence.kind != Kind::kString) return "\"occurrence\" is not a string";
      row.occurrence = occurrence.text;
    }
    if (options.need_label && !row.has_label && row.provenance != kAuditProvenance) {
      if (!label.field.present()) return missing("label", label, keys.label);
      return "label \"" + keys.label[label.rank] + "\" is " +
             (label.field.is_text() ? "empty" : "not a string, number or boolean");
    }
    if (id.present()) {
      if (id.kind != Kind::kString && id.kind != Kind::kNumber) return "\"id\" is not a string or number";
      row.id = id.text;
      row.has_id = !id.text.empty();
    }
    if (truth.is_text()) row.ground_truth = trimmed(truth.text);
    row.has_ground_truth = !row.ground_truth.empty();
    if (options.read_timestamp && timestamp.present()) {
      std::optional<double> seconds;
      if (timestamp.kind == Kind::kString || timestamp.kind == Kind::kNumber) seconds = parse_timestamp(timestamp.text);
      if (!seconds) return "\"timestamp\" is not a number of seconds or an ISO 8601 time";
      row.timestamp = *seconds;
    }
    const Field& g = group.present() ? group : metadata_group;
    if (g.present()) {
      if (!g.is_text()) return "group key \"" + options.group_by + "\" is not a string, number or boolean";
      row.group = g.text;
      row.has_group = true;
    }
    return options.read_provenance ? provenance_problem(row) : "";
  }
};

std::string provenance_problem(const TraceRow& row) {
  const bool audit = row.provenance == kAuditProvenance;
  if (!audit && !row.provenance.empty() && row.provenance != kDeferredProvenance)
    return "\"provenance\" is neither \"audit\" nor \"deferred\"";
  if (audit && row.occurrence.empty() && !row.has_id)
    return "an audit row needs an \"occurrence\" or an \"id\", so that it is used once";
  return "";
}

TraceKeys trace_keys(const TraceReaderOptions& o) {
  TraceKeys keys;
  keys.input = {"input", "query", "text", "prompt", "question"};
  keys.label = {"teacher", "teacher_output", "label", "intent", "output", "answer"};
  if (!o.input_key.empty()) keys.input = {o.input_key};
  if (!o.label_key.empty()) keys.label = {o.label_key};
  return keys;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& n : names) out += (out.empty() ? "" : ", ") + n;
  return out;
}

std::string_view trimmed(std::string_view s) {
  auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!s.empty() && space(s.front())) s.remove_prefix(1);
  while (!s.empty() && space(s.back())) s.remove_suffix(1);
  return s;
}

JsonRowParser::JsonRowParser(const TraceReaderOptions& options) : state_(std::make_unique<State>(options)) {}
JsonRowParser::~JsonRowParser() = default;
JsonRowParser::JsonRowParser(JsonRowParser&&) noexcept = default;
JsonRowParser& JsonRowParser::operator=(JsonRowParser&&) noexcept = default;

bool JsonRowParser::parse(std::string_view line, TraceRow& row, std::string& reason) {
  static_assert(LineReader::kPadding >= simdjson::SIMDJSON_PADDING);
  State& s = *state_;
  row = TraceRow();
  s.input = s.label = Choice();
  s.id = s.truth = s.timestamp = s.group = s.metadata_group = s.provenance = s.policy = s.occurrence = Field();

  json::document document;
  json::object object;
  auto failed = [&](simdjson::error_code code) {
    reason = describe(code);
    return false;
  };
  simdjson::padded_string_view padded(line.data(), line.size(), line.size() + LineReader::kPadding);
  if (auto e = s.parser.iterate(padded).get(document)) return failed(e);
  json::json_type type;
  if (auto e = document.type().get(type)) return failed(e);
  if (type != json::json_type::object) {
    reason = "not a JSON object";
    return false;
  }
  if (auto e = document.get_object().get(object)) return failed(e);
  if (auto e = s.read_fields(object)) return failed(e);
  // There is a current location only where something is left.
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    reason = "not valid JSON: more text after the object";
    return false;
  }
  reason = s.assign(row);
  return reason.empty();
}

}  // namespace tracer::io
