#include "kernels/cpu/normalise.h"

#include <algorithm>
#include <cmath>

namespace tracer::cpu {
namespace {

constexpr int64_t kRowBlock = 64;
constexpr int kSums = 8;  // independent sums: one chain of float64 additions would wait for each one

double value(float x) { return static_cast<double>(x); }
double value(BFloat16 x) { return static_cast<double>(to_float(x)); }
void assign(float& x, double v) { x = static_cast<float>(v); }
void assign(BFloat16& x, double v) { x = to_bfloat16(static_cast<float>(v)); }

template <class T>
void normalise_row(T* x, int64_t n) {
  double sum[kSums] = {};
  int64_t j = 0;
  for (; j + kSums <= n; j += kSums) {
    for (int s = 0; s < kSums; ++s) sum[s] += value(x[j + s]) * value(x[j + s]);
  }
  for (int s = 0; j < n; ++j, ++s) sum[s] += value(x[j]) * value(x[j]);
  for (int half = kSums / 2; half > 0; half /= 2) {
    for (int s = 0; s < half; ++s) sum[s] += sum[s + half];
  }
  if (!(sum[0] > 0)) return;
  const double inverse = 1.0 / std::sqrt(sum[0]);
  for (int64_t i = 0; i < n; ++i) assign(x[i], value(x[i]) * inverse);
}

template <class T>
Status normalise(const Context& context, HostMatrix<T> x) {
  run(*context.pool, ceil_div(x.rows, kRowBlock), [&](int64_t block, int) {
    for (int64_t i = block * kRowBlock; i < std::min(x.rows, (block + 1) * kRowBlock); ++i) {
      normalise_row(x.row(i), x.cols);
    }
  });
  return {};
}

}  // namespace

Status normalise_rows(const Context& context, HostMatrix<float> x) { return normalise(context, x); }
Status normalise_rows(const Context& context, HostMatrix<BFloat16> x) { return normalise(context, x); }

}  // namespace tracer::cpu
