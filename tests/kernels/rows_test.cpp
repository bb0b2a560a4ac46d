// bfloat16 itself, and the operation that moves rows.
#include <cmath>
#include <limits>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

// The oracle: the two bfloat16 neighbours of x by truncation, the nearer one, the even one of a tie. In double, where
// the midpoint is exact.
uint16_t nearest_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint16_t below = static_cast<uint16_t>(bits >> 16);
  if ((bits & 0xffffu) == 0) return below;
  const uint16_t above = static_cast<uint16_t>(below + 1);
  const auto magnitude = [](uint16_t b) {
    const int exponent = (b & 0x7fff) >> 7, fraction = b & 0x7f;
    return exponent == 0 ? std::ldexp(fraction, -133) : std::ldexp(128 + fraction, exponent - 134);
  };
  const double v = std::fabs(static_cast<double>(x)), low = v - magnitude(below), high = magnitude(above) - v;
  if (low != high) return low < high ? below : above;
  return (below & 1) == 0 ? below : above;
}

TEST(BFloat16, RoundsToNearestEven) {
  std::mt19937 rng(5);
  for (int i = 0; i < 200000; ++i) {
    uint32_t bits = static_cast<uint32_t>(rng());
    if (i % 4 == 0) bits = (bits & 0xffff0000u) | 0x8000u;           // a tie
    if (i % 4 == 1) bits = (bits & 0x807f0000u) | (bits & 0xffffu);  // subnormal
    float x;
    std::memcpy(&x, &bits, sizeof x);
    if (std::isnan(x)) {
      ASSERT_TRUE(std::isnan(to_float(to_bfloat16(x))));
      ASSERT_NE(to_bfloat16(x).bits & 0x40, 0) << "a signalling NaN";
      continue;
    }
    if (std::isinf(x)) continue;
    ASSERT_EQ(to_bfloat16(x).bits, nearest_bits(x)) << std::hexfloat << x;
  }
}

TEST(BFloat16, EveryValueSurvives) {
  for (uint32_t b = 0; b < 0x10000; ++b) {
    const float x = to_float({static_cast<uint16_t>(b)});
    if (std::isnan(x)) continue;
    ASSERT_EQ(to_bfloat16(x).bits, b);
  }
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(to_float(to_bfloat16(infinity)), infinity);
  EXPECT_EQ(to_float(to_bfloat16(-infinity)), -infinity);
  EXPECT_EQ(to_float(to_bfloat16(std::numeric_limits<float>::max())), infinity);
}

class Rows : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(Rows);

TEST_P(Rows, GathersRows) {
  const Matrix<float> x = test::uniform(71, 19, 7);
  std::vector<int64_t> index = {70, 0, 0, 5};
  for (int64_t i = 0; i < 200; ++i) index.push_back(i * 31 % 71);
  const int64_t n = static_cast<int64_t>(index.size());
  Matrix<float> out(n, 19);
  ASSERT_OK(backend->gather_rows(x.view(), index, out.view()));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < 19; ++j) ASSERT_EQ(out(i, j), x(index[static_cast<size_t>(i)], j));
  }
  Matrix<float> none(0, 19);
  ASSERT_OK(backend->gather_rows(x.view(), {}, none.view()));
  for (const int64_t bad : {int64_t{-1}, int64_t{71}}) {
    index[2] = bad;
    EXPECT_EQ(backend->gather_rows(x.view(), index, out.view()).code(), ErrorCode::kInternal);
  }
  index[2] = 0;
  EXPECT_EQ(backend->gather_rows(x.view(), index, none.view()).code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace tracer
