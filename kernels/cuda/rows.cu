#include <algorithm>

#include "kernels/cuda/operations.cuh"
#include "kernels/cuda/row_kernels.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

Status normalise_rows(Context& c, HostMatrix<float> x) {
  if (x.rows == 0 || x.cols == 0) return {};
  const int64_t each = std::min(c.tuning.rows, x.rows);
  Lane<float> rows;
  TRACER_RETURN_IF_ERROR(rows.create(c, each, x.cols));
  return stream_rows(
      c, x.rows, each, [&](int slot, int64_t first, int64_t count) { return rows.fill(c, slot, x, first, count); },
      [&](int slot, int64_t, int64_t count) {
        return device::launch("normalise_rows_kernel", normalise_rows_kernel,
                              {blocks_of(count, kNormaliseRows), kNormaliseThreads}, c.compute, rows.device(slot),
                              count, x.cols);
      },
      [&](int slot, int64_t, int64_t count) { return rows.fetch(c, slot, count); },
      [&](int slot, int64_t first, int64_t count) {
        rows.drain(c, slot, x, first, count);
        return Status();
      });
}

Status gather_rows(Context& c, HostMatrix<const float> x, std::span<const int64_t> index, HostMatrix<float> out) {
  if (out.rows == 0 || out.cols == 0) return {};
  Result<device::Array<float>> rows = upload<float>(c, x);
  if (!rows.ok()) return rows.status();
  const HostMatrix<const int64_t> indices(index.data(), out.rows, 1);
  const int64_t each = std::min(c.tuning.rows, out.rows);
  Lane<int64_t> from;
  Lane<float> to;
  TRACER_RETURN_IF_ERROR(from.create(c, each, 1));
  TRACER_RETURN_IF_ERROR(to.create(c, each, x.cols));
  return stream_rows(
      c, out.rows, each,
      [&](int slot, int64_t first, int64_t count) { return from.fill(c, slot, indices, first, count); },
      [&](int slot, int64_t, int64_t count) {
        return device::launch("gather_rows_kernel", gather_rows_kernel,
                              {blocks_of(count, kElementThreads / device::kWarp), kElementThreads}, c.compute,
                              rows->global(), x.cols, from.device(slot), count, to.device(slot));
      },
      [&](int slot, int64_t, int64_t count) { return to.fetch(c, slot, count); },
      [&](int slot, int64_t first, int64_t count) {
        to.drain(c, slot, out, first, count);
        return Status();
      });
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
