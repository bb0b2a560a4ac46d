// A thread's AMX tile registers. For files that are compiled for tiles: the functions have internal linkage, so that
// the linker keeps no copy of them for others.
#pragma once

#include <immintrin.h>

#include "kernels/cpu/tile_configuration.h"

namespace tracer {
namespace {

// As assembly: g++ 12's intrinsic names the first 8 bytes alone as its operand, and drops what was written to the rest.
inline void load_tile_configuration(const TileConfiguration& c) { asm volatile("ldtilecfg %0" : : "m"(c)); }

// Eight tiles of 16 rows of 64 bytes. before: what was set up.
inline void enter_all_tiles(TileConfiguration& before) {
  asm volatile("sttilecfg %0" : "=m"(before));
  TileConfiguration ours = {};
  ours.bytes[0] = 1;  // palette
  for (int tile = 0; tile < 8; ++tile) {
    ours.bytes[16 + 2 * tile] = 64;  // bytes of a row, 16 bits
    ours.bytes[48 + tile] = 16;      // rows
  }
  load_tile_configuration(ours);
}

inline void leave_all_tiles(const TileConfiguration& before) {
  _tile_release();
  if (before.bytes[0] != 0) load_tile_configuration(before);
}

}  // namespace
}  // namespace tracer
