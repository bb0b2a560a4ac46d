// The innermost loops of decisions and of k-means, compiled once for each instruction set.
//
// A block of rows stands in the lanes: `width` rows side by side, one vector register (or a few) for each class. So
// maxima, sums and comparisons over classes are plain vector operations that never cross lanes, a row is one lane from
// the product to its probabilities, and no class is padded. An array over classes of such a block has row stride
// `width`. `vectors` says how many of the block's vectors hold rows; the other lanes are neither read nor written.
#pragma once

#include <cstdint>

namespace tracer::cpu {

inline constexpr int64_t kMaxHeadWidth = 32;

// Memory that will be read next, fetched into the cache a line at a time while a product runs. May point beyond what is
// mapped: a fetch never faults.
struct ReadAhead {
  uintptr_t at = 0;
  int64_t lines = 0;
};
inline constexpr int64_t kLineBytes = 64;

struct HeadKernels {
  int64_t width;  // rows of a block
  int64_t lanes;  // rows of a vector
  int64_t group;  // classes of a panel of weights

  // z[c] = x . w_c + bias[c], for each class: a chain of fma's in ascending k, by blocks of kKBlock.
  // w: panels of `group` classes, element (c, k) of a panel at k * group + c; x: element (row, k) at k * width + row.
  void (*logits)(int64_t classes, int64_t vectors, int64_t d, const float* w, const float* x, const float* bias,
                 float* z, ReadAhead ahead);

  // Largest value of each lane, its class (ties to the lower one, counted from `first`), and the second largest.
  // Continues from the values passed in.
  void (*best_two)(int64_t classes, int64_t vectors, int32_t first, const float* z, float* best, float* second,
                   int32_t* label);

  // e = exp(z - best) and its sum over classes. e may be z.
  void (*exponentials)(int64_t classes, int64_t vectors, const float* z, const float* best, float* e, float* sum);

  // out[c] = scale * in[c], the scale one for each lane. out may be in.
  void (*scale)(int64_t classes, int64_t vectors, const float* in, const float* scale, float* out);

  // The sum of -p ln p over classes.
  void (*entropies)(int64_t classes, int64_t vectors, const float* p, float* entropy);
};

}  // namespace tracer::cpu
