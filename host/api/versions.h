// The versions of a policy that updates keep beside it: which there are, and going back to an earlier one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/api/document.h"
#include "host/versions/listed_version.h"
#include "kernels/status.h"

namespace tracer {

// Each call holds the lock of FOLDER.versions while it works (kRefused while another process has it), and completes a
// deployment that was cut short. kBadInput if there are no versions beside the policy yet, or damaged ones.

struct VersionList {
  int64_t champion = 0;                 // the version in place
  std::vector<int64_t> champions;       // every deployment in order
  double delta = 0;                     // of all updates together
  int64_t challengers_scored = 0;       // that audit rows were spent on
  std::vector<ListedVersion> versions;  // by number
  Document document;                    // as `tracer versions` prints it
};
Result<VersionList> list_versions(const std::string& folder);

struct ChampionChange {
  int64_t champion = 0, before = 0;  // versions; equal if it was in place already
  Document document;                 // as `tracer promote` prints it
};
// Puts a version that was the champion before in place again. kBadInput, with "version" as its field, if there is no
// such version; kRefused if it was never certified. The looks that the policy in place has noted stay noted.
Result<ChampionChange> promote_version(const std::string& folder, int64_t version);
// Promotes the latest champion that is older than the one in place. kBadInput if there is none.
Result<ChampionChange> rollback_version(const std::string& folder);

}  // namespace tracer
