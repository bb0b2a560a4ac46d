#include "host/artifact/frontier_text.h"

#include <cstdio>

#include "engine/maths/percent.h"
#include "engine/prove/figures.h"
#include "host/io/json_fields.h"
#include "host/io/plain_text.h"

namespace tracer {
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

std::string frontier_table(const Json& frontier) {
  std::string text = "  alpha  coverage  agreement  at least  threshold  method\n";
  for (const Json& e : frontier) {
    text += pad(number(e.value("alpha", 0.0)), 7) + pad(cell(e, "coverage"), 10) +
            pad(cell(e, "teacher_agreement"), 11) + pad(cell(e, "teacher_agreement_lower"), 10) +
            pad(cell(e, "threshold"), 11) + "  " + shown(e.value("method", "?"));
    if (!e.value("certified", false)) text += ": " + shown(e.value("reason", ""));
    if (e.value("approximate", false)) text += " (approximate)";
    if (e.contains("text_stage_share") && e["text_stage_share"].is_number())
      text += ", " + percent(e["text_stage_share"].get<double>()) + " from the text alone";
    text += "\n";
  }
  return text;
}

std::string deferred_labels_text(const Policy& policy) {
  std::string text;
  for (int32_t label : policy.never) text += (text.empty() ? "never answered: " : ", ") + shown(policy.labels[label]);
  if (!text.empty()) text += "\n";
  if (!(policy.label_floor > 0)) return text;
  text += "labels deferred, not shown to agree " + number(policy.label_floor) + " of the time:";
  for (size_t a = 0; a < policy.certificates.size(); ++a)
    text += (a > 0 ? ", " : " ") + std::to_string(policy.certificates[a].floored.size()) + " at " +
            number(policy.certificates[a].alpha);
  return text + "\n";
}

Json deferred_labels_json(const Policy& policy) {
  Json never = Json::array(), floors = Json::array();
  for (int32_t label : policy.never) never.push_back(policy.labels[label]);
  for (const Certificate& c : policy.certificates) {
    Json labels = Json::array();
    for (const FlooredLabel& f : c.floored)
      labels.push_back({{"label", policy.labels[f.label]},
                        {"n_handled", f.handled},
                        {"n_agree", f.agree},
                        {"teacher_agreement", optional_json(agreement(f.agree, f.handled))},
                        {"teacher_agreement_lower", optional_json(agreement_lower(f.agree, f.handled, policy.delta))}});
    if (policy.label_floor > 0) floors.push_back({{"alpha", c.alpha}, {"labels", std::move(labels)}});
  }
  return {{"never", std::move(never)},
          {"label_floor", policy.label_floor > 0 ? Json(policy.label_floor) : Json(nullptr)},
          {"below_label_floor", std::move(floors)}};
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

}  // namespace tracer
