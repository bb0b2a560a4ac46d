#include "kernels/cpu/screen.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kmeans.h"

namespace tracer::cpu {
namespace {

constexpr double kUnit = 0x1p-24;
constexpr double kUp = 1 + 1e-5;           // covers the float64 roundings of a measured length and its way to float32
constexpr int64_t kFewest = 256;           // references; below, screening costs more than it spares
constexpr int64_t kWidest = 32768;         // sums of products of bytes stay below 2^31
constexpr double kLongest = 1e3;           // the bounds are for rows of about unit length
constexpr double kSmallestMaximum = 1e-6;  // keeps the inverse of a step finite
constexpr int64_t kChunkPanels = 3;        // packed at a time
constexpr int64_t kChunk = kChunkPanels * kScreenReferences;
constexpr int64_t kCellSample = 4096;  // rows that cells are made from
constexpr int64_t kAssigned = 8192;    // rows put into cells at a time

float raised(double x) { return static_cast<float>(x * kUp); }

// Quantises, bounds and packs panel p. x: its `count` rows; y: their projections.
void pack_panel(const IsaKernels& isa, Screen& s, HostMatrix<const float> x, int64_t p, int64_t count, const float* y,
                int8_t* integers) {
  const double step = step_of(y, count * s.m);
  uint8_t* out = s.panel_at(p);
  std::fill_n(out, s.panel_bytes, uint8_t{128});
  double norm = 0, error = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double length = row_length(x.row(i), s.d);
    const Quantised row = quantise(isa, y + i * s.m, s.m, step, projection_error(s, length), integers);
    norm = std::max(norm, row.quantised);
    error = std::max(error, row.error);
    s.residual(p, i) = raised(residual_of(s, length, row) / step);
    for (int64_t k = 0; k < s.m; ++k) {
      out[(k / 4 * kScreenReferences + i) * 4 + k % 4] = static_cast<uint8_t>(integers[k] + 128);
    }
  }
  s.panel[static_cast<size_t>(p)] = {static_cast<float>(1 / step), raised(norm), raised(error)};
}

void pack_sharp(const IsaKernels& isa, Screen& s, HostMatrix<const float> x, int64_t p, int64_t count,
                int8_t* integers) {
  uint8_t* out = s.sharp_at(p);
  std::fill_n(out, s.sharp_groups * kScreenReferences * 4, uint8_t{128});
  for (int64_t i = 0; i < count; ++i) {
    const double step = step_of(x.row(i), s.d);
    const Quantised row = quantise(isa, x.row(i), s.d, step, 0, integers);
    s.sharp_step(p, i) = static_cast<float>(step);
    s.sharp_norm(p, i) = raised(row.quantised);
    s.sharp_error(p, i) = raised(row.error);
    for (int64_t k = 0; k < s.d; ++k) {
      out[(k / 4 * kScreenReferences + i) * 4 + k % 4] = static_cast<uint8_t>(integers[k] + 128);
    }
  }
}

// At least the length of each row; infinite where one is not finite.
double longest_row(const Context& context, HostMatrix<const float> r) {
  const int64_t chunks = ceil_div(r.rows, kChunk);
  std::vector<double> longest(static_cast<size_t>(chunks), 0.0);
  run(*context.pool, chunks, [&](int64_t c, int) {
    double most = 0;
    for (int64_t i = c * kChunk; i < std::min(r.rows, (c + 1) * kChunk); ++i) {
      const double length = row_length(r.row(i), r.cols);
      if (!(length <= most)) most = std::isfinite(length) ? length : std::numeric_limits<double>::infinity();
    }
    longest[static_cast<size_t>(c)] = most;
  });
  return *std::max_element(longest.begin(), longest.end());
}

// Cells of the references, and the order that puts each of them together.
void sort_into_cells(const Context& context, HostMatrix<const float> r, Screen& s) {
  const int64_t sampled = std::min(kCellSample, r.rows);
  Matrix<float> sample(sampled, r.cols), y;
  if (s.projected) y = Matrix<float>(std::max(sampled, std::min(kAssigned, r.rows)), s.m);
  const auto projected = [&](HostMatrix<const float> x) {
    if (!s.projected) return x;
    project_all(context, s, x, y.data());
    return HostMatrix<const float>(y.data(), x.rows, s.m);
  };
  for (int64_t i = 0; i < sampled; ++i) std::copy_n(r.row(i * r.rows / sampled), r.cols, sample.row(i));
  s.cells = make_cells(context, projected(sample.view()), r.rows);
  std::vector<int32_t> cell(static_cast<size_t>(r.rows));
  for (int64_t first = 0; first < r.rows; first += kAssigned) {
    const int64_t count = std::min(kAssigned, r.rows - first);
    (void)kmeans_assign(context, projected(r.rows_from(first, count)), s.cells.centroid.view(),
                        std::span(cell).subspan(static_cast<size_t>(first), static_cast<size_t>(count)), {});
  }
  s.cells.begin = order_by_cell(cell, s.cells.count(), s.order);
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

void project_all(const Context& context, const Screen& s, HostMatrix<const float> x, float* y) {
  const int64_t floats = round_up(round_up(kChunk, context.isa->mr) * s.d, 16);
  const Scratch scratch = context.scratch->take(floats * context.pool->threads());
  run(*context.pool, ceil_div(x.rows, kChunk), [&](int64_t c, int worker) {
    const int64_t first = c * kChunk, count = std::min(kChunk, x.rows - first);
    project(*context.isa, s, x, first, count, scratch.data() + worker * floats, y + first * s.m);
  });
}

std::unique_ptr<Screen> make_screen(const Context& context, HostMatrix<const float> r) {
  const IsaKernels& isa = *context.isa;
  if (isa.screen == nullptr || r.rows < kFewest || r.cols < 1 || r.cols > kWidest) return nullptr;
  auto screen = std::make_unique<Screen>();
  Screen& s = *screen;
  s.longest = longest_row(context, r);
  if (!(s.longest <= kLongest)) return nullptr;
  s.queries = isa.screen->queries;
  s.whole = isa.screen->sharpen_block != nullptr;
  Basis basis = s.whole ? Basis{r.cols, {}, 0} : choose_basis(context, r);
  s.rows = r.rows;
  s.d = r.cols;
  s.m = basis.m;
  s.groups = s.whole ? 0 : ceil_div(s.m, 4);
  s.eta = basis.eta;
  s.projected = !basis.w.empty();
  const int64_t panels = ceil_div(r.rows, kScreenReferences);
  if (s.projected) {
    s.w = Matrix<float>(1, packed_b_size(isa, s.d, s.m));
    pack_b(context, Trans::kYes, basis.w.view(), s.d, s.m, s.w.data());
  }
  if (s.sharpens()) {
    s.sharp_groups = round_up(s.d, isa.screen->side_by_side) / 4;
    s.sharp = LargeArray<uint8_t>(panels * s.sharp_groups * kScreenReferences * 4);
    for (Matrix<float>* each : {&s.sharp_step, &s.sharp_norm, &s.sharp_error}) {
      *each = Matrix<float>(panels, kScreenReferences);
    }
  }
  sort_into_cells(context, r, s);
  if (!s.whole) {
    s.panel_bytes = s.groups * kScreenReferences * 4;
    s.panels = LargeArray<uint8_t>(panels * s.panel_bytes);
    s.residual = Matrix<float>(panels, kScreenReferences);
    s.panel.resize(static_cast<size_t>(panels));
  }
  const int64_t packed_floats = round_up(kChunk, isa.mr) * s.d;
  const int64_t floats = round_up(packed_floats + kChunk * (s.d + s.m) + s.d, 16);
  const Scratch scratch = context.scratch->take(floats * context.pool->threads());
  run(*context.pool, ceil_div(r.rows, kChunk), [&](int64_t c, int worker) {
    float* packed = scratch.data() + worker * floats;
    float* rows = packed + packed_floats;
    float* y = rows + kChunk * s.d;
    int8_t* integers = reinterpret_cast<int8_t*>(y + kChunk * s.m);
    const int64_t first = c * kChunk, count = std::min(kChunk, r.rows - first);
    const HostMatrix<float> x(rows, count, s.d);
    for (int64_t i = 0; i < count; ++i) std::copy_n(r.row(s.order[static_cast<size_t>(first + i)]), s.d, x.row(i));
    if (!s.whole) project(isa, s, x, 0, count, packed, y);
    for (int64_t i = 0; i < count; i += kScreenReferences) {
      const int64_t p = (first + i) / kScreenReferences, here = std::min(kScreenReferences, count - i);
      if (!s.whole) pack_panel(isa, s, x.rows_from(i, here), p, here, y + i * s.m, integers);
      if (s.sharpens()) pack_sharp(isa, s, x.rows_from(i, here), p, here, integers);
    }
  });
  for (const ScreenPanel& p : s.panel) {
    s.most_norm = std::max(s.most_norm, static_cast<double>(p.norm));
    s.most_error = std::max(s.most_error, static_cast<double>(p.error));
  }
  return screen;
}

}  // namespace tracer::cpu
