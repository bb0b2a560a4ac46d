#include <algorithm>

#include "kernels/cuda/operations.cuh"
#include "kernels/cuda/sparse.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

Status sparse_product(Context& c, const SparseRows& a, HostMatrix<const float> b, HostMatrix<float> out) {
  if (out.rows == 0 || out.cols == 0) return {};
  Result<device::Array<int64_t>> begin = upload(c, a.begin);
  if (!begin.ok()) return begin.status();
  Result<device::Array<int32_t>> index = upload(c, a.index);
  if (!index.ok()) return index.status();
  Result<device::Array<float>> weight = upload(c, a.weight);
  if (!weight.ok()) return weight.status();
  Result<device::Array<float>> dense = upload<float>(c, b);
  if (!dense.ok()) return dense.status();
  const int64_t each = std::min(c.tuning.rows, out.rows);
  Lane<float> rows;
  TRACER_RETURN_IF_ERROR(rows.create(c, each, out.cols));
  return stream_rows(
      c, out.rows, each, [](int, int64_t, int64_t) { return Status(); },
      [&](int slot, int64_t first, int64_t count) {
        return device::launch("sparse_product_kernel", sparse_product_kernel,
                              {blocks_of(count, kSparseThreads / device::kWarp), kSparseThreads}, c.compute,
                              begin->global(), index->global(), weight->global(), dense->global(), out.cols, first,
                              count, rows.device(slot));
      },
      [&](int slot, int64_t, int64_t count) { return rows.fetch(c, slot, count); },
      [&](int slot, int64_t first, int64_t count) {
        rows.drain(c, slot, out, first, count);
        return Status();
      });
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
