// Sorting and running sums at the scope of the device: Thrust, which calls CUB's radix sort and scan on a GPU and runs
// its own CPU system under the harness. Both are stable, and both give the same bytes on every run.
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "kernels/cuda/runtime.cuh"

#if !defined(TRACER_SIMT) || defined(TRACER_HAVE_CUDA)
#define TRACER_USE_THRUST 1
#include <thrust/execution_policy.h>
#include <thrust/scan.h>
#include <thrust/sort.h>
#endif
#ifndef TRACER_SIMT
#include <thrust/system/cuda/execution_policy.h>

#include <new>
#else
#include <algorithm>
#include <numeric>
#include <vector>
#endif

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

#ifndef TRACER_SIMT
// Thrust's temporary memory comes from the pool of the stream.
struct PoolAllocator {
  using value_type = char;
  cudaStream_t stream;
  char* allocate(std::ptrdiff_t bytes) {
    void* data = nullptr;
    if (cudaMallocAsync(&data, static_cast<size_t>(bytes), stream) != cudaSuccess) throw std::bad_alloc();
    return static_cast<char*>(data);
  }
  void deallocate(char* data, size_t /*bytes*/) { cudaFreeAsync(data, stream); }
};
#endif

// What Thrust throws becomes a Status.
template <class F>
Status without_throwing(const char* what, F&& body) {
  try {
    body();
    return {};
  } catch (const std::bad_alloc&) {
#ifndef TRACER_SIMT
    cudaGetLastError();
#endif
    return device_error(std::string("out of device memory: ") + what);
  } catch (const std::exception& error) {
#ifndef TRACER_SIMT
    cudaGetLastError();
#endif
    return device_error(std::string(what) + ": " + error.what());
  }
}

// Ascending keys; equal keys keep their order. values move along.
template <class Key, class Value>
Status stable_sort_by_key(device::Array<Key>& key, device::Array<Value>& value, int64_t count,
                          const device::Stream& stream) {
  return without_throwing("sort", [&] {
#if !defined(TRACER_SIMT)
    PoolAllocator pool{stream.get()};
    thrust::stable_sort_by_key(thrust::cuda::par_nosync(pool).on(stream.get()), key.global(), key.global() + count,
                               value.global());
#else
    Key* keys = key.global().library_data(0, count);
    Value* values = value.global().library_data(0, count);
#if defined(TRACER_USE_THRUST)
    thrust::stable_sort_by_key(thrust::cpp::par, keys, keys + count, values);
#else
    std::vector<std::pair<Key, Value>> pairs;
    for (int64_t i = 0; i < count; ++i) pairs.emplace_back(keys[i], values[i]);
    std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (int64_t i = 0; i < count; ++i) keys[i] = pairs[static_cast<size_t>(i)].first;
    for (int64_t i = 0; i < count; ++i) values[i] = pairs[static_cast<size_t>(i)].second;
#endif
    (void)stream;
#endif
  });
}

// value[i] = value[0] + ... + value[i], in place.
template <class T>
Status running_sum(device::Array<T>& value, int64_t count, const device::Stream& stream) {
  return without_throwing("running sum", [&] {
#if !defined(TRACER_SIMT)
    PoolAllocator pool{stream.get()};
    thrust::inclusive_scan(thrust::cuda::par_nosync(pool).on(stream.get()), value.global(), value.global() + count,
                           value.global());
#else
    T* values = value.global().library_data(0, count);
#if defined(TRACER_USE_THRUST)
    thrust::inclusive_scan(thrust::cpp::par, values, values + count, values);
#else
    std::partial_sum(values, values + count, values);
#endif
    (void)stream;
#endif
  });
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
