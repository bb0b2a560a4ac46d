#include "kernels/cpu/normalise.h"

#include <algorithm>
#include <cmath>

namespace tracer::cpu {
namespace {

constexpr int64_t kRowBlock = 64;
constexpr int kSums = 8;  // independent sums: one chain of float64 additions would wait for each one

void normalise_row(float* x, int64_t n) {
  double sum[kSums] = {};
  const auto add = [&](int s, int64_t j) { sum[s] += static_cast<double>(x[j]) * static_cast<double>(x[j]); };
  int64_t j = 0;
  for (; j + kSums <= n; j += kSums) {
    for (int s = 0; s < kSums; ++s) add(s, j + s);
  }
  for (int s = 0; j < n; ++j, ++s) add(s, j);
  for (int half = kSums / 2; half > 0; half /= 2) {
    for (int s = 0; s < half; ++s) sum[s] += sum[s + half];
  }
  if (!(sum[0] > 0)) return;
  const double inverse = 1.0 / std::sqrt(sum[0]);
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(static_cast<double>(x[i]) * inverse);
}

}  // namespace

Status normalise_rows(const Context& context, HostMatrix<float> x) {
  run(*context.pool, ceil_div(x.rows, kRowBlock), [&](int64_t block, int) {
    for (int64_t i = block * kRowBlock; i < std::min(x.rows, (block + 1) * kRowBlock); ++i) {
      normalise_row(x.row(i), x.cols);
    }
  });
  return {};
}

}  // namespace tracer::cpu
