// An MLP trained for several folds at once with the operations of the backend alone: layers by gemm with an epilogue,
// the last one by wide_softmax, gradients by gemm_backward and column_sums.
#include <algorithm>
#include <array>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

using test::near;

class Mlp : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(Mlp);

constexpr int64_t kIn = 5, kHidden = 7, kClasses = 3;

// One network: x -> gelu(x w1 + b1) -> softmax(h w2 + b2).
struct Network {
  Matrix<float> w1, b1, w2, b2;
  explicit Network(uint32_t seed)
      : w1(test::uniform(kIn, kHidden, seed)),
        b1(test::uniform(1, kHidden, seed + 1)),
        w2(test::uniform(kHidden, kClasses, seed + 2)),
        b2(test::uniform(1, kClasses, seed + 3)) {}
  std::array<Matrix<float>*, 4> parts() { return {&w1, &b1, &w2, &b2}; }
};

std::span<float> flat(Matrix<float>& m) { return {m.data(), static_cast<size_t>(m.size())}; }

struct Data {
  Matrix<float> x;
  std::vector<int32_t> label, fold;
};

// Rings: no linear model tells them apart.
Data rings(int64_t n, int32_t folds) {
  Data data{test::uniform(n, kIn, 77), {}, {}};
  for (int64_t i = 0; i < n; ++i) {
    const double r = std::hypot(static_cast<double>(data.x(i, 0)), static_cast<double>(data.x(i, 1)));
    data.label.push_back(r < 0.5 ? 0 : r < 0.9 ? 1 : 2);
    data.fold.push_back(static_cast<int32_t>(i) % folds);
  }
  return data;
}

// Loss of a fold's network over the rows that it learns from, naive and in float64.
double loss_of(const Network& net, const Data& data, int32_t held_out, Matrix<float>* moved = nullptr, int64_t at = 0,
               double by = 0) {
  const auto value = [&](const Matrix<float>& m, int64_t r, int64_t c) {
    return static_cast<double>(m(r, c)) + (&m == moved && r * m.cols() + c == at ? by : 0.0);
  };
  double loss = 0;
  int64_t rows = 0;
  for (int64_t i = 0; i < data.x.rows(); ++i) {
    if (data.fold[static_cast<size_t>(i)] == held_out) continue;
    ++rows;
    std::array<double, kHidden> h{};
    std::array<double, kClasses> z{};
    for (int64_t j = 0; j < kHidden; ++j) {
      double a = value(net.b1, 0, j);
      for (int64_t k = 0; k < kIn; ++k) a += static_cast<double>(data.x(i, k)) * value(net.w1, k, j);
      h[static_cast<size_t>(j)] = a * 0.5 * std::erfc(-a / std::sqrt(2.0));
    }
    double sum = 0;
    for (int64_t c = 0; c < kClasses; ++c) {
      z[static_cast<size_t>(c)] = value(net.b2, 0, c);
      for (int64_t j = 0; j < kHidden; ++j)
        z[static_cast<size_t>(c)] += h[static_cast<size_t>(j)] * value(net.w2, j, c);
      sum += std::exp(z[static_cast<size_t>(c)]);
    }
    loss += std::log(sum) - z[static_cast<size_t>(data.label[static_cast<size_t>(i)])];
  }
  return loss / static_cast<double>(rows);
}

HostMatrix<float> block(Matrix<float>& m, int64_t fold) {
  return {m.data() + fold * kHidden, m.rows(), kHidden, m.cols()};
}

// Losses and gradients of all folds' networks: network f does not learn from fold f. The first layer's products are
// wide, all networks side by side.
std::vector<double> gradients_of(Backend& backend, std::vector<Network>& nets, const Data& data,
                                 std::vector<Network>& grads) {
  const int64_t n = data.x.rows(), folds = static_cast<int64_t>(nets.size());
  Matrix<float> w1(kIn, folds * kHidden), b1(1, folds * kHidden), grad_w1(kIn, folds * kHidden);
  Matrix<float> pre(n, folds * kHidden), hidden(n, folds * kHidden), delta_hidden(n, folds * kHidden);
  std::vector<float> grad_b1(static_cast<size_t>(folds * kHidden));
  for (int64_t f = 0; f < folds; ++f) {
    for (int64_t j = 0; j < kHidden; ++j) {
      for (int64_t k = 0; k < kIn; ++k) block(w1, f)(k, j) = nets[static_cast<size_t>(f)].w1(k, j);
      block(b1, f)(0, j) = nets[static_cast<size_t>(f)].b1(0, j);
    }
  }
  EXPECT_TRUE(backend
                  .gemm(Trans::kNo, Trans::kNo, data.x.view(), std::as_const(w1).view(),
                        {flat(b1), Activation::kGelu, pre.view()}, hidden.view())
                  .ok());
  std::vector<double> losses;
  for (int64_t f = 0; f < folds; ++f) {
    Network& net = nets[static_cast<size_t>(f)];
    Network& grad = grads[static_cast<size_t>(f)];
    const HostMatrix<const float> h = block(hidden, f);
    // The last layer, with the fold's mask.
    const std::vector<int32_t> held{static_cast<int32_t>(f)};
    Matrix<uint8_t> seen(1, kClasses);
    std::fill_n(seen.data(), kClasses, uint8_t{1});
    std::vector<double> loss(1);
    const WideSoftmaxProblem problem{h, data.label, kClasses, data.fold, held, std::as_const(seen).view()};
    EXPECT_TRUE(backend
                    .wide_softmax(problem, net.w2.view(), flat(net.b2), std::vector<uint8_t>{1}, loss, grad.w2.view(),
                                  flat(grad.b2), {})
                    .ok());
    losses.push_back(loss[0]);
    // The gradient of the logits, p - onehot over the rows that the model learns from, for the layer below.
    const auto head = backend.prepare_head(std::as_const(net.w2).view(), flat(net.b2));
    EXPECT_TRUE(head.ok());
    Matrix<float> delta(n, kClasses);
    EXPECT_TRUE(backend.head_probabilities(h, **head, delta.view()).ok());
    const auto learns = [&](int64_t i) { return data.fold[static_cast<size_t>(i)] != f; };
    int64_t rows = 0;
    for (int64_t i = 0; i < n; ++i) rows += learns(i);
    for (int64_t i = 0; i < n; ++i) {
      delta(i, data.label[static_cast<size_t>(i)]) -= 1.0f;
      for (int64_t c = 0; c < kClasses; ++c) delta(i, c) *= learns(i) ? 1.0f / static_cast<float>(rows) : 0.0f;
    }
    EXPECT_TRUE(backend
                    .gemm_backward(Trans::kNo, Trans::kYes, std::as_const(delta).view(), std::as_const(net.w2).view(),
                                   Activation::kGelu, block(pre, f), block(delta_hidden, f))
                    .ok());
  }
  EXPECT_TRUE(
      backend.gemm(Trans::kYes, Trans::kNo, data.x.view(), std::as_const(delta_hidden).view(), {}, grad_w1.view())
          .ok());
  EXPECT_TRUE(backend.column_sums(std::as_const(delta_hidden).view(), grad_b1).ok());
  for (int64_t f = 0; f < folds; ++f) {
    Network& grad = grads[static_cast<size_t>(f)];
    for (int64_t j = 0; j < kHidden; ++j) {
      for (int64_t k = 0; k < kIn; ++k) grad.w1(k, j) = block(grad_w1, f)(k, j);
      grad.b1(0, j) = grad_b1[static_cast<size_t>(f * kHidden + j)];
    }
  }
  return losses;
}

TEST_P(Mlp, GradientsAreThoseOfFiniteDifferences) {
  const Data data = rings(60, 3);
  std::vector<Network> nets, grads;
  for (uint32_t f = 0; f < 3; ++f) nets.emplace_back(10 * f + 1), grads.emplace_back(1);
  const std::vector<double> losses = gradients_of(*backend, nets, data, grads);
  for (int32_t fold = 0; fold < 3; ++fold) {
    Network& net = nets[static_cast<size_t>(fold)];
    // 60 rows of float32 logits, each within about 20 roundings of terms below 8.
    ASSERT_TRUE(near(losses[static_cast<size_t>(fold)], loss_of(net, data, fold), 2e-5));
    for (size_t part = 0; part < 4; ++part) {
      Matrix<float>& values = *net.parts()[part];
      for (int64_t j = 0; j < values.size(); ++j) {
        const double step = 1e-5;
        const double slope =
            (loss_of(net, data, fold, &values, j, step) - loss_of(net, data, fold, &values, j, -step)) / (2 * step);
        // Central differences in float64 err by step^2 times a third derivative (< 1e-8 here); float32 by about 20
        // roundings of sums below 4, and GELU's 2e-6.
        ASSERT_TRUE(near(grads[static_cast<size_t>(fold)].parts()[part]->data()[j], slope, 1e-5))
            << "part " << part << ", entry " << j;
      }
    }
  }
}

TEST_P(Mlp, FoldsLearnWhatNoLinearModelCan) {
  const Data data = rings(240, 2);
  std::vector<Network> nets, grads, momentum;
  for (uint32_t f = 0; f < 2; ++f) nets.emplace_back(f + 5), grads.emplace_back(1), momentum.emplace_back(1);
  for (Network& m : momentum) {
    for (Matrix<float>* part : m.parts()) std::fill_n(part->data(), part->size(), 0.0f);
  }
  std::vector<double> first, last;
  for (int step = 0; step < 1500; ++step) {
    last = gradients_of(*backend, nets, data, grads);
    if (step == 0) first = last;
    for (size_t f = 0; f < 2; ++f) {
      for (size_t part = 0; part < 4; ++part) {
        Matrix<float>&v = *momentum[f].parts()[part], &w = *nets[f].parts()[part];
        for (int64_t j = 0; j < w.size(); ++j) {
          v.data()[j] = 0.9f * v.data()[j] - 0.1f * grads[f].parts()[part]->data()[j];
          w.data()[j] += v.data()[j];
        }
      }
    }
  }
  for (size_t f = 0; f < 2; ++f) EXPECT_LT(last[f], 0.3 * first[f]) << "fold " << f;
}

}  // namespace
}  // namespace tracer
