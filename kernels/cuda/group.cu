#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/cuda/kmeans.cuh"
#include "kernels/cuda/operations.cuh"
#include "kernels/cuda/parity.cuh"
#include "kernels/cuda/sort.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

Status kmeans_assign(Context& c, HostMatrix<const float> x, HostMatrix<const float> centroid, std::span<int32_t> label,
                     std::span<float> distance2) {
  const int64_t n = x.rows, d = x.cols, k = centroid.rows;
  if (n == 0) return {};
  const bool want_distance = !distance2.empty();
  const int64_t each = std::min(c.tuning.rows, n);
  Result<device::Array<float>> centroids = upload(c, centroid);
  if (!centroids.ok()) return centroids.status();
  Result<device::Array<float>> half = allocate<float>(c, k);
  if (!half.ok()) return half.status();
  Result<device::Array<float>> products = allocate<float>(c, each * k);
  if (!products.ok()) return products.status();
  TRACER_RETURN_IF_ERROR(device::launch("half_norms_kernel", half_norms_kernel,
                                        {blocks_of(k, kKmeansThreads), kKmeansThreads}, c.compute, centroids->global(),
                                        k, d, half->global()));
  Lane<float> rows, distance;
  Lane<int32_t> labels;
  TRACER_RETURN_IF_ERROR(rows.create(c, each, d));
  TRACER_RETURN_IF_ERROR(labels.create(c, each, 1));
  if (want_distance) TRACER_RETURN_IF_ERROR(distance.create(c, each, 1));
  return stream_rows(
      c, n, each, [&](int slot, int64_t first, int64_t count) { return rows.fill(c, slot, x, first, count); },
      [&](int slot, int64_t, int64_t count) -> Status {
        if (d == 0) {
          TRACER_RETURN_IF_ERROR(device::fill_zero(*products, c.compute));
        } else {
          TRACER_RETURN_IF_ERROR(exact_product<float>(c, Trans::kNo, Trans::kYes, count, k, d, rows.device(slot),
                                                      centroids->global(), false, products->global()));
        }
        return device::launch(
            "assign_kernel", assign_kernel, {blocks_of(count, kKmeansThreads / device::kWarp), kKmeansThreads},
            c.compute, products->global(), count, k, half->global(), rows.device(slot), centroids->global(), d,
            labels.device(slot), want_distance, want_distance ? distance.device(slot) : device::Global<float>{});
      },
      [&](int slot, int64_t, int64_t count) -> Status {
        if (want_distance) TRACER_RETURN_IF_ERROR(distance.fetch(c, slot, count));
        return labels.fetch(c, slot, count);
      },
      [&](int slot, int64_t first, int64_t count) {
        std::copy_n(labels.host(slot), count, label.data() + first);
        if (want_distance) std::copy_n(distance.host(slot), count, distance2.data() + first);
        return Status();
      });
}

Status kmeans_update(Context& c, HostMatrix<const float> x, std::span<const int32_t> label, HostMatrix<float> centroid,
                     std::span<int64_t> count) {
  const int64_t n = x.rows, d = x.cols, k = centroid.rows;
  const int64_t each = std::max<int64_t>(1, std::min(c.tuning.rows, n));
  Result<device::Array<double>> sum = allocate<double>(c, k * d);
  if (!sum.ok()) return sum.status();
  Result<device::Array<int64_t>> size = allocate<int64_t>(c, k);
  if (!size.ok()) return size.status();
  Result<device::Array<int64_t>> begin = allocate<int64_t>(c, k + 1);
  if (!begin.ok()) return begin.status();
  Result<device::Array<int32_t>> key = allocate<int32_t>(c, each);
  if (!key.ok()) return key.status();
  Result<device::Array<int32_t>> order = allocate<int32_t>(c, each);
  if (!order.ok()) return order.status();
  Result<device::Array<float>> centroids =
      upload<float>(c, HostMatrix<const float>(centroid.data, k, d, centroid.stride));
  if (!centroids.ok()) return centroids.status();
  TRACER_RETURN_IF_ERROR(device::fill_zero(*sum, c.compute));
  TRACER_RETURN_IF_ERROR(device::fill_zero(*size, c.compute));
  Lane<float> rows;
  Lane<int32_t> labels;
  TRACER_RETURN_IF_ERROR(rows.create(c, each, d));
  TRACER_RETURN_IF_ERROR(labels.create(c, each, 1));
  const HostMatrix<const int32_t> all_labels(label.data(), n, 1);
  TRACER_RETURN_IF_ERROR(stream_rows(
      c, n, each,
      [&](int slot, int64_t first, int64_t rows_here) -> Status {
        TRACER_RETURN_IF_ERROR(labels.fill(c, slot, all_labels, first, rows_here));
        return rows.fill(c, slot, x, first, rows_here);
      },
      [&](int slot, int64_t, int64_t rows_here) -> Status {
        TRACER_RETURN_IF_ERROR(device::launch("number_kernel", number_kernel,
                                              {blocks_of(rows_here, kKmeansThreads), kKmeansThreads}, c.compute,
                                              labels.device(slot), rows_here, key->global(), order->global()));
        TRACER_RETURN_IF_ERROR(stable_sort_by_key(*key, *order, rows_here, c.compute));
        TRACER_RETURN_IF_ERROR(device::launch("segment_begin_kernel", segment_begin_kernel,
                                              {blocks_of(k + 1, kKmeansThreads), kKmeansThreads}, c.compute,
                                              key->global(), rows_here, k, begin->global()));
        TRACER_RETURN_IF_ERROR(device::launch("count_rows_kernel", count_rows_kernel,
                                              {blocks_of(k, kKmeansThreads), kKmeansThreads}, c.compute,
                                              begin->global(), k, size->global()));
        return device::launch("add_rows_kernel", add_rows_kernel, {blocks_of(k * d, kKmeansThreads), kKmeansThreads},
                              c.compute, rows.device(slot), d, order->global(), begin->global(), k, sum->global());
      },
      [](int, int64_t, int64_t) { return Status(); }, [](int, int64_t, int64_t) { return Status(); }));
  TRACER_RETURN_IF_ERROR(device::launch("mean_kernel", mean_kernel, {blocks_of(k * d, kKmeansThreads), kKmeansThreads},
                                        c.compute, sum->global(), size->global(), k, d, centroids->global()));
  std::vector<float> means(static_cast<size_t>(k * d));
  TRACER_RETURN_IF_ERROR(download(c, *centroids, means.data()));
  TRACER_RETURN_IF_ERROR(download(c, *size, count.data()));
  for (int64_t j = 0; j < k; ++j) std::copy_n(means.data() + j * d, d, centroid.row(j));
  return {};
}

Status parity_sweep(Context& c, const ParitySweepProblem& p, HostMatrix<ParityPoint> out) {
  const int64_t n = static_cast<int64_t>(p.score.size()), segments = out.rows, alphas = out.cols;
  const int64_t points = segments * alphas;
  if (points == 0) return {};
  if (n > std::numeric_limits<int32_t>::max()) return internal_error("parity_sweep: too many rows for one sweep");
  Result<device::Array<float>> score = upload(c, p.score);
  if (!score.ok()) return score.status();
  Result<device::Array<uint8_t>> agree = upload(c, p.agree);
  if (!agree.ok()) return agree.status();
  Result<device::Array<int64_t>> begin = upload(c, p.segment_begin);
  if (!begin.ok()) return begin.status();
  Result<device::Array<int32_t>> allowed = upload(c, p.allowed);
  if (!allowed.ok()) return allowed.status();
  Result<device::Array<uint64_t>> key = allocate<uint64_t>(c, n);
  if (!key.ok()) return key.status();
  Result<device::Array<int32_t>> order = allocate<int32_t>(c, n);
  if (!order.ok()) return order.status();
  Result<device::Array<int32_t>> disagrees = allocate<int32_t>(c, n);
  if (!disagrees.ok()) return disagrees.status();
  Result<device::Array<int64_t>> handled = allocate<int64_t>(c, points);
  if (!handled.ok()) return handled.status();
  Result<device::Array<int64_t>> wrong = allocate<int64_t>(c, points);
  if (!wrong.ok()) return wrong.status();
  Result<device::Array<float>> next = allocate<float>(c, points);
  if (!next.ok()) return next.status();
  TRACER_RETURN_IF_ERROR(device::fill_zero(*handled, c.compute));
  const device::Shape per_row{blocks_of(n, kParityThreads), kParityThreads};
  if (n > 0) {
    TRACER_RETURN_IF_ERROR(device::launch("parity_keys_kernel", parity_keys_kernel, per_row, c.compute, score->global(),
                                          n, begin->global(), segments, key->global(), order->global()));
    TRACER_RETURN_IF_ERROR(stable_sort_by_key(*key, *order, n, c.compute));
    TRACER_RETURN_IF_ERROR(device::launch("disagreements_kernel", disagreements_kernel, per_row, c.compute,
                                          agree->global(), order->global(), n, disagrees->global()));
    TRACER_RETURN_IF_ERROR(running_sum(*disagrees, n, c.compute));
  }
  const ParityRows rows{
      n, segments, alphas, begin->global(), key->global(), disagrees->global(), allowed->global(), p.allowed.cols};
  TRACER_RETURN_IF_ERROR(
      device::launch("parity_prefix_kernel", parity_prefix_kernel, per_row, c.compute, rows, handled->global()));
  TRACER_RETURN_IF_ERROR(device::launch(
      "parity_points_kernel", parity_points_kernel, {blocks_of(points, kParityThreads), kParityThreads}, c.compute,
      rows, score->global(), order->global(), handled->global(), wrong->global(), next->global()));
  std::vector<int64_t> kept(static_cast<size_t>(points)), disagree(static_cast<size_t>(points));
  std::vector<float> threshold(static_cast<size_t>(points));
  TRACER_RETURN_IF_ERROR(download(c, *handled, kept.data()));
  TRACER_RETURN_IF_ERROR(download(c, *wrong, disagree.data()));
  TRACER_RETURN_IF_ERROR(download(c, *next, threshold.data()));
  for (int64_t i = 0; i < points; ++i) {
    const size_t at = static_cast<size_t>(i);
    out(i / alphas, i % alphas) = {kept[at], disagree[at], threshold[at]};
  }
  return {};
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
