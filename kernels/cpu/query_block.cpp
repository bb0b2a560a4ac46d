#include "kernels/cpu/query_block.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace tracer::cpu {
namespace {

constexpr double kShortest = 1e-3, kLongest = 1e3;  // of a query
constexpr int64_t kRowChunk = 96;                   // queries projected at a time
constexpr double kUp = 1 + 1e-6;                    // covers the rounding of a bound to float32

float raised(double x) { return static_cast<float>(x * kUp); }

int8_t* place_in(int8_t* tiles, const Screen& screen, int64_t j) {
  return tiles + j / kScreenQueries * kScreenQueries * screen.groups * 4 + j % kScreenQueries * 4;
}

void leave_unused(QueryBlock& b, int64_t from) {
  for (int64_t j = from; j < round_up(from, kScreenQueries); ++j) {
    b.error[j] = b.norm[j] = b.offset[j] = b.slope[j] = 0;
    b.inverse_step[j] = 1;
    b.base[j] = kNever;
  }
}

// y: the projection of row.
void pack_query(const IsaKernels& isa, const Screen& s, const float* row, const float* y, int64_t j, int8_t* integers,
                QueryBlock& b, int8_t* tiles) {
  const double length = row_length(row, s.d);
  const double step = step_of(y, s.m);
  const bool fits = length >= kShortest && length <= kLongest;
  const Quantised x = fits ? quantise(isa, y, s.m, step, projection_error(s, length), integers) : Quantised();
  int8_t* place = place_in(tiles, s, j);
  for (int64_t k = 0; fits && k < s.m; ++k) {
    place[k / 4 * kScreenQueries * 4 + k % 4] = integers[k];
  }
  const double chain = rounding_bound(chain_roundings(s.d));
  const double reach = length * s.longest;
  b.error[j] = raised(x.error);
  b.norm[j] = raised(x.norm);
  b.inverse_step[j] = static_cast<float>(1 / step);
  b.slope[j] = raised((fits ? residual_of(s, length, x) : 0) / step);
  b.reach[j] = raised((chain + s.eta) * reach);
  // Bounds of the tiles become pending without the panel's part; both kinds are rounded at most 8 times.
  b.margin[j] = raised((s.projected ? 0 : x.error * s.most_norm + x.norm * s.most_error) + 16 * 0x1p-24 * reach);
  // The bound of a tile is rounded from an integer of at most 255 * 127 a dimension (and from slope * residual, whose
  // rounding the factors above cover), and the threshold has terms of that size.
  const double largest = 255.0 * 127.0 * static_cast<double>(s.m) * 0x1p-22;
  b.offset[j] = static_cast<float>(128.0 * static_cast<double>(x.sum) - largest);
  b.base[j] = fits ? -std::numeric_limits<float>::infinity() : kNever;
  b.id[j] = static_cast<int32_t>(j);
  if (s.projected && fits) {
    const double byte_step = step_of(row, s.d);
    int8_t* bytes = b.byte_rows + j * s.byte_width;
    const Quantised all = quantise(isa, row, s.d, byte_step, 0, bytes);
    std::fill(bytes + s.d, bytes + s.byte_width, int8_t{0});
    b.byte_step[j] = static_cast<float>(byte_step);
    b.byte_error[j] = raised(all.error);
    b.length[j] = raised(length);
    b.byte_sum[j] = static_cast<int32_t>(128 * all.sum);
  }
  b.pending[j].count = 0;
  b.settled[j] = fits;
  b.looks[j] = 0;
  b.found[j] = 0;
}

}  // namespace

int64_t pack_queries_floats(const IsaKernels& isa, const Screen& s) {
  return round_up(round_up(kRowChunk, isa.mr) * s.d + (kRowChunk + 1) * s.m, 16);
}

void pack_queries(const IsaKernels& isa, const Screen& s, HostMatrix<const float> q, int64_t first, int64_t count,
                  float* scratch, QueryBlock& b, int8_t* tiles) {
  float* y = scratch + round_up(kRowChunk, isa.mr) * s.d;
  int8_t* integers = reinterpret_cast<int8_t*>(y + kRowChunk * s.m);
  std::fill_n(tiles, round_up(count, kScreenQueries) * s.groups * 4, int8_t{0});
  for (int64_t c = 0; c < count; c += kRowChunk) {
    const int64_t here = std::min(kRowChunk, count - c);
    project(isa, s, q, first + c, here, scratch, y);
    for (int64_t i = 0; i < here; ++i) {
      pack_query(isa, s, q.row(first + c + i), y + i * s.m, c + i, integers, b, tiles);
    }
  }
  leave_unused(b, count);
}

void keep_places(const Screen& s, const int32_t* kept, int64_t count, QueryBlock& b, int8_t* tiles) {
  for (int64_t to = 0; to < count; ++to) {
    const int64_t from = kept[to];
    for (float* values : {b.base, b.error, b.norm, b.inverse_step, b.offset, b.slope, b.reach, b.margin, b.byte_step,
                          b.byte_error, b.length}) {
      values[to] = values[from];
    }
    b.id[to] = b.id[from];
    b.byte_sum[to] = b.byte_sum[from];
    b.pending[to].count = 0;
    int8_t *source = place_in(tiles, s, from), *target = place_in(tiles, s, to);
    for (int64_t g = 0; g < s.groups; ++g) {
      std::memmove(target + g * kScreenQueries * 4, source + g * kScreenQueries * 4, 4);
    }
  }
  leave_unused(b, count);
}

}  // namespace tracer::cpu
