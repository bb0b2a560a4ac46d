// What the page of a report is drawn from: the explanation, the certificate beside it, and the map.
#pragma once

#include "host/artifact/artifact.h"

namespace tracer {

inline constexpr size_t kMostPageBytes = 2'000'000;

// What a page keeps of tables and texts.
struct PageLimits {
  size_t entries = 400;     // of a table
  size_t text_bytes = 400;  // of one text outside the map, as it is written
  size_t map_bytes = 160;   // of one text, id or label of the map
};

// explanation: the document of `tracer explain`, whose figures the page shows; map: report_map(). folder: what the
// policy is called. {"tool", "policy", "certificate", "frontier", "warnings", "explain", "left_out", "map"}. Long texts
// are cut. Of labels those with the most rows stay, of the learning curve's those that gain most, of slices those that
// are flagged and then the largest, of the labels moved since an earlier policy those that moved most; left_out counts
// the others ({"labels": {"entries", "n", "deferred"}, "learning_curve" and so on; absent where all are there).
Json report_data(const Artifact& artifact, const Certificate& certificate, const std::string& folder, Json explanation,
                 Json map, const PageLimits& limits = {});

// The page of that data, with limits halved until it has fewer than kMostPageBytes (or keeps 10 entries a table). "" if
// the crypto library failed.
std::string bounded_page(const Artifact& artifact, const Certificate& certificate, const std::string& folder,
                         const Json& explanation, const Json& map);

}  // namespace tracer
