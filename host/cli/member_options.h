// --members, --families and --gate-share: what `fit` and `sweep` try, and what their gate may cost.
#pragma once

#include <string>
#include <vector>

#include "engine/fit.h"
#include "host/cli/flags.h"

namespace tracer::cli {

struct MemberFlags {
  std::vector<std::string> members = {"softmax", "neighbours"};
  std::vector<std::string> families = {"global", "l2d"};
  double gate_share = kGateShare;
};

void add_member_options(Flags& app, MemberFlags& flags);
// kBadInput for an unknown name, or where one of the above is missing: they are always part.
Status read_members(const MemberFlags& flags, FitOptions& fit);

}  // namespace tracer::cli
