// The CPU's copy of the members of an ensemble.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

class CpuLinearHead final : public LinearHead {
 public:
  // The contract of Backend::prepare_head.
  Status prepare(const Context& context, std::span<const LinearMember> members, Storage storage);

  int64_t dimension() const override { return d_; }
  int64_t classes() const override { return classes_; }
  int64_t members() const override { return static_cast<int64_t>(weight_.size()); }
  Storage storage() const override { return storage_; }

  // Panels as HeadKernels wants them: of float32, or, where pairs() is not null, of pairs of bfloat16.
  const float* panels(int64_t m) const { return panels_.row(m); }
  const float* bias(int64_t m) const { return bias_.row(m); }  // -inf for removed classes
  float weight(int64_t m) const { return weight_[static_cast<size_t>(m)]; }
  const HeadKernels& kernels() const { return *kernels_; }
  // Inner indices of the product, in units of the panels (pairs count once).
  int64_t inner() const { return inner_; }
  bool pairs() const { return pairs_; }

 private:
  int64_t d_ = 0;
  int64_t classes_ = 0;
  int64_t inner_ = 0;
  Storage storage_ = Storage::kFloat32;
  bool pairs_ = false;
  const HeadKernels* kernels_ = nullptr;
  Matrix<float> panels_;  // M x size
  Matrix<float> bias_;    // M x C
  std::vector<float> weight_;
};

}  // namespace tracer::cpu
