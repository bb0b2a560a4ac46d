#include "host/explain/inspect.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "engine/policy/gate.h"
#include "engine/policy/router.h"
#include "engine/policy/text_stage.h"
#include "host/explain/trace_texts.h"
#include "host/io/excerpt.h"
#include "host/io/json_with.h"
#include "host/io/plain_text.h"
#include "host/route/counts.h"

namespace tracer {
namespace {

constexpr size_t kTopClasses = 5;
constexpr int64_t kNearest = 5;        // traces listed
constexpr int64_t kCounted = 10;       // traces whose labels are counted
constexpr size_t kMostTextBytes = 90;  // of a trace's text

class Inspector {
 public:
  Inspector(const LoadedPolicy& loaded, const InspectedRow& row) : loaded_(loaded), row_(row) {}

  bool answer_text(RowScore& score, Matrix<float>& probability) const;
  Json describe(const RowScore& score, const Matrix<float>& probability, const Matrix<int32_t>& near,
                const Matrix<float>& similarity) const;

 private:
  Json decision_json(const RowScore& score) const;
  Json describe_text(const RowScore& score, const Matrix<float>& probability) const;

  const LoadedPolicy& loaded_;
  const InspectedRow& row_;
};

const OodGate& gate_of(const LoadedPolicy& loaded, const RowScore& s) {
  const Stage& stage = loaded.artifact.policy.stages[0];
  return s.residual ? stage.residual->gate : stage.gate;
}

std::string outlier_in_words(const OodGate& gate, const RowFeatures& f) {
  const std::string distance = "mean distance to its 10 nearest traces " + number(f.mean_distance_10);
  if (gate.reference_distance.empty()) return distance;
  return "outlier score " + number(outlier_score(gate, f)) + ", the limit is " + number(outlier_limit(gate, f.label)) +
         ": " + distance + ", theirs to their nearest " + number(f.neighbourhood) + ", largest probability " +
         number(f.top1);
}

std::string why(const RowScore& s, Reason reason, const LoadedPolicy& loaded, const std::string& label) {
  const double threshold = loaded.certificate.threshold;
  switch (reason) {
    case Reason::kAccepted:
      return "handled: the teacher is expected to say " + label + " too with probability " + number(s.score) +
             ", above the threshold " + number(threshold);
    case Reason::kBelowThreshold:
      return "deferred: the teacher is expected to agree with " + label + " with probability " + number(s.score) +
             ", not above the threshold " + number(threshold);
    case Reason::kOutOfDistribution:
      return "deferred: unlike anything learned (" + outlier_in_words(gate_of(loaded, s), s.features) + ")";
    case Reason::kNeverLabel:
      return "deferred: the surrogate says " + label + ", which this policy never answers (--never)";
    case Reason::kBelowLabelFloor:
      return "deferred: the surrogate says " + label + ", which learn did not show to agree " +
             number(loaded.artifact.policy.label_floor) + " of the time (--label-floor)";
  }
  return "";
}

std::vector<int32_t> by_probability(const Matrix<float>& probability) {
  std::vector<int32_t> order(static_cast<size_t>(probability.cols()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return probability(0, a) > probability(0, b); });
  return order;
}

Json top_classes(const Policy& policy, const Matrix<float>& probability) {
  Json classes = Json::array();
  for (const int32_t label : by_probability(probability)) {
    const float p = probability(0, label);
    if (classes.size() == kTopClasses || (!classes.empty() && !(p > 0))) break;
    classes.push_back({{"label", policy.labels[label]}, {"probability", p}});
  }
  return classes;
}

// What a stage says of its own answer.
Json answer_features(const RowScore& s) {
  return {{"top1", s.features.top1}, {"margin", s.features.top1 - s.features.top2}, {"entropy", s.features.entropy}};
}

Json Inspector::decision_json(const RowScore& s) const {
  const std::string& label = loaded_.artifact.policy.labels[s.features.label];
  const Reason reason = decide(s, loaded_.rule);
  Json d = {{row_.text ? "text" : "row", row_.text ? Json(*row_.text) : Json(row_.row)},
            {"alpha", loaded_.certificate.alpha},
            {"decision", reason == Reason::kAccepted ? "handled" : "deferred"},
            {"reason", to_string(reason)}};
  if (loaded_.artifact.policy.text) d["stage"] = stage_name(s);
  return with(std::move(d), {{"surrogate", label},
                             {"score", s.score},
                             {"threshold", loaded_.certificate.threshold},
                             {"why", why(s, reason, loaded_, label)}});
}

Json Inspector::describe(const RowScore& s, const Matrix<float>& probability, const Matrix<int32_t>& near,
                         const Matrix<float>& similarity) const {
  const Policy& p = loaded_.artifact.policy;
  if (s.text) return describe_text(s, probability);
  const NeighbourMember& member = p.stages[0].neighbours;
  const OodGate& gate = gate_of(loaded_, s);
  const std::vector<int32_t> order = by_probability(probability);
  Json nearest = Json::array();
  int64_t looked_at = 0, carry = 0, carry_runner_up = 0;
  for (int64_t j = 0; j < std::min(kCounted, near.cols()) && near(0, j) >= 0; ++j) {
    const int32_t found = member.label[near(0, j)];
    ++looked_at, carry += found == s.features.label;
    carry_runner_up += order.size() > 1 && found != s.features.label && found == order[1];
  }
  std::vector<int64_t> listed;
  for (int64_t j = 0; j < std::min(kNearest, near.cols()) && near(0, j) >= 0; ++j)
    listed.push_back(member.row[near(0, j)]);
  const auto texts = trace_texts(loaded_.artifact.provenance, listed);
  for (int64_t j = 0; j < std::min(kNearest, near.cols()) && near(0, j) >= 0; ++j) {
    const int32_t r = near(0, j);
    Json neighbour = {{"row", member.row[r]}};
    if (!loaded_.artifact.reference_ids.empty()) neighbour["id"] = loaded_.artifact.reference_ids[r];
    neighbour["label"] = p.labels[member.label[r]];
    neighbour["similarity"] = similarity(0, j);
    if (const auto known = texts.find(member.row[r]); known != texts.end() && !known->second.empty())
      neighbour["text"] = excerpt(known->second, kMostTextBytes);
    nearest.push_back(std::move(neighbour));
  }
  return with(
      decision_json(s),
      {{"features", with(answer_features(s), {{"softmax_probability", s.features.softmax_p},
                                              {"neighbour_vote", s.features.vote_p},
                                              {"neighbour_share", s.features.vote_share},
                                              {"mean_distance", s.features.mean_distance_10},
                                              {"neighbours_mean_distance", s.features.neighbourhood},
                                              {"outlier_score", outlier_score(gate, s.features)},
                                              {"outlier_limit", outlier_limit(gate, s.features.label)}})},
       {"classes", top_classes(p, probability)},
       {"neighbours", {{"looked_at", looked_at}, {"carry_surrogate", carry}, {"carry_runner_up", carry_runner_up}}},
       {"nearest", nearest}});
}

// Of a row that the text stage of a cascade answers: it has looked at no trace.
Json Inspector::describe_text(const RowScore& s, const Matrix<float>& probability) const {
  return with(decision_json(s), {{"features", answer_features(s)},
                                 {"classes", top_classes(loaded_.artifact.policy, probability)},
                                 {"neighbours", nullptr},
                                 {"nearest", Json::array()}});
}

// Whether the text stage answers the text.
bool Inspector::answer_text(RowScore& score, Matrix<float>& probability) const {
  const Policy& p = loaded_.artifact.policy;
  if (!p.text || !row_.text) return false;
  TextScratch scratch;
  score = score_text(*p.text, *row_.text, scratch);
  probability = Matrix<float>(1, static_cast<int64_t>(p.labels.size()));
  std::transform(scratch.values.begin(), scratch.values.end(), probability.data(),
                 [](double v) { return static_cast<float>(v); });
  return text_stage_answers(score, loaded_.rule);
}

}  // namespace

Result<Json> inspect_row(Backend& backend, const LoadedPolicy& loaded, const InspectedRow& row,
                         const std::function<Status(HostMatrix<float>)>& read_vector) {
  const Policy& p = loaded.artifact.policy;
  const Inspector inspector(loaded, row);
  Matrix<float> similarity, probability;
  Matrix<int32_t> near;
  std::vector<RowScore> scores(1);
  if (!inspector.answer_text(scores[0], probability)) {
    Matrix<float> x(1, p.dimension);
    TRACER_RETURN_IF_ERROR(read_vector(x.view()));
    TRACER_RETURN_IF_ERROR(backend.normalise_rows(x.view()));
    TRACER_ASSIGN_OR_RETURN(const PreparedStage stage,
                            prepare_stage(backend, p.stages[0], {loaded.certificate.threshold}, 1));
    TRACER_RETURN_IF_ERROR(score_rows(backend, stage, x.view(), scores, &near, &similarity, &probability));
  }
  TRACER_RETURN_IF_ERROR(check_score(loaded, scores[0], row.name));
  return inspector.describe(scores[0], probability, near, similarity);
}

}  // namespace tracer
