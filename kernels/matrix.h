// Row-major matrices. A view carries shape, stride and memory space in its type, so a host pointer can never be handed
// to code that expects a device pointer. Sizes are 64-bit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "kernels/large_memory.h"

namespace tracer {

enum class Space { kHost, kDevice };

// A view: does not own. Row r starts at data + r * stride; stride >= cols, counted in elements.
template <class T, Space S>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  MatrixView() = default;
  MatrixView(T* d, int64_t r, int64_t c) : data(d), rows(r), cols(c), stride(c) {}
  MatrixView(T* d, int64_t r, int64_t c, int64_t s) : data(d), rows(r), cols(c), stride(s) {}
  template <class U>
  requires(std::is_same_v<const U, T>) MatrixView(const MatrixView<U, S>& o)
      : data(o.data), rows(o.rows), cols(o.cols), stride(o.stride) {}  // NOLINT

  T* row(int64_t r) const { return data + r * stride; }
  T& operator()(int64_t r, int64_t c) const { return data[r * stride + c]; }
  MatrixView rows_from(int64_t first, int64_t count) const { return {row(first), count, cols, stride}; }
};

template <class T>
using HostMatrix = MatrixView<T, Space::kHost>;
template <class T>
using DeviceMatrix = MatrixView<T, Space::kDevice>;

// An owning host matrix, 64-byte aligned, dense (stride == cols). New elements are zero. Move-only: a copy of a large
// matrix is never an accident; clone() says it.
template <class T>
class Matrix {
 public:
  static_assert(std::is_trivially_copyable_v<T>);
  Matrix() = default;
  Matrix(int64_t rows, int64_t cols) : Matrix(rows, cols, Unset()) { std::fill_n(data_.get(), rows * cols, T{}); }
  static Matrix copy_of(HostMatrix<const T> x) {
    Matrix m(x.rows, x.cols, Unset());
    for (int64_t r = 0; r < x.rows; ++r) std::copy_n(x.row(r), x.cols, m.row(r));
    return m;
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t size() const { return rows_ * cols_; }
  bool empty() const { return size() == 0; }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  T* row(int64_t r) { return data_.get() + r * cols_; }
  const T* row(int64_t r) const { return data_.get() + r * cols_; }
  T& operator()(int64_t r, int64_t c) { return data_.get()[r * cols_ + c]; }
  const T& operator()(int64_t r, int64_t c) const { return data_.get()[r * cols_ + c]; }
  HostMatrix<T> view() { return {data_.get(), rows_, cols_}; }
  HostMatrix<const T> view() const { return {data_.get(), rows_, cols_}; }
  Matrix clone() const { return copy_of(view()); }

 private:
  struct Unset {};
  struct Free {
    int64_t bytes = 0;
    void operator()(T* p) const { release_large(p, bytes); }
  };
  Matrix(int64_t rows, int64_t cols, Unset) : rows_(rows), cols_(cols), data_(allocate(rows * cols)) {}
  static std::unique_ptr<T[], Free> allocate(int64_t n) {
    const int64_t bytes = std::max<int64_t>(n, 1) * static_cast<int64_t>(sizeof(T));
    return {static_cast<T*>(allocate_large(bytes)), Free{bytes}};
  }
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  std::unique_ptr<T[], Free> data_;
};

}  // namespace tracer
