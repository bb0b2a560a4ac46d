// Principal components of rows: the directions along which they vary most.
#pragma once

#include <vector>

#include "kernels/backend.h"

namespace tracer {

struct PrincipalComponents {
  Matrix<float> coordinates;  // n x k: the centred rows along each component, largest variance first
  std::vector<double> share;  // k: share of the rows' total variance, 0 where they do not vary
};

// The first k components of n rows, 1 <= k; 0 coordinates beyond what the rows span. Block power iteration with
// Rayleigh-Ritz steps (H. Rutishauser, "Simultaneous iteration method for symmetric matrices", 1970) from fixed
// directions, so deterministic in x; each component points to where its largest coordinate is positive. x is centred in
// place. Cost: 4 n d (k + 6) flops an iteration, at most 60 of them.
Result<PrincipalComponents> principal_components(Backend& backend, HostMatrix<float> x, int64_t k);

}  // namespace tracer
