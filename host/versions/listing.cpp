#include "host/versions/listing.h"

#include <algorithm>
#include <cstdio>

#include "engine/prove/figures.h"
#include "host/io/json_fields.h"
#include "host/io/plain_text.h"
#include "host/versions/change_text.h"

namespace tracer {
namespace {

Result<ListedVersion> listed(const VersionStore& store, const Version& v) {
  const VersionState& state = store.state();
  ListedVersion out;
  out.number = v.number, out.origin = v.origin, out.delta = v.level, out.audit_rows = v.audit_rows;
  out.status = v.number == state.champion() ? "champion" : to_string(v.status);
  if (v.status == VersionStatus::kWaiting)
    for (const RowsFile& r : state.rows)
      if (r.challenger == v.number) out.audit_rows += r.audit;
  if (v.status != VersionStatus::kDeployed) return out;
  TRACER_ASSIGN_OR_RETURN(auto artifact, read_artifact(store.version_path(v.number)));
  const Policy& policy = artifact.policy;
  out.policy = artifact.digest;
  out.alpha = policy.alpha;
  if (const Certificate* c = policy.certificate(policy.alpha)) {
    out.coverage = coverage(*c);
    if (c->certified) out.agreement = agreement(c->n_agree, c->n_handled);
    out.agreement_lower = agreement_lower(*c);
  }
  return out;
}

Json version_json(const ListedVersion& v) {
  Json j = {{"version", v.number},
            {"origin", v.origin},
            {"status", v.status},
            {"alpha", optional_json(v.alpha)},
            {"delta", v.delta},
            {"coverage", optional_json(v.coverage)},
            {"teacher_agreement", optional_json(v.agreement)},
            {"teacher_agreement_lower", optional_json(v.agreement_lower)},
            {"audit_rows", v.audit_rows}};
  if (v.policy) j["policy"] = *v.policy;
  return j;
}

}  // namespace

Result<std::vector<ListedVersion>> list_versions(const VersionStore& store) {
  std::vector<ListedVersion> out;
  for (const Version& v : store.state().versions) {
    TRACER_ASSIGN_OR_RETURN(auto version, listed(store, v));
    out.push_back(std::move(version));
  }
  return out;
}

Json listing_json(const VersionState& state, const std::vector<ListedVersion>& versions) {
  Json list = Json::array();
  for (const ListedVersion& v : versions) list.push_back(version_json(v));
  return {{"champion", state.champion()},
          {"champions", state.champions},
          {"delta", state.delta},
          {"challengers_scored", state.scored},
          {"versions", std::move(list)}};
}

std::string listing_text(const std::vector<ListedVersion>& versions) {
  std::string text = "  version  origin  status     coverage  agreement  at least  audit rows\n";
  for (const ListedVersion& v : versions) {
    char line[160];
    std::snprintf(line, sizeof line, "%9lld  %-6s  %-9s  %8.8s  %9.9s  %8.8s  %10lld\n",
                  static_cast<long long>(v.number), v.origin.c_str(), v.status.c_str(), figure(v.coverage).c_str(),
                  figure(v.agreement).c_str(), figure(v.agreement_lower).c_str(), static_cast<long long>(v.audit_rows));
    text += line;
  }
  return text;
}

Result<int64_t> put_in_place(VersionStore& store, int64_t version) {
  const std::vector<Version>& versions = store.state().versions;
  if (version < 1 || version > static_cast<int64_t>(versions.size()))
    return bad_option("version", "there are versions 1 to " + std::to_string(versions.size()));
  const Version& v = versions[static_cast<size_t>(version - 1)];
  if (v.status != VersionStatus::kDeployed)
    return refused("version " + std::to_string(version) + " (" + to_string(v.status) + ") was never certified");
  TRACER_ASSIGN_OR_RETURN(auto artifact, read_artifact(store.version_path(version)));
  const Certificate* c = artifact.policy.certificate(artifact.policy.alpha);
  if (c == nullptr || !c->certified)
    return refused("version " + std::to_string(version) + " is not certified at " + number(artifact.policy.alpha));
  const int64_t before = store.state().champion();
  if (before != version) TRACER_RETURN_IF_ERROR(store.promote(version));
  return before;
}

Result<int64_t> version_before(const VersionStore& store, const std::string& folder) {
  const std::vector<int64_t>& champions = store.state().champions;
  const auto earlier =
      std::find_if(champions.rbegin(), champions.rend(), [&](int64_t v) { return v < store.state().champion(); });
  if (earlier == champions.rend()) return bad_input(folder + ": no earlier version to go back to");
  return *earlier;
}

}  // namespace tracer
