// Choosing the directions of the screen: subspace iteration on a sample of the references, then an estimate of what
// each number of directions would cost.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/screen.h"

namespace tracer::cpu {
namespace {

constexpr int64_t kSample = 1024;  // references that the directions are fitted to
constexpr int kIterations = 3;
constexpr int64_t kMostDirections = 192;
constexpr int64_t kStepOfDirections = 32;
constexpr int64_t kProbes = 32;  // references that play queries
// What a look at a float32 row costs, in products of the screen: measured (a row is 4 d bytes, rarely in the first
// cache). In a look's own dimension count it is about this many screen dimensions, plus a constant.
constexpr double kLookDims = 40, kLookConstant = 4000;
constexpr double kProjectDims = 4;  // a float32 product of the projection, in products of the screen

Matrix<float> gaussian(int64_t rows, int64_t cols, uint32_t seed) {
  // Only the generator is fixed by the standard, not its normal distribution: a sum of uniform numbers does.
  std::mt19937 rng(seed);
  Matrix<float> x(rows, cols);
  for (int64_t i = 0; i < x.size(); ++i) {
    float sum = 0;
    for (int t = 0; t < 4; ++t) sum += static_cast<float>(rng() >> 8) * 0x1p-24f - 0.5f;
    x.data()[i] = sum;
  }
  return x;
}

// Rows to orthonormal ones, in place, by modified Gram-Schmidt; a row that depends on those before becomes 0.
void orthonormalise(const ScreenKernels& screen, Matrix<float>& w) {
  const int64_t d = w.cols();
  for (int64_t i = 0; i < w.rows(); ++i) {
    float* row = w.row(i);
    const float before = screen.dot(row, row, d);
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t j = 0; j < i; ++j) {
        const float along = screen.dot(row, w.row(j), d);
        const float* other = w.row(j);
        for (int64_t k = 0; k < d; ++k) row[k] -= along * other[k];
      }
    }
    const float left = screen.dot(row, row, d);
    const float scale = left > 1e-10f * before && left > 1e-30f ? 1 / std::sqrt(left) : 0.0f;
    for (int64_t k = 0; k < d; ++k) row[k] *= scale;
  }
}

// |W W' - I| in the Frobenius norm, an upper bound.
double distance_from_orthonormal(const Context& context, const Matrix<float>& w) {
  std::vector<double> sums(static_cast<size_t>(w.rows()), 0.0);
  run(*context.pool, w.rows(), [&](int64_t i, int) {
    for (int64_t j = 0; j <= i; ++j) {
      double lanes[8] = {};
      const float *a = w.row(i), *b = w.row(j);
      int64_t k = 0;
      for (; k + 8 <= w.cols(); k += 8) {
        for (int l = 0; l < 8; ++l) lanes[l] += static_cast<double>(a[k + l]) * static_cast<double>(b[k + l]);
      }
      for (; k < w.cols(); ++k) lanes[0] += static_cast<double>(a[k]) * static_cast<double>(b[k]);
      for (int l = 1; l < 8; ++l) lanes[0] += lanes[l];
      const double off = std::fabs(lanes[0] - (i == j ? 1 : 0)) + 1e-12;
      sums[static_cast<size_t>(i)] += off * off * (i == j ? 1 : 2);
    }
  });
  double sum = 0;
  for (const double s : sums) sum += s;
  return std::sqrt(sum);
}

void multiply(const Context& context, Trans ta, Trans tb, const Matrix<float>& a, const Matrix<float>& b,
              Matrix<float>& c) {
  (void)gemm(context, ta, tb, a.view(), b.view(), {}, c.view());  // the shapes fit
}

// Rows that span the directions in which the sample is largest, the largest roughly first.
Matrix<float> leading_directions(const Context& context, const Matrix<float>& sample, int64_t m) {
  const int64_t d = sample.cols();
  Matrix<float> w = gaussian(m, d, 1), y(m, sample.rows());
  for (int i = 0; i < kIterations; ++i) {
    multiply(context, Trans::kNo, Trans::kYes, w, sample, y);
    multiply(context, Trans::kNo, Trans::kNo, y, sample, w);
    orthonormalise(*context.isa->screen, w);
  }
  return w;
}

// Expected cost of a query for each choice of m: products of the tiles plus looks at float32 rows. The probes' own k-th
// similarity among all references is unknown; among the sample it is lower, so looks are overestimated.
int64_t cheapest(const Context& context, const Matrix<float>& sample, const Matrix<float>& w, int64_t references) {
  const int64_t n = sample.rows(), d = sample.cols(), most = w.rows(), probes = std::min(kProbes, n);
  Matrix<float> y(n, most);
  multiply(context, Trans::kNo, Trans::kYes, sample, w, y);
  const auto dims = [&](int64_t m) { return static_cast<double>(references) * static_cast<double>(m); };
  const double look = kLookDims * static_cast<double>(d) + kLookConstant;
  std::vector<double> norm(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) norm[static_cast<size_t>(i)] = row_length(sample.row(i), d);
  int64_t best = d;
  double least = dims(d);
  std::vector<double> prefix(static_cast<size_t>(probes * n), 0.0), left(static_cast<size_t>(n));
  std::vector<double> threshold(static_cast<size_t>(probes));
  for (int64_t p = 0; p < probes; ++p) {
    std::vector<float> s;
    for (int64_t i = 0; i < n; ++i) {
      if (i != p * n / probes) s.push_back(context.isa->screen->dot(sample.row(p * n / probes), sample.row(i), d));
    }
    const size_t kth = std::min<size_t>(2, s.size() - 1);
    std::nth_element(s.begin(), s.begin() + static_cast<std::ptrdiff_t>(kth), s.end(), std::greater<>());
    threshold[static_cast<size_t>(p)] = static_cast<double>(s[kth]);
  }
  for (int64_t i = 0; i < n; ++i) left[static_cast<size_t>(i)] = std::pow(norm[static_cast<size_t>(i)], 2);
  for (int64_t m = kStepOfDirections; m <= most; m += kStepOfDirections) {
    int64_t looks = 0;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t k = m - kStepOfDirections; k < m; ++k) {
        left[static_cast<size_t>(i)] -= std::pow(static_cast<double>(y(i, k)), 2);
      }
    }
    for (int64_t p = 0; p < probes; ++p) {
      const int64_t self = p * n / probes;
      for (int64_t i = 0; i < n; ++i) {
        double& sum = prefix[static_cast<size_t>(p * n + i)];
        const int64_t from = m - kStepOfDirections;
        sum += static_cast<double>(context.isa->screen->dot(y.row(self) + from, y.row(i) + from, kStepOfDirections));
        const double rest =
            std::max(0.0, left[static_cast<size_t>(self)]) * std::max(0.0, left[static_cast<size_t>(i)]);
        looks += i != self && sum + std::sqrt(rest) > threshold[static_cast<size_t>(p)];
      }
    }
    const double share = static_cast<double>(looks) / static_cast<double>(probes * (n - 1));
    const double cost = dims(m) + share * static_cast<double>(references) * look +
                        kProjectDims * static_cast<double>(d) * static_cast<double>(m);
    if (cost < least) {
      least = cost;
      best = m;
    }
  }
  return best;
}

}  // namespace

Basis choose_basis(const Context& context, HostMatrix<const float> r) {
  const int64_t d = r.cols, n = std::min(kSample, r.rows);
  const int64_t most = std::min(kMostDirections, d * 2 / 3) / kStepOfDirections * kStepOfDirections;
  Basis basis;
  basis.m = d;
  if (most == 0 || n <= most) return basis;
  Matrix<float> sample(n, d);
  for (int64_t i = 0; i < n; ++i) std::copy_n(r.row(i * r.rows / n), d, sample.row(i));
  Matrix<float> w = leading_directions(context, sample, most);
  const int64_t m = cheapest(context, sample, w, r.rows);
  if (m == d) return basis;
  // Another orthonormal basis of the same span: the span's own axes carry most of every row in a few coordinates, which
  // would make the steps of the quantisation large.
  Matrix<float> mix = gaussian(m, m, 2), leading(m, d);
  orthonormalise(*context.isa->screen, mix);
  std::copy_n(w.data(), m * d, leading.data());
  basis.w = Matrix<float>(m, d);
  multiply(context, Trans::kNo, Trans::kNo, mix, leading, basis.w);
  orthonormalise(*context.isa->screen, basis.w);
  const double eta = distance_from_orthonormal(context, basis.w);
  if (!(eta < 1e-3)) {  // the sample spans fewer directions
    basis.w = {};
    return basis;
  }
  basis.m = m;
  basis.eta = eta;
  return basis;
}

}  // namespace tracer::cpu
