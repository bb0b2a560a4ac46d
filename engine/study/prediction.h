// What a share seen on some rows says of the share on rows to come.
#pragma once

#include <cstdint>

#include "engine/prove/figures.h"

namespace tracer {

// Central 95 % interval for the share among m fresh rows after k of n were seen, k <= n and m >= 1, rows independent
// and exchangeable: quantiles of the beta-binomial distribution with Jeffreys' prior, so both sample sizes count. Ends
// are multiples of 1 / m. Cost: O(m).
Interval prediction_interval(int64_t k, int64_t n, int64_t m);

}  // namespace tracer
