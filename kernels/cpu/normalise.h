// Rows to unit Euclidean length.
#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// The contract of Backend::normalise_rows. The same bytes on every instruction set.
Status normalise_rows(const Context& context, HostMatrix<float> x);

}  // namespace tracer::cpu
