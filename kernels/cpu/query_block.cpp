#include "kernels/cpu/query_block.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace tracer::cpu {
namespace {

constexpr double kShortest = 1e-3, kLongest = 1e3;  // of a query
constexpr double kUp = 1 + 1e-6;                    // covers the rounding of a bound to float32

float raised(double x) { return static_cast<float>(x * kUp); }

// The integers of place j of the tiles, `side` dimensions together.
void put_in_tile(const int8_t* integers, int64_t n, int64_t groups, int64_t queries, int64_t side, int64_t j,
                 int8_t* tiles) {
  int8_t* place = tiles + j / queries * queries * groups * 4 + j % queries * side;
  for (int64_t k = 0; k < n; k += side) {
    std::memcpy(place + k * queries, integers + k, static_cast<size_t>(std::min(side, n - k)));
  }
}

void leave_unused(QueryBlock& b, int64_t from, int64_t to) {
  for (int64_t j = from; j < to; ++j) {
    b.error[j] = b.norm[j] = b.offset[j] = b.slope[j] = 0;
    b.sharp_step[j] = b.sharp_error[j] = b.length[j] = b.margin[j] = 0;
    b.sharp_sum[j] = 0;
    b.inverse_step[j] = 1;
    b.base[j] = kNever;
  }
}

// A query of at most this length, about which nothing is known yet. `lacks`: what a pending bound leaves out, beside
// its at most 8 roundings.
void begin_query(const Screen& s, bool fits, double length, double lacks, int64_t j, QueryBlock& b) {
  const double reach = length * s.longest;
  b.base[j] = fits ? -std::numeric_limits<float>::infinity() : kNever;
  b.reach[j] = raised((rounding_bound(chain_roundings(s.d)) + s.eta) * reach);
  b.margin[j] = fits ? raised(lacks + 16 * 0x1p-24 * reach) : 0;
  b.length[j] = fits ? raised(length) : 0;
  b.sharp_step[j] = b.sharp_error[j] = 0;
  b.sharp_sum[j] = 0;
  b.pending[j].count = 0;
  b.settled[j] = fits;
  b.looks[j] = 0;
  b.found[j] = 0;
}

// By all d coordinates.
void put_sharp(const IsaKernels& isa, const Screen& s, const Quantised& x, double step, const int8_t* integers,
               int64_t j, QueryBlock& b) {
  put_in_tile(integers, s.d, s.sharp_groups, s.queries, isa.screen->side_by_side, j, b.sharp);
  b.sharp_step[j] = static_cast<float>(step);
  b.sharp_error[j] = raised(x.error);
  b.sharp_sum[j] = static_cast<int32_t>(128 * x.sum);
}

// For a screen without directions.
void pack_whole(const IsaKernels& isa, const Screen& s, const float* row, int64_t j, int8_t* integers, QueryBlock& b) {
  const double step = step_of(row, s.d);
  const Quantised x = quantise(isa, row, s.d, step, 0, integers);
  const bool fits = x.shortest >= kShortest && x.norm <= kLongest;
  begin_query(s, fits, x.norm, 0, j, b);
  if (fits) put_sharp(isa, s, x, step, integers, j, b);
}

// y: the projection of row.
void pack_query(const IsaKernels& isa, const Screen& s, const float* row, const float* y, int64_t j, int8_t* integers,
                QueryBlock& b) {
  const double length = row_length(row, s.d);
  const double step = step_of(y, s.m);
  const bool fits = length >= kShortest && length <= kLongest;
  const Quantised x = fits ? quantise(isa, y, s.m, step, projection_error(s, length), integers) : Quantised();
  if (fits) put_in_tile(integers, s.m, s.groups, s.queries, 4, j, b.tiles);
  begin_query(s, fits, length, s.projected ? 0 : x.error * s.most_norm + x.norm * s.most_error, j, b);
  b.error[j] = raised(x.error);
  b.norm[j] = raised(x.norm);
  b.inverse_step[j] = static_cast<float>(1 / step);
  b.slope[j] = raised((fits ? residual_of(s, length, x) : 0) / step);
  // The bound of a tile is rounded from an integer of at most 255 * 127 a dimension (and from slope * residual, whose
  // rounding the factors above cover), and the threshold has terms of that size.
  const double largest = 255.0 * 127.0 * static_cast<double>(s.m) * 0x1p-22;
  b.offset[j] = static_cast<float>(128.0 * static_cast<double>(x.sum) - largest);
  if (!s.projected || !fits) return;
  const double sharp_step = step_of(row, s.d);
  put_sharp(isa, s, quantise(isa, row, s.d, sharp_step, 0, integers), sharp_step, integers, j, b);
}

}  // namespace

int64_t tile_bytes(const Screen& s, int64_t count) { return round_up(count, s.queries) * s.groups * 4; }
int64_t sharp_bytes(const Screen& s, int64_t count) { return round_up(count, s.queries) * s.sharp_groups * 4; }

void pack_queries(const IsaKernels& isa, const Screen& s, HostMatrix<const float> q, HostMatrix<const float> y,
                  const int32_t* id, const int32_t* cell, int64_t count, int8_t* integers, QueryBlock& b) {
  std::fill_n(b.tiles, tile_bytes(s, count), int8_t{0});
  std::fill_n(b.sharp, sharp_bytes(s, count), int8_t{0});
  for (int64_t j = 0; j < count; ++j) {
    b.id[j] = id[j];
    b.cell[j] = cell[j];
    if (s.whole) {
      pack_whole(isa, s, q.row(id[j]), j, integers, b);
    } else {
      pack_query(isa, s, q.row(id[j]), y.row(id[j]), j, integers, b);
    }
  }
  leave_unused(b, count, round_up(count, s.queries));
}

}  // namespace tracer::cpu
