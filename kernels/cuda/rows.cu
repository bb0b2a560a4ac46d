#include <algorithm>

#include "kernels/cuda/operations.cuh"
#include "kernels/cuda/row_kernels.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

template <class T>
Status normalise_rows(Context& c, HostMatrix<T> x) {
  if (x.rows == 0 || x.cols == 0) return {};
  const int64_t each = std::min(c.tuning.rows, x.rows);
  Lane<T> rows;
  TRACER_RETURN_IF_ERROR(rows.create(c, each, x.cols));
  return stream_rows(
      c, x.rows, each, [&](int slot, int64_t first, int64_t count) { return rows.fill(c, slot, x, first, count); },
      [&](int slot, int64_t, int64_t count) {
        return device::launch("normalise_rows_kernel", normalise_rows_kernel<T>,
                              {blocks_of(count, kNormaliseRows), kNormaliseThreads}, c.compute, rows.device(slot),
                              count, x.cols);
      },
      [&](int slot, int64_t, int64_t count) { return rows.fetch(c, slot, count); },
      [&](int slot, int64_t first, int64_t count) {
        rows.drain(c, slot, x, first, count);
        return Status();
      });
}

template <class From, class To>
Status cast(Context& c, HostMatrix<const From> x, HostMatrix<To> out) {
  if (x.rows == 0 || x.cols == 0) return {};
  const int64_t each = std::min(c.tuning.rows, x.rows);
  Lane<From> from;
  Lane<To> to;
  TRACER_RETURN_IF_ERROR(from.create(c, each, x.cols));
  TRACER_RETURN_IF_ERROR(to.create(c, each, x.cols));
  return stream_rows(
      c, x.rows, each, [&](int slot, int64_t first, int64_t count) { return from.fill(c, slot, x, first, count); },
      [&](int slot, int64_t, int64_t count) {
        const int64_t elements = count * x.cols;
        return device::launch("cast_kernel", cast_kernel<From, To>,
                              {blocks_of(elements, 4 * kElementThreads), kElementThreads}, c.compute, from.device(slot),
                              elements, to.device(slot));
      },
      [&](int slot, int64_t, int64_t count) { return to.fetch(c, slot, count); },
      [&](int slot, int64_t first, int64_t count) {
        to.drain(c, slot, out, first, count);
        return Status();
      });
}

template <class T>
Status gather_rows(Context& c, HostMatrix<const T> x, std::span<const int64_t> index, HostMatrix<T> out) {
  if (out.rows == 0 || out.cols == 0) return {};
  Result<device::Array<T>> rows = upload<T>(c, x);
  if (!rows.ok()) return rows.status();
  const HostMatrix<const int64_t> indices(index.data(), out.rows, 1);
  const int64_t each = std::min(c.tuning.rows, out.rows);
  Lane<int64_t> from;
  Lane<T> to;
  TRACER_RETURN_IF_ERROR(from.create(c, each, 1));
  TRACER_RETURN_IF_ERROR(to.create(c, each, x.cols));
  return stream_rows(
      c, out.rows, each,
      [&](int slot, int64_t first, int64_t count) { return from.fill(c, slot, indices, first, count); },
      [&](int slot, int64_t, int64_t count) {
        return device::launch("gather_rows_kernel", gather_rows_kernel<T>,
                              {blocks_of(count, kElementThreads / device::kWarp), kElementThreads}, c.compute,
                              rows->global(), x.cols, from.device(slot), count, to.device(slot));
      },
      [&](int slot, int64_t, int64_t count) { return to.fetch(c, slot, count); },
      [&](int slot, int64_t first, int64_t count) {
        to.drain(c, slot, out, first, count);
        return Status();
      });
}

template Status normalise_rows(Context&, HostMatrix<float>);
template Status normalise_rows(Context&, HostMatrix<BFloat16>);
template Status cast(Context&, HostMatrix<const float>, HostMatrix<BFloat16>);
template Status cast(Context&, HostMatrix<const BFloat16>, HostMatrix<float>);
template Status gather_rows(Context&, HostMatrix<const float>, std::span<const int64_t>, HostMatrix<float>);
template Status gather_rows(Context&, HostMatrix<const BFloat16>, std::span<const int64_t>, HostMatrix<BFloat16>);

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
