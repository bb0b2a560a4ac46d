// A picture of the embedding space: rows in the plane, those that are neighbours in the space side by side.
#pragma once

#include "kernels/backend.h"

namespace tracer {

inline constexpr int kMapNeighbours = 15;

// Places n unit rows, starting from `start` (n x 2, any scale). The method is UMAP's (L. McInnes, J. Healy, J.
// Melville, 2018): a fuzzy graph of each row's kMapNeighbours nearest rows, laid out by stochastic gradient descent
// with negative samples; the similarity in the plane is 1 / (1 + distance^2), as in LargeVis (J. Tang et al., 2016).
// Draws are keyed by (epoch, edge) and made one after the other: deterministic in x and start, whatever the threads.
// Result: n x 2, centred; distances between far groups mean little. Cost: 2 n^2 d flops, and about 7,000 n steps.
Result<Matrix<float>> neighbour_map(Backend& backend, HostMatrix<const float> x, HostMatrix<const float> start);

}  // namespace tracer
