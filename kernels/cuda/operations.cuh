// The operations of kernels/backend.h on a Context: from host memory to host memory, streamed where there are many
// rows. Shapes have been checked. After a failure the context can be used again.
#pragma once

#include <memory>
#include <span>

#include "kernels/backend.h"
#include "kernels/cuda/transfer.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

// rows.cu
Status normalise_rows(Context& c, HostMatrix<float> x);
Status gather_rows(Context& c, HostMatrix<const float> x, std::span<const int64_t> index, HostMatrix<float> out);

// layers.cu
template <class T>
Status gemm(Context& c, Trans ta, Trans tb, HostMatrix<const T> a, HostMatrix<const T> b, const Epilogue& epilogue,
            HostMatrix<float> out);
Status gemm_backward(Context& c, Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b,
                     Activation activation, HostMatrix<const float> pre, HostMatrix<float> out);
Status column_sums(Context& c, HostMatrix<const float> x, std::span<float> out);
// The sums of the columns of a dense array, in a fixed order, in float64.
template <class T, class Sum>
Status sum_columns(Context& c, device::Global<const T> x, int64_t rows, int64_t cols, device::Global<Sum> out);

// sparse.cu
Status sparse_product(Context& c, const SparseRows& a, HostMatrix<const float> b, HostMatrix<float> out);

// search.cu
Result<std::unique_ptr<References>> prepare_references(Context& c, HostMatrix<const float> r,
                                                       const ReferenceOptions& options);
Status topk_cosine(Context& c, HostMatrix<const float> q, const References& r, std::span<const int32_t> q_group,
                   TopK out, std::span<NeighbourSummary> summary, TopKReport* report);

// decide.cu
Result<std::unique_ptr<LinearHead>> prepare_head(Context& c, HostMatrix<const float> w, std::span<const float> b);
Status head_probabilities(Context& c, HostMatrix<const float> x, const LinearHead& head, HostMatrix<float> out);
Status decision_features_from(Context& c, HostMatrix<const float> s, const NeighbourVote& vote,
                              std::span<DecisionFeatures> out);

// train.cu
Status wide_softmax(Context& c, const WideSoftmaxProblem& problem, HostMatrix<const float> w, std::span<const float> b,
                    std::span<const uint8_t> active, std::span<double> loss, HostMatrix<float> grad_w,
                    std::span<float> grad_b, HostMatrix<float> held_out_probability);

// group.cu
Status kmeans_assign(Context& c, HostMatrix<const float> x, HostMatrix<const float> centroid, std::span<int32_t> label,
                     std::span<float> distance2);
Status kmeans_update(Context& c, HostMatrix<const float> x, std::span<const int32_t> label, HostMatrix<float> centroid,
                     std::span<int64_t> count);
Status parity_sweep(Context& c, const ParitySweepProblem& problem, HostMatrix<ParityPoint> out);

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
