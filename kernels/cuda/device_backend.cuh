// The whole of kernels/backend.h on a Context.
#pragma once

#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "kernels/backend.h"
#include "kernels/cuda/checks.h"
#include "kernels/cuda/operations.cuh"
#include "kernels/wide_softmax_check.h"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

// host: runs parallel_for. The host's memory is the only thing that can throw.
class DeviceBackend final : public Backend {
 public:
  DeviceBackend(std::string name, std::string isa, std::unique_ptr<Context> context, std::unique_ptr<Backend> host)
      : name_(std::move(name)), isa_(std::move(isa)), host_(std::move(host)), context_(std::move(context)) {}

  std::string_view name() const override { return name_; }
  std::string_view isa() const override { return isa_; }
  int threads() const override { return host_->threads(); }

  Status normalise_rows(HostMatrix<float> x) override {
    return guarded([&] { return cuda::normalise_rows(*context_, x); });
  }
  Status gather_rows(HostMatrix<const float> x, std::span<const int64_t> index, HostMatrix<float> out) override {
    TRACER_RETURN_IF_ERROR(check_gather(x.rows, x.cols, index, out.rows, out.cols));
    return guarded([&] { return cuda::gather_rows(*context_, x, index, out); });
  }

  Result<std::unique_ptr<References>> prepare_references(HostMatrix<const float> r,
                                                         const ReferenceOptions& options) override {
    TRACER_RETURN_IF_ERROR(check_references(r.rows, options));
    return guarded([&] { return cuda::prepare_references(*context_, r, options); });
  }

  Status topk_cosine(HostMatrix<const float> q, const References& r, std::span<const int32_t> q_group, TopK out,
                     std::span<NeighbourSummary> summary, TopKReport* report) override {
    TRACER_RETURN_IF_ERROR(check_search(q.rows, q.cols, r, q_group, out, summary));
    return guarded([&] { return cuda::topk_cosine(*context_, q, r, q_group, out, summary, report); });
  }
  Status topk_cosine(HostMatrix<const float> q, HostMatrix<const float> r, std::span<const int32_t> q_group,
                     std::span<const int32_t> r_group, TopK out) override {
    if (!q_group.empty() && !r_group.empty() && static_cast<int64_t>(r_group.size()) != r.rows) {
      return internal_error("topk_cosine: one group for each row");
    }
    const bool grouped = !q_group.empty() && !r_group.empty();
    const Result<std::unique_ptr<References>> references =
        prepare_references(r, {grouped ? r_group : std::span<const int32_t>(), {}});
    if (!references.ok()) return references.status();
    return topk_cosine(q, **references, grouped ? q_group : std::span<const int32_t>(), out, {}, nullptr);
  }

  Status gemm(Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b, const Epilogue& epilogue,
              HostMatrix<float> c) override {
    return multiply(ta, tb, a, b, epilogue, c);
  }
  Status gemm(Trans ta, Trans tb, HostMatrix<const BFloat16> a, HostMatrix<const BFloat16> b, const Epilogue& epilogue,
              HostMatrix<float> c) override {
    return multiply(ta, tb, a, b, epilogue, c);
  }
  Status gemm_backward(Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b, Activation activation,
                       HostMatrix<const float> pre, HostMatrix<float> c) override {
    TRACER_RETURN_IF_ERROR(check_product(ta, tb, a.rows, a.cols, b.rows, b.cols, c));
    if (activation != Activation::kNone && (pre.rows != c.rows || pre.cols != c.cols)) {
      return internal_error("gemm_backward: pre must have the shape of c");
    }
    return guarded([&] { return cuda::gemm_backward(*context_, ta, tb, a, b, activation, pre, c); });
  }
  Status column_sums(HostMatrix<const float> x, std::span<float> out) override {
    if (static_cast<int64_t>(out.size()) != x.cols) return internal_error("column_sums: out must have x.cols values");
    return guarded([&] { return cuda::column_sums(*context_, x, out); });
  }

  Status sparse_product(const SparseRows& a, HostMatrix<const float> b, HostMatrix<float> out) override {
    TRACER_RETURN_IF_ERROR(check_sparse(a, b.cols, out));
    return guarded([&] { return cuda::sparse_product(*context_, a, b, out); });
  }

  Status wide_softmax(const WideSoftmaxProblem& problem, HostMatrix<const float> w, std::span<const float> b,
                      std::span<const uint8_t> active, std::span<double> loss, HostMatrix<float> grad_w,
                      std::span<float> grad_b, HostMatrix<float> held_out_probability) override {
    TRACER_RETURN_IF_ERROR(check_wide(problem, w, b, active, loss, grad_w, grad_b, held_out_probability));
    return guarded([&] {
      return cuda::wide_softmax(*context_, problem, w, b, active, loss, grad_w, grad_b, held_out_probability);
    });
  }

  Result<std::unique_ptr<LinearHead>> prepare_head(HostMatrix<const float> w, std::span<const float> b) override {
    TRACER_RETURN_IF_ERROR(check_head(w, b));
    return guarded([&] { return cuda::prepare_head(*context_, w, b); });
  }
  Status head_probabilities(HostMatrix<const float> x, const LinearHead& head, HostMatrix<float> out) override {
    TRACER_RETURN_IF_ERROR(check_probabilities(x, head, out));
    return guarded([&] { return cuda::head_probabilities(*context_, x, head, out); });
  }
  Status decision_features_from(HostMatrix<const float> s, const NeighbourVote& vote,
                                std::span<DecisionFeatures> out) override {
    if (s.cols < 1) return internal_error("decision_features_from: C >= 1");
    if (static_cast<int64_t>(out.size()) != s.rows) {
      return internal_error("decision_features_from: out must have n entries");
    }
    TRACER_RETURN_IF_ERROR(check_vote(vote, s.rows, s.cols));
    return guarded([&] { return cuda::decision_features_from(*context_, s, vote, out); });
  }

  Status parity_sweep(const ParitySweepProblem& problem, HostMatrix<ParityPoint> out) override {
    if (problem.segment_begin.empty()) return internal_error("parity_sweep: segment_begin has S + 1 entries");
    TRACER_RETURN_IF_ERROR(check_parity(problem, out));
    return guarded([&] { return cuda::parity_sweep(*context_, problem, out); });
  }

  Status kmeans_assign(HostMatrix<const float> x, HostMatrix<const float> centroid, std::span<int32_t> label,
                       std::span<float> distance2) override {
    TRACER_RETURN_IF_ERROR(check_assign(x, centroid, label, distance2));
    return guarded([&] { return cuda::kmeans_assign(*context_, x, centroid, label, distance2); });
  }
  Status kmeans_update(HostMatrix<const float> x, std::span<const int32_t> label, HostMatrix<float> centroid,
                       std::span<int64_t> count) override {
    TRACER_RETURN_IF_ERROR(check_update(x, label, centroid, count));
    return guarded([&] { return cuda::kmeans_update(*context_, x, label, centroid, count); });
  }

  void parallel_for(int64_t count, void (*body)(void* context, int64_t i), void* context) override {
    host_->parallel_for(count, body, context);
  }

 private:
  template <class F>
  static auto guarded(F&& f) -> decltype(f()) {
    try {
      return f();
    } catch (const std::bad_alloc&) {
      return internal_error("out of memory for the host's working buffers of a kernel");
    }
  }
  template <class T>
  Status multiply(Trans ta, Trans tb, HostMatrix<const T> a, HostMatrix<const T> b, const Epilogue& epilogue,
                  HostMatrix<float> c) {
    TRACER_RETURN_IF_ERROR(check_product(ta, tb, a.rows, a.cols, b.rows, b.cols, c));
    TRACER_RETURN_IF_ERROR(check_epilogue(epilogue, c));
    return guarded([&] { return cuda::gemm(*context_, ta, tb, a, b, epilogue, c); });
  }
  const std::string name_, isa_;
  const std::unique_ptr<Backend> host_;
  const std::unique_ptr<Context> context_;
};

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
