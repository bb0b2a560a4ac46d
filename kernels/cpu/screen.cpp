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
constexpr int64_t kWidest = 32768;         // sums of products of bytes stay below 2^31
constexpr double kLongest = 1e3;           // the bounds are for rows of about unit length
constexpr double kSmallestMaximum = 1e-6;  // keeps the inverse of a step finite
constexpr int64_t kChunkPanels = 3;        // projected at a time: 96 rows

float raised(double x) { return static_cast<float>(x * kUp); }

// Quantises, bounds and packs the references [first, first + count) of one panel. y: their projections.
void pack_panel(const IsaKernels& isa, Screen& s, HostMatrix<const float> r, int64_t p, int64_t count, const float* y,
                int8_t* integers) {
  const int64_t first = p * kScreenReferences;
  const double step = step_of(y, count * s.m);
  uint8_t* out = s.panel_at(p);
  std::fill_n(out, s.panel_bytes, uint8_t{128});
  double norm = 0, error = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double length = row_length(r.row(first + i), s.d);
    const Quantised x = quantise(isa, y + i * s.m, s.m, step, projection_error(s, length), integers);
    norm = std::max(norm, x.quantised);
    error = std::max(error, x.error);
    s.residual(p, i) = raised(residual_of(s, length, x) / step);
    for (int64_t k = 0; k < s.m; ++k) {
      out[(k / 4 * kScreenReferences + i) * 4 + k % 4] = static_cast<uint8_t>(integers[k] + 128);
    }
  }
  s.panel[static_cast<size_t>(p)] = {static_cast<float>(1 / step), raised(norm), raised(error)};
}

void pack_bytes(const IsaKernels& isa, Screen& s, const float* row, int64_t i, int8_t* integers) {
  const double step = step_of(row, s.d);
  const Quantised x = quantise(isa, row, s.d, step, 0, integers);
  uint8_t* out = s.bytes_of(i);
  for (int64_t k = 0; k < s.d; ++k) out[k] = static_cast<uint8_t>(integers[k] + 128);
  std::fill(out + s.d, out + s.byte_width, uint8_t{128});
  const ByteRow numbers{static_cast<float>(step), raised(x.quantised), raised(x.error)};
  std::memcpy(out + s.byte_width, &numbers, sizeof numbers);
}

}  // namespace

double step_of(const float* y, int64_t n) {
  float lanes[8] = {};
  int64_t k = 0;
  for (; k + 8 <= n; k += 8) {
    for (int l = 0; l < 8; ++l) lanes[l] = std::fabs(y[k + l]) > lanes[l] ? std::fabs(y[k + l]) : lanes[l];
  }
  for (; k < n; ++k) lanes[0] = std::max(lanes[0], std::fabs(y[k]));
  const float most = *std::max_element(lanes, lanes + 8);
  return std::max(static_cast<double>(most), kSmallestMaximum) / 127;
}

double rounding_bound(int64_t n) {
  const double nu = static_cast<double>(n) * kUnit;
  return kUp * nu / (1 - nu);
}

int64_t chain_roundings(int64_t d) { return std::min(d, kKBlock) + ceil_div(d, kKBlock); }

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

Quantised quantise(const IsaKernels& isa, const float* y, int64_t n, double step, double delta, int8_t* out) {
  const QuantisedSums sums = isa.screen->quantise(y, n, static_cast<float>(step), out);
  // The float32 sums run over lanes: at most n / 16 + 16 roundings in a row.
  const double relative = static_cast<double>(n / 16 + 16) * 2 * kUnit;
  const double length = std::sqrt(static_cast<double>(sums.size));
  // step * integer and the difference are rounded, each by at most 2^-24 of a number below 2 |y[k]| + step, and the
  // step itself is rounded to float32.
  const double rounding = 4 * kUnit * (length + std::sqrt(static_cast<double>(n)) * step);
  Quantised q;
  q.norm = (length * (1 + relative) + delta) * kUp;
  q.shortest = std::max(0.0, length * (1 - relative) - delta);
  q.error = (std::sqrt(static_cast<double>(sums.error)) * (1 + relative) + rounding + delta) * kUp;
  q.quantised = std::sqrt(static_cast<double>(sums.squares)) * step * kUp;
  q.sum = sums.sum;
  return q;
}

double projection_error(const Screen& s, double length) {
  if (!s.projected) return 0;
  return std::sqrt(static_cast<double>(s.m)) * rounding_bound(chain_roundings(s.d)) * (1 + s.eta) * length;
}

double residual_of(const Screen& s, double length, const Quantised& x) {
  if (!s.projected) return 0;
  const double left = std::max(0.0, length * length - x.shortest * x.shortest);
  return std::sqrt(left + (s.eta + 1e-12) * length * length) * kUp;
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
  if (isa.screen == nullptr || r.rows < kFewest || r.cols < 1 || r.cols > kWidest) return nullptr;
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
    s.byte_width = round_up(s.d, 64);
    s.byte_stride = round_up(s.byte_width + static_cast<int64_t>(sizeof(ByteRow)), 64);
    s.bytes = LargeArray<uint8_t>(r.rows * s.byte_stride);
  }
  const int64_t panels = ceil_div(r.rows, kScreenReferences);
  s.panel_bytes = s.groups * kScreenReferences * 4;
  s.panels = LargeArray<uint8_t>(panels * s.panel_bytes);
  s.residual = Matrix<float>(panels, kScreenReferences);
  s.panel.resize(static_cast<size_t>(panels));
  const int64_t rows_floats = round_up(chunk, isa.mr) * s.d;
  const int64_t floats = round_up(rows_floats + chunk * s.m + s.d, 16);
  const Scratch scratch = context.scratch->take(floats * context.pool->threads());
  run(*context.pool, chunks, [&](int64_t c, int worker) {
    float* rows = scratch.data() + worker * floats;
    float* y = rows + rows_floats;
    const int64_t first = c * chunk, count = std::min(chunk, r.rows - first);
    project(isa, s, r, first, count, rows, y);
    int8_t* integers = reinterpret_cast<int8_t*>(y + chunk * s.m);
    for (int64_t i = 0; s.projected && i < count; ++i) pack_bytes(isa, s, r.row(first + i), first + i, integers);
    for (int64_t i = 0; i < count; i += kScreenReferences) {
      pack_panel(isa, s, r, (first + i) / kScreenReferences, std::min(kScreenReferences, count - i), y + i * s.m,
                 integers);
    }
  });
  for (const ScreenPanel& p : s.panel) {
    s.most_norm = std::max(s.most_norm, static_cast<double>(p.norm));
    s.most_error = std::max(s.most_error, static_cast<double>(p.error));
  }
  return screen;
}

}  // namespace tracer::cpu
