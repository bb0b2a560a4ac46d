// Moving rows by index.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// The contract of Backend::gather_rows.
Status gather_rows(const Context& context, HostMatrix<const float> x, std::span<const int64_t> index,
                   HostMatrix<float> out);

}  // namespace tracer::cpu
