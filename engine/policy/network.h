// Networks as members: what a NetworkMember says of rows. Learned by engine/learn/prototype.h, engine/learn/mlp.h and
// engine/learn/gradient_boosting.h.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/policy/policy.h"
#include "kernels/backend.h"

namespace tracer {

// The last layer of a network, packed for network_probabilities; nullptr for a "gbt".
Result<std::unique_ptr<LinearHead>> prepare_network(Backend& backend, const NetworkMember& member);

// out (n x C): the probabilities of rows x (n x d); head: of this member. Cost: 2 n flops a weight. Memory: n times the
// units of the hidden layers.
Status network_probabilities(Backend& backend, const NetworkMember& member, const LinearHead* head,
                             HostMatrix<const float> x, HostMatrix<float> out);

// The same for one row, in float64 and in a fixed order: see engine/policy/canonical.h.
std::vector<double> canonical_network(const NetworkMember& member, const float* x, int64_t dimension);

// In place, the softmax of z; a label that b removes has probability 0.
void softmax_of(std::span<const float> b, std::span<double> z);

// q of Stage (n x C) from the probabilities of the softmax regression and of the networks, each of weight[m].
void mix_networks(Backend& backend, HostMatrix<const float> softmax, std::span<const float> weight,
                  const std::vector<Matrix<float>>& network, HostMatrix<float> q);

}  // namespace tracer
