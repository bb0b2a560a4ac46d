#include "host/cli/member_options.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "host/cli/flags.h"

namespace tracer::cli {
namespace {

// What a name stands for; null: it is always part.
using Names = std::initializer_list<std::pair<const char*, bool*>>;

Status read_names(const std::string& option, const std::vector<std::string>& names, const Names& choices) {
  for (const std::string& name : names) {
    const auto* found = std::find_if(choices.begin(), choices.end(), [&](const auto& c) { return name == c.first; });
    if (found == choices.end()) {
      std::string known;
      for (const auto& c : choices) known += (known.empty() ? "" : ", ") + std::string(c.first);
      return bad_input(option + ": expected some of " + known + ", found \"" + name + "\"");
    }
    if (found->second != nullptr) *found->second = true;
  }
  for (const auto& c : choices)
    if (c.second == nullptr && std::find(names.begin(), names.end(), c.first) == names.end())
      return bad_input(option + ": " + c.first + " is always part: name it too");
  return {};
}

}  // namespace

void add_member_options(Flags& app, MemberFlags& flags) {
  app.add_option(
         "--members", flags.members,
         "members to learn: softmax,neighbours and any of prototype,mlp,mlp2,gbt, which are kept where they help")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--families", flags.families,
                 "rules to choose from: global,l2d and, to try a threshold for each label too, l2d_label, or a second "
                 "surrogate for what the "
                 "first would defer, rsb")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--gate-share", flags.gate_share,
                 "share of ordinary rows that may be left to the teacher as unlike anything learned: a larger one "
                 "catches more rows of another kind; 0: what is beyond all learn rows")
      ->check(in_range(0.0, 0.5))
      ->capture_default_str();
}

Status read_members(const MemberFlags& flags, FitOptions& fit) {
  fit.choices.gate_share = flags.gate_share;
  MemberSet& m = fit.choices.members;
  TRACER_RETURN_IF_ERROR(read_names("--members", flags.members,
                                    {{"softmax", nullptr},
                                     {"neighbours", nullptr},
                                     {"prototype", &m.prototype},
                                     {"mlp", &m.mlp},
                                     {"mlp2", &m.mlp2},
                                     {"gbt", &m.gbt}}));
  return read_names("--families", flags.families,
                    {{"global", nullptr},
                     {"l2d", nullptr},
                     {"l2d_label", &fit.choices.label_thresholds},
                     {"rsb", &fit.choices.residual}});
}

}  // namespace tracer::cli
