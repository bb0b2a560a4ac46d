// The parity sweep on the CPU.
#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// The contract of Backend::parity_sweep.
Status parity_sweep(const Context& context, const ParitySweepProblem& problem, HostMatrix<ParityPoint> out);

}  // namespace tracer::cpu
