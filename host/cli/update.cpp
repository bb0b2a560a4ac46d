#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "engine/challenger.h"
#include "engine/log/label_index.h"
#include "engine/prove/figures.h"
#include "host/artifact/fit_record.h"
#include "host/artifact/frontier_text.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"
#include "host/io/json_fields.h"
#include "host/io/process_usage.h"
#include "host/versions/audit_outcome.h"
#include "host/versions/change_text.h"
#include "host/versions/changes.h"
#include "host/versions/kept_files.h"
#include "host/versions/store.h"

namespace tracer::cli {
namespace {

struct UpdateCommand {
  Common common;
  RowSource input;
  OriginalOptions original;
  std::string folder;
  std::optional<double> delta;
  std::optional<int64_t> patience;
  bool drop = false;

  int run();

 private:
  Status take_in(Backend& backend, VersionStore& store);
  Status judge(Backend& backend, VersionStore& store);
  Status freeze(Backend& backend, VersionStore& store);
  int print(const VersionStore& store) const;

  LoadedPolicy champion_;
  // The rows of NEW by name, for people to find them: no text, as what changed is kept beside the policy.
  struct Place {
    int64_t line = 0;
    std::string id;
  };
  RowNames names_of(const KeptRows& rows) const;

  std::string vectors_;
  std::unordered_map<uint64_t, Place> places_;
  TakenIn taken_;
  std::map<std::string, int64_t> new_labels_;  // with their rows
  std::string decision_ = "none";              // none, waiting, deployed, dropped
  Json challenger_, change_, next_;            // null where there is none
  std::string text_;
};

Status UpdateCommand::take_in(Backend& backend, VersionStore& store) {
  const std::string rejects = input.rejects.empty() ? "rejects.jsonl" : input.rejects;
  TRACER_ASSIGN_OR_RETURN(
      auto read, read_kept_rows(input, vectors_, rejects, true, champion_, backend, events_of(common.console)));
  if (!store.has_original()) {
    TRACER_ASSIGN_OR_RETURN(auto rows, original_rows(original, input, champion_, backend, events_of(common.console)));
    TRACER_RETURN_IF_ERROR(store.add_original(rows));
  }
  const std::vector<std::string>& known = champion_.artifact.policy.labels;
  for (int32_t label : read.rows.label)
    if (label >= 0 && !std::binary_search(known.begin(), known.end(), read.rows.labels[label]))
      ++new_labels_[read.rows.labels[label]];
  auto taken = store.take_in(read.rows, read.file.traces.line);
  if (!taken.ok()) return Status(taken.status().code(), input.traces + ": " + taken.status().message());
  taken_ = *taken;
  const Traces& traces = read.file.traces;
  for (size_t i = 0; i < traces.line.size(); ++i)
    places_.try_emplace(read.rows.name[i], Place{traces.line[i], traces.id.empty() ? "" : traces.id[i]});
  text_ += "took in " + counted(taken_.rows, "row") + ": " + std::to_string(taken_.audit) + " audited (" +
           std::to_string(taken_.unanswered) + " without a usable answer), " + std::to_string(taken_.deferred) +
           " deferred; " + std::to_string(taken_.known) + " known already\n";
  for (const auto& [label, n] : new_labels_) text_ += "new label: " + shown(label) + " (" + counted(n, "row") + ")\n";
  return {};
}

RowNames UpdateCommand::names_of(const KeptRows& rows) const {
  RowNames names;
  for (uint64_t name : rows.name) {
    const auto at = places_.find(name);
    names.line.push_back(at == places_.end() ? 0 : at->second.line);
    names.id.push_back(at == places_.end() ? "" : at->second.id);
  }
  return names;
}

// What the audit rows so far say of the challenger in waiting.
Status UpdateCommand::judge(Backend& backend, VersionStore& store) {
  const Version* waiting = store.state().waiting();
  if (waiting == nullptr) return store.save();
  const Version version = *waiting;
  auto artifact = read_artifact(store.waiting_path());
  if (!artifact.ok()) return artifact.status();
  TRACER_ASSIGN_OR_RETURN(auto rows, store.audit_rows());
  TRACER_ASSIGN_OR_RETURN(auto scores, score_kept(backend, artifact->policy, rows));
  TRACER_ASSIGN_OR_RETURN(auto outcome, challenger_outcome(artifact->policy, store.state().plans, scores, folder));
  const AuditOutcome& decisive = outcome.decisive();
  const Certificate& c = decisive.certificate;
  const int64_t audited = rows.rows();

  TRACER_ASSIGN_OR_RETURN(auto before, score_kept(backend, champion_.artifact.policy, rows));
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(rows.x.view()));
  TRACER_ASSIGN_OR_RETURN(auto regions, find_regions(backend, rows.x.view()));
  const RowNames names = names_of(rows);
  const Change change = change_on({&champion_.artifact.policy, &champion_.certificate}, before, {&artifact->policy, &c},
                                  scores, rows, regions, names);
  change_ = change_json(change, names);
  const int64_t most = patience.value_or(decisive.wager.plan().patience);
  const bool covers_more = change.handled[1] > change.handled[0];
  decision_ = c.certified && covers_more ? "deployed" : drop || audited >= most ? "dropped" : "waiting";

  challenger_ = {{"version", version.number},
                 {"number", version.challenger},
                 {"audit_rows", audited},
                 {"patience", most},
                 {"champion_coverage", optional_json(agreement(change.handled[0], change.rows))}};
  challenger_.update(outcome_json(decisive));
  challenger_["certificates"] = Json::array();
  for (const AuditOutcome& alpha : outcome.alphas) challenger_["certificates"].push_back(outcome_json(alpha));
  text_ +=
      "version " + std::to_string(version.number) + " (challenger " + std::to_string(version.challenger) +
      ", tested at " + number(version.level) + ") on " + counted(audited, "audit row") + ": " +
      (c.certified ? "certified, handles " + percent(*coverage(c)) : "not certified yet") + "; the champion handles " +
      (change.rows > 0 ? percent(static_cast<double>(change.handled[0]) / static_cast<double>(change.rows)) : "-") +
      " of them\n";
  if (decision_ == "deployed") {
    for (size_t i = 0; i < outcome.alphas.size(); ++i) artifact->policy.certificates[i] = outcome.alphas[i].certificate;
    artifact->frontier = frontier_json(artifact->policy);
    const std::string path = store.change_path(version.number);
    TRACER_RETURN_IF_ERROR(
        io::write_file_atomic(path, change_.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"));
    TRACER_RETURN_IF_ERROR(store.deploy_waiting(*artifact, audited));
    const std::string others = other_alphas(outcome, champion_.artifact.policy);
    if (!others.empty()) text_ += others + "\n";
    text_ += "deployed; what changed for each label and region is in " + path + "\n" + moved_regions(change, names);
    TRACER_ASSIGN_OR_RETURN(champion_.artifact, read_artifact(folder));
    champion_.certificate = *champion_.artifact.policy.certificate(champion_.artifact.policy.alpha);
    return {};
  }
  if (decision_ == "dropped") {
    text_ += "dropped; the champion stays\n";
    return store.drop_waiting(audited);
  }
  text_ += "the champion stays, and the challenger waits for more audit rows\n";
  return store.save();
}

// The next challenger learns from everything at hand.
Status UpdateCommand::freeze(Backend& backend, VersionStore& store) {
  if (store.state().waiting() != nullptr) return {};
  TRACER_ASSIGN_OR_RETURN(auto rows, store.learn_rows());
  const Artifact& champion = champion_.artifact;
  Traces traces;
  traces.labels = rows.labels;
  traces.label = rows.label;
  traces.text_hash = rows.text;
  std::vector<uint8_t> fair;
  for (io::RowOrigin p : rows.provenance) fair.push_back(p != io::RowOrigin::kDeferred);
  const int64_t number = store.state().scored + 1;
  ChallengerOptions o;
  o.alpha = champion.policy.alpha;
  o.alphas = {o.alpha};
  for (const Certificate& c : champion.policy.certificates)
    if (&c != champion.policy.certificate(o.alpha)) o.alphas.push_back(c.alpha);
  std::sort(o.alphas.begin(), o.alphas.end());
  o.simultaneous = champion.policy.simultaneous;
  o.level = challenger_level(store.state().delta, number);
  const Json& run = champion.run;
  o.min_coverage = run.value("min_coverage", o.min_coverage);
  o.split.seed = run.value("seed", uint64_t{0});
  const Json split = run.value("split", Json::object());
  o.unit = split.value("kind", "runs") == std::string("rows") ? SplitKind::kRows : SplitKind::kRuns;
  if (run.contains("references")) o.max_references = run["references"].value("most", o.max_references);
  for (const int32_t label : translate_labels(champion.policy.never, champion.policy.labels, traces.labels))
    if (label >= 0) o.never.push_back(label);
  o.label_floor = champion.policy.label_floor;
  o.choices = asked_of(run);
  o.choices.residual = false;  // a challenger has one stage
  Descriptions descriptions = translate_descriptions(champion.descriptions, champion.policy.labels, traces.labels);
  if (!descriptions.empty()) o.descriptions = &descriptions;
  const int64_t learned = rows.rows();
  auto frozen = freeze_challenger(backend, traces, std::move(rows.x), fair, o,
                                  [&](const std::string& done) { common.console.note(done); });
  if (!frozen.ok() && frozen.status().code() == ErrorCode::kRefused) {
    common.console.warn(frozen.status().message());
    return {};
  }
  if (!frozen.ok()) return frozen.status();
  for (const std::string& warning : frozen->warnings) common.console.warn(warning);
  Artifact artifact;
  artifact.provenance = champion.provenance;
  artifact.run = {{"seed", o.split.seed},
                  {"min_coverage", o.min_coverage},
                  {"looks", 1},
                  {"split", {{"kind", to_string(o.unit)}, {"reason", "all rows learn; audited rows certify"}}},
                  {"update", {{"challenger", number}, {"delta", store.state().delta}, {"rows", learned}}}};
  add_asked(o.choices, artifact.run);
  if (!descriptions.empty()) artifact.run["descriptions"] = described_json(descriptions, frozen->described);
  artifact.descriptions = std::move(descriptions);
  if (run.contains("references")) artifact.run["references"] = run["references"];
  artifact.explain = {{"warnings", frozen->warnings}, {"suspects", Json::array()}};
  artifact.ledger = champion.ledger;
  artifact.policy = std::move(frozen->policy);
  artifact.frontier = frontier_json(artifact.policy);
  const Certificate* asked = artifact.policy.certificate(o.alpha);
  const AuditPlan& decisive = frozen->plans[static_cast<size_t>(asked - artifact.policy.certificates.data())];
  TRACER_ASSIGN_OR_RETURN(auto version, store.add_waiting(artifact, frozen->plans, number, decisive.level));
  next_ = {{"version", version},
           {"number", number},
           {"level", decisive.level},
           {"rows", learned},
           {"thresholds", decisive.threshold.size()},
           {"expected_coverage", asked->expected_coverage},
           {"patience", decisive.patience}};
  text_ += "version " + std::to_string(version) + " frozen on " + counted(learned, "row") +
           "; audit rows that arrive from now on are scored with it\n";
  return {};
}

int UpdateCommand::print(const VersionStore& store) const {
  if (!common.console.json) return common.console.print(text_) ? kExitOk : kExitRuntime;
  Json labels = Json::array();
  for (const auto& [label, n] : new_labels_) labels.push_back({{"label", label}, {"n", n}});
  return common.console.print_json({{"decision", decision_},
                                    {"champion", store.state().champion()},
                                    {"policy", champion_.artifact.digest},
                                    {"rows",
                                     {{"new", taken_.rows},
                                      {"audit", taken_.audit},
                                      {"unanswered", taken_.unanswered},
                                      {"deferred", taken_.deferred},
                                      {"known", taken_.known}}},
                                    {"new_labels", labels},
                                    {"challenger", challenger_},
                                    {"change", change_},
                                    {"next", next_}},
                                   kExitOk);
}

int UpdateCommand::run() {
  const Console& console = common.console;
  auto vectors = vectors_path(input);
  if (!vectors.ok()) return fail(console, vectors.status());
  vectors_ = *vectors;
  const std::string rejects = input.rejects.empty() ? "rejects.jsonl" : input.rejects;
  const Status clash = check_outputs({{option("rejects"), rejects}, {option("embed_cache"), input.embed.cache}},
                                     {{"NEW", input.traces},
                                      {option("embeddings"), vectors_},
                                      {option("traces"), original.traces},
                                      {option("traces_embeddings"), original.embeddings}},
                                     folder);
  if (!clash.ok()) return fail(console, clash);
  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  auto current = read_artifact(folder);  // also before anything is made beside it
  if (!current.ok()) return fail(console, current.status());
  if (const Status one = refuse_cascade(folder, current->policy, "update"); !one.ok()) return fail(console, one);
  auto store = VersionStore::open(folder, true, delta.value_or(current->policy.delta));
  if (!store.ok()) return fail(console, store.status());
  if (delta && std::abs(*delta - store->state().delta) > 1e-12)
    return usage_error(console, "--delta was fixed by the first update: " + number(store->state().delta));
  current = read_artifact(folder);  // a deployment that was cut short is done now
  if (!current.ok()) return fail(console, current.status());
  champion_.folder = folder;
  champion_.artifact = std::move(current).value();
  const Policy& policy = champion_.artifact.policy;
  if (const Certificate* c = policy.certificate(policy.alpha)) champion_.certificate = *c;
  for (const auto step : {&UpdateCommand::take_in, &UpdateCommand::judge, &UpdateCommand::freeze})
    if (const Status done = (this->*step)(**backend, *store); !done.ok()) return fail(console, done);
  return print(*store);
}

}  // namespace

void add_update(Flags& app, int& exit_code) {
  auto command = std::make_shared<UpdateCommand>();
  Flags* sub = app.add_subcommand("update", "take in new answers; certify the waiting challenger on audited ones");
  sub->add_option("DIR", command->folder, "folder of the policy")->required();
  sub->add_option("NEW", command->input.traces,
                  "rows in order of arrival, with \"provenance\" audit or deferred: JSONL or CSV, plain or gzip")
      ->required();
  sub->add_option("--traces", command->original.traces,
                  "the log that the policy was fitted on, for the first update (default: where it was)");
  sub->add_option("--traces-embeddings", command->original.embeddings, "its vectors (default: where they were)");
  sub->add_option("--delta", command->delta,
                  "chance that you accept of ever deploying a policy below alpha, by all updates together; fixed by "
                  "the first one (default: the policy's delta)")
      ->check(open_unit_interval());
  sub->add_option("--patience", command->patience,
                  "drop the challenger when so many audit rows have not deployed it (default: twice what it expects)")
      ->check(positive());
  sub->add_flag("--drop", command->drop, "drop the challenger now unless it can be deployed");
  add_input_options(*sub, command->input, true);
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
