// What has happened to a policy: its versions, the challenger in waiting, and which rows were spent on which
// challenger. Format: docs/updating.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/prove/audit_betting.h"
#include "host/artifact/artifact.h"

namespace tracer {

enum class VersionStatus { kDeployed, kWaiting, kDropped };  // kDeployed: is or was the champion
const char* to_string(VersionStatus status);                 // "deployed", "waiting", "dropped"

struct Version {
  int64_t number = 0;   // from 1
  std::string origin;   // "fit" or "update"
  std::string content;  // names the policy whatever its ledger holds: policy_content()
  VersionStatus status = VersionStatus::kDeployed;
  int64_t challenger = 0;  // j, where it was scored; 0 of a fit
  double level = 0;        // delta that its certificate was tested at
  int64_t audit_rows = 0;  // spent on it
};

struct RowsFile {
  std::string file;  // name in the folder
  std::string sha256;
  int64_t rows = 0;
  int64_t audit = 0;       // audit rows among them
  int64_t challenger = 0;  // version they are spent on; 0: none was waiting when they came
};

struct VersionState {
  double delta = 0.05;             // of all updates together
  int64_t scored = 0;              // challengers that audit rows were spent on
  std::vector<Version> versions;   // by number, without gaps
  std::vector<int64_t> champions;  // every deployment in order; the last is in place
  int64_t deploying = 0;           // a version on its way into the policy's folder
  std::vector<AuditPlan> plans;    // of the version that waits, when there is one: of each certificate, ascending alpha
  std::vector<RowsFile> rows;      // in order of arrival; the first is the original log

  int64_t champion() const { return champions.empty() ? 0 : champions.back(); }
  const Version* waiting() const;  // at most one
  Version* waiting();
};

// With a digest of itself: what was changed by hand or by a failing disk is refused.
std::string state_text(const VersionState& state);
Result<VersionState> parse_state(std::string_view text, const std::string& path);

}  // namespace tracer
