// --members and --families: what `fit` and `sweep` try.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "engine/fit.h"

namespace tracer::cli {

struct MemberFlags {
  std::vector<std::string> members = {"softmax", "neighbours"};
  std::vector<std::string> families = {"global", "l2d"};
};

void add_member_options(CLI::App& app, MemberFlags& flags);
// kBadInput for an unknown name, or where one of the above is missing: they are always part.
Status read_members(const MemberFlags& flags, FitOptions& fit);

}  // namespace tracer::cli
