// Loss and gradient of many softmax regressions that share their rows.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// Bounds the gradient of the logits, the largest buffer, at 256 MB: beyond it the models are computed in groups.
inline constexpr int64_t kMaxGradientFloats = int64_t{64} << 20;

// The contract of Backend::wide_softmax. Rows sorted by fold are a seventh faster with five folds: what a model
// holds out is skipped in whole blocks. A group always holds at least one model, whatever the bound. Grouping does not
// change a byte of the result.
Status wide_softmax(const Context& context, const WideSoftmaxProblem& problem, HostMatrix<const float> w,
                    std::span<const float> b, std::span<const uint8_t> active, std::span<double> loss,
                    HostMatrix<float> grad_w, std::span<float> grad_b, HostMatrix<float> held_out_probability,
                    int64_t max_gradient_floats = kMaxGradientFloats);

}  // namespace tracer::cpu
