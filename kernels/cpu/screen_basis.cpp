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
constexpr size_t kNearest = 10;  // neighbours a query is taken to want
// What a reference costs that the first m directions do not settle, in products of the tiles: measured.
constexpr double kLookDims = 10, kLookConstant = 1000;
// What quantisation adds to a bound for unit rows (their coordinates have about the same size).
constexpr double kQuantised = 0.02;
constexpr double kProjectDims = 4;  // a float32 product of the projection, in products of the screen

// Row i of the sample of n that the directions are fitted to (half 0), and of another one, on which they are judged
// (half 1): rows that were fitted lie closer to the directions than others do.
int64_t sampled(int64_t i, int half, int64_t n, int64_t references) { return (2 * i + half) * references / (2 * n); }

Matrix<float> sample_of(HostMatrix<const float> r, int half, int64_t n) {
  Matrix<float> sample(n, r.cols);
  for (int64_t i = 0; i < n; ++i) std::copy_n(r.row(sampled(i, half, n, r.rows)), r.cols, sample.row(i));
  return sample;
}

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

// The kNearest-th similarity of each probe among all references, itself left out.
std::vector<float> nearest_of(const Context& context, HostMatrix<const float> r, const std::vector<int64_t>& probe) {
  const size_t probes = probe.size();
  const int64_t chunks = std::min<int64_t>(ceil_div(r.rows, kNearest), 64);
  std::vector<std::vector<float>> best(static_cast<size_t>(chunks) * probes);
  run(*context.pool, chunks, [&](int64_t c, int) {
    std::vector<float>* lists = &best[static_cast<size_t>(c) * probes];
    for (int64_t i = r.rows * c / chunks; i < r.rows * (c + 1) / chunks; ++i) {
      for (size_t p = 0; p < probes; ++p) {
        if (i == probe[p]) continue;
        const float s = context.isa->screen->dot(r.row(i), r.row(probe[p]), r.cols);
        std::vector<float>& list = lists[p];
        if (list.size() == kNearest && !(s > list.back())) continue;
        if (list.size() == kNearest) list.pop_back();
        list.insert(std::upper_bound(list.begin(), list.end(), s, std::greater<>()), s);
      }
    }
  });
  std::vector<float> nearest;
  for (size_t p = 0; p < probes; ++p) {
    std::vector<float> all;
    for (size_t c = 0; c < static_cast<size_t>(chunks); ++c) {
      all.insert(all.end(), best[c * probes + p].begin(), best[c * probes + p].end());
    }
    std::sort(all.begin(), all.end(), std::greater<>());
    nearest.push_back(all[std::min<size_t>(all.size(), kNearest) - 1]);
  }
  return nearest;
}

// Expected cost of a query for each choice of m: products of the tiles plus looks. References of the sample play
// queries.
int64_t cheapest(const Context& context, HostMatrix<const float> r, const Matrix<float>& sample,
                 const Matrix<float>& w) {
  const int64_t n = sample.rows(), d = sample.cols(), most = w.rows(), probes = std::min(kProbes, n);
  const int64_t references = r.rows;
  Matrix<float> y(n, most);
  multiply(context, Trans::kNo, Trans::kYes, sample, w, y);
  const auto dims = [&](int64_t m) { return static_cast<double>(references) * static_cast<double>(m); };
  const double look = kLookDims * static_cast<double>(d) + kLookConstant;
  std::vector<double> norm(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) norm[static_cast<size_t>(i)] = row_length(sample.row(i), d);
  int64_t best = d;
  double least = dims(d);
  std::vector<double> prefix(static_cast<size_t>(probes * n), 0.0), left(static_cast<size_t>(n));
  std::vector<int64_t> probe;
  for (int64_t p = 0; p < probes; ++p) probe.push_back(sampled(p * n / probes, 1, n, references));
  const std::vector<float> threshold = nearest_of(context, r, probe);
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
        looks += i != self &&
                 sum + std::sqrt(rest) + kQuantised * norm[static_cast<size_t>(self)] * norm[static_cast<size_t>(i)] >
                     static_cast<double>(threshold[static_cast<size_t>(p)]);
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
  const int64_t d = r.cols, n = std::min(kSample, r.rows / 2);
  const int64_t most = std::min(kMostDirections, d * 2 / 3) / kStepOfDirections * kStepOfDirections;
  Basis basis;
  basis.m = d;
  if (most == 0 || n <= most) return basis;
  Matrix<float> w = leading_directions(context, sample_of(r, 0, n), most);
  const int64_t m = cheapest(context, r, sample_of(r, 1, n), w);
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
