// The versions of a policy: a list of them, and going back to one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/artifact/artifact.h"
#include "host/versions/listed_version.h"
#include "host/versions/store.h"

namespace tracer {

// All versions by number. Reads the policy of each that is or was the champion.
Result<std::vector<ListedVersion>> list_versions(const VersionStore& store);
Json listing_json(const VersionState& state, const std::vector<ListedVersion>& versions);
std::string listing_text(const std::vector<ListedVersion>& versions);

// Puts the version in place; nothing is written if it is there already. Gives the champion before. kBadInput, with
// "version" as its field, if there is no such version. kRefused if the version was never the champion, or is not
// certified at its alpha.
Result<int64_t> put_in_place(VersionStore& store, int64_t version);

// The latest champion that is older than the one in place. kBadInput, beginning with the policy's folder, if there is
// none.
Result<int64_t> version_before(const VersionStore& store, const std::string& folder);

}  // namespace tracer
