// The CPU's copy of the references of a search.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

class CpuReferences final : public References {
 public:
  CpuReferences(Matrix<float> values, const ReferenceOptions& options)
      : values_(std::move(values)),
        group_(options.group.begin(), options.group.end()),
        label_(options.label.begin(), options.label.end()) {}

  int64_t rows() const override { return values_.rows(); }
  int64_t cols() const override { return values_.cols(); }
  HostMatrix<const float> values() const { return values_.view(); }
  std::span<const int32_t> group() const { return group_; }
  std::span<const int32_t> label() const { return label_; }

 private:
  Matrix<float> values_;
  std::vector<int32_t> group_;
  std::vector<int32_t> label_;
};

// The contracts of Backend::prepare_references.
Result<std::unique_ptr<References>> prepare_references(const Context& context, HostMatrix<const float> r,
                                                       const ReferenceOptions& options);
Result<std::unique_ptr<References>> prepare_references(const Context& context, HostMatrix<const BFloat16> r,
                                                       const ReferenceOptions& options);

}  // namespace tracer::cpu
