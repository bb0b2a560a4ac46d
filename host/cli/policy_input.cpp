#include "host/cli/policy_input.h"

#include <cmath>

#include "host/cli/embed_options.h"
#include "host/cli/flags.h"
#include "host/cli/tables.h"

namespace tracer::cli {

void add_policy_options(Flags& app, PolicyOptions& options) {
  app.add_option("DIR", options.folder, "folder of the policy, as written by `tracer fit`")->required();
  app.add_option("--alpha", options.alpha, "certified target to serve (default: the one fit was asked for)")
      ->check(open_unit_interval());
}

Result<LoadedPolicy> load_policy(const PolicyOptions& options, const Console& console) {
  TRACER_ASSIGN_OR_RETURN(auto artifact, read_artifact(options.folder));
  const Policy& policy = artifact.policy;
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
  loaded.artifact = std::move(artifact);
  return loaded;
}

namespace {

Result<Encoder> open_encoder_of_policy(const EncoderIdentity& wanted, const InputOptions& input,
                                       const std::string& folder, const Backend& backend, const Console& console) {
  if (!wanted.is_server() && input.embed.url.empty()) {
    TRACER_ASSIGN_OR_RETURN(auto cache, open_cache(input.embed, console));
    auto encoder = open_encoder_of(wanted, input.encoder, machine_of(backend), folder, std::move(cache));
    if (encoder.ok()) note_encoder(*encoder, console);
    return encoder;
  }
  // Texts, and a key, go nowhere but where the command line says: a policy may come from elsewhere.
  if (input.embed.url.empty())
    return bad_input(folder + ": fitted with vectors of an embedding server, " + describe(wanted) + " at " +
                     wanted.path + ": give its address with --embed-url");
  if (!wanted.is_server())
    return bad_input("--embed-url " + input.embed.url.substr(0, input.embed.url.find_first_of("?#")) +
                     ": another encoder than " + folder + " was fitted with: expected " + describe(wanted) +
                     ", an encoder here");
  // A name that is the address stands for a server that was given none.
  const bool named = wanted.name != wanted.path;
  auto encoder = open_embed_server(input.embed, input.encoder.empty() && named ? wanted.name : input.encoder, console);
  if (encoder.ok()) TRACER_RETURN_IF_ERROR(check_encoder(wanted, encoder->identity, folder));
  return encoder;
}

}  // namespace

Result<VectorSource> open_vectors(const std::string& npy, const InputOptions& input, const LoadedPolicy& loaded,
                                  const Backend& backend, const Console& console) {
  const EncoderIdentity& wanted = loaded.artifact.provenance.encoder;
  VectorSource source{npy, std::nullopt};
  if (loaded.artifact.policy.text && loaded.rule.text_threshold < 1) {
    source.text_stage = &*loaded.artifact.policy.text;
    source.rule = &loaded.rule;
  }
  if (npy.empty()) {
    if (!wanted.known())
      return bad_input(loaded.folder +
                       ": fitted on given vectors, whose encoder it does not know, so that it takes no text: "
                       "give vectors, as .npy beside the rows or with --embeddings FILE");
    TRACER_ASSIGN_OR_RETURN(source.encoder, open_encoder_of_policy(wanted, input, loaded.folder, backend, console));
    return source;
  }
  TRACER_ASSIGN_OR_RETURN(auto noted, read_vector_note(npy));
  if (!wanted.known()) return source;
  if (!noted.known())
    console.warn(npy + ": nothing tells which encoder made these vectors; they are taken to be of " + describe(wanted) +
                 ", as " + loaded.folder + " expects");
  else if (!noted.makes_vectors_of(wanted))
    return bad_input(npy + ": vectors of another encoder than " + loaded.folder + " was fitted with: expected " +
                     describe(wanted) + ", found " + describe(noted));
  return source;
}

Status refuse_cascade(const std::string& folder, const Policy& policy, const std::string& command) {
  if (!policy.text) return {};
  return bad_input(folder + ": a cascade (fit --cascade), whose text stage `tracer " + command +
                   "` does not know yet: expected a policy of one stage");
}

Status check_score(const LoadedPolicy& loaded, const RowScore& score, const std::string& row) {
  if (std::isfinite(score.score)) return {};
  return bad_input(loaded.folder + ": damaged: expected a finite score of " + row + ", found " + number(score.score));
}

}  // namespace tracer::cli
