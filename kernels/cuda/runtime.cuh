// The host's words around kernels: arrays on the device, copies, the one way to launch, matrix products, sorting. Here
// they mean CUDA; tests/simt/runtime.h gives them a meaning on the CPU, so that the operations (*.cu) are run whole
// where there is no GPU. Everything is asynchronous on the stream it is given unless it says otherwise.
#pragma once

#ifndef TRACER_SIMT

#include <cstring>
#include <string>
#include <utility>

#include "kernels/backend.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/resources.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer::device {
inline namespace TRACER_DEVICE_BUILD {

using cuda::Event;
using cuda::Stream;

// count elements of device memory, not initialised. The stream must outlive it.
template <class T>
class Array {
 public:
  static Result<Array> allocate(int64_t count, const Stream& stream) {
    Result<cuda::DeviceBuffer> buffer = cuda::DeviceBuffer::allocate(count * static_cast<int64_t>(sizeof(T)), stream);
    if (!buffer.ok()) return buffer.status();
    return Array(std::move(*buffer), count);
  }
  Global<T> global() const { return static_cast<T*>(buffer_.data()); }
  int64_t count() const { return count_; }

 private:
  Array(cuda::DeviceBuffer buffer, int64_t count) : buffer_(std::move(buffer)), count_(count) {}
  cuda::DeviceBuffer buffer_;
  int64_t count_;
};

using StagingPool = cuda::PinnedPool;

// Host memory that a copy reads or writes while the host goes on. The pool must outlive it.
template <class T>
class Staging {
 public:
  static Result<Staging> allocate(int64_t count, StagingPool& pool) {
    Result<cuda::PinnedBuffer> buffer = pool.take(count * static_cast<int64_t>(sizeof(T)));
    if (!buffer.ok()) return buffer.status();
    return Staging(std::move(*buffer));
  }
  T* data() const { return static_cast<T*>(buffer_.data()); }

 private:
  explicit Staging(cuda::PinnedBuffer buffer) : buffer_(std::move(buffer)) {}
  cuda::PinnedBuffer buffer_;
};

// Copies of count elements. From ordinary memory the host waits until the driver has them; from Staging it does not.
template <class T>
Status copy_in(const T* from, int64_t count, const Array<T>& to, int64_t first, const Stream& stream) {
  if (count == 0) return {};
  return cuda::check(cudaMemcpyAsync(to.global() + first, from, static_cast<size_t>(count) * sizeof(T),
                                     cudaMemcpyHostToDevice, stream.get()),
                     "cudaMemcpyAsync");
}
template <class T>
Status copy_out(const Array<T>& from, int64_t first, int64_t count, T* to, const Stream& stream) {
  if (count == 0) return {};
  return cuda::check(cudaMemcpyAsync(to, from.global() + first, static_cast<size_t>(count) * sizeof(T),
                                     cudaMemcpyDeviceToHost, stream.get()),
                     "cudaMemcpyAsync");
}
template <class T>
Status fill_zero(const Array<T>& array, const Stream& stream) {
  if (array.count() == 0) return {};
  return cuda::check(cudaMemsetAsync(array.global(), 0, static_cast<size_t>(array.count()) * sizeof(T), stream.get()),
                     "cudaMemsetAsync");
}

struct Shape {
  int64_t blocks;
  int threads;
  int64_t shared_bytes = 0;  // dynamic
};

// The only launch in the tree. No blocks: nothing to do.
template <class... P, class... A>
Status launch(const char* name, void (*kernel)(P...), const Shape& shape, const Stream& stream, const A&... arguments) {
  if (shape.blocks == 0) return {};
  if (shape.blocks > INT32_MAX) return internal_error(std::string(name) + ": too many blocks for one launch");
  if (shape.shared_bytes > 48 << 10) {  // beyond this the kernel has to be told
    const cudaError_t error =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shape.shared_bytes));
    TRACER_RETURN_IF_ERROR(cuda::check(error, name));
  }
  kernel<<<static_cast<unsigned>(shape.blocks), static_cast<unsigned>(shape.threads),
           static_cast<size_t>(shape.shared_bytes), stream.get()>>>(P(arguments)...);
  return cuda::check_launch(name);
}

// Products by cuBLAS, which may be absent.
class Multiplier {
 public:
  static constexpr bool kExact = false;  // whether the bytes are those of exact_gemm.cuh
  Multiplier() : blas_(cuda::Cublas::open()) {}
  bool available() const { return blas_.ok(); }
  const Status& reason() const { return blas_.status(); }
  template <class T>
  Status multiply(Trans ta, Trans tb, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb,
                  bool accumulate, float* c, int64_t ldc, const Stream& stream) {
    if (!blas_.ok()) return blas_.status();
    return blas_->gemm(ta, tb, m, n, k, a, lda, b, ldb, accumulate, c, ldc, stream);
  }

 private:
  Result<cuda::Cublas> blas_;
};

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::device

#endif  // TRACER_SIMT
