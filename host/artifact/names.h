// Names frozen by format version 2 (docs/artifact.md).
#pragma once

#include <cstdint>
#include <string>

#include "engine/policy/kinds.h"

namespace tracer {

inline constexpr char kFormatName[] = "tracer-policy";
inline constexpr char kManifest[] = "manifest.json";
inline constexpr char kCertificates[] = "certificate.json";
inline constexpr char kWeights[] = "weights.safetensors";
inline constexpr char kFrontier[] = "frontier.json";
inline constexpr char kFindings[] = "explain.json";
inline constexpr char kLookLedger[] = "ledger.json";
inline constexpr char kReferenceIds[] = "references.json";
inline constexpr char kSums[] = "SHA256SUMS";

inline std::string tensor_prefix(int64_t stage) { return "stages." + std::to_string(stage) + "."; }
inline constexpr char kSoftmaxW[] = "softmax.w";
inline constexpr char kSoftmaxB[] = "softmax.b";
inline constexpr char kReferences[] = "neighbours.references";
inline constexpr char kReferenceLabel[] = "neighbours.label";
inline constexpr char kReferenceRow[] = "neighbours.row";
inline constexpr char kKernelVote[] = "kernel.vote";
inline constexpr char kKernelPrior[] = "kernel.prior";
// Of a network: KIND.hidden.L.w, KIND.hidden.L.b for its hidden layers L, then KIND.w, KIND.b.
inline std::string member_tensor(MemberKind kind, const char* name) {
  return std::string(to_string(kind)) + "." + name;
}
inline std::string hidden_tensor(MemberKind kind, size_t layer, const char* name) {
  return std::string(to_string(kind)) + ".hidden." + std::to_string(layer) + "." + name;
}
// Of trees, whose b is as a network's.
inline constexpr char kTreesRoot[] = "gbt.trees.root";
inline constexpr char kTreesFeature[] = "gbt.trees.feature";
inline constexpr char kTreesValue[] = "gbt.trees.value";
inline constexpr char kTreesLeft[] = "gbt.trees.left";
inline constexpr char kTreesRight[] = "gbt.trees.right";
// What labels mean; of the policy, not of a stage.
inline constexpr char kDescriptionsX[] = "descriptions.x";
inline constexpr char kDescriptionsLabel[] = "descriptions.label";
// Of a text stage.
inline constexpr char kNgramsW[] = "ngrams.w";
inline constexpr char kNgramsB[] = "ngrams.b";
inline constexpr char kNgramsWords[] = "ngrams.words";
inline constexpr char kLabelFrequency[] = "label_frequency";
inline constexpr char kAcceptorMean[] = "acceptor.mean";
inline constexpr char kAcceptorScale[] = "acceptor.scale";
inline constexpr char kAcceptorCoef[] = "acceptor.coef";
inline constexpr char kAcceptorOffset[] = "acceptor.label_offset";
inline constexpr char kGateLimits[] = "gate.limits";  // global first, then one for each label
inline constexpr char kGateDistance[] = "gate.reference_distance";

}  // namespace tracer
