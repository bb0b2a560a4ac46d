// One update of a policy: the loop of docs/updating.md, step by step. New rows are taken in, the challenger in waiting
// is judged by the audited ones, and if none waits the next one is frozen.
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
  Version version;            // the challenger, as it waited
  int64_t audited = 0;        // the audit rows that it was judged by
  int64_t patience = 0;       // the audit rows after which it is dropped
  ChallengerOutcome outcome;  // of its wagers on them
  Change change;              // from the champion to the challenger, on the audit rows
  RowNames names;             // places of the audit rows in the file of new rows, without their text
  // If the challenger was deployed: the file that the change is kept in, and other_alphas() of the outcome.
  std::string change_file, other_alphas;
};

// The next challenger, which waits from now on.
struct NextChallenger {
  int64_t version = 0;
  int64_t number = 0;      // among the challengers, from 1; those count that audit rows were spent on
  double level = 0;        // the chance of error that it is tested at
  int64_t rows = 0;        // that it learned from
  int64_t thresholds = 0;  // planned at the champion's alpha, as are the two figures below
  double expected_coverage = 0;
  int64_t patience = 0;  // the audit rows after which it is dropped
};

// The steps in order. A call that fails leaves the files beside the policy as its last step left them; the same update
// can then be given again. Belongs to the backend and refers to the events, which must outlive it. Not thread-safe.
class Update {
 public:
  // Begins the versions beside the policy if there are none, completes a deployment that was cut short, and holds the
  // lock. delta is of all updates together; if it is not given, it is the policy's. kBadInput for a cascade, and with
  // "delta" as its field if the first update fixed another. Other errors as read_artifact() and VersionStore::open().
  static Result<Update> open(Backend& backend, const std::string& folder, std::optional<double> delta,
                             const Events& events);

  // Takes in the rows of input.traces. The first update takes in those of the original log before them.
  Result<NewRows> take_in(const RowSource& input, const RowFiles& files, const OriginalLog& original);
  // Deploys the challenger in waiting, drops it or lets it wait. Gives nothing if no challenger waits. patience: the
  // audit rows after which it is dropped; if this is not given, what it was frozen with. drop: now, unless it can be
  // deployed.
  Result<std::optional<Judgement>> judge(std::optional<int64_t> patience, bool drop);
  // Learns the next challenger from everything at hand. Gives nothing if one waits; nothing, with a warning, if there
  // is too little to learn from.
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
