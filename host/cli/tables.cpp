#include "host/cli/tables.h"

#include <cstdio>

#include "host/cli/command.h"

namespace tracer::cli {
namespace {

std::string format(const char* pattern, double v) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, v);
  return text;
}

std::string cell(const Json& entry, const char* key) {
  const auto it = entry.find(key);
  return it == entry.end() || !it->is_number() ? "-" : format("%.4f", it->get<double>());
}

std::string pad(std::string text, size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

}  // namespace

std::string number(double v) { return format("%.6g", v); }
std::string percent(double share) { return format("%.1f %%", 100 * share); }

std::string frontier_table(const Json& frontier) {
  std::string text = "  alpha  coverage  agreement  at least  threshold  method\n";
  for (const Json& e : frontier) {
    text += pad(number(e.value("alpha", 0.0)), 7) + pad(cell(e, "coverage"), 10) +
            pad(cell(e, "teacher_agreement"), 11) + pad(cell(e, "teacher_agreement_lower"), 10) +
            pad(cell(e, "threshold"), 11) + "  " + shown(e.value("method", "?"));
    if (!e.value("certified", false)) text += ": " + shown(e.value("reason", ""));
    if (e.value("approximate", false)) text += " (approximate)";
    text += "\n";
  }
  return text;
}

std::string refusal_estimate(const Json& e) {
  std::string text = "by estimate, ";
  const auto alpha = e.find("best_alpha"), missing = e.find("traces_missing");
  text += alpha != e.end() && alpha->is_number() ? "the best target in reach is " + number(alpha->get<double>())
                                                 : "no target of 0.5 or more is in reach";
  text += "; certification needs at least " + std::to_string(e.value("fewest_handled", int64_t{0})) + " handled units";
  if (missing != e.end() && missing->is_number()) {
    if (missing->get<int64_t>() > 0)
      text += ", and about " + std::to_string(missing->get<int64_t>()) + " more traces at today's agreement";
  } else {
    text += ", and more traces alone would not get there at today's agreement";
  }
  return text;
}

std::string refusal_estimate(const Certificate& c) { return refusal_estimate(frontier_entry(c)["estimate"]); }

}  // namespace tracer::cli
