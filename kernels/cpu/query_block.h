// The queries of one task of a screened search: quantised and in tiles, with what each has found so far.
#pragma once

#include <cstdint>

#include "kernels/cpu/context.h"
#include "kernels/cpu/screen.h"

namespace tracer::cpu {

inline constexpr int64_t kQueryBlock = 32 * kScreenQueries;
inline constexpr int32_t kMostPending = 128;
// As a base: above every bound (lengths are at most 1e3), and finite in units of any two steps.
inline constexpr float kNever = 1e15f;

// References whose bound exceeds the query's base and that nobody has looked at yet.
struct Pending {
  int32_t count;
  float bound[kMostPending];  // without the margin
  int32_t index[kMostPending];
};

// Place j of the tiles holds query id[j] of the block. All arrays but those of the second group are by place.
struct QueryBlock {
  alignas(64) float base[kQueryBlock];  // what a bound must exceed for its reference to matter
  alignas(64) float error[kQueryBlock];
  alignas(64) float norm[kQueryBlock];
  alignas(64) float inverse_step[kQueryBlock];
  alignas(64) float offset[kQueryBlock];
  alignas(64) float slope[kQueryBlock];  // rho in units of the step
  alignas(64) float threshold[kQueryBlock];
  float reach[kQueryBlock];   // what f may exceed a bound by: (gamma(chain) + eta) |q| |r| for every reference
  float margin[kQueryBlock];  // what a pending bound lacks
  int32_t id[kQueryBlock];
  // Of all d coordinates in 8 bits (see ByteRow), where the screen has them.
  float byte_step[kQueryBlock];
  float byte_error[kQueryBlock];
  float length[kQueryBlock];
  int32_t byte_sum[kQueryBlock];  // 128 times the sum of the integers
  Pending pending[kQueryBlock];

  // By query. byte_rows: count x screen.byte_width.
  int8_t* byte_rows;
  bool settled[kQueryBlock];  // false: left to the float32 search
  int64_t looks[kQueryBlock];
  int32_t found[kQueryBlock];  // neighbours in the output

  ScreenQueries queries() const { return {base, error, norm, inverse_step, offset}; }
};

// Floats of scratch that pack_queries wants.
int64_t pack_queries_floats(const IsaKernels& isa, const Screen& screen);

// Projects, quantises and packs queries [first, first + count) of q; count <= kQueryBlock. tiles: groups *
// round_up(count, kScreenQueries) * 4 bytes; block.byte_rows has room. Every base is -inf, or kNever where the bounds
// do not hold (a query far from unit length).
void pack_queries(const IsaKernels& isa, const Screen& screen, HostMatrix<const float> q, int64_t first, int64_t count,
                  float* scratch, QueryBlock& block, int8_t* tiles);

// Moves the `count` places named in `kept` (ascending) to the front.
void keep_places(const Screen& screen, const int32_t* kept, int64_t count, QueryBlock& block, int8_t* tiles);

}  // namespace tracer::cpu
