// Products with bias and activation, forward and backward, and column sums.
#include <array>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

using test::near;
using test::Padded;

class Layers : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(Layers);

constexpr Activation kActivations[] = {Activation::kNone, Activation::kRelu, Activation::kGelu};

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

double value(Activation a, double x) {
  if (a == Activation::kRelu) return x > 0 ? x : 0;
  return a == Activation::kGelu ? x * normal_cdf(x) : x;
}

double slope(Activation a, double x) {
  if (a == Activation::kRelu) return x > 0 ? 1 : 0;
  const double density = std::exp(-0.5 * x * x) / std::sqrt(2 * 3.14159265358979323846);
  return a == Activation::kGelu ? normal_cdf(x) + x * density : 1;
}

// The contract of kGelu.
double bound(double x) { return 2e-6 * std::max(1.0, std::fabs(x)); }

TEST_P(Layers, EpilogueFollowsTheProduct) {
  const std::vector<std::array<int64_t, 3>> shapes = {{0, 3, 5},   {1, 1, 1},   {1, 0, 33},   {11, 4, 31},
                                                      {12, 5, 32}, {13, 6, 33}, {97, 385, 67}};
  for (const auto& [m, k, n] : shapes) {
    for (const Activation activation : kActivations) {
      for (const bool with_bias : {false, true}) {
        SCOPED_TRACE(testing::Message() << m << "x" << k << "x" << n << " activation " << static_cast<int>(activation));
        const Matrix<float> a = test::uniform(m, k, 1), b = test::uniform(k, n, 2), bias = test::uniform(1, n, 3);
        Matrix<float> product(m, n);
        Padded<float> c(m, n, 7.0f), pre(m, n, 7.0f);
        const std::span<const float> bias_span(bias.data(), static_cast<size_t>(n));
        ASSERT_OK(backend->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(),
                                with_bias ? Epilogue{bias_span} : Epilogue{}, product.view()));
        ASSERT_OK(backend->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(),
                                {with_bias ? bias_span : std::span<const float>(), activation, pre.view()}, c.view()));
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j < n; ++j) {
            ASSERT_EQ(pre.view()(i, j), product(i, j));
            const double x = product(i, j);
            ASSERT_TRUE(near(c.view()(i, j), value(activation, x), activation == Activation::kGelu ? bound(x) : 0));
          }
        }
        ASSERT_TRUE(c.guards_intact() && pre.guards_intact());
      }
    }
  }
}

TEST_P(Layers, BackwardMultipliesByTheSlope) {
  const int64_t m = 61, k = 35, n = 67;
  const Matrix<float> a = test::uniform(m, k, 1), b = test::uniform(n, k, 2);
  Padded<float> pre(m, n, 7.0f);
  std::mt19937 rng(3);
  test::fill_uniform(pre.view(), rng, -4.0f, 4.0f);
  pre.view()(5, 6) = 0.0f;
  Matrix<float> product(m, n);
  ASSERT_OK(backend->gemm(Trans::kNo, Trans::kYes, a.view(), b.view(), {}, product.view()));
  for (const Activation activation : kActivations) {
    Padded<float> c(m, n, 7.0f);
    ASSERT_OK(backend->gemm_backward(Trans::kNo, Trans::kYes, a.view(), b.view(), activation, pre.view(), c.view()));
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const double x = pre.view()(i, j), g = product(i, j);
        // The slope within the contract's bound, then one rounding.
        const double tolerance = activation == Activation::kGelu ? std::fabs(g) * (bound(x) + 2 * test::kRounding) : 0;
        ASSERT_TRUE(near(c.view()(i, j), g * slope(activation, x), tolerance)) << x;
      }
    }
    ASSERT_TRUE(c.guards_intact());
  }
}

TEST_P(Layers, GeluIsTheExactFormOverTheWholeRange) {
  const int64_t n = 40001;
  Matrix<float> x(1, n), one(1, 1), y(1, n), slopes(1, n), ones(1, n);
  one(0, 0) = 1.0f;
  for (int64_t j = 0; j < n; ++j) {
    x(0, j) = static_cast<float>(-20.0 + 0.001 * static_cast<double>(j));
    ones(0, j) = 1.0f;
  }
  ASSERT_OK(backend->gemm(Trans::kNo, Trans::kNo, one.view(), x.view(), {{}, Activation::kGelu, {}}, y.view()));
  ASSERT_OK(backend->gemm_backward(Trans::kNo, Trans::kNo, one.view(), ones.view(), Activation::kGelu, x.view(),
                                   slopes.view()));
  for (int64_t j = 0; j < n; ++j) {
    const double at = x(0, j);
    ASSERT_TRUE(near(y(0, j), value(Activation::kGelu, at), bound(at))) << at;
    ASSERT_TRUE(near(slopes(0, j), slope(Activation::kGelu, at), bound(at))) << at;
  }
  for (const float extreme : {-1e30f, 1e30f, 0.0f}) {
    Matrix<float> e(1, 1), out(1, 1);
    e(0, 0) = extreme;
    ASSERT_OK(backend->gemm(Trans::kNo, Trans::kNo, one.view(), e.view(), {{}, Activation::kGelu, {}}, out.view()));
    ASSERT_EQ(out(0, 0), extreme > 0 ? extreme : 0.0f);
  }
}

TEST_P(Layers, BFloat16OperandsAreMultipliedExactly) {
  const std::vector<std::array<int64_t, 3>> shapes = {{0, 3, 5},    {1, 1, 1},     {3, 2, 17},   {13, 7, 33},
                                                      {12, 64, 32}, {31, 383, 65}, {97, 771, 67}};
  for (const auto& [m, k, n] : shapes) {
    for (int mode = 0; mode < 4; ++mode) {
      SCOPED_TRACE(testing::Message() << m << "x" << k << "x" << n << " mode " << mode);
      const bool ta = mode & 1, tb = mode & 2;
      std::mt19937 rng(7);
      std::uniform_real_distribution<float> dist(-1.0f, 1.0f);
      Padded<BFloat16> a(ta ? k : m, ta ? m : k, BFloat16{0x7fc0}), b(tb ? n : k, tb ? k : n, BFloat16{0x7fc0});
      for (auto* x : {&a, &b}) {
        for (int64_t i = 0; i < x->view().rows; ++i) {
          for (int64_t j = 0; j < x->view().cols; ++j) x->view()(i, j) = to_bfloat16(dist(rng));
        }
      }
      Padded<float> c(m, n, 7.0f);
      ASSERT_OK(backend->gemm(ta ? Trans::kYes : Trans::kNo, tb ? Trans::kYes : Trans::kNo,
                              HostMatrix<const BFloat16>(a.view()), HostMatrix<const BFloat16>(b.view()), {},
                              c.view()));
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0, size = 0;
          for (int64_t l = 0; l < k; ++l) {
            const double term = static_cast<double>(to_float(ta ? a.view()(l, i) : a.view()(i, l))) *
                                static_cast<double>(to_float(tb ? b.view()(j, l) : b.view()(l, j)));
            sum += term;
            size += std::fabs(term);
          }
          // Exact products; at most k + blocks additions round.
          ASSERT_TRUE(near(c.view()(i, j), sum, 1.01 * static_cast<double>(k + 4) * test::kRounding * size));
        }
      }
      ASSERT_TRUE(c.guards_intact());
    }
  }
}

TEST_P(Layers, ColumnSumsAreFloat64InAscendingRows) {
  for (const int64_t rows : {0, 1, 2, 97, 1009}) {
    for (const int64_t cols : {0, 1, 63, 64, 65, 131}) {
      Padded<float> x(rows, cols, 1e30f);
      std::mt19937 rng(static_cast<uint32_t>(rows * 1000 + cols));
      test::fill_uniform(x.view(), rng);
      std::vector<float> out(static_cast<size_t>(cols), 9.0f);
      ASSERT_OK(backend->column_sums(x.view(), out));
      for (int64_t j = 0; j < cols; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < rows; ++i) sum += static_cast<double>(x.view()(i, j));
        ASSERT_EQ(out[static_cast<size_t>(j)], static_cast<float>(sum));
      }
    }
  }
}

TEST_P(Layers, RefusesShapesThatDoNotFit) {
  Matrix<float> a(3, 4), b(4, 6), c(3, 6), pre(3, 5);
  EXPECT_EQ(
      backend->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), {{}, Activation::kRelu, pre.view()}, c.view()).code(),
      ErrorCode::kInternal);
  EXPECT_EQ(backend->gemm_backward(Trans::kNo, Trans::kNo, a.view(), b.view(), Activation::kGelu, pre.view(), c.view())
                .code(),
            ErrorCode::kInternal);
  std::vector<float> sums(5);
  EXPECT_EQ(backend->column_sums(c.view(), sums).code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace tracer
