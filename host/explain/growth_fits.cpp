#include "host/explain/growth_fits.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "engine/maths/percent.h"
#include "host/artifact/fit_record.h"
#include "host/artifact/frontier_text.h"
#include "host/io/json_fields.h"
#include "host/io/plain_text.h"
#include "host/io/process_usage.h"

namespace tracer {
namespace {

constexpr size_t kLabelsListed = 3;

// What fit was asked for, as far as it decides what a part of the log would reach at this alpha.
Result<FitOptions> options_of(const LoadedPolicy& loaded) {
  const Policy& policy = loaded.artifact.policy;
  const Certificate& c = loaded.certificate;
  const Json& run = loaded.artifact.run;
  FitOptions o;
  o.alpha = c.alpha, o.delta = c.delta;
  o.sweep.clear();
  for (const Certificate& other : policy.certificates) o.sweep.push_back(other.alpha);
  o.unit = c.unit == ProofUnit::kRows ? Unit::kRows : Unit::kRuns;
  o.never = policy.never, o.label_floor = policy.label_floor;
  JsonFields fields(run, loaded.folder + "/manifest.json: run");
  fields.number("min_coverage", o.min_coverage, 0, 1);
  if (const Status read = fields.status(); !read.ok()) return read;
  o.approximate = run.contains("approximate");
  o.choices = asked_of(run);
  if (!loaded.artifact.descriptions.empty()) o.descriptions = &loaded.artifact.descriptions;
  const auto references = static_cast<int64_t>(policy.stages[0].neighbours.label.size());
  if (references < c.n_learn) o.max_references = std::max(kFewestReferences, references);
  return o;
}

std::string points_text(const Json& entry) {
  std::string text;
  for (const Json& p : entry["points"])
    text += (text.empty() ? "" : ", ") + (p["coverage"].is_number() ? percent(p["coverage"].get<double>()) : "-") +
            " at " + std::to_string(p["traces"].get<int64_t>());
  return text + " traces";
}

std::string gain_text(const Json& entry, const std::string& of) {
  const std::string more = counted(entry["more"].get<int64_t>(), "more trace") + of;
  if (!entry["gain"].is_number()) return more + ": " + entry["reason"].get<std::string>();
  return more + " give about " + percent(entry["gain"].get<double>()) + " more coverage (" +
         percent(entry["gain_low"].get<double>()) + " to " + percent(entry["gain_high"].get<double>()) + ")";
}

std::string plateau_text(const Json& growth) {
  if (!growth["plateau"].is_number()) return "";
  std::string text = "; it levels off at about " + percent(growth["plateau"].get<double>());
  if (growth["plateau_low"].is_number())
    text += " (" + percent(growth["plateau_low"].get<double>()) + " to " +
            percent(growth["plateau_high"].get<double>()) + ")";
  return text;
}

}  // namespace

Result<Json> explain_growth(Backend& backend, const LoadedPolicy& loaded, const OwnLog& log, const ExplainedRows& e,
                            std::optional<int64_t> more, const Events& events) {
  TRACER_ASSIGN_OR_RETURN(auto options, options_of(loaded));
  std::vector<GrowthFit> fits;
  const uint64_t total = kGrowthDraws * std::size(kGrowthShares);
  for (const double share : kGrowthShares)
    for (uint64_t draw = 0; draw < kGrowthDraws; ++draw) {
      const auto start = std::chrono::steady_clock::now();
      TRACER_ASSIGN_OR_RETURN(auto fitted,
                              growth_fit(backend, log.traces, log.x, log.split, share, draw, options, e.x.view()));
      fits.push_back(std::move(fitted));
      events.tell("learning curve: fit " + std::to_string(fits.size()) + " of " + std::to_string(total) + ", " +
                  percent(share) + " of the log, " + duration(seconds_since(start)));
    }
  GrowthLog counts{log.traces.rows(), std::vector<int64_t>(loaded.artifact.policy.labels.size()), 0};
  counts.more = more.value_or(counts.traces);
  for (const int32_t label : log.traces.label) ++counts.label_traces[static_cast<size_t>(label)];
  return growth_json(e, fits, counts);
}

std::string growth_text(const Json& growth, const Json& label) {
  if (growth.is_null()) return "";
  std::string text = "learning curve, " + counted(growth["fits"].get<int64_t>(), "fit") +
                     " of parts of the log; coverage: " + points_text(growth) + "\n" + gain_text(growth, "") +
                     plateau_text(growth) + "\n";
  if (!label.is_null()) {
    for (const Json& l : growth["labels"])
      text += shown(l["label"].get<std::string>()) + ": " + points_text(l) + "\n" + gain_text(l, " of it") + "\n";
    return text;
  }
  std::vector<const Json*> gains;
  int64_t unsaid = 0;
  for (const Json& l : growth["labels"])
    if (l["gain"].is_number())
      gains.push_back(&l);
    else
      ++unsaid;
  // Those that gain for sure first, then by how much.
  const auto weight = [](const Json* l) {
    return std::pair((*l)["gain_low"].get<double>() > 0, (*l)["gain"].get<double>());
  };
  std::stable_sort(gains.begin(), gains.end(), [&](const Json* a, const Json* b) { return weight(a) > weight(b); });
  if (gains.size() > kLabelsListed) gains.resize(kLabelsListed);
  for (const Json* l : gains)
    if ((*l)["gain"].get<double>() > 0)
      text += "  " + shown((*l)["label"].get<std::string>()) + ": " + gain_text(*l, " of it") + "\n";
  if (unsaid > 0) text += "  " + counted(unsaid, "label") + " with too little to say\n";
  return text;
}

}  // namespace tracer
