// Row-major matrices. A view carries shape, stride and memory space in its type, so a host pointer can never be handed
// to code that expects a device pointer. Sizes are 64-bit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

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
  Matrix(int64_t rows, int64_t cols) : rows_(rows), cols_(cols), data_(allocate(rows * cols)) {
    std::fill_n(data_.get(), rows * cols, T{});
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
  Matrix clone() const {
    Matrix m(rows_, cols_);
    std::copy_n(data_.get(), size(), m.data());
    return m;
  }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  static T* allocate(int64_t n) {
    return static_cast<T*>(
        ::operator new[](static_cast<size_t>(std::max<int64_t>(n, 1)) * sizeof(T), std::align_val_t{64}));
  }
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  std::unique_ptr<T[], Free> data_;
};

}  // namespace tracer
