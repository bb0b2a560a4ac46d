// k-means, one iteration in two steps.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// |x - y|^2, in float64.
double squared_distance(const float* x, const float* y, int64_t d);

// The contract of Backend::kmeans_assign.
Status kmeans_assign(const Context& context, HostMatrix<const float> x, HostMatrix<const float> centroid,
                     std::span<int32_t> label, std::span<float> distance2);

// The contract of Backend::kmeans_update.
Status kmeans_update(const Context& context, HostMatrix<const float> x, std::span<const int32_t> label,
                     HostMatrix<float> centroid, std::span<int64_t> count);

}  // namespace tracer::cpu
