// Shared by the tests of kernels/: every instruction set this machine has, deterministic inputs, comparators.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/isa_select.h"
#if defined(TRACER_TEST_SIMT)
#include "tests/simt/simt_backend.h"
#endif

namespace tracer::test {

// The instruction sets of the CPU backend. Where these tests are compiled for the SIMT harness (tests/simt), the CUDA
// backend's source on fibers stands in for them.
inline std::vector<std::string> isas() {
#if defined(TRACER_TEST_SIMT)
  return {"simt"};
#else
  std::vector<std::string> names;
  for (const cpu::IsaKernels* isa : cpu::available_isas()) names.push_back(isa->name);
  return names;
#endif
}

// All backends that can be used here: the instruction sets, and the GPU where there is one.
inline std::vector<std::string> backends() {
  std::vector<std::string> names = isas();
#if !defined(TRACER_TEST_SIMT)
  for (const BackendInfo& info : list_backends()) {
    if (info.name == "cuda" && info.usable) names.push_back("cuda");
  }
#endif
  return names;
}

// Fails the test unless the backend that answers is the one that was asked for.
inline std::unique_ptr<Backend> make(const std::string& isa, int threads) {
#if defined(TRACER_TEST_SIMT)
  if (isa == "simt") return simt::make_backend();
#endif
  BackendOptions options;
  options.device = isa == "cuda" ? "cuda" : "cpu";
  if (isa == "cuda") {
    Result<std::unique_ptr<Backend>> made = make_backend(options);
    if (!made.ok()) {
      ADD_FAILURE() << made.status().message();
      return nullptr;
    }
    EXPECT_EQ(made.value()->name(), "cuda");
    return std::move(made).value();
  }
  options.isa = isa;
  options.threads = threads;
  Result<std::unique_ptr<Backend>> made = make_backend(options);
  if (!made.ok()) {
    ADD_FAILURE() << made.status().message();
    return nullptr;
  }
  EXPECT_EQ(made.value()->name(), "cpu");
  EXPECT_EQ(made.value()->isa(), isa);
  EXPECT_EQ(made.value()->threads(), threads);
  return std::move(made).value();
}

class OnEveryIsa : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    backend = make(GetParam(), 2);
    ASSERT_NE(backend, nullptr);
    RecordProperty("backend", std::string(backend->name()) + "/" + std::string(backend->isa()));
  }
  std::unique_ptr<Backend> backend;
};

#define TRACER_ON_EVERY_ISA(Suite) \
  INSTANTIATE_TEST_SUITE_P(Isa, Suite, testing::ValuesIn(test::backends()), [](const auto& info) { return info.param; })

// A matrix inside a larger buffer: odd stride, unaligned start, and guards that show a write out of bounds.
template <class T>
class Padded {
 public:
  Padded(int64_t rows, int64_t cols, T guard)
      : rows_(rows), cols_(cols), guard_(guard), data_(static_cast<size_t>(3 + rows * (cols + 5) + 3), guard) {}
  HostMatrix<T> view() { return {data_.data() + 3, rows_, cols_, cols_ + 5}; }
  HostMatrix<const T> view() const { return {data_.data() + 3, rows_, cols_, cols_ + 5}; }
  bool guards_intact() const {
    for (size_t i = 0; i < data_.size(); ++i) {
      const int64_t at = static_cast<int64_t>(i) - 3;
      const bool inside = at >= 0 && at < rows_ * (cols_ + 5) && at % (cols_ + 5) < cols_;
      if (!inside && data_[i] != guard_) return false;
    }
    return true;
  }

 private:
  int64_t rows_, cols_;
  T guard_;
  std::vector<T> data_;
};

template <class M, class Rng>
void fill_uniform(M&& view, Rng& rng, float low = -1.0f, float high = 1.0f) {
  std::uniform_real_distribution<float> dist(low, high);
  for (int64_t i = 0; i < view.rows; ++i) {
    for (int64_t j = 0; j < view.cols; ++j) view(i, j) = dist(rng);
  }
}

inline Matrix<float> uniform(int64_t rows, int64_t cols, uint32_t seed, float low = -1.0f, float high = 1.0f) {
  Matrix<float> m(rows, cols);
  std::mt19937 rng(seed);
  fill_uniform(m.view(), rng, low, high);
  return m;
}

inline Matrix<float> unit_rows(int64_t rows, int64_t cols, uint32_t seed) {
  Matrix<float> m = uniform(rows, cols, seed);
  for (int64_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < cols; ++j) sum += static_cast<double>(m(i, j)) * m(i, j);
    for (int64_t j = 0; j < cols; ++j) m(i, j) = static_cast<float>(m(i, j) / std::sqrt(sum));
  }
  return m;
}

inline std::vector<int32_t> integers(int64_t n, int32_t below, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<int32_t> v(static_cast<size_t>(n));
  for (int32_t& x : v) x = static_cast<int32_t>(rng() % static_cast<uint32_t>(below));
  return v;
}

template <class T>
bool same_bytes(const Matrix<T>& a, const Matrix<T>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         (a.empty() || std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(T)) == 0);
}

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// Written so that a NaN on either side fails.
inline testing::AssertionResult near(double actual, double expected, double tolerance) {
  const double diff = std::fabs(actual - expected);
  if (!(diff <= tolerance)) {
    return testing::AssertionFailure() << actual << " is not " << expected << " +- " << tolerance;
  }
  return testing::AssertionSuccess();
}

// Half a unit in the last place of 1: the relative error of one float32 rounding.
inline constexpr double kRounding = 5.9604644775390625e-8;

#define ASSERT_OK(expr)                             \
  do {                                              \
    const ::tracer::Status status_ = (expr);        \
    ASSERT_TRUE(status_.ok()) << status_.message(); \
  } while (false)

}  // namespace tracer::test
