#include "host/api/versions.h"

#include "host/io/json_format.h"
#include "host/versions/listing.h"

namespace tracer {
namespace {

Result<ChampionChange> put(VersionStore& store, int64_t version) {
  TRACER_ASSIGN_OR_RETURN(auto before, put_in_place(store, version));
  const std::string text =
      "version " + std::to_string(version) + " is the champion (before: " + std::to_string(before) + ")\n";
  return ChampionChange{version, before, {json_text({{"champion", version}, {"before", before}}), text}};
}

}  // namespace

Result<VersionList> list_versions(const std::string& folder) {
  TRACER_ASSIGN_OR_RETURN(auto store, VersionStore::open(folder, false, 0));
  TRACER_ASSIGN_OR_RETURN(auto versions, list_versions(store));
  const VersionState& state = store.state();
  VersionList list;
  list.champion = state.champion();
  list.champions = state.champions;
  list.delta = state.delta;
  list.challengers_scored = state.scored;
  list.document = {json_text(listing_json(state, versions)), listing_text(versions)};
  list.versions = std::move(versions);
  return list;
}

Result<ChampionChange> promote_version(const std::string& folder, int64_t version) {
  TRACER_ASSIGN_OR_RETURN(auto store, VersionStore::open(folder, false, 0));
  return put(store, version);
}

Result<ChampionChange> rollback_version(const std::string& folder) {
  TRACER_ASSIGN_OR_RETURN(auto store, VersionStore::open(folder, false, 0));
  TRACER_ASSIGN_OR_RETURN(auto version, version_before(store, folder));
  return put(store, version);
}

}  // namespace tracer
