// Members beside softmax regression and the votes, networks or trees: what an AddedMember says of rows. Learned by
// engine/learn/prototype.h, engine/learn/mlp.h and engine/learn/gradient_boosting.h.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/policy/policy.h"
#include "kernels/backend.h"

namespace tracer {

// The last layer of a network, packed for member_probabilities; nullptr for trees.
Result<std::unique_ptr<LinearHead>> prepare_member(Backend& backend, const AddedMember& member);

// out (n x C): the probabilities of rows x (n x d); head: of this member. Cost: 2 n flops a weight. Memory: n times the
// units of the hidden layers.
Status member_probabilities(Backend& backend, const AddedMember& member, const LinearHead* head,
                            HostMatrix<const float> x, HostMatrix<float> out);

// The same for one row, in float64 and in a fixed order: see engine/policy/canonical.h.
std::vector<double> canonical_member(const AddedMember& member, const float* x, int64_t dimension);

// In place, the softmax of z; a label that b removes has probability 0.
void softmax_of(std::span<const float> b, std::span<double> z);

// q of Stage (n x C) from the probabilities of the softmax regression and of the added members, each of weight[m].
void mix_members(Backend& backend, HostMatrix<const float> softmax, std::span<const float> weight,
                 const std::vector<Matrix<float>>& added, HostMatrix<float> q);

}  // namespace tracer
