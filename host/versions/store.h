// FOLDER.versions, beside the policy FOLDER: its versions, the challenger in waiting and the rows they learn from.
// Format, and why a SIGKILL at any instant leaves a policy and a ledger that go together: docs/updating.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "host/artifact/artifact.h"
#include "host/io/file.h"
#include "host/versions/rows.h"
#include "host/versions/state.h"
#include "host/versions/taken_in.h"
#include "kernels/status.h"

namespace tracer {

// Names a policy by everything but its ledger, which grows without changing what the policy does.
Result<std::string> policy_content(const std::string& folder);

// "FOLDER.versions" for a policy's folder; links are followed.
Result<std::string> versions_folder(const std::string& policy);

// Changes are made in memory and on files that nothing refers to yet; save() makes them last. Not thread-safe.
class VersionStore {
 public:
  // Takes the folder's lock (kRefused while another process holds it), completes a deployment that was cut short, makes
  // a policy that another command put into FOLDER a version and the champion, and removes what killed runs left.
  // create: where there is none yet, begins one with the policy as version 1, delta for all updates together; else
  // that is kBadInput. kBadInput also for a damaged state, and for rows without one.
  static Result<VersionStore> open(const std::string& policy, bool create, double delta);

  const VersionState& state() const { return state_; }
  std::string version_path(int64_t number) const;  // of a version that is or was the champion
  std::string change_path(int64_t number) const;   // what a version changed when it was deployed
  std::string waiting_path() const;                // of the challenger in waiting

  // The rows that the first policy was fitted on.
  bool has_original() const { return !state_.rows.empty(); }
  Status add_original(const KeptRows& rows);

  // The rows that were not taken in before; audit rows among them are spent on the challenger in waiting. kBadInput
  // where the name of a row stood for another text or answer (of an audit row that had none, the first stands).
  // lines: of each row, for messages.
  Result<TakenIn> take_in(const KeptRows& rows, const std::vector<int64_t>& lines);

  // All rows but audit rows of the challenger in waiting, in order of arrival.
  Result<KeptRows> learn_rows() const;
  // Those, in order of arrival; none where nothing waits.
  Result<KeptRows> audit_rows() const;

  // A new challenger in waiting; its number. Saves.
  Result<int64_t> add_waiting(Artifact& challenger, const std::vector<AuditPlan>& plans, int64_t number, double level);
  // What becomes of it. `certified` is the challenger with its certificate. Both save.
  Status deploy_waiting(Artifact& certified, int64_t audit_rows);
  Status drop_waiting(int64_t audit_rows);
  // A version that was the champion before. Saves.
  Status promote(int64_t number);
  Status save() const;

 private:
  explicit VersionStore(std::string policy, std::string folder)
      : policy_(std::move(policy)), folder_(std::move(folder)) {}
  Status lock();
  Status begin(double delta);
  Status reconcile();
  Status put_in_place();
  void remove_leftovers() const;
  std::string numbered(char kind, int64_t number) const;
  Result<KeptRows> gather(bool audit) const;
  Status append(const KeptRows& rows, int64_t audit);

  std::string policy_, folder_;
  io::UniqueFd lock_;
  VersionState state_;
};

}  // namespace tracer
