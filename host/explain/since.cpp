#include "host/explain/since.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "engine/maths/fisher.h"
#include "engine/maths/most_frequent.h"
#include "engine/prove/figures.h"
#include "host/explain/slices.h"
#include "host/io/json_fields.h"
#include "host/io/json_with.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

constexpr size_t kListedLabels = 3;

// Of some rows.
struct Moves {
  int64_t rows = 0, gained = 0, lost = 0;
  int64_t handled[2] = {0, 0}, agree[2] = {0, 0};  // before, now
  std::map<Cause, int64_t> gained_why, lost_why;   // causes before of the gained rows, causes now of the lost
};

// Two-sided p-value of `gained` against `lost` when either is as likely: exact, by the binomial distribution.
double mcnemar(int64_t gained, int64_t lost) {
  const int64_t n = gained + lost, k = std::min(gained, lost);
  double tail = 0;
  for (int64_t i = 0; i <= k; ++i) {
    const auto d = [](int64_t v) { return static_cast<double>(v); };
    tail += std::exp(std::lgamma(d(n) + 1) - std::lgamma(d(i) + 1) - std::lgamma(d(n - i) + 1) - d(n) * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

Json causes_json(const std::map<Cause, int64_t>& counts) {
  Json out = Json::array();
  for (const auto& [cause, n] : most_frequent(counts, kCauses))
    out.push_back({{"reason", cause_name(cause)}, {"text", as_flags(cause_text(cause))}, {"n", n}});
  return out;
}

Json pair_json(int64_t before, int64_t of_before, int64_t now, int64_t of_now) {
  return {{"before", optional_json(agreement(before, of_before))}, {"now", optional_json(agreement(now, of_now))}};
}

Json moves_json(const Moves& m) {
  return {{"n", m.rows},
          {"n_handled", {{"before", m.handled[0]}, {"now", m.handled[1]}}},
          {"coverage", pair_json(m.handled[0], m.rows, m.handled[1], m.rows)},
          {"teacher_agreement", pair_json(m.agree[0], m.handled[0], m.agree[1], m.handled[1])},
          {"gained", m.gained},
          {"lost", m.lost},
          {"gained_why", causes_json(m.gained_why)},
          {"lost_why", causes_json(m.lost_why)}};
}

bool moved(const Moves& m) { return m.gained + m.lost > 0; }

std::vector<std::string> only_first(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::string> out;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

// Entries that moved, the most rows moved on balance first, with corrected p-values.
Json listed(std::vector<std::pair<Json, const Moves*>> entries, const std::vector<double>& p) {
  std::vector<size_t> order(entries.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto net = [&](size_t i) { return std::abs(entries[i].second->gained - entries[i].second->lost); };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return net(a) > net(b); });
  Json out = Json::array();
  for (const size_t i : order)
    if (moved(*entries[i].second))
      out.push_back(with(with(std::move(entries[i].first), moves_json(*entries[i].second)),
                         {{"p", p[i]}, {"flag", p[i] <= kFlagLevel}}));
  return out;
}

}  // namespace

Status explain_earlier(Backend& backend, HostMatrix<const float> x, const std::vector<int32_t>& teacher,
                       const std::vector<std::string>& texts, Earlier& e) {
  TRACER_ASSIGN_OR_RETURN(auto rows, explain_rows(backend, *e.policy, *e.certificate, x, teacher, texts));
  e.rows = std::move(rows);
  e.causes = find_causes(*e.policy, *e.certificate, e.rows);
  return {};
}

Json since_json(const ExplainedRows& e, const Earlier& earlier, const std::vector<std::string>& teacher_names) {
  Moves all;
  std::map<std::string, Moves> labels;
  const auto count = static_cast<size_t>(e.regions.count);
  std::vector<Moves> regions(count);
  std::vector<std::map<std::string, int64_t>> region_labels(count);
  for (size_t i = 0; i < e.rows.size(); ++i) {
    const ExplainedRow &before = earlier.rows[i], &now = e.rows[i];
    if (before.as_learned() || now.as_learned()) continue;
    std::vector<Moves*> of = {&all, &labels[teacher_names[i]]};
    if (count > 0) {
      const auto region = static_cast<size_t>(e.regions.region[i]);
      of.push_back(&regions[region]), ++region_labels[region][teacher_names[i]];
    }
    for (Moves* m : of) {
      ++m->rows;
      m->handled[0] += before.handled(), m->agree[0] += before.handled() && before.agrees();
      m->handled[1] += now.handled(), m->agree[1] += now.handled() && now.agrees();
      if (!before.handled() && now.handled()) ++m->gained, ++m->gained_why[earlier.causes.cause[i]];
      if (before.handled() && !now.handled()) ++m->lost, ++m->lost_why[e.causes.cause[i]];
    }
  }
  std::vector<std::pair<Json, const Moves*>> label_entries, region_entries;
  std::vector<double> p;
  for (const auto& [name, moves] : labels) {
    label_entries.push_back({{{"label", name}}, &moves});
    p.push_back(mcnemar(moves.gained, moves.lost));
  }
  for (size_t r = 0; r < count; ++r) {
    Json main = Json::array();
    for (const auto& [name, n] : most_frequent(region_labels[r], kListedLabels))
      main.push_back({{"label", name}, {"n", n}});
    region_entries.push_back({{{"region", r}, {"labels", std::move(main)}}, &regions[r]});
    p.push_back(mcnemar(regions[r].gained, regions[r].lost));
  }
  p = holm(p);
  const auto split = p.begin() + static_cast<std::ptrdiff_t>(label_entries.size());
  return with(with({{"folder", earlier.folder},
                    {"policy", earlier.digest},
                    {"alpha", earlier.certificate->alpha},
                    {"certified", earlier.certificate->certified},
                    {"rows_left_out", static_cast<int64_t>(e.rows.size()) - all.rows}},
                   moves_json(all)),
              {{"p", mcnemar(all.gained, all.lost)},
               {"labels_gained", only_first(e.policy->labels, earlier.policy->labels)},
               {"labels_lost", only_first(earlier.policy->labels, e.policy->labels)},
               {"labels", listed(std::move(label_entries), {p.begin(), split})},
               {"regions", listed(std::move(region_entries), {split, p.end()})}});
}

}  // namespace tracer
