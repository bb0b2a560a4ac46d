// Products of bfloat16 by AMX tiles: tdpbf16ps multiplies 16 classes with 16 rows over 32 inner indices at once.
// Included by the isa_*.cpp of instruction sets that have tiles.
#pragma once

#include "kernels/cpu/isa_head.h"
#include "kernels/cpu/isa_tiles.h"

namespace tracer::cpu {
namespace {

constexpr int64_t kPairsTogether = 16;  // pairs of a class that lie side by side: a line of a tile
constexpr int64_t kTileClasses = 16;
static_assert(kNr == 32);

// Tiles 0 to 3: sums of Panels x Vectors. 4 and 5: classes. 6 and 7: rows.
template <int Panels, int Vectors>
inline void multiply_panels(int64_t steps, const float* w, int64_t panel_floats, const float* x) {
  constexpr int64_t kLine = 64, kRowOfPairs = kNr * 4;
  for (int64_t s = 0; s < steps; ++s) {
    _tile_loadd(4, w, kLine);
    if constexpr (Panels == 2) _tile_loadd(5, w + panel_floats, kLine);
    _tile_loadd(6, x, kRowOfPairs);
    if constexpr (Vectors == 2) _tile_loadd(7, x + kLanes, kRowOfPairs);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (Vectors == 2) _tile_dpbf16ps(1, 4, 7);
    if constexpr (Panels == 2) _tile_dpbf16ps(2, 5, 6);
    if constexpr (Panels == 2 && Vectors == 2) _tile_dpbf16ps(3, 5, 7);
    w += kTileClasses * kPairsTogether;
    x += kPairsTogether * kNr;
  }
}

// z of Panels panels of 16 classes, `classes` of which there are.
template <int Panels, int Vectors>
inline void logits_of_panels(int64_t classes, int64_t d, const float* w, const float* x, const float* bias, float* z) {
  // Sums start from the bias.
  alignas(64) float start[Panels * kTileClasses * kLanes];
  for (int64_t c = 0; c < Panels * kTileClasses; ++c) store(start + c * kLanes, splat(c < classes ? bias[c] : 0.0f));
  asm volatile("" : : "r"(start) : "memory");  // g++ 12's tileloadd does not say that it reads
  _tile_loadd(0, start, 64);
  if constexpr (Vectors == 2) _tile_loadd(1, start, 64);
  if constexpr (Panels == 2) _tile_loadd(2, start + kTileClasses * kLanes, 64);
  if constexpr (Panels == 2 && Vectors == 2) _tile_loadd(3, start + kTileClasses * kLanes, 64);
  multiply_panels<Panels, Vectors>(d / kPairsTogether, w, d * kTileClasses, x);
  alignas(64) float rest[Panels * kTileClasses * kNr];
  const bool whole = classes == Panels * kTileClasses;
  float* out = whole ? z : rest;
  _tile_stored(0, out, kNr * 4);
  if constexpr (Vectors == 2) _tile_stored(1, out + kLanes, kNr * 4);
  if constexpr (Panels == 2) _tile_stored(2, out + kTileClasses * kNr, kNr * 4);
  if constexpr (Panels == 2 && Vectors == 2) _tile_stored(3, out + kTileClasses * kNr + kLanes, kNr * 4);
  if (whole) return;
  for (int64_t c = 0; c < classes; ++c) {
    for (int v = 0; v < Vectors; ++v) store(z + c * kNr + v * kLanes, load(rest + c * kNr + v * kLanes));
  }
}

template <int Vectors>
inline void logits_of_rows(int64_t classes, int64_t d, const float* w, const float* x, const float* bias, float* z,
                           ReadAhead ahead) {
  const int64_t blocks = (classes + 2 * kTileClasses - 1) / (2 * kTileClasses), lines = ahead.lines / blocks + 1;
  for (int64_t c = 0; c < classes; c += 2 * kTileClasses) {
    for (int64_t l = 0; l < lines && ahead.lines > 0; ++l, --ahead.lines, ahead.at += kLineBytes) {
      __builtin_prefetch(reinterpret_cast<const void*>(ahead.at), 0, 2);
    }
    const int64_t left = classes - c;
    const float* panel = w + c * d;
    if (left > kTileClasses) {
      logits_of_panels<2, Vectors>(left < 2 * kTileClasses ? left : 2 * kTileClasses, d, panel, x, bias + c,
                                   z + c * kNr);
    } else {
      logits_of_panels<1, Vectors>(left, d, panel, x, bias + c, z + c * kNr);
    }
  }
}

void head_logits_tiles(int64_t classes, int64_t vectors, int64_t d, const float* w, const float* x, const float* bias,
                       float* z, ReadAhead ahead) {
  TileConfiguration before;
  enter_tiles(before);
  if (vectors == 2) {
    logits_of_rows<2>(classes, d, w, x, bias, z, ahead);
  } else {
    logits_of_rows<1>(classes, d, w, x, bias, z, ahead);
  }
  leave_tiles(before);
}

}  // namespace
}  // namespace tracer::cpu
