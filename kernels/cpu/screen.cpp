#include "kernels/cpu/screen.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/cpu/gemm.h"

namespace tracer::cpu {
namespace {

constexpr double kUnit = 0x1p-24;
constexpr double kUp = 1 + 1e-5;           // covers the float64 roundings of a measured length and its way to float32
constexpr int64_t kFewest = 256;           // references; below, screening costs more than it spares
constexpr double kLongest = 1e3;           // the bounds are for rows of about unit length
constexpr double kSmallestMaximum = 1e-6;  // keeps the inverse of a step finite
constexpr int64_t kChunkPanels = 3;        // projected at a time: 96 rows

float raised(double x) { return static_cast<float>(x * kUp); }

// Quantises, bounds and packs the references [first, first + count) of one panel. y: their projections.
void pack_panel(Screen& s, HostMatrix<const float> r, int64_t p, int64_t count, const float* y, int8_t* integers) {
  const int64_t first = p * kScreenReferences;
  const double step = step_of(y, count * s.m);
  uint8_t* out = s.panels.row(p);
  std::fill_n(out, s.panels.cols(), uint8_t{128});
  double norm = 0, error = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Quantised x = quantise(s, y + i * s.m, row_length(r.row(first + i), s.d), step, integers);
    norm = std::max(norm, x.quantised);
    error = std::max(error, x.error);
    s.residual(p, i) = raised(x.residual / step);
    for (int64_t k = 0; k < s.m; ++k) {
      out[(k / 4 * kScreenReferences + i) * 4 + k % 4] = static_cast<uint8_t>(integers[k] + 128);
    }
  }
  s.panel[static_cast<size_t>(p)] = {static_cast<float>(1 / step), raised(norm), raised(error)};
}

}  // namespace

double step_of(const float* y, int64_t n) {
  float most = 0;
  for (int64_t i = 0; i < n; ++i) most = std::max(most, std::fabs(y[i]));
  return std::max(static_cast<double>(most), kSmallestMaximum) / 127;
}

double rounding_bound(int64_t n) {
  const double nu = static_cast<double>(n) * kUnit;
  return kUp * nu / (1 - nu);
}

int64_t chain_roundings(int64_t d) { return std::min(d, kKBlock) + ceil_div(d, kKBlock); }
int64_t dot_roundings(int64_t d) { return d / 64 + 1 + 6; }

double row_length(const float* x, int64_t d) {
  double sum[8] = {};
  int64_t k = 0;
  for (; k + 8 <= d; k += 8) {
    for (int l = 0; l < 8; ++l) sum[l] += static_cast<double>(x[k + l]) * static_cast<double>(x[k + l]);
  }
  for (; k < d; ++k) sum[0] += static_cast<double>(x[k]) * static_cast<double>(x[k]);
  for (int l = 1; l < 8; ++l) sum[0] += sum[l];
  return std::sqrt(sum[0]) * kUp;
}

Quantised quantise(const Screen& s, const float* y, double length, double step, int8_t* out) {
  const float inverse = static_cast<float>(1 / step), back = static_cast<float>(step);
  // Sums of float32 squares, in eight lanes: their relative error, below (m / 8 + 4) 2^-24, is far inside kUp for the
  // lengths, and the difference y - step * out is exact but for one rounding each, added below.
  float error[8] = {}, size[8] = {};
  int32_t integers[8] = {};
  constexpr float kRound = 0x1.8p23f;  // x + kRound - kRound rounds x to an integer
  const auto one = [&](int64_t k, int lane) {
    const float n = std::clamp(y[k] * inverse, -127.0f, 127.0f) + kRound - kRound;
    const float e = y[k] - n * back;
    error[lane] += e * e;
    size[lane] += y[k] * y[k];
    integers[lane] += static_cast<int32_t>(n * n);
    out[k] = static_cast<int8_t>(n);
  };
  int64_t k = 0;
  for (; k + 8 <= s.m; k += 8) {
    for (int l = 0; l < 8; ++l) one(k + l, l);
  }
  for (; k < s.m; ++k) one(k, 0);
  double e = 0, n = 0, i = 0;
  for (int l = 0; l < 8; ++l) {
    e += static_cast<double>(error[l]);
    n += static_cast<double>(size[l]);
    i += static_cast<double>(integers[l]);
  }
  const double m = static_cast<double>(s.m);
  const double sums = 1 + (m / 8 + 16) * 2 * kUnit;  // of the float32 sums
  const double computed = std::sqrt(n * sums);
  // The product n * back and the difference are rounded, each by at most 2^-24 of a number below 2 |y[k]| + step; back
  // is step but for one rounding.
  const double rounding = 4 * kUnit * (computed + std::sqrt(m) * step);
  const double delta = s.projected ? std::sqrt(m) * rounding_bound(chain_roundings(s.d)) * (1 + s.eta) * length : 0.0;
  Quantised q;
  q.norm = (computed + delta) * kUp;
  q.error = (std::sqrt(e * sums) + rounding + delta) * kUp;
  q.quantised = std::sqrt(i) * step * kUp;
  if (s.projected) {
    const double kept = std::max(0.0, std::sqrt(n * (2 - sums)) - delta);
    const double left = length * length - kept * kept;
    q.residual = std::sqrt(std::max(left, 0.0) + (s.eta + 1e-12) * length * length) * kUp;
  }
  return q;
}

void project(const IsaKernels& isa, const Screen& s, HostMatrix<const float> x, int64_t first, int64_t count,
             float* scratch, float* y) {
  if (!s.projected) {
    for (int64_t i = 0; i < count; ++i) std::copy_n(x.row(first + i), s.m, y + i * s.m);
    return;
  }
  pack_a_rows(isa, Trans::kNo, x, first, count, s.d, scratch);
  multiply_packed(isa, count, s.m, s.d, scratch, s.w.data(), nullptr, y, s.m);
}

std::unique_ptr<Screen> make_screen(const Context& context, HostMatrix<const float> r) {
  const IsaKernels& isa = *context.isa;
  if (isa.screen == nullptr || r.rows < kFewest || r.cols < 1) return nullptr;
  const int64_t chunk = kChunkPanels * kScreenReferences, chunks = ceil_div(r.rows, chunk);
  std::vector<double> longest(static_cast<size_t>(chunks), 0.0);
  run(*context.pool, chunks, [&](int64_t c, int) {
    for (int64_t i = c * chunk; i < std::min(r.rows, (c + 1) * chunk); ++i) {
      const double length = row_length(r.row(i), r.cols);
      double& most = longest[static_cast<size_t>(c)];
      if (!(length <= most)) most = length;
    }
  });
  auto screen = std::make_unique<Screen>();
  Screen& s = *screen;
  for (const double length : longest) {
    if (!(length <= kLongest)) return nullptr;
    s.longest = std::max(s.longest, length);
  }
  Basis basis = choose_basis(context, r);
  s.rows = r.rows;
  s.d = r.cols;
  s.m = basis.m;
  s.groups = ceil_div(s.m, 4);
  s.eta = basis.eta;
  s.projected = !basis.w.empty();
  if (s.projected) {
    s.w = Matrix<float>(1, packed_b_size(isa, s.d, s.m));
    pack_b(context, Trans::kYes, basis.w.view(), s.d, s.m, s.w.data());
  }
  const int64_t panels = ceil_div(r.rows, kScreenReferences);
  s.panels = Matrix<uint8_t>(panels, s.groups * kScreenReferences * 4);
  s.residual = Matrix<float>(panels, kScreenReferences);
  s.panel.resize(static_cast<size_t>(panels));
  const int64_t rows_floats = round_up(chunk, isa.mr) * s.d;
  const int64_t floats = round_up(rows_floats + chunk * s.m + s.m, 16);
  const Scratch scratch = context.scratch->take(floats * context.pool->threads());
  run(*context.pool, chunks, [&](int64_t c, int worker) {
    float* rows = scratch.data() + worker * floats;
    float* y = rows + rows_floats;
    const int64_t first = c * chunk, count = std::min(chunk, r.rows - first);
    project(isa, s, r, first, count, rows, y);
    for (int64_t i = 0; i < count; i += kScreenReferences) {
      pack_panel(s, r, (first + i) / kScreenReferences, std::min(kScreenReferences, count - i), y + i * s.m,
                 reinterpret_cast<int8_t*>(y + chunk * s.m));
    }
  });
  for (const ScreenPanel& p : s.panel) {
    s.most_norm = std::max(s.most_norm, static_cast<double>(p.norm));
    s.most_error = std::max(s.most_error, static_cast<double>(p.error));
  }
  return screen;
}

}  // namespace tracer::cpu
