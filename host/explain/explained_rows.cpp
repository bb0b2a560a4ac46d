#include "host/explain/explained_rows.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "engine/maths/most_frequent.h"
#include "host/explain/counts.h"
#include "host/explain/labels.h"
#include "host/explain/words.h"
#include "host/io/json_with.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

constexpr size_t kListed = 5;    // labels, pairs and conflicts listed of each kind
constexpr size_t kExamples = 3;  // rows shown of a region

class Sections {
 public:
  explicit Sections(const ExplainedRows& e)
      : e_(e), policy_(*e.policy), traces_(policy_.stages[0].neighbours), delta_(e.certificate->delta) {}

  Json label(int32_t l) const { return l < 0 ? Json(nullptr) : Json(policy_.labels[static_cast<size_t>(l)]); }
  Json row(int64_t i) const {
    const ExplainedRow& r = e_.rows[static_cast<size_t>(i)];
    return with(row_name_json(e_.names, i),
                {{"teacher", label(r.teacher)}, {"surrogate", label(r.label)}, {"score", r.score}});
  }
  Json reasons() const;
  Json labels() const;
  Json regions() const;
  Json regions_tried() const {
    Json out = Json::array();
    for (const RegionCount& t : e_.regions.tried) out.push_back({{"regions", t.regions}, {"silhouette", t.silhouette}});
    return out;
  }
  Json suspects() const;
  Json boundary() const;
  Json slices() const;
  Counts counts() const {
    Counts c;
    for (const ExplainedRow& r : e_.rows) c.add(r);
    return c;
  }

 private:
  Json label_counts(const std::map<int32_t, int64_t>& counts) const {
    Json out = Json::array();
    for (const auto& [l, n] : most_frequent(counts, kListed)) out.push_back({{"label", label(l)}, {"n", n}});
    return out;
  }
  Json trace(int32_t reference) const {
    const auto at = static_cast<size_t>(reference);
    const auto& ids = e_.reference_ids;
    return {{"row", traces_.row[at]},
            {"id", ids.empty() || ids[at].empty() ? Json(nullptr) : Json(ids[at])},
            {"label", label(traces_.label[at])}};
  }
  Json details(Cause cause) const;
  Json examples(std::vector<int64_t> rows, const std::vector<double>& distance) const;

  const ExplainedRows& e_;
  const Policy& policy_;
  const NeighbourMember& traces_;
  double delta_;
};

// What a reason is about: labels, pairs of labels, or pairs of traces.
Json Sections::details(Cause cause) const {
  std::map<int32_t, int64_t> labels;
  std::map<std::pair<int32_t, int32_t>, int64_t> pairs;
  for (size_t i = 0; i < e_.rows.size(); ++i) {
    if (e_.causes.cause[i] != cause) continue;
    const ExplainedRow& r = e_.rows[i];
    ++labels[cause == Cause::kRareLabel ? r.teacher : r.label];
    if (cause == Cause::kAmbiguous) ++pairs[std::minmax(r.label, r.runner_up)];
    if (cause == Cause::kInconsistent) ++pairs[{e_.causes.conflict[i].a, e_.causes.conflict[i].b}];
  }
  Json listed = Json::array();
  for (const auto& [pair, n] : most_frequent(pairs, kListed)) {
    if (cause == Cause::kAmbiguous)
      listed.push_back({{"labels", {label(pair.first), label(pair.second)}}, {"n", n}});
    else
      listed.push_back({{"traces", {trace(pair.first), trace(pair.second)}}, {"n", n}});
  }
  if (pairs.empty()) return {{"labels", label_counts(labels)}};
  return {{"labels", label_counts(labels)}, {"pairs", listed}};
}

Json Sections::reasons() const {
  std::array<int64_t, kCauses> n = {}, agree = {};
  for (size_t i = 0; i < e_.rows.size(); ++i) {
    const auto cause = static_cast<size_t>(e_.causes.cause[i]);
    ++n[cause], agree[cause] += e_.rows[i].agrees();
  }
  const auto rows = static_cast<int64_t>(e_.rows.size());
  const int64_t deferred = rows - n[0];
  Json out = Json::array();
  for (int w = 1; w < kCauses; ++w) {
    const auto at = static_cast<size_t>(w);
    const Cause cause = static_cast<Cause>(w);
    Json reason = {{"reason", cause_name(cause)},
                   {"text", as_flags(cause_text(cause))},
                   {"n", n[at]},
                   {"share", optional_json(agreement(n[at], deferred))},
                   {"share_of_rows", optional_json(agreement(n[at], rows))},
                   {"would_agree", optional_json(agreement(agree[at], n[at]))},
                   {"help", as_flags(cause_help(cause))}};
    if (n[at] > 0) reason.update(details(cause));
    out.push_back(std::move(reason));
  }
  return out;
}

Json Sections::labels() const {
  const Stage& stage = policy_.stages[0];
  Json out = Json::array();
  for (const LabelExplanation& l : explain_labels(e_.rows, e_.causes.cause)) {
    Json deferred = Json::object();
    for (const auto& [cause, n] : l.deferred) deferred[cause_name(cause)] = n;
    const double learned =
        stage.label_frequency[static_cast<size_t>(l.label)] * static_cast<double>(e_.certificate->n_learn);
    out.push_back({{"label", label(l.label)},
                   {"n_learn", std::llround(learned)},
                   {"n", l.rows},
                   {"coverage", optional_json(agreement(l.rows_handled, l.rows))},
                   {"answered", counts_json(l.answered, delta_)},
                   {"taken_for", label_counts(l.taken_for)},
                   {"deferred", deferred}});
  }
  return out;
}

// The kExamples of `rows` with the least distance.
Json Sections::examples(std::vector<int64_t> rows, const std::vector<double>& distance) const {
  std::stable_sort(rows.begin(), rows.end(), [&](int64_t a, int64_t b) {
    return distance[static_cast<size_t>(a)] < distance[static_cast<size_t>(b)];
  });
  if (rows.size() > kExamples) rows.resize(kExamples);
  Json out = Json::array();
  for (const int64_t i : rows) out.push_back(with(row(i), {{"handled", e_.rows[static_cast<size_t>(i)].handled()}}));
  return out;
}

Json Sections::regions() const {
  const auto count = static_cast<size_t>(e_.regions.count);
  std::vector<Counts> counts(count);
  std::vector<std::map<int32_t, int64_t>> labels(count);
  std::vector<std::vector<int64_t>> members(count), open(count);  // open: the score decides
  std::vector<double> centre, border;
  for (size_t i = 0; count > 0 && i < e_.rows.size(); ++i) {
    const ExplainedRow& r = e_.rows[i];
    const auto region = static_cast<size_t>(e_.regions.region[i]);
    counts[region].add(r), ++labels[region][r.teacher], members[region].push_back(static_cast<int64_t>(i));
    if (r.handled() || r.decision == Reason::kBelowThreshold) open[region].push_back(static_cast<int64_t>(i));
    centre.push_back(e_.regions.distance2[i]), border.push_back(std::abs(r.score - e_.certificate->threshold));
  }
  const bool texts =
      std::any_of(e_.names.input.begin(), e_.names.input.end(), [](const auto& t) { return !t.empty(); });
  std::vector<std::vector<DistinguishingWord>> words(count);
  if (texts && count > 1) words = distinguishing_words(e_.names.input, e_.regions.region, e_.regions.count);
  Json out = Json::array();
  for (size_t r = 0; r < count; ++r) {
    Json listed = Json::array();
    for (const DistinguishingWord& w : words[r]) listed.push_back({{"word", w.word}, {"z", w.z}, {"n", w.n}});
    out.push_back(with(with({{"share", optional_json(agreement(counts[r].rows, static_cast<int64_t>(e_.rows.size())))}},
                            counts_json(counts[r], delta_)),
                       {{"labels", label_counts(labels[r])},
                        {"words", texts ? listed : Json(nullptr)},
                        {"typical", examples(members[r], centre)},
                        {"borderline", e_.certificate->certified ? examples(open[r], border) : Json::array()}}));
  }
  return out;
}

Json Sections::suspects() const {
  Json out = Json::array();
  for (const int64_t i : find_suspects(e_.rows)) {
    const ExplainedRow& r = e_.rows[static_cast<size_t>(i)];
    out.push_back(with(row(i), {{"probability", static_cast<double>(r.p1)},
                                {"teacher_probability", static_cast<double>(r.p_teacher)},
                                {"neighbours_agree", static_cast<double>(r.vote_label)}}));
  }
  return out;
}

Json Sections::boundary() const {
  Json out = Json::array();
  for (const BoundaryPair& pair : find_boundary(e_.rows, e_.x.view()))
    out.push_back({{"similarity", pair.similarity},
                   {"handled", row(pair.handled)},
                   {"deferred", with(row(pair.deferred),
                                     {{"why", cause_name(e_.causes.cause[static_cast<size_t>(pair.deferred)])}})}});
  return out;
}

Json Sections::slices() const {
  Json out = Json::array();
  for (const Slice& s : find_slices(e_.rows, e_.slice_keys))
    out.push_back(with(with({{"key", s.key}, {"value", s.value}}, counts_json(s, delta_)),
                       {{"p_coverage", s.p_coverage},
                        {"p_agreement", s.p_agreement},
                        {"flag_coverage", s.flag_coverage},
                        {"flag_agreement", s.flag_agreement}}));
  return out;
}

template <class T>
void keep(std::vector<T>& all, const std::vector<int64_t>& rows) {
  if (all.empty()) return;
  std::vector<T> kept;
  for (const int64_t i : rows) kept.push_back(std::move(all[static_cast<size_t>(i)]));
  all = std::move(kept);
}

}  // namespace

Status explain(Backend& backend, const std::vector<int32_t>& teacher, ExplainedRows& e) {
  TRACER_ASSIGN_OR_RETURN(auto rows,
                          explain_rows(backend, *e.policy, *e.certificate, e.x.view(), teacher, e.names.input));
  e.rows = std::move(rows);
  e.causes = find_causes(*e.policy, *e.certificate, e.rows);
  TRACER_ASSIGN_OR_RETURN(e.regions, find_regions(backend, e.x.view()));
  return {};
}

void keep_label(ExplainedRows& e, int32_t label) {
  std::vector<int64_t> rows;
  for (size_t i = 0; i < e.rows.size(); ++i)
    if (e.rows[i].teacher == label || e.rows[i].label == label) rows.push_back(static_cast<int64_t>(i));
  Matrix<float> x(static_cast<int64_t>(rows.size()), e.x.cols());
  for (size_t i = 0; i < rows.size(); ++i) std::copy_n(e.x.row(rows[i]), x.cols(), x.row(static_cast<int64_t>(i)));
  e.x = std::move(x);
  e.regions = {};
  keep(e.rows, rows);
  keep(e.names.line, rows), keep(e.names.id, rows), keep(e.names.input, rows);
  keep(e.causes.cause, rows), keep(e.causes.conflict, rows);
  for (SliceKey& key : e.slice_keys) keep(key.value, rows);
}

Json sections_json(const ExplainedRows& e) {
  const Sections sections(e);
  const Certificate& c = *e.certificate;
  Json regions = sections.regions(), no_regions;
  if (regions.empty())
    no_regions = "regions are of all rows, and need at least " + std::to_string(kFewestRegionRows) + " of them";
  return with(with({{"policy", e.digest},
                    {"alpha", c.alpha},
                    {"delta", c.delta},
                    {"certified", c.certified},
                    {"threshold", c.certified ? Json(c.threshold) : Json(nullptr)},
                    {"plain_threshold", e.causes.plain_threshold},
                    {"duplicate_similarity", e.causes.duplicate_similarity}},
                   counts_json(sections.counts(), c.delta)),
              {{"reasons", sections.reasons()},
               {"labels", sections.labels()},
               {"regions", std::move(regions)},
               {"regions_reason", no_regions},
               {"regions_tried", sections.regions_tried()},
               {"suspects", sections.suspects()},
               {"boundary", sections.boundary()},
               {"slices", sections.slices()}});
}

Json explained_row_json(const ExplainedRows& e, int64_t i) {
  const auto at = static_cast<size_t>(i);
  const ExplainedRow& r = e.rows[at];
  const auto& labels = e.policy->labels;
  const auto name = [&](int32_t l) { return l < 0 ? Json(nullptr) : Json(labels[static_cast<size_t>(l)]); };
  Json row = row_name_json(e.names, i);
  row.erase("input");
  row.update({{"decision", to_string(r.decision)},
              {"why", cause_name(e.causes.cause[at])},
              {"teacher", name(r.teacher)},
              {"surrogate", name(r.label)},
              {"runner_up", name(r.runner_up)},
              {"score", r.score},
              {"probability", static_cast<double>(r.p1)},
              {"teacher_probability", static_cast<double>(r.p_teacher)},
              {"nearest", static_cast<double>(r.nearest)},
              {"neighbours_agree", static_cast<double>(r.vote_label)},
              {"neighbours_agree_teacher", static_cast<double>(r.vote_teacher)},
              {"region", e.regions.count > 0 ? Json(e.regions.region[at]) : Json(nullptr)}});
  if (e.policy->text) row["stage"] = r.text ? "text" : "vector";
  return row;
}

}  // namespace tracer
