// What follows the product of a layer: bias, activation, and their gradients.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// What happens to a finished block of a product's output.
struct OutputStage {
  std::span<const float> bias;
  Activation activation = Activation::kNone;
  HostMatrix<float> pre;             // forward: receives the values before the activation
  HostMatrix<const float> backward;  // data not null: multiply by activation'(backward) instead

  OutputStage columns(int64_t first, int64_t count) const;
};

// Applies the stage to the block of c whose upper left corner is (r0, c0).
void finish_block(const IsaKernels& isa, const OutputStage& stage, int64_t r0, int64_t c0, int64_t rows, int64_t cols,
                  HostMatrix<float> c);

// The contract of Backend::column_sums.
Status column_sums(const Context& context, HostMatrix<const float> x, std::span<float> out);

}  // namespace tracer::cpu
