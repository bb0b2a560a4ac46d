#include "host/versions/update.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/log/label_index.h"
#include "host/artifact/fit_record.h"
#include "host/io/file.h"
#include "host/io/plain_text.h"

namespace tracer {

Result<Update> Update::open(Backend& backend, const std::string& folder, std::optional<double> delta,
                            const Events& events) {
  TRACER_ASSIGN_OR_RETURN(auto current, read_artifact(folder));  // also before anything is made beside it
  TRACER_RETURN_IF_ERROR(refuse_cascade(folder, current.policy, "update"));
  TRACER_ASSIGN_OR_RETURN(auto store, VersionStore::open(folder, true, delta.value_or(current.policy.delta)));
  if (delta && std::abs(*delta - store.state().delta) > 1e-12)
    return bad_option("delta", option("delta") + " was fixed by the first update: " + number(store.state().delta));
  Update update(backend, std::move(store), events);
  TRACER_RETURN_IF_ERROR(update.read_champion(folder));  // a deployment that was cut short is done now
  return update;
}

Status Update::read_champion(const std::string& folder) {
  TRACER_ASSIGN_OR_RETURN(champion_.artifact, read_artifact(folder));
  champion_.folder = folder;
  const Policy& policy = champion_.artifact.policy;
  if (const Certificate* c = policy.certificate(policy.alpha)) champion_.certificate = *c;
  return {};
}

Result<NewRows> Update::take_in(const RowSource& input, const RowFiles& files, const OriginalLog& original) {
  TRACER_ASSIGN_OR_RETURN(auto read, read_kept_rows(input, files, true, champion_, *backend_, *events_));
  if (!store_.has_original()) {
    TRACER_ASSIGN_OR_RETURN(auto rows, original_rows(original, input, champion_, *backend_, *events_));
    TRACER_RETURN_IF_ERROR(store_.add_original(rows));
  }
  NewRows out;
  const std::vector<std::string>& known = champion_.artifact.policy.labels;
  for (int32_t label : read.rows.label)
    if (label >= 0 && !std::binary_search(known.begin(), known.end(), read.rows.labels[label]))
      ++out.new_labels[read.rows.labels[label]];
  auto taken = store_.take_in(read.rows, read.file.traces.line);
  if (!taken.ok()) return Status(taken.status().code(), input.traces + ": " + taken.status().marked_message());
  out.taken = *taken;
  const Traces& traces = read.file.traces;
  for (size_t i = 0; i < traces.line.size(); ++i)
    places_.try_emplace(read.rows.name[i], Place{traces.line[i], traces.id.empty() ? "" : traces.id[i]});
  return out;
}

RowNames Update::names_of(const KeptRows& rows) const {
  RowNames names;
  for (uint64_t name : rows.name) {
    const auto at = places_.find(name);
    names.line.push_back(at == places_.end() ? 0 : at->second.line);
    names.id.push_back(at == places_.end() ? "" : at->second.id);
  }
  return names;
}

Result<std::optional<Judgement>> Update::judge(std::optional<int64_t> patience, bool drop) {
  const Version* waiting = store_.state().waiting();
  if (waiting == nullptr) {
    TRACER_RETURN_IF_ERROR(store_.save());
    return std::optional<Judgement>();
  }
  Judgement out;
  out.version = *waiting;
  TRACER_ASSIGN_OR_RETURN(auto challenger, read_artifact(store_.waiting_path()));
  TRACER_ASSIGN_OR_RETURN(auto rows, store_.audit_rows());
  TRACER_ASSIGN_OR_RETURN(auto scores, score_to_certify(*backend_, challenger.policy, rows));
  TRACER_ASSIGN_OR_RETURN(out.outcome,
                          challenger_outcome(challenger.policy, store_.state().plans, scores, champion_.folder));
  const Certificate& certificate = out.outcome.decisive().certificate;
  out.audited = rows.rows();
  out.patience = patience.value_or(out.outcome.decisive().wager.plan().patience);

  const PolicySide before{&champion_.artifact.policy, &champion_.certificate};
  TRACER_ASSIGN_OR_RETURN(auto scores_before, score_to_decide(*backend_, before, rows));
  TRACER_RETURN_IF_ERROR(backend_->normalise_rows(rows.x.view()));
  TRACER_ASSIGN_OR_RETURN(auto regions, find_regions(*backend_, rows.x.view()));
  out.names = names_of(rows);
  out.change = change_on(before, scores_before, {&challenger.policy, &certificate}, scores, rows, regions, out.names);

  if (certificate.certified && out.change.handled[1] > out.change.handled[0]) {
    out.decision = UpdateDecision::kDeployed;
    TRACER_RETURN_IF_ERROR(deploy(challenger, out));
  } else if (drop || out.audited >= out.patience) {
    out.decision = UpdateDecision::kDropped;
    TRACER_RETURN_IF_ERROR(store_.drop_waiting(out.audited));
  } else {
    TRACER_RETURN_IF_ERROR(store_.save());
  }
  return std::optional<Judgement>(std::move(out));
}

// The challenger becomes the champion; what that changes is kept beside the policy first.
Status Update::deploy(Artifact& challenger, Judgement& judgement) {
  for (size_t i = 0; i < judgement.outcome.alphas.size(); ++i)
    challenger.policy.certificates[i] = judgement.outcome.alphas[i].certificate;
  challenger.frontier = frontier_json(challenger.policy);
  judgement.change_file = store_.change_path(judgement.version.number);
  judgement.other_alphas = other_alphas(judgement.outcome, champion_.artifact.policy);
  const Json change = change_json(judgement.change, judgement.names);
  TRACER_RETURN_IF_ERROR(
      io::write_file_atomic(judgement.change_file, change.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"));
  TRACER_RETURN_IF_ERROR(store_.deploy_waiting(challenger, judgement.audited));
  return read_champion(champion_.folder);
}

// All that the champion was asked for, at the level of the next challenger. labels: of the rows at hand.
ChallengerOptions Update::next_options(const std::vector<std::string>& labels) const {
  const Policy& champion = champion_.artifact.policy;
  ChallengerOptions o;
  o.alpha = champion.alpha;
  o.alphas = {o.alpha};
  for (const Certificate& c : champion.certificates)
    if (&c != champion.certificate(o.alpha)) o.alphas.push_back(c.alpha);
  std::sort(o.alphas.begin(), o.alphas.end());
  o.simultaneous = champion.simultaneous;
  o.level = challenger_level(store_.state().delta, store_.state().scored + 1);
  const Json& run = champion_.artifact.run;
  o.min_coverage = run.value("min_coverage", o.min_coverage);
  o.split.seed = run.value("seed", uint64_t{0});
  const Json split = run.value("split", Json::object());
  o.unit = split.value("kind", "runs") == std::string("rows") ? SplitKind::kRows : SplitKind::kRuns;
  if (run.contains("references")) o.max_references = run["references"].value("most", o.max_references);
  for (const int32_t label : translate_labels(champion.never, champion.labels, labels))
    if (label >= 0) o.never.push_back(label);
  o.label_floor = champion.label_floor;
  o.choices = asked_of(run);
  o.choices.residual = false;  // a challenger has one stage
  return o;
}

// The next challenger learns from everything at hand.
Result<std::optional<NextChallenger>> Update::freeze() {
  if (store_.state().waiting() != nullptr) return std::optional<NextChallenger>();
  TRACER_ASSIGN_OR_RETURN(auto rows, store_.learn_rows());
  Traces traces;
  traces.labels = rows.labels;
  traces.label = rows.label;
  traces.text_hash = rows.text;
  std::vector<uint8_t> fair;
  for (io::RowOrigin p : rows.provenance) fair.push_back(p != io::RowOrigin::kDeferred);
  ChallengerOptions options = next_options(traces.labels);
  Descriptions descriptions =
      translate_descriptions(champion_.artifact.descriptions, champion_.artifact.policy.labels, traces.labels);
  if (!descriptions.empty()) options.descriptions = &descriptions;
  const int64_t learned = rows.rows();
  auto frozen = freeze_challenger(*backend_, traces, std::move(rows.x), fair, options,
                                  [&](const std::string& done) { events_->tell(done); });
  if (!frozen.ok() && frozen.status().code() == ErrorCode::kRefused) {
    events_->caution(frozen.status().marked_message());
    return std::optional<NextChallenger>();
  }
  if (!frozen.ok()) return frozen.status();
  for (const std::string& warning : frozen->warnings) events_->caution(warning);
  TRACER_ASSIGN_OR_RETURN(auto next, keep(std::move(frozen).value(), options, std::move(descriptions), learned));
  return std::optional<NextChallenger>(next);
}

Result<NextChallenger> Update::keep(Challenger frozen, const ChallengerOptions& options, Descriptions descriptions,
                                    int64_t learned) {
  const Artifact& champion = champion_.artifact;
  NextChallenger next;
  next.number = store_.state().scored + 1;
  next.rows = learned;
  Artifact artifact;
  artifact.provenance = champion.provenance;
  artifact.run = {{"seed", options.split.seed},
                  {"min_coverage", options.min_coverage},
                  {"looks", 1},
                  {"split", {{"kind", to_string(options.unit)}, {"reason", "all rows learn; audited rows certify"}}},
                  {"update", {{"challenger", next.number}, {"delta", store_.state().delta}, {"rows", learned}}}};
  Choices tried = asked_of(champion.run);
  tried.residual = false;  // a challenger has one stage
  add_asked(tried, artifact.run);
  if (!descriptions.empty()) artifact.run["descriptions"] = described_json(descriptions, frozen.described);
  artifact.descriptions = std::move(descriptions);
  if (champion.run.contains("references")) artifact.run["references"] = champion.run["references"];
  Json warnings = Json::array();
  for (const std::string& warning : frozen.warnings) warnings.push_back(as_flags(warning));
  artifact.findings = {{"warnings", std::move(warnings)}, {"suspects", Json::array()}};
  artifact.look_ledger = champion.look_ledger;
  artifact.policy = std::move(frozen.policy);
  artifact.frontier = frontier_json(artifact.policy);
  const Certificate* asked = artifact.policy.certificate(options.alpha);
  const AuditPlan& decisive = frozen.plans[static_cast<size_t>(asked - artifact.policy.certificates.data())];
  TRACER_ASSIGN_OR_RETURN(next.version, store_.add_waiting(artifact, frozen.plans, next.number, decisive.level));
  next.level = decisive.level;
  next.thresholds = static_cast<int64_t>(decisive.threshold.size());
  next.expected_coverage = asked->expected_coverage;
  next.patience = decisive.patience;
  return next;
}

}  // namespace tracer
