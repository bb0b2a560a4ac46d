// One update of a policy: the loop of docs/updating.md, step by step. New rows are taken in, the challenger in waiting
// is judged by the audited ones, and where none waits the next one is frozen.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "engine/challenger.h"
#include "host/versions/audit_outcome.h"
#include "host/versions/changes.h"
#include "host/versions/kept_files.h"
#include "host/versions/store.h"
#include "host/versions/update_decision.h"

namespace tracer {

struct NewRows {
  TakenIn taken;
  std::map<std::string, int64_t> new_labels;  // that the champion does not know, with their rows
};

// What the audit rows so far say of the challenger in waiting.
struct Judgement {
  UpdateDecision decision = UpdateDecision::kWaiting;
  Version version;  // as it waited
  int64_t audited = 0, patience = 0;
  ChallengerOutcome outcome;
  Change change;             // from the champion to it, on the audit rows
  RowNames names;            // of those, where they are in the file of new rows; without text
  std::string change_file;   // where the change is kept, of a challenger that was deployed
  std::string other_alphas;  // of such a one; as the function of that name has it
};

// The next challenger, which waits from now on.
struct NextChallenger {
  int64_t version = 0, number = 0;  // its version, and the how-manieth challenger it is
  double level = 0;
  int64_t rows = 0;  // learned from
  int64_t thresholds = 0;
  double expected_coverage = 0;
  int64_t patience = 0;
};

// The steps in order. A call that fails leaves the files beside the policy as its last step left them; the same update
// can then be given again. Belongs to the backend and refers to the events, which must outlive it. Not thread-safe.
class Update {
 public:
  // Begins the versions beside the policy where there are none, completes a deployment that was cut short, and holds
  // the lock. delta: of all updates together; not given: the policy's. kBadInput for a cascade, and with "delta" as its
  // field where the first update fixed another. Other errors as read_artifact() and VersionStore::open().
  static Result<Update> open(Backend& backend, const std::string& folder, std::optional<double> delta,
                             const Events& events);

  // The rows of input.traces, and before the first update's those of the original log.
  Result<NewRows> take_in(const RowSource& input, const RowFiles& files, const OriginalLog& original);
  // Nothing where no challenger waits. patience: audit rows after which one is dropped; not given: as it was frozen.
  // drop: now, unless it can be deployed.
  Result<std::optional<Judgement>> judge(std::optional<int64_t> patience, bool drop);
  // Nothing, with a warning, where there is too little to learn from; nothing where a challenger waits.
  Result<std::optional<NextChallenger>> freeze();

  int64_t champion() const { return store_.state().champion(); }
  const std::string& digest() const { return champion_.artifact.digest; }  // of the policy in place

 private:
  // A row of the new file, for people to find it: no text, as what changed is kept beside the policy.
  struct Place {
    int64_t line = 0;
    std::string id;
  };
  Update(Backend& backend, VersionStore store, const Events& events)
      : backend_(&backend), events_(&events), store_(std::move(store)) {}
  Status read_champion(const std::string& folder);
  RowNames names_of(const KeptRows& rows) const;
  Status deploy(Artifact& challenger, Judgement& judgement);
  ChallengerOptions next_options(const std::vector<std::string>& labels) const;
  Result<NextChallenger> keep(Challenger frozen, const ChallengerOptions& options, Descriptions descriptions,
                              int64_t learned);

  Backend* backend_;
  const Events* events_;
  VersionStore store_;
  LoadedPolicy champion_;
  std::unordered_map<uint64_t, Place> places_;  // by the row's name
};

// What an update came to.
struct UpdateOutcome {
  NewRows rows;
  std::optional<Judgement> judgement;
  std::optional<NextChallenger> next;
  int64_t champion = 0;  // version
  std::string policy;    // digest

  UpdateDecision decision() const { return judgement ? judgement->decision : UpdateDecision::kNone; }
};
Json update_json(const UpdateOutcome& outcome);
std::string update_text(const UpdateOutcome& outcome);

}  // namespace tracer
