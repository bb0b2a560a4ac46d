#include "host/api/fit_request.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace tracer {
namespace {

// What a name stands for; null: it is always part.
using Choices = std::initializer_list<std::pair<const char*, bool*>>;

Status read_names(const std::string& field, const std::vector<std::string>& names, const Choices& choices) {
  const std::string start = option(field) + ": ";
  for (const std::string& name : names) {
    const auto* found = std::find_if(choices.begin(), choices.end(), [&](const auto& c) { return name == c.first; });
    if (found == choices.end()) {
      std::string known;
      for (const auto& c : choices) known += (known.empty() ? "" : ", ") + std::string(c.first);
      return bad_option(field, start + "expected some of " + known + ", found \"" + name + "\"");
    }
    if (found->second != nullptr) *found->second = true;
  }
  for (const auto& c : choices)
    if (c.second == nullptr && std::find(names.begin(), names.end(), c.first) == names.end())
      return bad_option(field, start + c.first + " is always part: name it too");
  return {};
}

// The value that a word stands for. kBadInput lists the words.
template <class T>
Status read_word(const std::string& field, const std::string& word,
                 std::initializer_list<std::pair<const char*, T>> words, T& out) {
  std::string known;
  for (const auto& [name, value] : words) {
    if (word == name) {
      out = value;
      return {};
    }
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  return bad_option(field, option(field) + ": expected one of " + known + ", found \"" + word + "\"");
}

}  // namespace

Status read_split(const SplitRequest& request, const std::string& group_by, FitOptions& options) {
  std::string kind = request.kind;
  if (!group_by.empty() && kind == "auto") kind = "groups";
  if (!group_by.empty() && kind != "groups")
    return bad_option("group_by", option("group_by") + " keeps groups whole: leave " + option("split") + " out");
  if (request.unit == "runs" && kind == "rows")
    return bad_option("unit", option("unit") + " runs needs a split that keeps runs: " + option("split") + " runs, " +
                                  option("split") + " time or " + option("group_by"));
  TRACER_RETURN_IF_ERROR(read_word<SplitKind>("split", kind,
                                              {{"auto", SplitKind::kAuto},
                                               {"rows", SplitKind::kRows},
                                               {"runs", SplitKind::kRuns},
                                               {"time", SplitKind::kTime},
                                               {"groups", SplitKind::kGroups}},
                                              options.split.kind));
  TRACER_RETURN_IF_ERROR(read_word<Unit>(
      "unit", request.unit, {{"auto", Unit::kAuto}, {"rows", Unit::kRows}, {"runs", Unit::kRuns}}, options.unit));
  options.split.certify_fraction = request.certify_fraction;
  options.split.folds = request.folds;
  options.split.seed = request.seed;
  return {};
}

Status read_surrogate(const SurrogateRequest& request, FitOptions& options) {
  options.choices.gate_share = request.gate_share;
  options.max_references = request.max_references;
  MemberSet& m = options.choices.members;
  TRACER_RETURN_IF_ERROR(read_names("members", request.members,
                                    {{"softmax", nullptr},
                                     {"neighbours", nullptr},
                                     {"prototype", &m.prototype},
                                     {"mlp", &m.mlp},
                                     {"mlp2", &m.mlp2},
                                     {"gbt", &m.gbt}}));
  return read_names("families", request.families,
                    {{"global", nullptr},
                     {"l2d", nullptr},
                     {"l2d_label", &options.choices.label_thresholds},
                     {"rsb", &options.choices.residual}});
}

Result<FitOptions> fit_options(const FitRequest& request, const std::string& group_by) {
  FitOptions o;
  o.alpha = request.alpha;
  o.sweep = request.sweep;
  o.delta = request.delta;
  o.simultaneous = request.simultaneous;
  o.looks = request.looks;
  o.min_coverage = request.min_coverage;
  o.approximate = request.approximate;
  o.label_floor = request.label_floor;
  o.cascade_tolerance = request.cascade_tolerance;
  o.budget_seconds = request.budget_seconds;
  TRACER_RETURN_IF_ERROR(read_split(request.split, group_by, o));
  TRACER_RETURN_IF_ERROR(read_surrogate(request.surrogate, o));
  return o;
}

}  // namespace tracer
