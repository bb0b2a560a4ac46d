// A softmax regression on the CPU: its packed copy, and the probabilities of rows.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// The contract of Backend::prepare_head.
Result<std::unique_ptr<LinearHead>> prepare_head(const Context& context, HostMatrix<const float> w,
                                                 std::span<const float> b);

// The contract of Backend::head_probabilities.
Status head_probabilities(const Context& context, HostMatrix<const float> x, const LinearHead& head,
                          HostMatrix<float> out);

}  // namespace tracer::cpu
