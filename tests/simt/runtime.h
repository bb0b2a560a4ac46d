// The words of kernels/cuda/runtime.cuh on the CPU: device memory is a watched buffer, a launch runs the kernel's
// fibers at once, and what the harness finds in it is the launch's error.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/backend.h"
#include "kernels/matrix.h"
#include "kernels/status.h"
#include "tests/simt/device.h"

namespace tracer::simt {

// In which order launches through device::launch run their threads; 0 unless a test sets it.
inline Order& launch_order() {
  static Order order = 0;
  return order;
}

// The device's memory, in bytes; a test may make it small.
inline int64_t& memory_left() {
  static int64_t bytes = int64_t{1} << 40;
  return bytes;
}

// The CPU's products stand in for cuBLAS, and for the exact product where fibers would take too long.
inline Backend& cpu() {
  static const std::unique_ptr<Backend> backend = [] {
    BackendOptions options;
    options.device = "cpu";
    options.threads = 1;
    return std::move(make_backend(options)).value();
  }();
  return *backend;
}

}  // namespace tracer::simt

namespace tracer::device {
inline namespace TRACER_DEVICE_BUILD {

class Stream {
 public:
  static Result<Stream> create() { return Stream(); }
  Status synchronise() const { return {}; }
  template <class E>
  Status wait_for(const E& /*event*/) const {
    return {};
  }
};

class Event {
 public:
  static Result<Event> create() { return Event(); }
  Status record(const Stream& /*stream*/) { return {}; }
  Status synchronise() const { return {}; }
};

template <class T>
class Array {
 public:
  static Result<Array> allocate(int64_t count, const Stream& /*stream*/) {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    if (bytes > simt::memory_left()) return device_error("out of device memory: asked for " + std::to_string(bytes));
    return Array(count);
  }
  Global<T> global() const { return buffer_->global(); }
  int64_t count() const { return buffer_->count(); }
  Buffer<T>& buffer() const { return *buffer_; }

 private:
  explicit Array(int64_t count) : buffer_(std::make_unique<Buffer<T>>("array", count)) {}
  std::unique_ptr<Buffer<T>> buffer_;
};

struct StagingPool {};

template <class T>
class Staging {
 public:
  static Result<Staging> allocate(int64_t count, StagingPool& /*pool*/) { return Staging(count); }
  T* data() const { return values_.get(); }

 private:
  explicit Staging(int64_t count) : values_(std::make_unique<T[]>(static_cast<size_t>(count))) {}
  std::unique_ptr<T[]> values_;
};

inline Status outside(const char* what) { return internal_error(std::string(what) + ": outside of its array"); }

template <class T>
Status copy_in(const T* from, int64_t count, const Array<T>& to, int64_t first, const Stream& /*stream*/) {
  if (first < 0 || count < 0 || first + count > to.count()) return outside("copy_in");
  std::copy_n(from, count, to.buffer().write(first, count));
  return {};
}
// Refuses to hand out what nothing was ever written to.
template <class T>
Status copy_out(const Array<T>& from, int64_t first, int64_t count, T* to, const Stream& /*stream*/) {
  if (first < 0 || count < 0 || first + count > from.count()) return outside("copy_out");
  for (int64_t i = first; i < first + count; ++i) {
    if (!from.buffer().written(i)) return internal_error("copy_out: element " + std::to_string(i) + " is unwritten");
  }
  std::copy_n(from.buffer().values().data() + first, count, to);
  return {};
}
template <class T>
Status fill_zero(const Array<T>& array, const Stream& /*stream*/) {
  std::fill_n(array.buffer().write(0, array.count()), array.count(), T{});
  return {};
}

struct Shape {
  int64_t blocks;
  int threads;
  int64_t shared_bytes = 0;
};

template <class... P, class... A>
Status launch(const char* name, void (*kernel)(P...), const Shape& shape, const Stream& /*stream*/,
              const A&... arguments) {
  const simt::Report report = simt::launch(
      shape.blocks, shape.threads, simt::launch_order(), [&] { kernel(P(arguments)...); }, shape.shared_bytes);
  return report.ok() ? Status() : internal_error(std::string(name) + ": " + report.text());
}

// The CPU's product, on whole arrays: what it reads must have been written.
class Multiplier {
 public:
  static constexpr bool kExact = true;
  bool available() const { return true; }
  Status reason() const { return {}; }
  template <class T>
  Status multiply(Trans ta, Trans tb, int64_t m, int64_t n, int64_t k, const Global<const T>& a, int64_t lda,
                  const Global<const T>& b, int64_t ldb, bool accumulate, const Global<float>& c, int64_t ldc,
                  const Stream& /*stream*/) {
    const Result<Matrix<float>> left = operand(a, ta == Trans::kNo ? m : k, ta == Trans::kNo ? k : m, lda);
    if (!left.ok()) return left.status();
    const Result<Matrix<float>> right = operand(b, tb == Trans::kNo ? k : n, tb == Trans::kNo ? n : k, ldb);
    if (!right.ok()) return right.status();
    Matrix<float> product(m, n);
    TRACER_RETURN_IF_ERROR(simt::cpu().gemm(ta, tb, left->view(), right->view(), Epilogue{}, product.view()));
    if (m == 0 || n == 0) return {};
    float* out = c.library_data(0, (m - 1) * ldc + n);
    if (out == nullptr) return outside("product");
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        if (accumulate && !c.library_written(i * ldc + j)) return internal_error("product: adds to what is unwritten");
        out[i * ldc + j] = accumulate ? out[i * ldc + j] + product(i, j) : product(i, j);
      }
      c.library_writes(i * ldc, n);
    }
    return {};
  }

 private:
  template <class T>
  static Result<Matrix<float>> operand(const Global<const T>& x, int64_t rows, int64_t cols, int64_t stride) {
    Matrix<float> dense(rows, cols);
    if (dense.empty()) return dense;
    const T* data = x.library_data(0, (rows - 1) * stride + cols);
    if (data == nullptr) return outside("product");
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        if (!x.library_written(i * stride + j)) return internal_error("product: reads what is unwritten");
        if constexpr (std::is_same_v<T, float>) {
          dense(i, j) = data[i * stride + j];
        } else {
          dense(i, j) = to_float(data[i * stride + j]);
        }
      }
    }
    return dense;
  }
};

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::device
