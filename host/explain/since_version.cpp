#include "host/explain/since_version.h"

#include <algorithm>
#include <filesystem>

#include "engine/log/label_index.h"
#include "engine/maths/percent.h"
#include "host/artifact/frontier_text.h"
#include "host/io/plain_text.h"
#include "host/versions/store.h"

namespace tracer {
namespace {

constexpr size_t kListed = 3;  // labels and regions, in words

// "" where there are no versions, or only this one.
Result<std::string> version_before(const std::string& policy) {
  TRACER_ASSIGN_OR_RETURN(auto folder, versions_folder(policy));
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) return std::string();
  TRACER_ASSIGN_OR_RETURN(auto store, VersionStore::open(policy, false, 0));
  const std::vector<int64_t>& champions = store.state().champions;
  const auto before =
      std::find_if(champions.rbegin(), champions.rend(), [&](int64_t v) { return v != store.state().champion(); });
  return before == champions.rend() ? std::string() : store.version_path(*before);
}

Result<Json> compare(Backend& backend, const std::string& folder, const LoadedPolicy& loaded, const UnseenRows& unseen,
                     const ExplainedRows& e) {
  TRACER_ASSIGN_OR_RETURN(auto artifact, read_artifact(folder));
  const Policy& policy = artifact.policy;
  if (policy.stages.empty())
    return refused(folder + ": nothing was learned there, so there is nothing to compare with");
  if (policy.dimension != loaded.artifact.policy.dimension)
    return bad_input(folder + ": takes vectors of another dimension, so no rows fit both policies");
  const EncoderIdentity &a = artifact.provenance.encoder, &b = loaded.artifact.provenance.encoder;
  if (a.known() && b.known() && !a.makes_vectors_of(b))
    return bad_input(folder + ": was fitted with another encoder, so no rows fit both policies: " + describe(a) + ", " +
                     describe(b));
  const Certificate* c = policy.certificate(loaded.certificate.alpha);
  if (c == nullptr) c = policy.certificate(policy.alpha);
  if (c == nullptr) return refused(folder + ": has no certificate to compare");
  Earlier earlier;
  earlier.policy = &policy, earlier.certificate = c;
  earlier.folder = folder, earlier.digest = artifact.digest;
  TRACER_RETURN_IF_ERROR(explain_earlier(
      backend, e.x.view(), translate_labels(unseen.label, unseen.labels, policy.labels), e.names.input, earlier));
  std::vector<std::string> names;
  for (const int32_t label : unseen.label) names.push_back(unseen.labels[static_cast<size_t>(label)]);
  return since_json(e, earlier, names);
}

std::string share(const Json& value) { return value.is_number() ? percent(value.get<double>()) : "-"; }

std::string main_why(const Json& why, const std::string& when) {
  return why.empty() ? "" : " (" + when + why[0]["text"].get<std::string>() + ")";
}

std::string moves_text(const Json& m) {
  return std::to_string(m["n_handled"]["before"].get<int64_t>()) + " -> " +
         std::to_string(m["n_handled"]["now"].get<int64_t>()) + " of " + counted(m["n"].get<int64_t>(), "row") +
         " handled: " + std::to_string(m["gained"].get<int64_t>()) + " gained" +
         main_why(m["gained_why"], "mostly were ") + ", " + std::to_string(m["lost"].get<int64_t>()) + " lost" +
         main_why(m["lost_why"], "mostly now ") +
         (m.contains("flag") && m["flag"].get<bool>() ? "; more than chance" : "") + "\n";
}

std::string names_text(const Json& labels) {
  std::string text;
  for (const Json& l : labels)
    text += (text.empty() ? "" : ", ") + shown(l.is_object() ? l["label"].get<std::string>() : l.get<std::string>());
  return text.empty() ? "none" : text;
}

}  // namespace

Result<Json> explain_since(Backend& backend, const ExplainSource& source, const LoadedPolicy& loaded,
                           const UnseenRows& unseen, const ExplainedRows& e, const Events& events) {
  if (!source.since.empty()) return compare(backend, source.since, loaded, unseen, e);
  auto before = version_before(loaded.folder);
  if (before.ok() && before->empty()) return Json(nullptr);
  Result<Json> since = before.ok() ? compare(backend, *before, loaded, unseen, e) : Result<Json>(before.status());
  if (since.ok()) return since;
  events.caution("nothing is said of the version before: " + since.status().message());
  return Json(nullptr);
}

std::string since_text(const Json& since) {
  if (since.is_null()) return "";
  std::string text = "since " + shown(since["folder"].get<std::string>()) + ": coverage " +
                     share(since["coverage"]["before"]) + " -> " + share(since["coverage"]["now"]) + ", agreement " +
                     share(since["teacher_agreement"]["before"]) + " -> " + share(since["teacher_agreement"]["now"]) +
                     "; " + moves_text(since);
  if (const auto left = since["rows_left_out"].get<int64_t>(); left > 0)
    text += "  left out: " + counted(left, "row") + " that one of them learned from\n";
  if (!since["labels_gained"].empty() || !since["labels_lost"].empty())
    text +=
        "  labels gained: " + names_text(since["labels_gained"]) + "; lost: " + names_text(since["labels_lost"]) + "\n";
  for (size_t i = 0; i < std::min(kListed, since["labels"].size()); ++i)
    text += "  " + shown(since["labels"][i]["label"].get<std::string>()) + ": " + moves_text(since["labels"][i]);
  for (size_t i = 0; i < std::min(kListed, since["regions"].size()); ++i)
    text += "  region of " + names_text(since["regions"][i]["labels"]) + ": " + moves_text(since["regions"][i]);
  return text;
}

}  // namespace tracer
