// A backend that cannot allocate.
#pragma once

#include <memory>
#include <new>
#include <span>
#include <string_view>

#include "kernels/backend.h"

namespace tracer::testing {

// A backend on a machine whose memory is used up.
class Exhausted : public Backend {
 public:
  std::string_view name() const override { return "exhausted"; }
  std::string_view isa() const override { return "none"; }
  int threads() const override { return 1; }
  Status normalise_rows(HostMatrix<float>) override { throw std::bad_alloc(); }
  Status gather_rows(HostMatrix<const float>, std::span<const int64_t>, HostMatrix<float>) override {
    throw std::bad_alloc();
  }
  Result<std::unique_ptr<References>> prepare_references(HostMatrix<const float>, const ReferenceOptions&) override {
    throw std::bad_alloc();
  }
  Status topk_cosine(HostMatrix<const float>, const References&, std::span<const int32_t>, TopK,
                     std::span<NeighbourSummary>, TopKReport*) override {
    throw std::bad_alloc();
  }
  Status sparse_product(const SparseRows&, HostMatrix<const float>, HostMatrix<float>) override {
    throw std::bad_alloc();
  }
  Status gemm(Trans, Trans, HostMatrix<const float>, HostMatrix<const float>, const Epilogue&,
              HostMatrix<float>) override {
    throw std::bad_alloc();
  }
  Status gemm(Trans, Trans, HostMatrix<const BFloat16>, HostMatrix<const BFloat16>, const Epilogue&,
              HostMatrix<float>) override {
    throw std::bad_alloc();
  }
  Status gemm_backward(Trans, Trans, HostMatrix<const float>, HostMatrix<const float>, Activation,
                       HostMatrix<const float>, HostMatrix<float>) override {
    throw std::bad_alloc();
  }
  Status column_sums(HostMatrix<const float>, std::span<float>) override { throw std::bad_alloc(); }
  Status topk_cosine(HostMatrix<const float>, HostMatrix<const float>, std::span<const int32_t>,
                     std::span<const int32_t>, TopK) override {
    throw std::bad_alloc();
  }
  Status wide_softmax(const WideSoftmaxProblem&, HostMatrix<const float>, std::span<const float>,
                      std::span<const uint8_t>, std::span<double>, HostMatrix<float>, std::span<float>,
                      HostMatrix<float>) override {
    throw std::bad_alloc();
  }
  Result<std::unique_ptr<LinearHead>> prepare_head(HostMatrix<const float>, std::span<const float>) override {
    throw std::bad_alloc();
  }
  Status head_probabilities(HostMatrix<const float>, const LinearHead&, HostMatrix<float>) override {
    throw std::bad_alloc();
  }
  Status decision_features_from(HostMatrix<const float>, const NeighbourVote&, std::span<DecisionFeatures>) override {
    throw std::bad_alloc();
  }
  Status parity_sweep(const ParitySweepProblem&, HostMatrix<ParityPoint>) override { throw std::bad_alloc(); }
  Status kmeans_assign(HostMatrix<const float>, HostMatrix<const float>, std::span<int32_t>,
                       std::span<float>) override {
    throw std::bad_alloc();
  }
  Status kmeans_update(HostMatrix<const float>, std::span<const int32_t>, HostMatrix<float>,
                       std::span<int64_t>) override {
    throw std::bad_alloc();
  }
  void parallel_for(int64_t, void (*)(void*, int64_t), void*) override { throw std::bad_alloc(); }
};

}  // namespace tracer::testing
