// The words of a policy: enumerations, and the names that files and messages give to their values.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string_view>

namespace tracer {

// How a certificate handles rows.
enum class Method {
  kRefused,   // it handles none
  kGlobal,    // all rows that pass the gate
  kL2d,       // rows above a threshold of the score
  kL2dLabel,  // rows above a threshold for each label
  kRsb        // kGlobal or kL2d, by two stages
};
inline constexpr std::array kMethodNames = {"refused", "global", "l2d", "l2d_label", "rsb"};

// What is independent in the proof of a certificate.
enum class ProofUnit {
  kRows,
  kRuns,    // of neighbouring rows
  kGroups,  // named by the user
  kAudit    // audited rows, in order of arrival (engine/challenger.h)
};
inline constexpr std::array kProofUnitNames = {"rows", "runs", "groups", "audit"};

// A member beside softmax regression and the two votes.
enum class MemberKind {
  kPrototype,  // a linear class prototype
  kMlp,        // one hidden layer
  kMlp2,       // two hidden layers
  kGbt         // gradient-boosted trees
};
inline constexpr std::array kMemberKindNames = {"prototype", "mlp", "mlp2", "gbt"};

inline const char* to_string(Method v) { return kMethodNames[static_cast<size_t>(v)]; }
inline const char* to_string(ProofUnit v) { return kProofUnitNames[static_cast<size_t>(v)]; }
inline const char* to_string(MemberKind v) { return kMemberKindNames[static_cast<size_t>(v)]; }

// The value whose name is `word`: find_kind<Method>(kMethodNames, "l2d").
template <class Kind, class Names>
std::optional<Kind> find_kind(const Names& names, std::string_view word) {
  const auto at = std::find(names.begin(), names.end(), word);
  if (at == names.end()) return std::nullopt;
  return static_cast<Kind>(at - names.begin());
}

}  // namespace tracer
