#include "host/versions/changes.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/figures.h"
#include "host/io/json_fields.h"

namespace tracer {
namespace {

constexpr int64_t kBlock = 4096;  // rows scored together

bool handles(const PolicySide& side) { return side.certificate != nullptr && side.certificate->certified; }

Json pair_json(const int64_t (&count)[2], const int64_t (&of)[2]) {
  return {{"before", optional_json(agreement(count[0], of[0]))}, {"after", optional_json(agreement(count[1], of[1]))}};
}
Json share_json(const int64_t (&count)[2], int64_t rows) { return pair_json(count, {rows, rows}); }

}  // namespace

Result<std::vector<AuditRow>> score_kept(Backend& backend, const Policy& policy, const KeptRows& rows) {
  std::vector<AuditRow> out;
  if (rows.rows() == 0 || policy.stages.empty()) return out;
  std::vector<int32_t> index(rows.labels.size(), -1);
  for (size_t l = 0; l < index.size(); ++l) {
    const auto at = std::lower_bound(policy.labels.begin(), policy.labels.end(), rows.labels[l]);
    if (at != policy.labels.end() && *at == rows.labels[l]) index[l] = static_cast<int32_t>(at - policy.labels.begin());
  }
  auto prepared = prepare_stage(backend, policy.stages[0], {}, rows.rows());
  if (!prepared.ok()) return prepared.status();
  std::vector<RowScore> scored;
  for (int64_t first = 0; first < rows.rows(); first += kBlock) {
    Matrix<float> x(std::min(kBlock, rows.rows() - first), rows.x.cols());
    std::copy_n(rows.x.row(first), x.size(), x.data());
    TRACER_RETURN_IF_ERROR(backend.normalise_rows(x.view()));
    TRACER_RETURN_IF_ERROR(score_rows_canonically(backend, *prepared, x.view(), scored));
    for (int64_t i = 0; i < x.rows(); ++i) {
      const int32_t label = rows.label[first + i];
      out.push_back({scored[static_cast<size_t>(i)], label < 0 ? -1 : index[static_cast<size_t>(label)]});
    }
  }
  return out;
}

void compare_labels(const Policy& before, const Policy& after, Change& change) {
  std::set_difference(after.labels.begin(), after.labels.end(), before.labels.begin(), before.labels.end(),
                      std::back_inserter(change.gained));
  std::set_difference(before.labels.begin(), before.labels.end(), after.labels.begin(), after.labels.end(),
                      std::back_inserter(change.lost));
}

Change change_on(const PolicySide& before, const std::vector<AuditRow>& scores_before, const PolicySide& after,
                 const std::vector<AuditRow>& scores_after, const KeptRows& rows) {
  Change change;
  compare_labels(*before.policy, *after.policy, change);
  change.rows = rows.rows();
  std::map<std::pair<bool, std::string>, LabelChange> labels;  // rows without an answer last
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
    for (int s = 0; s < 2; ++s) {
      if (!handles(*sides[s])) continue;
      const AuditRow& row = (*scores[s])[static_cast<size_t>(i)];
      if (decide(row.score, rules[s]) != Reason::kAccepted) continue;
      const bool agrees = row.score.features.label == row.teacher;
      ++label.handled[s], label.agree[s] += agrees;
      ++change.handled[s], change.agree[s] += agrees;
    }
  }
  for (auto& [key, label] : labels) change.labels.push_back(std::move(label));
  return change;
}

Json change_json(const Change& change) {
  Json labels = Json::array();
  for (const LabelChange& l : change.labels)
    labels.push_back({{"label", l.answered ? Json(l.label) : Json(nullptr)},
                      {"n", l.rows},
                      {"n_handled", {{"before", l.handled[0]}, {"after", l.handled[1]}}},
                      {"coverage", share_json(l.handled, l.rows)},
                      {"teacher_agreement", pair_json(l.agree, l.handled)}});
  return {{"rows", change.rows},
          {"coverage", share_json(change.handled, change.rows)},
          {"teacher_agreement", pair_json(change.agree, change.handled)},
          {"labels_gained", change.gained},
          {"labels_lost", change.lost},
          {"labels", labels}};
}

}  // namespace tracer
