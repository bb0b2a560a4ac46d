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

// The steps of a panel, and the largest norm and error of its references.
struct PanelVectors {
  explicit PanelVectors(const SharpPanel& r)
      : step{load(r.step), load(r.step + 16)},
        most_norm(largest_lane(maximum(load(r.norm), load(r.norm + 16)))),
        most_error(largest_lane(maximum(load(r.error), load(r.error + 16)))) {}
  V step[kScreenVectors];
  float most_norm, most_error;
};

// The queries of a block from one of its tiles on.
inline SharpQueries queries_from(const SharpQueries& q, int64_t first) {
  return {q.step + first, q.error + first, q.length + first, q.sum + first, q.margin + first, q.base + first};
}

// For each query of a tile what (sum - queries.sum) r.step must reach for its bound to reach its base whatever the
// reference's norm and error, in units of the query's step; rounded down. A place without a query has step 0 and a base
// above all bounds: nothing reaches that.
inline V least_products(const SharpQueries& queries, const PanelVectors& r) {
  const V base = load(queries.base);
  const V spare = fma(load(queries.error), splat(r.most_norm),
                      fma(load(queries.length), splat(r.most_error), load(queries.margin)));
  const V size = maximum(base, -base) + spare;
  return (base - spare - size * splat(kScreenSlack)) / load(queries.step);
}

// The rows [from, to) of a tile: exact bounds for those with a reference that may reach their base.
inline void bounds_of_rows(int64_t from, int64_t to, const TileSums& sums, const SharpQueries& queries,
                           const float* least, const PanelVectors& panel, const SharpPanel& r, TileBounds& out) {
  for (int64_t row = from; row < to; ++row) {
    I sum[kScreenVectors];
    uint32_t bits = 0;
    for (int v = 0; v < kScreenVectors; ++v) {
      sum[v] = *reinterpret_cast<const IUnaligned*>(sums.sum[row] + 16 * v);
      const V product = __builtin_convertvector(sum[v] - splat_int(queries.sum[row]), V) * panel.step[v];
      bits |= static_cast<uint32_t>(_mm512_cmp_ps_mask(product, splat(least[row]), _CMP_GE_OQ)) << (16 * v);
    }
    if (__builtin_expect(bits != 0, 0)) bits = sharp_row(sum, queries, static_cast<int>(row), r, out.bound);
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
    const SharpQueries before = queries_from(queries, t > 0 ? (t - 1) * kTileQueries : 0);
    int64_t row = t > 0 ? 0 : kTileQueries;  // of the tile before
    const auto bounds_to = [&](int64_t to) {
      if (row >= to) return;
      bounds_of_rows(row, to, sums[(t - 1) % 2], before, least, panel, r, out[t - 1]);
      row = to;
    };
    if (t > 0) {
      out[t - 1].any = 0;
      store(least, least_products(before, panel));
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

constexpr ScreenKernels tile_screen_kernels() {
  ScreenKernels kernels = kScreenKernels;
  kernels.queries = kTileQueries;
  kernels.side_by_side = kSideBySide;
  kernels.enter = enter_tiles;
  kernels.leave = leave_tiles;
  kernels.sharpen_block = sharpen_block;
  return kernels;
}
constexpr ScreenKernels kTileScreenKernels = tile_screen_kernels();

}  // namespace
}  // namespace tracer::cpu
