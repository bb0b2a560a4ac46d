// Rounding as the device does it, for mutant_test.cpp; mutant_kernels.cpp, which is mutated, has it.
#pragma once

#include "kernels/bfloat16.h"

namespace tracer::simt {

BFloat16 device_rounding(float x);

}  // namespace tracer::simt
