// What a row of logits says by itself.
#pragma once

#include <cstdint>

namespace tracer::cuda {

// p is the softmax of the row's K logits.
struct RowDecision {
  int32_t label;  // argmax of the logits; ties to the lower class
  float top1;     // p[label]
  float top2;     // second largest p (0 when K == 1)
  float entropy;  // of p, divided by ln K (0 when K == 1), in [0, 1]
};

}  // namespace tracer::cuda
