#include "kernels/cpu/cpu_backend.h"

#include <algorithm>
#include <new>
#include <string>

#include "kernels/cpu/context.h"
#include "kernels/cpu/decide.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/isa_select.h"
#include "kernels/cpu/kmeans.h"
#include "kernels/cpu/layers.h"
#include "kernels/cpu/linear_head.h"
#include "kernels/cpu/normalise.h"
#include "kernels/cpu/parity.h"
#include "kernels/cpu/references.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/sparse.h"
#include "kernels/cpu/topk.h"
#include "kernels/cpu/wide_softmax.h"

namespace tracer::cpu {
namespace {

constexpr int kMaxThreads = 1024;

// Working memory is the only thing that can throw.
template <class F>
auto guarded(F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    return internal_error("out of memory for the working buffers of a kernel");
  }
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(const IsaKernels* isa, int threads) : pool_(threads), context_{isa, &pool_, &scratch_} {}

  std::string_view name() const override { return "cpu"; }
  std::string_view isa() const override { return context_.isa->name; }
  int threads() const override { return pool_.threads(); }

  Status normalise_rows(HostMatrix<float> x) override { return cpu::normalise_rows(context_, x); }

  Status gather_rows(HostMatrix<const float> x, std::span<const int64_t> index, HostMatrix<float> out) override {
    return cpu::gather_rows(context_, x, index, out);
  }

  Result<std::unique_ptr<References>> prepare_references(HostMatrix<const float> r,
                                                         const ReferenceOptions& options) override {
    return guarded([&] { return cpu::prepare_references(context_, r, options); });
  }

  Status topk_cosine(HostMatrix<const float> q, const References& r, std::span<const int32_t> q_group, TopK out,
                     std::span<NeighbourSummary> summary, TopKReport* report) override {
    const auto* mine = dynamic_cast<const CpuReferences*>(&r);
    if (mine == nullptr) return internal_error("topk_cosine: the references were prepared by another backend");
    return guarded([&] { return cpu::topk_cosine(context_, q, *mine, q_group, out, summary, report); });
  }

  Status topk_cosine(HostMatrix<const float> q, HostMatrix<const float> r, std::span<const int32_t> q_group,
                     std::span<const int32_t> r_group, TopK out) override {
    return guarded([&] { return cpu::topk_cosine(context_, q, r, q_group, r_group, out); });
  }

  Status gemm(Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b, const Epilogue& epilogue,
              HostMatrix<float> c) override {
    return guarded([&] { return cpu::gemm(context_, ta, tb, a, b, epilogue, c); });
  }

  Status gemm(Trans ta, Trans tb, HostMatrix<const BFloat16> a, HostMatrix<const BFloat16> b, const Epilogue& epilogue,
              HostMatrix<float> c) override {
    return guarded([&] { return cpu::gemm(context_, ta, tb, a, b, epilogue, c); });
  }

  Status gemm_backward(Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b, Activation activation,
                       HostMatrix<const float> pre, HostMatrix<float> c) override {
    return guarded([&] { return cpu::gemm_backward(context_, ta, tb, a, b, activation, pre, c); });
  }

  Status column_sums(HostMatrix<const float> x, std::span<float> out) override {
    return cpu::column_sums(context_, x, out);
  }

  Status sparse_product(const SparseRows& a, HostMatrix<const float> b, HostMatrix<float> out) override {
    return cpu::sparse_product(context_, a, b, out);
  }

  Status wide_softmax(const WideSoftmaxProblem& problem, HostMatrix<const float> w, std::span<const float> b,
                      std::span<const uint8_t> active, std::span<double> loss, HostMatrix<float> grad_w,
                      std::span<float> grad_b, HostMatrix<float> held_out_probability) override {
    return guarded(
        [&] { return cpu::wide_softmax(context_, problem, w, b, active, loss, grad_w, grad_b, held_out_probability); });
  }

  Result<std::unique_ptr<LinearHead>> prepare_head(HostMatrix<const float> w, std::span<const float> b) override {
    return guarded([&] { return cpu::prepare_head(context_, w, b); });
  }

  Status head_probabilities(HostMatrix<const float> x, const LinearHead& head, HostMatrix<float> out) override {
    return guarded([&] { return cpu::head_probabilities(context_, x, head, out); });
  }

  Status decision_features_from(HostMatrix<const float> s, const NeighbourVote& vote,
                                std::span<DecisionFeatures> out) override {
    return guarded([&] { return cpu::decision_features_from(context_, s, vote, out); });
  }

  Status parity_sweep(const ParitySweepProblem& problem, HostMatrix<ParityPoint> out) override {
    return guarded([&] { return cpu::parity_sweep(context_, problem, out); });
  }

  Status kmeans_assign(HostMatrix<const float> x, HostMatrix<const float> centroid, std::span<int32_t> label,
                       std::span<float> distance2) override {
    return guarded([&] { return cpu::kmeans_assign(context_, x, centroid, label, distance2); });
  }

  Status kmeans_update(HostMatrix<const float> x, std::span<const int32_t> label, HostMatrix<float> centroid,
                       std::span<int64_t> count) override {
    return guarded([&] { return cpu::kmeans_update(context_, x, label, centroid, count); });
  }

  void parallel_for(int64_t count, void (*body)(void* context, int64_t i), void* context) override {
    run(pool_, count, [&](int64_t i, int) { body(context, i); });
  }

 private:
  ThreadPool pool_;
  ScratchPool scratch_;
  Context context_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu_backend(int threads, std::string_view isa) {
  Result<const IsaKernels*> kernels = select_isa(isa);
  if (!kernels.ok()) return kernels.status();
  const int count = threads > 0 ? std::min(threads, kMaxThreads) : available_processors();
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(kernels.value(), count));
}

}  // namespace tracer::cpu
