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
  LoadedPolicy loaded{options.folder, Artifact{}, *c, decision_rule(policy, *c), ""};
  if (alpha < policy.alpha - 1e-9 || alpha > policy.alpha + 1e-9)
    if (!policy.simultaneous)
      loaded.warning = "alpha " + number(alpha) + " is not the one fit was asked for (" + number(policy.alpha) +
                       "): its certificate holds alone, not for a target picked after seeing the frontier (fit with "
                       "--simultaneous for that)";
  if (!loaded.warning.empty()) console.warn(loaded.warning);
  loaded.artifact = std::move(artifact).value();
  return loaded;
}

Result<VectorSource> open_vectors(const std::string& npy, const InputOptions& input, const LoadedPolicy& loaded,
                                  int threads, const Console& console) {
  const EncoderIdentity& wanted = loaded.artifact.provenance.encoder;
  VectorSource source{npy, std::nullopt};
  if (npy.empty()) {
    if (!wanted.known())
      return bad_input(loaded.folder +
                       ": fitted on given vectors, whose encoder it does not know, so that it takes no text: "
                       "give vectors, as .npy beside the rows or with --embeddings FILE");
    auto encoder = open_encoder_of(wanted, input.encoder, threads, loaded.folder);
    if (!encoder.ok()) return encoder.status();
    console.note("embedding text with " + describe(encoder->identity));
    source.encoder = std::move(encoder).value();
    return source;
  }
  auto noted = read_vector_note(npy);
  if (!noted.ok()) return noted.status();
  if (!wanted.known()) return source;
  if (!noted->known())
    console.warn(npy + ": nothing tells which encoder made these vectors; they are taken to be of " + describe(wanted) +
                 ", as " + loaded.folder + " expects");
  else if (!noted->makes_vectors_of(wanted))
    return bad_input(npy + ": vectors of another encoder than " + loaded.folder + " was fitted with: expected " +
                     describe(wanted) + ", found " + describe(*noted));
  return source;
}

Status check_score(const LoadedPolicy& loaded, const RowScore& score, const std::string& row) {
  if (std::isfinite(score.score)) return {};
  return bad_input(loaded.folder + ": damaged: expected a finite score of " + row + ", found " + number(score.score));
}

}  // namespace tracer::cli
