// The queries of one task of a screened search: quantised and in tiles, with what each has found so far.
#pragma once

#include <cstdint>

#include "kernels/cpu/context.h"
#include "kernels/cpu/screen.h"

namespace tracer::cpu {

inline constexpr int64_t kQueryBlock = 384;  // a multiple of ScreenKernels::queries
// References that wait for a look, of each query, during the pass over all panels.
inline constexpr int32_t kMostPending = 96;
// As a base: above every bound (lengths are at most 1e3), and finite in units of any two steps.
inline constexpr float kNever = 1e15f;

// References whose bound reaches the query's base and that nobody has looked at yet, by position in the screen's order.
template <int32_t Most>
struct Pending {
  int32_t count;
  float bound[Most + kScreenReferences + 16];  // without the margin
  int32_t index[Most + kScreenReferences + 16];
};

// The queries of a task, in tiles (ScreenKernels::queries). All arrays are by place in the tiles.
struct QueryBlock {
  alignas(64) float base[kQueryBlock];  // what a bound must reach for its reference to matter
  alignas(64) float error[kQueryBlock];
  alignas(64) float norm[kQueryBlock];
  alignas(64) float inverse_step[kQueryBlock];
  alignas(64) float offset[kQueryBlock];
  alignas(64) float slope[kQueryBlock];  // rho in units of the step
  alignas(64) float threshold[kQueryBlock];
  float reach[kQueryBlock];   // what f may exceed a bound by: (gamma(chain) + eta) |q| |r| for every reference
  float margin[kQueryBlock];  // what a pending bound lacks
  // Of all d coordinates in 8 bits, where the screen has them (see SharpQueries).
  float sharp_step[kQueryBlock];
  float sharp_error[kQueryBlock];
  float length[kQueryBlock];
  int32_t sharp_sum[kQueryBlock];
  int32_t id[kQueryBlock];  // row of the query
  int32_t cell[kQueryBlock];
  bool settled[kQueryBlock];  // false: left to the float32 search
  int64_t looks[kQueryBlock];
  int32_t found[kQueryBlock];  // neighbours in the output
  Pending<kMostPending> pending[kQueryBlock];
  Pending<kMostCandidates> home[kMostScreenQueries];  // the same while a tile's home panels are searched
  int8_t* tiles;                                      // groups x queries x 4 for each tile
  int8_t* sharp;                                      // the same by all d coordinates

  ScreenQueries queries(int64_t j0) const { return {base + j0, error + j0, norm + j0, inverse_step + j0, offset + j0}; }
  SharpQueries sharp_queries(int64_t j0) const {
    return {sharp_step + j0, sharp_error + j0, length + j0, sharp_sum + j0, margin + j0, base + j0};
  }
};

// Bytes of tiles and of sharp that a block of `count` queries wants.
int64_t tile_bytes(const Screen& screen, int64_t count);
int64_t sharp_bytes(const Screen& screen, int64_t count);

// Quantises and packs the queries id[0 ... count) of q, of cell[i] each; count <= kQueryBlock. y(i): the projection of
// query i. block.tiles and block.sharp have room. integers: d rounded up to 4. Every base is -inf, or kNever where the
// bounds do not hold (a query far from unit length).
void pack_queries(const IsaKernels& isa, const Screen& screen, HostMatrix<const float> q, HostMatrix<const float> y,
                  const int32_t* id, const int32_t* cell, int64_t count, int8_t* integers, QueryBlock& block);

}  // namespace tracer::cpu
