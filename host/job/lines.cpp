#include "host/job/lines.h"

#include "host/io/json_text.h"

namespace tracer::job {
std::string dollars_text(int64_t picodollars) {
  std::string digits = std::to_string(picodollars);
  if (digits.size() < 13) digits.insert(0, 13 - digits.size(), '0');
  std::string text = digits.substr(0, digits.size() - 12) + "." + digits.substr(digits.size() - 12);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

LineFormat::LineFormat(const std::vector<std::string>& labels, bool priced) : priced_(priced) {
  for (const std::string& label : labels) label_.push_back(io::json_string(label));
}

std::string LineFormat::handled(std::string_view id, int32_t label, double score) const {
  std::string line = "{\"id\":";
  line += id;
  line += ",\"label\":" + label_[static_cast<size_t>(label)] + ",\"source\":\"surrogate\",\"score\":";
  line += io::json_number(score);
  line += R"(,"reason":"accepted","usage":null,"cost_usd":null,"error":null})";
  return line;
}

std::string LineFormat::asked(const DeferredRow& row, const AskResult& result, bool first,
                              std::string_view pending_error) const {
  const bool answered = result.state == AskState::kAnswered;
  const bool surrogate = !answered && row.handled;
  std::string line = "{\"id\":" + row.id + ",\"label\":";
  line += answered    ? label_[static_cast<size_t>(result.label)]
          : surrogate ? label_[static_cast<size_t>(row.label)]
                      : "null";
  line += ",\"source\":";
  line += answered ? (first ? "\"llm\"" : "\"cache\"") : surrogate ? "\"surrogate\"" : "\"error\"";
  line += ",\"score\":";
  line += io::json_number(row.score);
  line += ",\"reason\":\"" + row.reason + "\",\"usage\":";
  const bool used = first && (result.usage.prompt_tokens != 0 || result.usage.completion_tokens != 0);
  line += used ? "{\"prompt_tokens\":" + std::to_string(result.usage.prompt_tokens) +
                     ",\"completion_tokens\":" + std::to_string(result.usage.completion_tokens) + "}"
               : "null";
  line += ",\"cost_usd\":";
  line += priced_ ? dollars_text(first ? result.cost : 0) : "null";
  line += ",\"error\":";
  line += answered
              ? "null"
              : io::json_string(result.state == AskState::kFailed ? std::string_view(result.error) : pending_error);
  return line + "}";
}

}  // namespace tracer::job
