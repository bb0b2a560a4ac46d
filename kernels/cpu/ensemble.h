// Decisions of rows: softmax members, their ensemble, the neighbour vote, the acceptor's score.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// The contract of Backend::prepare_head.
Result<std::unique_ptr<LinearHead>> prepare_head(const Context& context, std::span<const LinearMember> members,
                                                 Storage storage);

// The contract of Backend::decision_features.
Status decision_features(const Context& context, HostMatrix<const float> x, const LinearHead& head,
                         const NeighbourVote& vote, const LinearAcceptor* acceptor, const DecisionOutputs& out);
Status decision_features(const Context& context, HostMatrix<const BFloat16> x, const LinearHead& head,
                         const NeighbourVote& vote, const LinearAcceptor* acceptor, const DecisionOutputs& out);

// The contract of Backend::decision_features_from.
Status decision_features_from(const Context& context, HostMatrix<const float> s, const NeighbourVote& vote,
                              std::span<DecisionFeatures> out);

}  // namespace tracer::cpu
