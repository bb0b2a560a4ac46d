#include <algorithm>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/operations.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

namespace {

// What follows the product of a batch of rows, on the device and on the way back.
struct Output {
  HostMatrix<float> c;
  HostMatrix<float> pre;             // wanted where data is not null
  HostMatrix<const float> slope_of;  // backward: read where data is not null
  Activation activation;
  std::span<const float> bias;
};

// Where a is not transposed its rows are streamed; where it is, it has to be there as a whole, and the rows of c are
// computed at once.
template <class T>
Status layer(Context& c, Trans ta, Trans tb, HostMatrix<const T> a, HostMatrix<const T> b, const Output& out) {
  const int64_t m = out.c.rows, n = out.c.cols, k = ta == Trans::kNo ? a.cols : a.rows;
  if (m == 0 || n == 0) return {};
  const bool streamed = ta == Trans::kNo;
  const int64_t each = streamed ? std::min(c.tuning.rows, m) : m;
  const bool keep_pre = out.pre.data != nullptr, backward = out.slope_of.data != nullptr;
  Result<device::Array<T>> right = upload<T>(c, b);
  if (!right.ok()) return right.status();
  Result<device::Array<float>> bias = upload(c, out.bias);
  if (!bias.ok()) return bias.status();
  Result<device::Array<T>> whole = streamed ? allocate<T>(c, 0) : upload<T>(c, a);
  if (!whole.ok()) return whole.status();
  Lane<T> left;
  Lane<float> product_lane, pre, slope_of;
  if (streamed) TRACER_RETURN_IF_ERROR(left.create(c, each, k));
  TRACER_RETURN_IF_ERROR(product_lane.create(c, each, n));
  if (keep_pre) TRACER_RETURN_IF_ERROR(pre.create(c, each, n));
  if (backward) TRACER_RETURN_IF_ERROR(slope_of.create(c, each, n));
  return stream_rows(
      c, m, each,
      [&](int slot, int64_t first, int64_t count) -> Status {
        if (streamed) TRACER_RETURN_IF_ERROR(left.fill(c, slot, a, first, count));
        return backward ? slope_of.fill(c, slot, out.slope_of, first, count) : Status();
      },
      [&](int slot, int64_t, int64_t count) -> Status {
        const device::Global<float> v = product_lane.device(slot);
        const device::Global<const T> rows = streamed ? left.device(slot) : whole->global();
        TRACER_RETURN_IF_ERROR(product<T>(c, ta, tb, count, n, k, rows, right->global(), false, v));
        const int64_t elements = count * n;
        const device::Shape shape{blocks_of(elements, kActivationThreads), kActivationThreads};
        if (backward) {
          return device::launch("activation_backward_kernel", activation_backward_kernel, shape, c.compute, v, elements,
                                out.activation, slope_of.device(slot));
        }
        if (out.bias.empty() && out.activation == Activation::kNone && !keep_pre) return {};
        return device::launch("activate_kernel", activate_kernel, shape, c.compute, v, elements, n, !out.bias.empty(),
                              bias->global(), out.activation, keep_pre,
                              keep_pre ? pre.device(slot) : device::Global<float>{});
      },
      [&](int slot, int64_t, int64_t count) -> Status {
        if (keep_pre) TRACER_RETURN_IF_ERROR(pre.fetch(c, slot, count));
        return product_lane.fetch(c, slot, count);
      },
      [&](int slot, int64_t first, int64_t count) {
        product_lane.drain(c, slot, out.c, first, count);
        if (keep_pre) pre.drain(c, slot, out.pre, first, count);
        return Status();
      });
}

}  // namespace

template <class T>
Status gemm(Context& c, Trans ta, Trans tb, HostMatrix<const T> a, HostMatrix<const T> b, const Epilogue& epilogue,
            HostMatrix<float> out) {
  return layer(c, ta, tb, a, b, {out, epilogue.pre, {}, epilogue.activation, epilogue.bias});
}

Status gemm_backward(Context& c, Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b,
                     Activation activation, HostMatrix<const float> pre, HostMatrix<float> out) {
  const HostMatrix<const float> slope_of = activation == Activation::kNone ? HostMatrix<const float>() : pre;
  return layer(c, ta, tb, a, b, {out, {}, slope_of, activation, {}});
}

template <class T, class Sum>
Status sum_columns(Context& c, device::Global<const T> x, int64_t rows, int64_t cols, device::Global<Sum> out) {
  const int64_t chunks = blocks_of(rows, kSumChunk);
  Result<device::Array<double>> part = allocate<double>(c, chunks * cols);
  if (!part.ok()) return part.status();
  TRACER_RETURN_IF_ERROR(device::launch("column_parts_kernel", column_parts_kernel<T>,
                                        {blocks_of(chunks * cols, kActivationThreads), kActivationThreads}, c.compute,
                                        x, rows, cols, part->global()));
  return device::launch("column_total_kernel", column_total_kernel<Sum>,
                        {blocks_of(cols, kActivationThreads), kActivationThreads}, c.compute, part->global(), chunks,
                        cols, out);
}

Status column_sums(Context& c, HostMatrix<const float> x, std::span<float> out) {
  if (x.cols == 0) return {};
  Result<device::Array<float>> rows = upload(c, x);
  if (!rows.ok()) return rows.status();
  Result<device::Array<float>> sums = allocate<float>(c, x.cols);
  if (!sums.ok()) return sums.status();
  TRACER_RETURN_IF_ERROR((sum_columns<float, float>(c, rows->global(), x.rows, x.cols, sums->global())));
  return download(c, *sums, out.data());
}

template Status gemm(Context&, Trans, Trans, HostMatrix<const float>, HostMatrix<const float>, const Epilogue&,
                     HostMatrix<float>);
template Status gemm(Context&, Trans, Trans, HostMatrix<const BFloat16>, HostMatrix<const BFloat16>, const Epilogue&,
                     HostMatrix<float>);
template Status sum_columns(Context&, device::Global<const float>, int64_t, int64_t, device::Global<float>);
template Status sum_columns(Context&, device::Global<const double>, int64_t, int64_t, device::Global<double>);

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
