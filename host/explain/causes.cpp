#include "host/explain/causes.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>

#include "kernels/status.h"

namespace tracer {
namespace {

constexpr double kDuplicateQuantile = 0.75;
constexpr double kRounding = 1e-5;  // of a float32 dot product of unit rows

struct CauseWords {
  const char* name;
  std::string text, help;
};
const CauseWords kWords[kCauses] = {
    {"handled", "handled", ""},
    {"never_label", "labels of " + option("never"), "nothing: fit was asked to leave these labels to the LLM"},
    {"far_from_traces", "far from all traces", "more traces like these rows"},
    {"label_floor", "labels below the label floor", "more traces of these labels, or a lower " + option("label_floor")},
    {"certificate_margin", "held back by the certificate's margin",
     "more rows to certify on: these agree often enough, but that is not proved yet"},
    {"inconsistent_teacher", "the teacher labels near-duplicates differently",
     "a relabel of the pairs listed, or vectors that tell them apart"},
    {"rare_label", "a rare label", "more traces of the labels listed"},
    {"ambiguous", "ambiguous between two labels",
     "more traces of the two labels, near their border; or one label for both"},
    {"spread", "spread over several labels", "more traces like these rows"},
};

// Scores of rows that no gate defers decide; the lowest down to which they agree alpha of the time, rows of equal score
// together.
double plain_threshold(const std::vector<ExplainedRow>& rows, double alpha) {
  std::vector<std::pair<double, bool>> open;
  for (const ExplainedRow& r : rows)
    if (r.handled() || r.decision == Reason::kBelowThreshold) open.emplace_back(r.score, r.agrees());
  std::sort(open.begin(), open.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  double lowest = 1;
  int64_t agree = 0;
  for (size_t i = 0; i < open.size(); ++i) {
    agree += open[i].second;
    const bool last_of_score = i + 1 == open.size() || open[i + 1].first < open[i].first;
    if (last_of_score && static_cast<double>(agree) >= alpha * static_cast<double>(i + 1)) lowest = open[i].first;
  }
  return lowest;
}

double duplicate_similarity(const std::vector<ExplainedRow>& rows) {
  std::vector<float> nearest;
  for (const ExplainedRow& r : rows) nearest.push_back(r.nearest);
  if (nearest.empty()) return 1;
  const auto at = static_cast<int64_t>(kDuplicateQuantile * static_cast<double>(nearest.size() - 1));
  std::nth_element(nearest.begin(), nearest.begin() + at, nearest.end());
  return nearest[static_cast<size_t>(at)];
}

std::optional<Conflict> conflict_near(const NeighbourMember& traces, const ExplainedRow& row, double least) {
  std::optional<Conflict> found;
  double most = least - kRounding;
  for (size_t i = 0; i < kNear && row.near[i] >= 0; ++i)
    for (size_t j = i + 1; j < kNear && row.near[j] >= 0; ++j) {
      const int32_t a = row.near[i], b = row.near[j];
      const int32_t la = traces.label[static_cast<size_t>(a)], lb = traces.label[static_cast<size_t>(b)];
      if (la == lb || (la != row.label && lb != row.label)) continue;
      const float *x = traces.references.row(a), *y = traces.references.row(b);
      const double similarity = std::inner_product(x, x + traces.references.cols(), y, 0.0);
      if (similarity >= most) most = similarity, found = Conflict{std::min(a, b), std::max(a, b)};
    }
  return found;
}

}  // namespace

const char* cause_name(Cause cause) { return kWords[static_cast<int>(cause)].name; }
const std::string& cause_text(Cause cause) { return kWords[static_cast<int>(cause)].text; }
const std::string& cause_help(Cause cause) { return kWords[static_cast<int>(cause)].help; }

Causes find_causes(const Policy& policy, const Certificate& certificate, const std::vector<ExplainedRow>& rows) {
  const Stage& stage = policy.stages[0];
  Causes out;
  out.plain_threshold = plain_threshold(rows, certificate.alpha);
  out.duplicate_similarity = duplicate_similarity(rows);
  const auto rare = [&](int32_t label) {
    if (label < 0) return true;
    const double traces = stage.label_frequency[static_cast<size_t>(label)] * static_cast<double>(certificate.n_learn);
    return std::llround(traces) < kRareTraces;
  };
  const auto below_threshold = [&](const ExplainedRow& r, Conflict& conflict) {
    if (r.score >= out.plain_threshold) return Cause::kMargin;
    if (const auto found = conflict_near(stage.neighbours, r, out.duplicate_similarity)) {
      conflict = *found;
      return Cause::kInconsistent;
    }
    if (rare(r.teacher) || rare(r.label)) return Cause::kRareLabel;
    return r.runner_up >= 0 && r.p2 >= (1 - r.p1) / 2 ? Cause::kAmbiguous : Cause::kSpread;
  };
  out.conflict.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    switch (rows[i].decision) {
      case Reason::kAccepted:
        out.cause.push_back(Cause::kHandled);
        break;
      case Reason::kNeverLabel:
        out.cause.push_back(Cause::kNeverLabel);
        break;
      case Reason::kOutOfDistribution:
        out.cause.push_back(Cause::kFar);
        break;
      case Reason::kBelowLabelFloor:
        out.cause.push_back(Cause::kLabelFloor);
        break;
      case Reason::kBelowThreshold:
        out.cause.push_back(below_threshold(rows[i], out.conflict[i]));
        break;
    }
  }
  return out;
}

}  // namespace tracer
