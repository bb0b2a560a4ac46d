// The CPU's copy of the references of a search.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/screen.h"

namespace tracer::cpu {

class CpuReferences final : public References {
 public:
  // values: rows x cols.
  CpuReferences(int64_t rows, int64_t cols, LargeArray<float> values, std::unique_ptr<Screen> screen,
                const ReferenceOptions& options)
      : rows_(rows),
        cols_(cols),
        values_(std::move(values)),
        screen_(std::move(screen)),
        group_(options.group.begin(), options.group.end()),
        label_(options.label.begin(), options.label.end()) {}

  int64_t rows() const override { return rows_; }
  int64_t cols() const override { return cols_; }
  HostMatrix<const float> values() const { return {values_.data(), rows_, cols_}; }
  const Screen* screen() const { return screen_.get(); }  // null: the float32 search
  std::span<const int32_t> group() const { return group_; }
  std::span<const int32_t> label() const { return label_; }

 private:
  int64_t rows_;
  int64_t cols_;
  LargeArray<float> values_;
  std::unique_ptr<Screen> screen_;
  std::vector<int32_t> group_;
  std::vector<int32_t> label_;
};

// The contract of Backend::prepare_references.
Result<std::unique_ptr<References>> prepare_references(const Context& context, HostMatrix<const float> r,
                                                       const ReferenceOptions& options);

}  // namespace tracer::cpu
