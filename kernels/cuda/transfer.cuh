// Whole arrays between the caller's memory and the device. Ordinary memory goes through the driver's own page-locked
// buffer, at 7 GB/s on an H100's host; what is large goes through ours.
#pragma once

#include <algorithm>
#include <span>
#include <type_traits>
#include <utility>

#include "kernels/cuda/stream.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

inline constexpr int64_t kLargeBytes = 1 << 20;
inline constexpr int64_t kPieceBytes = 8 << 20;    // of a large upload
inline constexpr int64_t kStagedBytes = 64 << 20;  // of a download: more is left to the driver

// Dense on the device. The host's memory may go away at once.
template <class T>
Result<device::Array<T>> upload(Context& c, HostMatrix<const T> x) {
  Result<device::Array<T>> array = allocate<T>(c, x.rows * x.cols);
  if (!array.ok() || array->count() == 0) return array;
  const int64_t row_bytes = x.cols * static_cast<int64_t>(sizeof(T));
  if ((x.stride == x.cols || x.rows == 1) && x.rows * row_bytes <= kLargeBytes) {
    TRACER_RETURN_IF_ERROR(device::copy_in<T>(x.data, array->count(), *array, 0, c.compute));
    return array;
  }
  const int64_t each = std::min(x.rows, std::max<int64_t>(1, kPieceBytes / row_bytes));
  Result<device::Staging<T>> even = device::Staging<T>::allocate(each * x.cols, c.staging);
  if (!even.ok()) return even.status();
  Result<device::Staging<T>> odd = device::Staging<T>::allocate(each * x.cols, c.staging);
  if (!odd.ok()) return odd.status();
  const auto nothing = [](int, int64_t, int64_t) { return Status(); };
  TRACER_RETURN_IF_ERROR(stream_rows(
      c, x.rows, each,
      [&](int slot, int64_t first, int64_t count) {
        T* const piece = slot == 0 ? even->data() : odd->data();
        copy_rows<T>(c, x.rows_from(first, count), HostMatrix<T>(piece, count, x.cols));
        return device::copy_in<T>(piece, count * x.cols, *array, first * x.cols, c.upload);
      },
      nothing, nothing, nothing));
  return array;
}
template <class T>
Result<device::Array<std::remove_const_t<T>>> upload(Context& c, std::span<T> values) {
  using Value = std::remove_const_t<T>;
  return upload<Value>(c, HostMatrix<const Value>(values.data(), static_cast<int64_t>(values.size()), 1));
}

// Waits for the compute stream.
template <class T>
Status download(Context& c, const device::Array<T>& from, T* to) {
  const int64_t bytes = from.count() * static_cast<int64_t>(sizeof(T));
  if (bytes < kLargeBytes || bytes > kStagedBytes) {
    TRACER_RETURN_IF_ERROR(device::copy_out<T>(from, 0, from.count(), to, c.compute));
    return c.compute.synchronise();
  }
  Result<device::Staging<T>> staging = device::Staging<T>::allocate(from.count(), c.staging);
  if (!staging.ok()) return staging.status();
  const Status copied = device::copy_out<T>(from, 0, from.count(), staging->data(), c.compute);
  TRACER_RETURN_IF_ERROR(c.compute.synchronise());  // before the buffer is given back, whatever became of the copy
  TRACER_RETURN_IF_ERROR(copied);
  copy_rows<T>(c, HostMatrix<const T>(staging->data(), from.count(), 1), HostMatrix<T>(to, from.count(), 1));
  return {};
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
