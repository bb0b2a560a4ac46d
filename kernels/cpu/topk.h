// Nearest neighbours by cosine, exact.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/references.h"

namespace tracer::cpu {

// The contracts of Backend::topk_cosine.
Status topk_cosine(const Context& context, HostMatrix<const float> q, const CpuReferences& r,
                   std::span<const int32_t> q_group, TopK out, std::span<NeighbourSummary> summary, TopKReport* report);
Status topk_cosine(const Context& context, HostMatrix<const float> q, HostMatrix<const float> r,
                   std::span<const int32_t> q_group, std::span<const int32_t> r_group, TopK out);

}  // namespace tracer::cpu
