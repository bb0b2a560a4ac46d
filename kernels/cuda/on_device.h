// The row kernels from host memory to host memory: copies there, runs, copies back and waits. For the self-test and the
// tests; a batch that stays on the device uses row_kernels.h. Without the toolkit each is an ErrorCode::kDevice.
#pragma once

#include <span>

#include "kernels/cuda/row_decision.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer::cuda {

// out has logits.rows entries.
Status decision_features_on_device(HostMatrix<const float> logits, std::span<RowDecision> out);
Status normalise_rows_on_device(HostMatrix<float> x);

}  // namespace tracer::cuda
