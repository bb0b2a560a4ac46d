#include "kernels/cpu/references.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tracer::cpu {
namespace {

constexpr int64_t kRowBlock = 256;

Status check(int64_t rows, const ReferenceOptions& options) {
  const auto fits = [&](std::span<const int32_t> values) {
    return values.empty() || static_cast<int64_t>(values.size()) == rows;
  };
  if (rows > std::numeric_limits<int32_t>::max()) return internal_error("prepare_references: too many references");
  if (!fits(options.group)) return internal_error("prepare_references: one group for each reference");
  if (!fits(options.label)) return internal_error("prepare_references: one label for each reference");
  if (std::any_of(options.label.begin(), options.label.end(), [](int32_t l) { return l < 0; })) {
    return internal_error("prepare_references: a label is negative");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<References>> prepare_references(const Context& context, HostMatrix<const float> r,
                                                       const ReferenceOptions& options) {
  TRACER_RETURN_IF_ERROR(check(r.rows, options));
  LargeArray<float> values(r.rows * r.cols);
  const HostMatrix<float> view(values.data(), r.rows, r.cols);
  run(*context.pool, ceil_div(r.rows, kRowBlock), [&](int64_t block, int) {
    for (int64_t i = block * kRowBlock; i < std::min(r.rows, (block + 1) * kRowBlock); ++i) {
      std::copy_n(r.row(i), r.cols, view.row(i));
    }
  });
  std::unique_ptr<Screen> screen = options.queries >= kWorthPreparing ? make_screen(context, view) : nullptr;
  return std::unique_ptr<References>(
      std::make_unique<CpuReferences>(r.rows, r.cols, std::move(values), std::move(screen), options));
}

}  // namespace tracer::cpu
