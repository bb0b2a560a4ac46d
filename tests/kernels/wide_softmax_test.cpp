#include "kernels/cpu/wide_softmax.h"

#include <limits>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

using test::near;

class WideSoftmax : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(WideSoftmax);

constexpr float kUntouched = 12345.0f;

// A problem and its outputs, all in padded storage.
struct Fit {
  Fit(int64_t n, int64_t d, int64_t classes, int64_t models, uint32_t seed, float scale = 1.0f)
      : x(n, d, 3.5f),
        w(d, models * classes, 3.5f),
        b(static_cast<size_t>(models * classes)),
        label(test::integers(n, static_cast<int32_t>(classes), seed)),
        fold(test::integers(n, 3, seed + 1)),
        held_out(static_cast<size_t>(models)),
        seen(models, classes),
        active(static_cast<size_t>(models), 1),
        loss(static_cast<size_t>(models), kUntouched),
        grad_w(d, models * classes, kUntouched),
        grad_b(static_cast<size_t>(models * classes), kUntouched),
        held(n, classes, kUntouched) {
    std::mt19937 rng(seed + 2);
    test::fill_uniform(x.view(), rng);
    test::fill_uniform(w.view(), rng, -scale, scale);
    for (float& v : b) v = std::uniform_real_distribution<float>(-1.0f, 1.0f)(rng);
    for (int64_t m = 0; m < models; ++m) held_out[static_cast<size_t>(m)] = static_cast<int32_t>(m % 4) - 1;
    std::fill_n(seen.data(), seen.size(), uint8_t{1});
  }
  int64_t n() const { return x.view().rows; }
  int64_t d() const { return x.view().cols; }
  int64_t classes() const { return seen.cols(); }
  int64_t models() const { return seen.rows(); }
  bool learns(int64_t m, int64_t i) const {
    return held_out[static_cast<size_t>(m)] < 0 || held_out[static_cast<size_t>(m)] != fold[static_cast<size_t>(i)];
  }
  WideSoftmaxProblem problem() const { return {x.view(), label, classes(), fold, held_out, seen.view()}; }
  Status run(Backend& backend, bool gradient = true, bool probability = true) {
    return backend.wide_softmax(problem(), w.view(), b, active, loss, gradient ? grad_w.view() : HostMatrix<float>(),
                                gradient ? std::span<float>(grad_b) : std::span<float>(),
                                probability ? held.view() : HostMatrix<float>());
  }

  test::Padded<float> x, w;
  std::vector<float> b;
  std::vector<int32_t> label, fold, held_out;
  Matrix<uint8_t> seen;
  std::vector<uint8_t> active;
  std::vector<double> loss;
  test::Padded<float> grad_w;
  std::vector<float> grad_b;
  test::Padded<float> held;
};

// Double-precision probabilities of one row under one model; `size` receives the largest sum of |products|.
std::vector<double> probabilities(const Fit& f, int64_t m, int64_t i, double* size) {
  const int64_t classes = f.classes();
  std::vector<double> z(static_cast<size_t>(classes));
  double max = -std::numeric_limits<double>::infinity();
  for (int64_t c = 0; c < classes; ++c) {
    double sum = f.b[static_cast<size_t>(m * classes + c)], total = std::fabs(sum);
    for (int64_t k = 0; k < f.d(); ++k) {
      const double term = static_cast<double>(f.x.view()(i, k)) * f.w.view()(k, m * classes + c);
      sum += term;
      total += std::fabs(term);
    }
    z[static_cast<size_t>(c)] = f.seen(m, c) != 0 ? sum : -std::numeric_limits<double>::infinity();
    *size = std::max(*size, total);
    max = std::max(max, z[static_cast<size_t>(c)]);
  }
  double sum = 0;
  for (double& v : z) sum += v = std::exp(v - max);
  for (double& v : z) v /= sum;
  return z;
}

// A logit of size S passes through d + 3 roundings. An error e in the logits changes p by a factor within 1 +- 2e
// (first order); 1e-6 covers exp, the sum over classes and the division.
double relative_error(const Fit& f, double size) {
  return 2.02 * static_cast<double>(f.d() + 3) * test::kRounding * size + 1e-6;
}

void check(const Fit& f) {
  const int64_t classes = f.classes();
  for (int64_t m = 0; m < f.models(); ++m) {
    double loss = 0, size = 0, rows = 0;
    Matrix<double> grad(f.d() + 1, classes), weight(f.d() + 1, classes);
    for (int64_t i = 0; i < f.n(); ++i) {
      if (!f.learns(m, i)) continue;
      const std::vector<double> p = probabilities(f, m, i, &size);
      const int64_t label = f.label[static_cast<size_t>(i)];
      loss -= std::log(p[static_cast<size_t>(label)]);
      rows += 1;
      for (int64_t c = 0; c < classes; ++c) {
        const double delta = p[static_cast<size_t>(c)] - (c == label ? 1.0 : 0.0);
        const double room = p[static_cast<size_t>(c)] + (c == label ? 1.0 : 0.0);
        for (int64_t k = 0; k <= f.d(); ++k) {
          const double x = k < f.d() ? static_cast<double>(f.x.view()(i, k)) : 1.0;
          grad(k, c) += x * delta;
          weight(k, c) += std::fabs(x) * room;
        }
      }
    }
    const double scale = rows > 0 ? 1.0 / rows : 0.0;
    const double relative = relative_error(f, size);
    ASSERT_TRUE(near(f.loss[static_cast<size_t>(m)], loss * scale, relative + 1e-6)) << "loss of model " << m;
    // Each of the n terms of a gradient has the error of p, two roundings of its own and n additions.
    const double tolerance = relative + static_cast<double>(f.n() + 4) * test::kRounding;
    for (int64_t c = 0; c < classes; ++c) {
      for (int64_t k = 0; k < f.d(); ++k) {
        ASSERT_TRUE(near(f.grad_w.view()(k, m * classes + c), grad(k, c) * scale, tolerance * weight(k, c) * scale))
            << "model " << m << " k " << k << " class " << c;
      }
      ASSERT_TRUE(near(f.grad_b[static_cast<size_t>(m * classes + c)], grad(f.d(), c) * scale,
                       tolerance * weight(f.d(), c) * scale))
          << "bias, model " << m << " class " << c;
    }
  }
  for (int64_t i = 0; i < f.n(); ++i) {
    int64_t holder = -1;  // the last model that holds the row out
    for (int64_t m = 0; m < f.models(); ++m) holder = f.learns(m, i) ? holder : m;
    double size = 0;
    const std::vector<double> p = holder < 0 ? std::vector<double>() : probabilities(f, holder, i, &size);
    for (int64_t c = 0; c < classes; ++c) {
      const double expected = holder < 0 ? static_cast<double>(kUntouched) : p[static_cast<size_t>(c)];
      ASSERT_TRUE(near(f.held.view()(i, c), expected, holder < 0 ? 0.0 : relative_error(f, size) * expected + 1e-37))
          << "held-out row " << i << " class " << c;
    }
  }
  ASSERT_TRUE(f.grad_w.guards_intact());
  ASSERT_TRUE(f.held.guards_intact());
}

TEST_P(WideSoftmax, MatchesTheOracleAtEveryEdge) {
  const std::vector<std::array<int64_t, 4>> cases = {
      // rows, d, classes, models
      {0, 3, 2, 1},    {1, 1, 1, 1},    {1, 0, 3, 2},    {5, 2, 2, 3},     {47, 3, 4, 1},   {48, 4, 7, 4},
      {49, 5, 8, 5},   {95, 11, 9, 3},  {97, 12, 15, 2}, {101, 13, 16, 4}, {131, 7, 17, 6}, {383, 6, 31, 2},
      {384, 5, 32, 1}, {385, 9, 33, 3}, {53, 385, 5, 2}, {800, 17, 77, 4}};
  uint32_t seed = 100;
  for (const auto& [n, d, classes, models] : cases) {
    SCOPED_TRACE(testing::Message() << n << " rows, d " << d << ", " << classes << " classes, " << models << " models");
    Fit f(n, d, classes, models, seed += 10);
    ASSERT_OK(f.run(*backend));
    check(f);
  }
}

TEST_P(WideSoftmax, BlocksOfRowsThatAModelHoldsOutAreSkipped) {
  // Rows sorted by fold: whole blocks of 48 and of 384 rows belong to one fold, and most panels of columns to the
  // models of one fold.
  Fit f(1500, 4, 33, 8, 87), plain(1500, 4, 33, 8, 87);
  for (int64_t i = 0; i < 1500; ++i) f.fold[static_cast<size_t>(i)] = static_cast<int32_t>(i / 500);
  plain.fold = f.fold;
  ASSERT_OK(f.run(*backend));
  check(f);
  ASSERT_OK(plain.run(*backend, true, false));  // without held-out probabilities the logits are skipped too
  EXPECT_TRUE(test::same_bytes(f.loss, plain.loss));
  EXPECT_TRUE(test::same_bytes(f.grad_b, plain.grad_b));
  for (int64_t k = 0; k < 4; ++k) {
    ASSERT_EQ(std::memcmp(f.grad_w.view().row(k), plain.grad_w.view().row(k), sizeof(float) * 33 * 8), 0);
  }
}

TEST_P(WideSoftmax, LargeLogitsStayFinite) {
  Fit f(60, 5, 9, 2, 7, 60.0f);  // logits of some hundreds: exp alone would overflow
  ASSERT_OK(f.run(*backend));
  check(f);
}

TEST_P(WideSoftmax, GradientAgreesWithFiniteDifferencesOfTheLoss) {
  Fit f(41, 3, 5, 2, 17);
  ASSERT_OK(f.run(*backend));
  const auto loss = [&](int64_t m) {
    double sum = 0, size = 0;
    int64_t rows = 0;
    for (int64_t i = 0; i < f.n(); ++i) {
      if (!f.learns(m, i)) continue;
      sum -= std::log(probabilities(f, m, i, &size)[static_cast<size_t>(f.label[static_cast<size_t>(i)])]);
      ++rows;
    }
    return sum / static_cast<double>(rows);
  };
  for (int64_t m = 0; m < 2; ++m) {
    for (int64_t j = m * 5; j < (m + 1) * 5; ++j) {
      for (int64_t k = 0; k <= 3; ++k) {
        float& weight = k < 3 ? f.w.view()(k, j) : f.b[static_cast<size_t>(j)];
        const float centre = weight;
        const float above = centre + 1e-3f, below = centre - 1e-3f;
        weight = above;
        const double up = loss(m);
        weight = below;
        const double down = loss(m);
        weight = centre;
        const double slope = (up - down) / (static_cast<double>(above) - static_cast<double>(below));
        const float got = k < 3 ? f.grad_w.view()(k, j) : f.grad_b[static_cast<size_t>(j)];
        // Truncation h^2/6 |f'''| < 2e-7; the float32 gradient of 41 rows is within 3e-6 (see above).
        ASSERT_TRUE(near(got, slope, 4e-6)) << "model " << m << " weight " << k << ", " << j;
      }
    }
  }
}

TEST_P(WideSoftmax, RemovedClassesHaveNoProbabilityAndNoGradient) {
  Fit f(120, 6, 7, 3, 27);
  f.held_out = {0, 1, 2};
  for (const int64_t c : {0, 3, 6}) {
    f.seen(1, c) = 0;
    for (size_t i = 0; i < f.label.size(); ++i) {
      if (f.label[i] == c && f.learns(1, static_cast<int64_t>(i))) f.label[i] = 1;
    }
  }
  ASSERT_OK(f.run(*backend));
  check(f);
  for (const int64_t c : {0, 3, 6}) {
    for (int64_t k = 0; k < 6; ++k) ASSERT_EQ(f.grad_w.view()(k, 7 + c), 0.0f);
    ASSERT_EQ(f.grad_b[static_cast<size_t>(7 + c)], 0.0f);
    for (int64_t i = 0; i < 120; ++i) {
      if (f.fold[static_cast<size_t>(i)] == 1) {
        ASSERT_EQ(f.held.view()(i, c), 0.0f);
      }
    }
  }
}

TEST_P(WideSoftmax, AModelThatLearnsFromNothingHasNoLossAndNoGradient) {
  Fit f(50, 4, 3, 2, 37);
  std::fill(f.fold.begin(), f.fold.end(), 2);
  f.held_out = {2, -1};
  ASSERT_OK(f.run(*backend));
  check(f);
  EXPECT_EQ(f.loss[0], 0.0);
}

TEST_P(WideSoftmax, InactiveModelsAreLeftUntouched) {
  if (backend->name() == "cuda") GTEST_SKIP() << "the bytes of a product by cuBLAS depend on its shape";
  Fit all(90, 8, 6, 5, 47), some(90, 8, 6, 5, 47);
  ASSERT_OK(all.run(*backend));
  some.active = {0, 1, 0, 0, 7};
  ASSERT_OK(some.run(*backend));
  for (int64_t m = 0; m < 5; ++m) {
    const bool active = some.active[static_cast<size_t>(m)] != 0;
    // Bit equality: a model's result does not depend on the models beside it.
    EXPECT_EQ(some.loss[static_cast<size_t>(m)], active ? all.loss[static_cast<size_t>(m)] : double{kUntouched});
    for (int64_t j = m * 6; j < (m + 1) * 6; ++j) {
      for (int64_t k = 0; k < 8; ++k) {
        ASSERT_EQ(some.grad_w.view()(k, j), active ? all.grad_w.view()(k, j) : kUntouched);
      }
      ASSERT_EQ(some.grad_b[static_cast<size_t>(j)], active ? all.grad_b[static_cast<size_t>(j)] : kUntouched);
    }
  }
  some.active.assign(5, 0);
  ASSERT_OK(some.run(*backend));
}

TEST_P(WideSoftmax, LossAloneEqualsLossWithGradient) {
  Fit a(150, 9, 11, 3, 57), b(150, 9, 11, 3, 57);
  ASSERT_OK(a.run(*backend));
  ASSERT_OK(b.run(*backend, false, false));
  EXPECT_TRUE(test::same_bytes(a.loss, b.loss));
  EXPECT_EQ(b.grad_w.view()(0, 0), kUntouched);
  EXPECT_EQ(b.held.view()(0, 0), kUntouched);
}

TEST_P(WideSoftmax, SameBytesForAnyNumberOfThreadsAndGroups) {
  const auto bytes = [](const Fit& f) {
    std::vector<float> all(f.grad_b);
    for (int64_t k = 0; k < f.d(); ++k) all.insert(all.end(), f.grad_w.view().row(k), f.grad_w.view().row(k + 1) - 5);
    for (int64_t i = 0; i < f.n(); ++i) all.insert(all.end(), f.held.view().row(i), f.held.view().row(i + 1) - 5);
    return all;
  };
  Fit reference(500, 21, 19, 6, 67);
  ASSERT_OK(reference.run(*test::make(GetParam(), 1)));
  for (const int threads : {2, 3}) {
    Fit f(500, 21, 19, 6, 67);
    ASSERT_OK(f.run(*test::make(GetParam(), threads)));
    EXPECT_TRUE(test::same_bytes(f.loss, reference.loss)) << threads;
    EXPECT_TRUE(test::same_bytes(bytes(f), bytes(reference))) << threads;
  }
  if (backend->name() != "cpu") return;
  cpu::ThreadPool pool(2);
  cpu::ScratchPool scratch;
  const cpu::Context context{cpu::select_isa(GetParam()).value(), &pool, &scratch};
  for (const int64_t bound : {1, 500 * 19, 500 * 19 * 4}) {  // groups of 1, 1 and 4 models
    Fit f(500, 21, 19, 6, 67);
    ASSERT_OK(cpu::wide_softmax(context, f.problem(), f.w.view(), f.b, f.active, f.loss, f.grad_w.view(), f.grad_b,
                                f.held.view(), bound));
    EXPECT_TRUE(test::same_bytes(f.loss, reference.loss)) << bound;
    EXPECT_TRUE(test::same_bytes(bytes(f), bytes(reference))) << bound;
  }
}

TEST_P(WideSoftmax, RefusesWhatDoesNotFit) {
  const auto code = [&](auto&& change) {
    Fit f(10, 3, 4, 2, 77);
    change(f);
    return f.run(*backend).code();
  };
  EXPECT_EQ(code([](Fit&) {}), ErrorCode::kOk);
  EXPECT_EQ(code([](Fit& f) { f.label[3] = 4; }), ErrorCode::kInternal);
  EXPECT_EQ(code([](Fit& f) { f.label[3] = -1; }), ErrorCode::kInternal);
  EXPECT_EQ(code([](Fit& f) { f.label.pop_back(); }), ErrorCode::kInternal);
  EXPECT_EQ(code([](Fit& f) { f.fold.pop_back(); }), ErrorCode::kInternal);
  EXPECT_EQ(code([](Fit& f) { f.b.pop_back(); }), ErrorCode::kInternal);
  EXPECT_EQ(code([](Fit& f) { f.loss.pop_back(); }), ErrorCode::kInternal);
  EXPECT_EQ(code([](Fit& f) { f.active.pop_back(); }), ErrorCode::kInternal);
  EXPECT_EQ(code([](Fit& f) { f.grad_b.pop_back(); }), ErrorCode::kInternal);
  EXPECT_EQ(code([](Fit& f) { f.seen = Matrix<uint8_t>(2, 5); }), ErrorCode::kInternal);
  EXPECT_EQ(code([](Fit& f) { f.seen(0, f.label[0]) = 0; }), ErrorCode::kInternal);  // model 0 learns from every row
}

}  // namespace
}  // namespace tracer
