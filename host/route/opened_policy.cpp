#include "host/route/opened_policy.h"

#include <cmath>

#include "host/artifact/frontier_text.h"
#include "host/encoder/opening.h"
#include "host/io/plain_text.h"

namespace tracer {

Result<LoadedPolicy> load_policy(const PolicyOptions& options, const Events& events) {
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
                       "): its certificate holds alone, not for a target picked after seeing the frontier (fit with " +
                       option("simultaneous") + " for that)";
  if (!loaded.warning.empty()) events.caution(loaded.warning);
  loaded.artifact = std::move(artifact);
  return loaded;
}

namespace {

Result<Encoder> open_encoder_of_policy(const EncoderIdentity& wanted, const RowSource& input, const std::string& folder,
                                       const Backend& backend, const Events& events) {
  if (!wanted.is_server() && input.embed.url.empty()) {
    TRACER_ASSIGN_OR_RETURN(auto cache, open_cache(input.embed, events));
    auto encoder = open_encoder_of(wanted, input.encoder, machine_of(backend), folder, std::move(cache));
    if (encoder.ok()) note_encoder(*encoder, events);
    return encoder;
  }
  // Texts, and a key, go nowhere but where the command line says: a policy may come from elsewhere.
  if (input.embed.url.empty())
    return bad_input(folder + ": fitted with vectors of an embedding server, " + describe(wanted) + " at " +
                     wanted.path + ": give its address with " + option("embed_url"));
  if (!wanted.is_server())
    return bad_input(option("embed_url") + " " + input.embed.url.substr(0, input.embed.url.find_first_of("?#")) +
                     ": another encoder than " + folder + " was fitted with: expected " + describe(wanted) +
                     ", an encoder here");
  // A name that is the address stands for a server that was given none.
  const bool named = wanted.name != wanted.path;
  auto encoder = open_embed_server(input.embed, input.encoder.empty() && named ? wanted.name : input.encoder, events);
  if (encoder.ok()) TRACER_RETURN_IF_ERROR(check_encoder(wanted, encoder->identity, folder));
  return encoder;
}

}  // namespace

Result<VectorSource> open_vectors(const std::string& npy, const RowSource& input, const LoadedPolicy& loaded,
                                  const Backend& backend, const Events& events) {
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
                       "give vectors, as .npy beside the rows or with " +
                       option("embeddings") + " FILE");
    TRACER_ASSIGN_OR_RETURN(source.encoder, open_encoder_of_policy(wanted, input, loaded.folder, backend, events));
    return source;
  }
  TRACER_ASSIGN_OR_RETURN(auto noted, read_vector_note(npy));
  if (!wanted.known()) return source;
  if (!noted.known())
    events.caution(npy + ": nothing tells which encoder made these vectors; they are taken to be of " +
                   describe(wanted) + ", as " + loaded.folder + " expects");
  else if (!noted.makes_vectors_of(wanted))
    return bad_input(npy + ": vectors of another encoder than " + loaded.folder + " was fitted with: expected " +
                     describe(wanted) + ", found " + describe(noted));
  return source;
}

Status refuse_cascade(const std::string& folder, const Policy& policy, const std::string& command) {
  if (!policy.text) return {};
  return bad_input(folder + ": a cascade (fit " + option("cascade") + "), whose text stage `tracer " + command +
                   "` does not know yet: expected a policy of one stage");
}

Status check_score(const LoadedPolicy& loaded, const RowScore& score, const std::string& row) {
  if (std::isfinite(score.score)) return {};
  return bad_input(loaded.folder + ": damaged: expected a finite score of " + row + ", found " + number(score.score));
}

}  // namespace tracer
