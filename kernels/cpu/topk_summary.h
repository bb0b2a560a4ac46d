// What a query's neighbours say together.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"

namespace tracer::cpu {

// index, similarity: the neighbours of one query, best first, -1 where there is none. label: of all references, or
// empty.
NeighbourSummary summarise(std::span<const int32_t> index, std::span<const float> similarity,
                           std::span<const int32_t> label);

}  // namespace tracer::cpu
