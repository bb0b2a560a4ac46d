// Whether the shapes of a call fit, before anything is given to the device; each a bug of the caller.
#pragma once

#include "kernels/backend.h"
#include "kernels/status.h"

namespace tracer::cuda {

Status check_product(Trans ta, Trans tb, int64_t a_rows, int64_t a_cols, int64_t b_rows, int64_t b_cols,
                     HostMatrix<float> c);
Status check_epilogue(const Epilogue& epilogue, HostMatrix<float> c);
Status check_sparse(const SparseRows& a, int64_t cols, HostMatrix<float> out);
Status check_gather(int64_t rows, int64_t cols, std::span<const int64_t> index, int64_t out_rows, int64_t out_cols);
Status check_references(int64_t rows, const ReferenceOptions& options);
Status check_search(int64_t rows, int64_t cols, const References& r, std::span<const int32_t> q_group, const TopK& out,
                    std::span<NeighbourSummary> summary);
Status check_head(HostMatrix<const float> w, std::span<const float> b);
Status check_vote(const NeighbourVote& vote, int64_t rows, int64_t classes);
Status check_probabilities(HostMatrix<const float> x, const LinearHead& head, HostMatrix<float> out);
Status check_parity(const ParitySweepProblem& p, HostMatrix<ParityPoint> out);
Status check_assign(HostMatrix<const float> x, HostMatrix<const float> centroid, std::span<int32_t> label,
                    std::span<float> distance2);
Status check_update(HostMatrix<const float> x, std::span<const int32_t> label, HostMatrix<float> centroid,
                    std::span<int64_t> count);

}  // namespace tracer::cuda
