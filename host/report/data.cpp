#include "host/report/data.h"

#include <algorithm>
#include <functional>
#include <tuple>

#include "host/io/excerpt.h"
#include "host/report/page.h"
#include "tracer_version.h"

namespace tracer {
namespace {

constexpr size_t kFewestEntries = 10;

// Keeps the `most` entries of the greatest weight, in the order in which they stand; those that go are returned.
template <class Weight>
Json keep_greatest(Json& entries, size_t most, Weight weight) {
  Json kept = Json::array(), gone = Json::array();
  if (entries.size() <= most) return gone;
  std::vector<std::pair<decltype(weight(entries[0])), size_t>> order;
  for (size_t i = 0; i < entries.size(); ++i) order.emplace_back(weight(entries[i]), i);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<bool> keep(entries.size(), false);
  for (size_t i = 0; i < most; ++i) keep[order[i].second] = true;
  for (size_t i = 0; i < entries.size(); ++i) (keep[i] ? kept : gone).push_back(std::move(entries[i]));
  entries = std::move(kept);
  return gone;
}

double number_or(const Json& value, double otherwise) { return value.is_number() ? value.get<double>() : otherwise; }

void put_left_out(const Json& gone, const char* table, Json& left_out) {
  if (!gone.empty()) left_out[table] = {{"entries", gone.size()}};
}

Json cap_tables(Json& e, size_t most) {
  Json left_out = Json::object();
  const Json labels = keep_greatest(
      e["labels"], most, [](const Json& l) { return l["n"].get<int64_t>() + l["answered"]["n"].get<int64_t>(); });
  if (!labels.empty()) {
    int64_t rows = 0, deferred = 0;
    for (const Json& l : labels) {
      rows += l["n"].get<int64_t>();
      for (const Json& n : l["deferred"]) deferred += n.get<int64_t>();
    }
    left_out["labels"] = {{"entries", labels.size()}, {"n", rows}, {"deferred", deferred}};
  }
  const auto slice_weight = [](const Json& s) {
    return std::tuple(s["flag_coverage"].get<bool>() || s["flag_agreement"].get<bool>(), s["n"].get<int64_t>());
  };
  put_left_out(keep_greatest(e["slices"], most, slice_weight), "slices", left_out);
  if (Json& curve = e["learning_curve"]; curve.is_object()) {
    const auto weight = [](const Json& l) {
      return std::tuple(number_or(l["gain_low"], -1) > 0, number_or(l["gain"], -1), l["n"].get<int64_t>());
    };
    put_left_out(keep_greatest(curve["labels"], most, weight), "learning_curve", left_out);
  }
  if (Json& since = e["since"]; since.is_object()) {
    const auto first = [](const Json&) { return 0; };  // the most moved come first
    put_left_out(keep_greatest(since["labels"], most, first), "since", left_out);
    for (const char* names : {"labels_gained", "labels_lost"})
      if (const Json gone = keep_greatest(since[names], most, first); !gone.empty())
        since[names].push_back("and " + std::to_string(gone.size()) + " more");
  }
  return left_out;
}

}  // namespace

Json report_data(const Artifact& artifact, const Certificate& certificate, const std::string& folder, Json explanation,
                 Json map, const PageLimits& limits) {
  const Policy& p = artifact.policy;
  const Provenance& from = artifact.provenance;
  Json proof = certificate_json(certificate, p);
  proof.erase("labels"), proof.erase("below_label_floor");
  Json left_out = cap_tables(explanation, limits.entries);
  shorten_strings(map, limits.map_bytes);
  Json data = {{"tool", TRACER_VERSION},
               {"policy",
                {{"folder", folder},
                 {"traces", {{"path", from.traces_path}, {"rows", from.traces_rows}}},
                 {"labels", p.labels.size()},
                 {"alpha_of_fit", p.alpha},
                 {"simultaneous", p.simultaneous}}},
               {"certificate", std::move(proof)},
               {"frontier", artifact.frontier},
               {"warnings", artifact.findings.value("warnings", Json::array())},
               {"explain", std::move(explanation)},
               {"left_out", std::move(left_out)},
               {"map", std::move(map)}};
  shorten_strings(data, limits.text_bytes);
  return data;
}

std::string bounded_page(const Artifact& artifact, const Certificate& certificate, const std::string& folder,
                         const Json& explanation, const Json& map) {
  for (PageLimits limits;; limits.entries /= 2, limits.text_bytes /= 2, limits.map_bytes /= 2) {
    std::string page = report_page(report_data(artifact, certificate, folder, explanation, map, limits));
    if (page.size() < kMostPageBytes || limits.entries <= kFewestEntries) return page;
  }
}

}  // namespace tracer
