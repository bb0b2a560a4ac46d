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

// Memory to fetch ahead, some lines at each of so many steps.
class Fetcher {
 public:
  Fetcher(ReadAhead ahead, int64_t steps) : ahead_(ahead), each_(steps > 0 ? (ahead.lines + steps - 1) / steps : 0) {}
  void step() {
    const int64_t lines = each_ < ahead_.lines ? each_ : ahead_.lines;
    for (int64_t i = 0; i < lines; ++i) {
      __builtin_prefetch(reinterpret_cast<const void*>(ahead_.at), 0, 2);
      ahead_.at += kLineBytes;
    }
    ahead_.lines -= lines;
  }

 private:
  ReadAhead ahead_;
  int64_t each_;
};

// z of a panel of 16 classes, `classes` of which there are, for Vectors vectors of rows. Tiles 0 and 1: sums. 4:
// classes. 6 and 7: rows. One panel at a time: with the rows of a block (d 384) it fits into the first-level cache, and
// two of them do not, so that each pass over the rows would bring these from the second level again.
template <int Vectors>
inline void logits_of_panel(int64_t classes, int64_t d, const float* w, const float* x, const float* bias, float* z,
                            Fetcher& fetcher) {
  constexpr int64_t kLine = 64, kRowOfPairs = kNr * 4;
  // Sums start from the bias.
  alignas(64) float start[kTileClasses * kLanes];
  for (int64_t c = 0; c < kTileClasses; ++c) store(start + c * kLanes, splat(c < classes ? bias[c] : 0.0f));
  asm volatile("" : : "r"(start) : "memory");  // g++ 12's tileloadd does not say that it reads
  _tile_loadd(0, start, kLine);
  if constexpr (Vectors == 2) _tile_loadd(1, start, kLine);
  for (int64_t s = 0; s < d / kPairsTogether; ++s) {
    _tile_loadd(4, w, kLine);
    _tile_loadd(6, x, kRowOfPairs);
    if constexpr (Vectors == 2) _tile_loadd(7, x + kLanes, kRowOfPairs);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (Vectors == 2) _tile_dpbf16ps(1, 4, 7);
    fetcher.step();
    w += kTileClasses * kPairsTogether;
    x += kPairsTogether * kNr;
  }
  alignas(64) float rest[kTileClasses * kNr];
  const bool whole = classes == kTileClasses;
  float* out = whole ? z : rest;
  _tile_stored(0, out, kRowOfPairs);
  if constexpr (Vectors == 2) _tile_stored(1, out + kLanes, kRowOfPairs);
  if (whole) return;
  for (int64_t c = 0; c < classes; ++c) {
    for (int v = 0; v < Vectors; ++v) store(z + c * kNr + v * kLanes, load(rest + c * kNr + v * kLanes));
  }
}

template <int Vectors>
inline void logits_of_rows(int64_t classes, int64_t d, const float* w, const float* x, const float* bias, float* z,
                           ReadAhead ahead) {
  const int64_t panels = (classes + kTileClasses - 1) / kTileClasses;
  Fetcher fetcher(ahead, panels * (d / kPairsTogether));
  for (int64_t c = 0; c < classes; c += kTileClasses) {
    const int64_t here = classes - c < kTileClasses ? classes - c : kTileClasses;
    logits_of_panel<Vectors>(here, d, w + c * d, x, bias + c, z + c * kNr, fetcher);
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
