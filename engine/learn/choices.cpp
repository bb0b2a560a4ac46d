#include "engine/learn/choices.h"

#include "engine/policy/kinds.h"

namespace tracer {

std::vector<std::string> member_names(const MemberSet& members) {
  std::vector<std::string> names;
  const auto add = [&](bool asked, MemberKind kind) {
    if (asked) names.push_back(to_string(kind));
  };
  add(members.prototype, MemberKind::kPrototype);
  add(members.mlp, MemberKind::kMlp);
  add(members.mlp2, MemberKind::kMlp2);
  add(members.gbt, MemberKind::kGbt);
  return names;
}

}  // namespace tracer
