// Nearest neighbours by cosine, exact.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// The contract of Backend::topk_cosine.
Status topk_cosine(const Context& context, HostMatrix<const float> q, HostMatrix<const float> r,
                   std::span<const int32_t> q_group, std::span<const int32_t> r_group, TopK out);

}  // namespace tracer::cpu
