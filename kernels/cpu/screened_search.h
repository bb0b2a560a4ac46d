// Neighbour search behind a screen: 8-bit integers settle most references, float32 decides about the others.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/screen.h"

namespace tracer::cpu {

// out: every index -1, every similarity -2. Fills it for the queries that screening settles and names the others
// (ascending), whose rows stay so. r: the rows that the screen was made from. Groups count where both spans are not
// empty. k >= 1.
std::vector<int64_t> screened_search(const Context& context, HostMatrix<const float> q, HostMatrix<const float> r,
                                     const Screen& screen, std::span<const int32_t> q_group,
                                     std::span<const int32_t> r_group, TopK out);

}  // namespace tracer::cpu
