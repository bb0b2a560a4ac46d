#include "tests/kernels/support.h"

namespace tracer {
namespace {

using test::near;
using test::Padded;

class Gemm : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(Gemm);

struct Shape {
  int64_t m, k, n;
};

// Around every tile edge of the three instruction sets (mr 4 and 12, nr 8, 24 and 32, row block 96, inner block 384).
std::vector<Shape> shapes() {
  std::vector<Shape> s;
  for (const int64_t m : {0, 1, 3, 4, 5, 11, 12, 13, 17, 95, 96, 97}) s.push_back({m, 7, 33});
  for (const int64_t n : {0, 1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 101}) s.push_back({13, 5, n});
  for (const int64_t k : {0, 1, 2, 3, 4, 5, 97, 383, 384, 385, 769}) s.push_back({14, k, 35});
  s.push_back({211, 401, 193});
  return s;
}

struct Operands {
  Padded<float> a, b, c;
  std::vector<float> bias;
};

template <class Fill>
Operands operands(const Shape& s, bool ta, bool tb, Fill&& fill) {
  Operands o{ta ? Padded<float>(s.k, s.m, 7.5f) : Padded<float>(s.m, s.k, 7.5f),
             tb ? Padded<float>(s.n, s.k, 7.5f) : Padded<float>(s.k, s.n, 7.5f), Padded<float>(s.m, s.n, 7.5f),
             std::vector<float>(static_cast<size_t>(s.n))};
  fill(o.a.view());
  fill(o.b.view());
  fill(HostMatrix<float>(o.bias.data(), 1, s.n));
  return o;
}

double at(const Padded<float>& m, bool transposed, int64_t i, int64_t j) {
  return transposed ? m.view()(j, i) : m.view()(i, j);
}

TEST_P(Gemm, MatchesTheOracleAtEveryEdge) {
  std::mt19937 rng(1);
  for (const Shape& s : shapes()) {
    for (int mode = 0; mode < 8; ++mode) {
      const bool ta = mode & 1, tb = mode & 2, with_bias = mode & 4;
      SCOPED_TRACE(testing::Message() << s.m << "x" << s.k << "x" << s.n << " ta=" << ta << " tb=" << tb);
      Operands o = operands(s, ta, tb, [&](HostMatrix<float> v) { test::fill_uniform(v, rng); });
      ASSERT_OK(backend->gemm(ta ? Trans::kYes : Trans::kNo, tb ? Trans::kYes : Trans::kNo, o.a.view(), o.b.view(),
                              with_bias ? Epilogue{o.bias} : Epilogue{}, o.c.view()));
      for (int64_t i = 0; i < s.m; ++i) {
        for (int64_t j = 0; j < s.n; ++j) {
          double sum = with_bias ? o.bias[static_cast<size_t>(j)] : 0.0, size = std::fabs(sum);
          for (int64_t k = 0; k < s.k; ++k) {
            const double term = at(o.a, ta, i, k) * at(o.b, tb, k, j);
            sum += term;
            size += std::fabs(term);
          }
          // Each term passes through at most k additions, one product, and the additions of blocks and bias; each
          // rounds by at most kRounding of a partial sum, which `size` bounds. 1.01: terms of second order.
          const double roundings = static_cast<double>(s.k + 1 + s.k / 384 + 2);
          ASSERT_TRUE(near(o.c.view()(i, j), sum, 1.01 * roundings * test::kRounding * size)) << i << ", " << j;
        }
      }
      ASSERT_TRUE(o.c.guards_intact());
    }
  }
}

TEST_P(Gemm, IsExactOnIntegers) {
  // |entries| <= 8 and k <= 769: every partial sum is an integer below 2^24, so every rounding is exact.
  std::mt19937 rng(2);
  const auto fill = [&](HostMatrix<float> v) {
    for (int64_t i = 0; i < v.rows; ++i) {
      for (int64_t j = 0; j < v.cols; ++j) v(i, j) = static_cast<float>(static_cast<int>(rng() % 17) - 8);
    }
  };
  for (const Shape& s : shapes()) {
    for (int mode = 0; mode < 4; ++mode) {
      const bool ta = mode & 1, tb = mode & 2;
      Operands o = operands(s, ta, tb, fill);
      ASSERT_OK(backend->gemm(ta ? Trans::kYes : Trans::kNo, tb ? Trans::kYes : Trans::kNo, o.a.view(), o.b.view(),
                              {o.bias}, o.c.view()));
      for (int64_t i = 0; i < s.m; ++i) {
        for (int64_t j = 0; j < s.n; ++j) {
          double sum = o.bias[static_cast<size_t>(j)];
          for (int64_t k = 0; k < s.k; ++k) sum += at(o.a, ta, i, k) * at(o.b, tb, k, j);
          ASSERT_EQ(o.c.view()(i, j), static_cast<float>(sum)) << s.m << "x" << s.k << "x" << s.n;
        }
      }
    }
  }
}

TEST_P(Gemm, SameBytesForAnyNumberOfThreads) {
  const Matrix<float> a = test::uniform(307, 401, 3), b = test::uniform(401, 131, 4);
  Matrix<float> reference(307, 131);
  ASSERT_OK(test::make(GetParam(), 1)->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), {}, reference.view()));
  for (const int threads : {2, 3, 7}) {
    Matrix<float> c(307, 131);
    ASSERT_OK(test::make(GetParam(), threads)->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), {}, c.view()));
    ASSERT_TRUE(test::same_bytes(c, reference)) << threads << " threads";
  }
}

TEST_P(Gemm, ARowAndAColumnDoNotDependOnTheOthers) {
  if (backend->name() == "cuda") GTEST_SKIP() << "the bytes of a product by cuBLAS depend on its shape";
  const int64_t m = 109, k = 401, n = 77;
  const Matrix<float> a = test::uniform(m, k, 5), b = test::uniform(k, n, 6);
  Matrix<float> c(m, n), one(1, n), column(m, 1);
  ASSERT_OK(backend->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), {}, c.view()));
  for (int64_t i = 0; i < m; ++i) {
    ASSERT_OK(backend->gemm(Trans::kNo, Trans::kNo, a.view().rows_from(i, 1), b.view(), {}, one.view()));
    ASSERT_EQ(std::memcmp(one.data(), c.row(i), sizeof(float) * static_cast<size_t>(n)), 0) << "row " << i;
  }
  for (int64_t j = 0; j < n; ++j) {
    ASSERT_OK(backend->gemm(Trans::kNo, Trans::kNo, a.view(), {b.data() + j, k, 1, n}, {}, column.view()));
    for (int64_t i = 0; i < m; ++i) ASSERT_EQ(column(i, 0), c(i, j)) << "column " << j;
  }
}

TEST_P(Gemm, WideOutputsAreComputedInParts) {
  // The packed copy of B is bounded: k of 40,000 makes the parts narrow (16 M floats / 40,000 = 419 columns).
  const int64_t m = 2, k = 40000, n = 900;
  Matrix<float> a(m, k), b(k, n), c(m, n);
  for (int64_t i = 0; i < k; ++i) a(0, i) = 1.0f, a(1, i) = static_cast<float>(i % 3);
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < n; ++j) b(i, j) = static_cast<float>((i + j) % 5);
  }
  ASSERT_OK(backend->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), {}, c.view()));
  for (int64_t j = 0; j < n; ++j) {
    int64_t first = 0, second = 0;
    for (int64_t i = 0; i < k; ++i) first += (i + j) % 5, second += i % 3 * ((i + j) % 5);
    ASSERT_EQ(c(0, j), static_cast<float>(first));
    ASSERT_EQ(c(1, j), static_cast<float>(second));
  }
}

TEST_P(Gemm, RefusesShapesThatDoNotFit) {
  Matrix<float> a(3, 4), b(5, 6), c(3, 6);
  EXPECT_EQ(backend->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), {}, c.view()).code(), ErrorCode::kInternal);
  Matrix<float> ok(4, 6), wrong(2, 6);
  EXPECT_EQ(backend->gemm(Trans::kNo, Trans::kNo, a.view(), ok.view(), {}, wrong.view()).code(), ErrorCode::kInternal);
  const std::vector<float> bias(5);
  EXPECT_EQ(backend->gemm(Trans::kNo, Trans::kNo, a.view(), ok.view(), {bias}, c.view()).code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace tracer
