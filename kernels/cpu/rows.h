// Moving rows: between float32 and bfloat16, and by index.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// The contracts of Backend::cast and Backend::gather_rows.
Status cast(const Context& context, HostMatrix<const float> x, HostMatrix<BFloat16> out);
Status cast(const Context& context, HostMatrix<const BFloat16> x, HostMatrix<float> out);
Status gather_rows(const Context& context, HostMatrix<const float> x, std::span<const int64_t> index,
                   HostMatrix<float> out);
Status gather_rows(const Context& context, HostMatrix<const BFloat16> x, std::span<const int64_t> index,
                   HostMatrix<BFloat16> out);

}  // namespace tracer::cpu
