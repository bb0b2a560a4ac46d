#include <algorithm>

#include "kernels/cuda/check.h"
#include "kernels/cuda/decision_features.cuh"
#include "kernels/cuda/normalise_rows.cuh"
#include "kernels/cuda/row_kernels.h"

namespace tracer::cuda {

namespace {

constexpr int kDecisionThreads = 128;
constexpr int64_t kMaxBlocks = INT32_MAX;  // of a grid in x

}  // namespace

Status decision_features(DeviceMatrix<const float> logits, RowDecision* out, const Stream& stream) {
  if (logits.cols < 1) return internal_error("decision_features: rows without logits");
  if (logits.rows == 0) return {};
  constexpr int64_t kRowsPerBlock = kDecisionThreads / device::kWarp;
  const int64_t blocks = (logits.rows + kRowsPerBlock - 1) / kRowsPerBlock;
  if (blocks > kMaxBlocks) return internal_error("decision_features: too many rows for one launch");
  decision_features_kernel<<<static_cast<unsigned>(blocks), kDecisionThreads, 0, stream.get()>>>(
      logits.data, logits.rows, logits.cols, logits.stride, out);
  return check_launch("decision_features_kernel");
}

Status normalise_rows(DeviceMatrix<float> x, const Stream& stream) {
  if (x.rows == 0 || x.cols == 0) return {};
  const int64_t blocks = std::min(x.rows, kMaxBlocks);
  normalise_rows_kernel<<<static_cast<unsigned>(blocks), kNormaliseThreads, 0, stream.get()>>>(x.data, x.rows, x.cols,
                                                                                               x.stride);
  return check_launch("normalise_rows_kernel");
}

}  // namespace tracer::cuda
