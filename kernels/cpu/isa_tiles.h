// The bounds of a screen by AMX tiles: tdpbsud multiplies 16 queries with 16 references over 64 dimensions at once.
// Included after isa_screen.h by the isa_*.cpp of instruction sets that have tiles.
#pragma once

#include <immintrin.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_tile_registers.h"
#include "kernels/cpu/simd.h"

namespace tracer::cpu {
namespace {

constexpr int64_t kSideBySide = 64;
constexpr int64_t kTileQueries = 16;
static_assert(kScreenReferences == 32 && kTileQueries <= kMostScreenQueries);

void enter_tiles(TileConfiguration& before) { enter_all_tiles(before); }
void leave_tiles(const TileConfiguration& before) { leave_all_tiles(before); }

struct alignas(64) TileSums {
  int32_t sum[kTileQueries][kScreenReferences];
};

inline float largest_lane(V v) {
  float most = v[0];
  for (int l = 1; l < kLanes; ++l) most = v[l] > most ? v[l] : most;
  return most;
}

// A panel for bounds_of_row, and for looks_promising the largest norm and error of its references.
struct PanelVectors {
  explicit PanelVectors(const SharpPanel& r)
      : step{load(r.step), load(r.step + 16)},
        norm{load(r.norm), load(r.norm + 16)},
        error{load(r.error), load(r.error + 16)},
        most_norm(largest_lane(maximum(norm[0], norm[1]))),
        most_error(largest_lane(maximum(error[0], error[1]))) {}
  V step[kScreenVectors], norm[kScreenVectors], error[kScreenVectors];
  float most_norm, most_error;
};

// For each query of a tile what (sum - queries.sum) r.step must reach for its bound to reach its base whatever the
// reference's norm and error, in units of the query's step; rounded down.
inline V least_products(const SharpQueries& queries, int64_t first, const PanelVectors& r) {
  const V base = load(queries.base + first), margin = load(queries.margin + first), step = load(queries.step + first);
  const V spare = fma(load(queries.error + first), splat(r.most_norm),
                      fma(load(queries.length + first), splat(r.most_error), margin));
  const V size = maximum(base, -base) + spare;
  const V least = (base - spare - size * splat(kScreenSlack)) / step;
  // A place without a query has step 0 and a base above all bounds; -inf stays.
  return least;
}

inline I sums_of(const TileSums& sums, int64_t row, int v) {
  return *reinterpret_cast<const IUnaligned*>(sums.sum[row] + 16 * v);
}

// The references of a panel that may reach a query's base.
inline uint32_t looks_promising(const TileSums& sums, int64_t row, I offset, V least, const PanelVectors& r) {
  uint32_t bits = 0;
  for (int v = 0; v < kScreenVectors; ++v) {
    const V product = __builtin_convertvector(sums_of(sums, row, v) - offset, V) * r.step[v];
    bits |= static_cast<uint32_t>(_mm512_cmp_ps_mask(product, least, _CMP_GE_OQ)) << (16 * v);
  }
  return bits;
}

// sharp_row of query i of the block.
inline uint32_t bounds_of_row(const TileSums& sums, int64_t row, const SharpQueries& queries, int64_t i,
                              const PanelVectors& r, float* bound) {
  uint32_t bits = 0;
  for (int v = 0; v < kScreenVectors; ++v) {
    const V product = __builtin_convertvector(sums_of(sums, row, v) - splat_int(queries.sum[i]), V);
    V b = product * (r.step[v] * splat(queries.step[i]));
    b = fma(splat(queries.error[i]), r.norm[v], b);
    b = fma(splat(queries.length[i]), r.error[v], b);
    store(bound + 16 * v, b);
    const V most = b + splat(queries.margin[i]);
    bits |= static_cast<uint32_t>(_mm512_cmp_ps_mask(most, splat(queries.base[i]), _CMP_GE_OQ)) << (16 * v);
  }
  return bits;
}

// The rows [from, to) of a tile, `first` queries into the block.
inline void bounds_of_rows(int64_t from, int64_t to, const TileSums& sums, const SharpQueries& queries, int64_t first,
                           const float* least, const PanelVectors& r, TileBounds& out) {
  for (int64_t row = from; row < to; ++row) {
    uint32_t bits = looks_promising(sums, row, splat_int(queries.sum[first + row]), splat(least[row]), r);
    if (__builtin_expect(bits != 0, 0)) {
      bits = bounds_of_row(sums, row, queries, first + row, r, out.bound + row * kScreenReferences);
    }
    out.above[row] = bits;
    out.any |= bits;
  }
}

// While the products of a tile run, the bounds of the one before are taken: in source order, a few rows with each step
// of the inner index, since a tile's sums must reach memory before vectors can read them.
// Tiles 0 and 1: sums of the queries by the two halves of a panel. 2: queries. 3 and 4: references.
void sharpen_block(int64_t tiles, int64_t groups, const int8_t* q, const SharpQueries& queries, const SharpPanel& r,
                   TileBounds* out) {
  const PanelVectors panel(r);
  const int64_t steps = groups / (kSideBySide / 4), rows = (kTileQueries + steps - 1) / steps;
  TileSums sums[2];
  alignas(64) float least[kTileQueries];
  for (int64_t t = 0; t <= tiles; ++t) {
    int64_t row = t > 0 ? 0 : kTileQueries;
    const auto bounds_to = [&](int64_t to) {
      if (row < to)
        bounds_of_rows(row, to, sums[(t - 1) % 2], queries, (t - 1) * kTileQueries, least, panel, out[t - 1]);
      row = row < to ? to : row;
    };
    if (t > 0) {
      out[t - 1].any = 0;
      store(least, least_products(queries, (t - 1) * kTileQueries, panel));
    }
    if (t < tiles) {
      _tile_zero(0);
      _tile_zero(1);
      const uint8_t* bytes = r.bytes;
      for (int64_t s = 0; s < steps; ++s) {
        _tile_loadd(2, q, kSideBySide);
        _tile_loadd(3, bytes, 4 * kScreenReferences);
        _tile_dpbsud(0, 2, 3);
        _tile_loadd(4, bytes + 64, 4 * kScreenReferences);
        _tile_dpbsud(1, 2, 4);
        q += kTileQueries * kSideBySide;
        bytes += kSideBySide * kScreenReferences;
        bounds_to(row + rows < kTileQueries ? row + rows : kTileQueries);
      }
      _tile_stored(0, sums[t % 2].sum[0], sizeof sums[0].sum[0]);
      _tile_stored(1, sums[t % 2].sum[0] + 16, sizeof sums[0].sum[0]);
    }
    bounds_to(kTileQueries);
  }
}

constexpr ScreenKernels kTileScreenKernels = {.queries = kTileQueries,
                                              .side_by_side = kSideBySide,
                                              .enter = enter_tiles,
                                              .leave = leave_tiles,
                                              .tile = screen_tile,
                                              .thresholds = screen_thresholds,
                                              .quantise = quantise,
                                              .sharpen = sharpen,
                                              .sharpen_block = sharpen_block,
                                              .append = append,
                                              .dot = dot,
                                              .chain_scores = chain_scores,
                                              .choose = choose,
                                              .insert = insert};

}  // namespace
}  // namespace tracer::cpu
