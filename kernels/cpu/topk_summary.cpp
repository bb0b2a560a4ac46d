#include "kernels/cpu/topk_summary.h"

#include <algorithm>

namespace tracer::cpu {

NeighbourSummary summarise(std::span<const int32_t> index, std::span<const float> similarity,
                           std::span<const int32_t> label) {
  const size_t found = static_cast<size_t>(std::find(index.begin(), index.end(), -1) - index.begin());
  NeighbourSummary s;
  if (found == 0) return s;
  s.nearest = similarity[0];
  const size_t near = std::min(found, static_cast<size_t>(kNeighbourhood));
  double distance = 0;
  for (size_t j = 0; j < near; ++j) distance += 1.0 - static_cast<double>(similarity[j]);
  s.mean_distance_10 = static_cast<float>(distance / static_cast<double>(near));
  if (label.empty()) return s;
  // At most 64 neighbours: counting by comparison needs no table of all labels.
  size_t most = 0;
  for (size_t j = 0; j < found; ++j) {
    const int32_t l = label[static_cast<size_t>(index[j])];
    size_t votes = 0;
    for (size_t i = 0; i < found; ++i) votes += label[static_cast<size_t>(index[i])] == l;
    if (votes > most || (votes == most && l < s.vote)) {
      most = votes;
      s.vote = l;
    }
  }
  s.vote_share = static_cast<float>(most) / static_cast<float>(found);
  return s;
}

}  // namespace tracer::cpu
