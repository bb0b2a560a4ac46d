// Gradient-boosted trees as a member: what they say of rows. Learned by engine/learn/gradient_boosting.h.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/policy/policy.h"
#include "kernels/backend.h"

namespace tracer {

// Why these are no trees over `dimension` features, every walk of which ends at a leaf with a finite number; "" where
// they are. A node's children come after it, within its tree.
const char* trees_problem(const Trees& trees, int64_t dimension, int64_t classes);

// Sums, for each label, the leaves that the row x falls into, in float64 and in the order of the trees. A row at a
// threshold goes right.
std::vector<double> tree_logits(const Trees& trees, const float* x, int64_t dimension, int64_t classes);

// out (n x C) receives the softmax of these sums, and 0 for labels that b removes. The work is done on the CPU for
// every backend, so the bytes are the same. Cost: a walk for each row and tree.
void tree_probabilities(Backend& backend, const AddedMember& member, HostMatrix<const float> x, HostMatrix<float> out);

}  // namespace tracer
