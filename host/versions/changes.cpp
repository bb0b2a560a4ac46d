#include "host/versions/changes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "engine/log/label_index.h"
#include "engine/maths/most_frequent.h"
#include "engine/policy/text_stage.h"
#include "engine/prove/figures.h"
#include "host/io/json_fields.h"
#include "host/io/json_with.h"

namespace tracer {
namespace {

constexpr size_t kRegionLabels = 3;

using LabelKey = std::pair<bool, std::string>;  // of rows without an answer: true, ""; last

bool handles(const PolicySide& side) { return side.certificate != nullptr && side.certificate->certified; }

Json pair_json(const int64_t (&count)[2], const int64_t (&of)[2]) {
  return {{"before", optional_json(agreement(count[0], of[0]))}, {"after", optional_json(agreement(count[1], of[1]))}};
}
Json counts_json(const SideCounts& c) {
  return {{"n_handled", {{"before", c.handled[0]}, {"after", c.handled[1]}}},
          {"coverage", pair_json(c.handled, {c.rows, c.rows})},
          {"teacher_agreement", pair_json(c.agree, c.handled)}};
}
Json label_json(const std::string& label, bool answered) { return answered ? Json(label) : Json(nullptr); }

std::vector<RegionChange::Label> main_labels(const std::map<LabelKey, int64_t>& rows) {
  std::vector<RegionChange::Label> labels;
  for (const auto& [key, n] : most_frequent(rows, kRegionLabels)) labels.push_back({key.second, !key.first, n});
  return labels;
}

Json region_json(const RegionChange& r, int64_t rows, const RowNames& names) {
  Json labels = Json::array();
  for (const RegionChange::Label& l : r.labels)
    labels.push_back({{"label", label_json(l.label, l.answered)}, {"n", l.rows}});
  Json example;
  if (r.example >= 0) example = row_name_json(names, r.example);
  return with({{"n", r.rows},
               {"share", static_cast<double>(r.rows) / static_cast<double>(rows)},
               {"labels", labels},
               {"example", example}},
              counts_json(r));
}

}  // namespace

Result<std::vector<AuditRow>> score_kept(Backend& backend, const Policy& policy, const KeptRows& rows) {
  std::vector<AuditRow> out;
  if (rows.rows() == 0 || policy.stages.empty()) return out;
  const std::vector<int32_t> teacher = translate_labels(rows.label, rows.labels, policy.labels);
  TRACER_ASSIGN_OR_RETURN(auto prepared, prepare_stage(backend, policy.stages[0], {}, rows.rows()));
  std::vector<RowScore> scored;
  for (int64_t first = 0; first < rows.rows(); first += kScoredTogether) {
    Matrix<float> x(std::min(kScoredTogether, rows.rows() - first), rows.x.cols());
    std::copy_n(rows.x.row(first), x.size(), x.data());
    TRACER_RETURN_IF_ERROR(backend.normalise_rows(x.view()));
    TRACER_RETURN_IF_ERROR(score_rows_canonically(backend, prepared, x.view(), scored));
    for (int64_t i = 0; i < x.rows(); ++i) {
      out.push_back({scored[static_cast<size_t>(i)], teacher[static_cast<size_t>(first + i)]});
    }
  }
  return out;
}

void answer_kept(Backend& backend, const Policy& policy, const DecisionRule& rule,
                 const std::vector<std::string>& texts, std::vector<AuditRow>& scores) {
  if (!policy.text || !(rule.text_threshold < 1)) return;
  std::vector<std::optional<RowScore>> answers;
  answer_texts(&backend, *policy.text, rule, texts, answers);
  for (size_t i = 0; i < scores.size(); ++i)
    if (answers[i]) scores[i].score = *answers[i];
}

void compare_labels(const Policy& before, const Policy& after, Change& change) {
  std::set_difference(after.labels.begin(), after.labels.end(), before.labels.begin(), before.labels.end(),
                      std::back_inserter(change.gained));
  std::set_difference(before.labels.begin(), before.labels.end(), after.labels.begin(), after.labels.end(),
                      std::back_inserter(change.lost));
}

Change change_on(const PolicySide& before, const std::vector<AuditRow>& scores_before, const PolicySide& after,
                 const std::vector<AuditRow>& scores_after, const KeptRows& rows, const Regions& regions,
                 const RowNames& names) {
  Change change;
  compare_labels(*before.policy, *after.policy, change);
  change.rows = rows.rows();
  std::map<LabelKey, LabelChange> labels;
  change.regions.resize(static_cast<size_t>(regions.count));
  std::vector<std::map<LabelKey, int64_t>> region_labels(change.regions.size());
  const PolicySide* sides[2] = {&before, &after};
  const std::vector<AuditRow>* scores[2] = {&scores_before, &scores_after};
  DecisionRule rules[2];
  for (int s = 0; s < 2; ++s)
    if (handles(*sides[s])) rules[s] = decision_rule(*sides[s]->policy, *sides[s]->certificate);
  for (int64_t i = 0; i < rows.rows(); ++i) {
    const bool answered = rows.label[i] >= 0;
    const std::string name = answered ? rows.labels[rows.label[i]] : "";
    LabelChange& label = labels[{!answered, name}];
    label.label = name, label.answered = answered;
    ++label.rows;
    std::vector<SideCounts*> counts = {&change, &label};
    if (regions.count > 0) {
      const auto r = static_cast<size_t>(regions.region[i]);
      RegionChange& region = change.regions[r];
      counts.push_back(&region);
      ++region.rows, ++region_labels[r][{!answered, name}];
      if (!names.line.empty() && names.line[i] > 0 &&
          (region.example < 0 || regions.distance2[i] < regions.distance2[region.example]))
        region.example = i;
    }
    for (int s = 0; s < 2; ++s) {
      if (!handles(*sides[s])) continue;
      const AuditRow& row = (*scores[s])[static_cast<size_t>(i)];
      if (decide(row.score, rules[s]) != Reason::kAccepted) continue;
      const bool agrees = row.score.features.label == row.teacher;
      for (SideCounts* c : counts) ++c->handled[s], c->agree[s] += agrees;
    }
  }
  for (auto& [key, label] : labels) change.labels.push_back(std::move(label));
  for (size_t r = 0; r < region_labels.size(); ++r) change.regions[r].labels = main_labels(region_labels[r]);
  return change;
}

Json change_json(const Change& change, const RowNames& names) {
  Json labels = Json::array(), regions = Json::array(), reason;
  for (const LabelChange& l : change.labels)
    labels.push_back(with({{"label", label_json(l.label, l.answered)}, {"n", l.rows}}, counts_json(l)));
  for (const RegionChange& r : change.regions) regions.push_back(region_json(r, change.rows, names));
  if (regions.empty())
    reason =
        "regions need at least " + std::to_string(kFewestRegionRows) + " rows, found " + std::to_string(change.rows);
  return with(with({{"rows", change.rows}}, counts_json(change)), {{"labels_gained", change.gained},
                                                                   {"labels_lost", change.lost},
                                                                   {"labels", labels},
                                                                   {"regions", regions},
                                                                   {"regions_reason", reason}});
}

}  // namespace tracer
