#include "host/cli/policy_input.h"

#include <cmath>

#include "host/cli/tables.h"

namespace tracer::cli {

void add_policy_options(CLI::App& app, PolicyOptions& options) {
  app.add_option("DIR", options.folder, "folder of the policy, as written by `tracer fit`")->required();
  app.add_option("--alpha", options.alpha, "certified target to serve (default: the one fit was asked for)")
      ->check(open_unit_interval());
}

Result<LoadedPolicy> load_policy(const PolicyOptions& options, const Console& console) {
  auto artifact = read_artifact(options.folder);
  if (!artifact.ok()) return artifact.status();
  const Policy& policy = artifact->policy;
  const double alpha = options.alpha.value_or(policy.alpha);
  const Certificate* c = policy.certificate(alpha);
  if (c == nullptr) {
    std::string known;
    for (const Certificate& other : policy.certificates) known += (known.empty() ? "" : ", ") + number(other.alpha);
    return refused(options.folder + ": alpha " + number(alpha) + " was not part of the sweep (" + known + ")");
  }
  if (!c->certified)
    return refused(options.folder + ": alpha " + number(alpha) + " is not certified: " + c->reason + "; " +
                   refusal_estimate(*c));
  LoadedPolicy loaded{options.folder, Artifact{}, *c, ""};
  if (alpha < policy.alpha - 1e-9 || alpha > policy.alpha + 1e-9)
    if (!policy.simultaneous)
      loaded.warning = "alpha " + number(alpha) + " is not the one fit was asked for (" + number(policy.alpha) +
                       "): its certificate holds alone, not for a target picked after seeing the frontier (fit with "
                       "--simultaneous for that)";
  if (!loaded.warning.empty()) console.warn(loaded.warning);
  loaded.artifact = std::move(artifact).value();
  return loaded;
}

Status check_score(const LoadedPolicy& loaded, const RowScore& score, const std::string& row) {
  if (std::isfinite(score.score)) return {};
  return bad_input(loaded.folder + ": damaged: expected a finite score of " + row + ", found " + number(score.score));
}

}  // namespace tracer::cli
