// The exponential and the logarithm of the softmax rows, and normalise_rows.
#include <limits>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

class Elementary : public test::OnEveryIsa {
 protected:
  // The instruction set's own functions: a GPU's are in what the other tests see of it.
  const cpu::IsaKernels* isa() const { return cpu::select_isa(GetParam()).value(); }
};
INSTANTIATE_TEST_SUITE_P(Isa, Elementary, testing::ValuesIn(test::isas()), [](const auto& info) { return info.param; });

class NormaliseRows : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(NormaliseRows);

TEST_P(Elementary, ExpIsWithinOneMillionth) {
  std::vector<float> x;
  for (float v = -87.3f; v <= 88.0f; v += 0.0007f) x.push_back(v);
  for (const float v : {0.0f, -0.0f, 1e-30f, -1e-8f, 0.34657359f, -0.34657359f, 1.0f, -1.0f}) x.push_back(v);
  std::vector<float> y(x.size());
  isa()->exp_array(x.data(), static_cast<int64_t>(x.size()), y.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = std::exp(static_cast<double>(x[i]));
    ASSERT_TRUE(test::near(y[i], expected, 1e-6 * expected)) << x[i];
  }
}

TEST_P(Elementary, ExpOfVerySmallIsExactlyZero) {
  const std::vector<float> x = {-87.34f, -88.0f, -1e4f, -1e30f, -std::numeric_limits<float>::infinity()};
  std::vector<float> y(x.size(), 1.0f);
  isa()->exp_array(x.data(), static_cast<int64_t>(x.size()), y.data());
  for (const float v : y) ASSERT_EQ(v, 0.0f);
}

TEST_P(Elementary, LogIsWithinAMillionth) {
  std::vector<float> x = {1.0f, 0.70710677f, 0.70710683f, 1.4142135f, 1.17549435e-38f, 3e38f};
  for (double e = -37.9; e < 38; e += 0.001) x.push_back(static_cast<float>(std::pow(10.0, e)));
  for (float v = 0.9f; v < 1.1f; v += 0.00001f) x.push_back(v);
  std::vector<float> y(x.size());
  isa()->log_array(x.data(), static_cast<int64_t>(x.size()), y.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = std::log(static_cast<double>(x[i]));
    ASSERT_TRUE(test::near(y[i], expected, 1e-6 * std::fabs(expected))) << x[i];
  }
}

TEST_P(NormaliseRows, HaveUnitLength) {
  for (const int64_t d : {0, 1, 2, 7, 8, 9, 63, 384, 769}) {
    test::Padded<float> x(131, d, 5.5f), before(131, d, 5.5f);
    std::mt19937 rng(static_cast<uint32_t>(d));
    test::fill_uniform(x.view(), rng, -3.0f, 3.0f);
    for (int64_t j = 0; j < d; ++j) x.view()(17, j) = 0;
    for (int64_t j = 0; j < d; ++j) x.view()(18, j) *= 1e-30f;  // the sum of squares underflows in float32
    for (int64_t i = 0; i < 131; ++i) std::copy_n(x.view().row(i), d, before.view().row(i));
    ASSERT_OK(backend->normalise_rows(x.view()));
    ASSERT_TRUE(x.guards_intact());
    for (int64_t i = 0; i < 131; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < d; ++j) sum += static_cast<double>(before.view()(i, j)) * before.view()(i, j);
      for (int64_t j = 0; j < d; ++j) {
        const double expected = i == 17 ? 0.0 : before.view()(i, j) / std::sqrt(sum);
        // One rounding to float32; float64 errors are far below.
        ASSERT_TRUE(test::near(x.view()(i, j), expected, 1.01 * test::kRounding * std::fabs(expected) + 1e-45));
      }
    }
  }
}

TEST(NormalisedRows, SameBytesOnEveryInstructionSetAndNumberOfThreads) {
  const Matrix<float> x = test::uniform(150, 77, 1);
  Matrix<float> reference = x.clone();
  ASSERT_OK(test::make("portable", 1)->normalise_rows(reference.view()));
  for (const std::string& isa : test::isas()) {
    for (const int threads : {1, 2, 3}) {
      Matrix<float> y = x.clone();
      ASSERT_OK(test::make(isa, threads)->normalise_rows(y.view()));
      EXPECT_TRUE(test::same_bytes(y, reference)) << isa << ", " << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace tracer
