// Launchers of the kernels that treat rows one by one. They are asynchronous on the stream, never synchronise, and
// report a launch that failed; what goes wrong later shows when the stream is synchronised.
#pragma once

#include "kernels/cuda/resources.h"
#include "kernels/cuda/row_decision.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer::cuda {

// out: device memory for logits.rows decisions. Requires at least one column; see decision_features.cuh.
Status decision_features(DeviceMatrix<const float> logits, RowDecision* out, const Stream& stream);

// See normalise_rows.cuh.
Status normalise_rows(DeviceMatrix<float> x, const Stream& stream);

}  // namespace tracer::cuda
