#include "engine/prove/certify_rows.h"

#include <algorithm>
#include <unordered_set>

#include "engine/policy/router.h"

namespace tracer {
namespace {

constexpr size_t kSuspects = 20;

}  // namespace

Result<CertifyRows> score_certify(Backend& backend, const Traces& traces, const Split& split, const Stage& stage,
                                  const Matrix<float>& x, const std::vector<int32_t>& place) {
  CertifyRows rows;
  std::unordered_set<uint64_t> learned;
  for (int32_t r : split.learn) learned.insert(traces.text_hash[r]);
  rows.side.unit = split.certify_unit;
  rows.side.unit_rows = split.unit_rows;
  rows.side.units = count_units(split.certify_unit);
  const auto n = static_cast<int64_t>(split.certify.size());
  TRACER_ASSIGN_OR_RETURN(auto prepared, prepare_stage(backend, stage, {}, n));
  std::vector<RowScore> scored;
  for (int64_t first = 0; first < n; first += kScoredTogether) {
    Matrix<float> vectors(std::min(kScoredTogether, n - first), x.cols());
    for (int64_t i = 0; i < vectors.rows(); ++i)
      std::copy_n(x.row(place[split.certify[first + i]]), x.cols(), vectors.row(i));
    TRACER_RETURN_IF_ERROR(score_rows_canonically(backend, prepared, vectors.view(), scored));
    for (int64_t i = 0; i < vectors.rows(); ++i) {
      const int32_t row = split.certify[first + i];
      rows.side.score.push_back(scored[i].score);
      rows.side.gated.push_back(scored[i].gated);
      rows.side.disagree.push_back(scored[i].features.label != traces.label[row]);
      rows.predicted.push_back(scored[i].features.label);
      rows.unseen.push_back(!learned.contains(traces.text_hash[row]));
    }
  }
  return rows;
}

void add_details(const Traces& traces, const Split& split, const CertifyRows& rows, const CertifySide& side,
                 Certificate& c) {
  std::vector<LabelFigures> figures(traces.labels.size());
  for (size_t l = 0; l < figures.size(); ++l) figures[l].label = static_cast<int32_t>(l);
  for (size_t i = 0; i < rows.predicted.size(); ++i) {
    ++figures[traces.label[split.certify[i]]].rows;
    if (!c.certified || side.gated[i] || !(side.score[i] > c.threshold)) continue;
    const bool agree = !side.disagree[i];
    ++figures[rows.predicted[i]].handled;
    figures[rows.predicted[i]].agree += agree;
    if (rows.unseen[i]) ++c.unseen_handled, c.unseen_agree += agree;
  }
  for (const LabelFigures& f : figures)
    if (f.rows > 0 || f.handled > 0) c.labels.push_back(f);
}

std::vector<Suspect> find_suspects(const Traces& traces, const Split& split, const CertifyRows& rows,
                                   const CertifySide& side) {
  std::vector<Suspect> suspects;
  for (size_t i = 0; i < rows.predicted.size(); ++i)
    if (side.disagree[i] && !side.gated[i])
      suspects.push_back({split.certify[i], side.score[i], rows.predicted[i], traces.label[split.certify[i]]});
  std::stable_sort(suspects.begin(), suspects.end(),
                   [](const Suspect& a, const Suspect& b) { return a.score > b.score; });
  if (suspects.size() > kSuspects) suspects.resize(kSuspects);
  return suspects;
}

}  // namespace tracer
