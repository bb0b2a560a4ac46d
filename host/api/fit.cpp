#include "host/api/fit.h"

#include <algorithm>
#include <chrono>
#include <sstream>
#include <utility>

#include "engine/fit.h"
#include "engine/log/label_index.h"
#include "engine/prove/figures.h"
#include "host/api/fit_request.h"
#include "host/api/log_access.h"
#include "host/artifact/artifact.h"
#include "host/artifact/fit_record.h"
#include "host/artifact/frontier_text.h"
#include "host/artifact/look_ledger.h"
#include "host/encoder/label_descriptions.h"
#include "host/explain/fit_summary.h"
#include "host/io/json_format.h"
#include "host/io/plain_text.h"
#include "host/io/process_usage.h"

namespace tracer {
namespace {

using Clock = std::chrono::steady_clock;

// A look that the ledger does not allow proves nothing.
void void_certificates(FitResult& r, const std::string& why) {
  for (Certificate& c : r.policy.certificates) {
    if (!c.certified) continue;
    Certificate v;
    v.alpha = c.alpha, v.delta = c.delta, v.unit = c.unit, v.method = Method::kRefused, v.reason = why;
    v.n_learn = c.n_learn, v.n_certify = c.n_certify, v.n_units = c.n_units, v.tested = c.tested;
    v.expected_coverage = c.expected_coverage;
    c = std::move(v);
  }
  r.warnings.push_back(why);
}

// The labels by index. A value is one label, or several with commas between where no label is called that.
Status resolve_never(const Traces& traces, const std::vector<std::string>& never, std::vector<int32_t>& out) {
  const auto add = [&](const std::string& name) -> bool {
    const int32_t label = label_index(traces.labels, name);
    if (label >= 0) out.push_back(label);
    return label >= 0;
  };
  for (const std::string& value : never) {
    if (add(value)) continue;
    std::istringstream parts(value);
    for (std::string name; std::getline(parts, name, ',');)
      if (!add(name)) return bad_option("never", option("never") + ": no trace carries the label \"" + name + "\"");
  }
  return {};
}

// One fit of a log that is read into a folder, step by step.
class PolicyFit {
 public:
  PolicyFit(Backend& backend, const FitRequest& request, std::string folder, const Events& events)
      : backend_(backend), request_(request), folder_(std::move(folder)), events_(events) {}

  // Before anything is read: the options, and what the folder holds.
  Status check_options(const std::string& group_by);
  Status check_folder();
  Status resolve_labels(const Traces& traces) { return resolve_never(traces, request_.never, options_.never); }

  Result<FitReport> run(Log::State& log);

 private:
  Status describe_labels(const Log::State& log);
  Status learn(Log::State& log);
  Status look(const Log::State& log, const std::string& digest);
  Status write(const Log::State& log);
  Result<Json> explanation(const Log::State& log);
  Json summary(const Log::State& log) const;
  FitReport report(const Log::State& log, const Json& explained) const;

  Backend& backend_;
  const FitRequest& request_;
  const std::string folder_;
  const Events& events_;
  const Clock::time_point started_ = Clock::now();
  std::string group_by_;
  FitOptions options_;
  Json ledger_;
  Descriptions descriptions_;
  FitResult result_;
  std::string void_reason_;
  Json seconds_;
};

Status PolicyFit::check_options(const std::string& group_by) {
  group_by_ = group_by;
  TRACER_ASSIGN_OR_RETURN(options_, fit_options(request_, group_by));
  return {};
}

Status PolicyFit::check_folder() {
  TRACER_RETURN_IF_ERROR(check_replaceable(folder_));
  TRACER_ASSIGN_OR_RETURN(ledger_, read_look_ledger(folder_));
  return {};
}

Status PolicyFit::describe_labels(const Log::State& log) {
  const Traces& traces = log.file.traces;
  TRACER_ASSIGN_OR_RETURN(descriptions_, read_descriptions(backend_, request_.surrogate.descriptions, log.rows,
                                                           {traces.labels, log.vectors, log.rows.traces},
                                                           may_need_names(traces, 1 - options_.split.certify_fraction),
                                                           log.embeds(), events_));
  if (!descriptions_.empty()) options_.descriptions = &descriptions_;
  return {};
}

// Takes the log's vectors.
Status PolicyFit::learn(Log::State& log) {
  const Traces& traces = log.file.traces;
  events_.tell("read " + std::to_string(traces.rows()) + " traces, " + std::to_string(traces.labels.size()) +
               " labels, vectors of dimension " + std::to_string(log.vectors.x.cols()) + "; computing on " +
               std::string(backend_.name()) + " (" + std::string(backend_.isa()) + ", " +
               std::to_string(backend_.threads()) + " threads)");
  if (request_.cascade) options_.cascade_texts = log.file.input;
  if (request_.explain) options_.keep_certify = kSummaryRows;
  TRACER_ASSIGN_OR_RETURN(result_, tracer::fit(backend_, traces, std::move(log.vectors.x), options_,
                                               [&](const std::string& done) { events_.tell(done); }));
  const Split& split = result_.split;
  events_.tell("split by " + std::string(to_string(split.kind)) + " (" + split.reason + "): " +
               std::to_string(split.learn.size()) + " rows to learn from, " + std::to_string(split.certify.size()) +
               " to certify on" + (result_.unit.reason.empty() ? "" : "; " + result_.unit.reason));
  if (result_.described > 0)
    events_.tell("learned from descriptions of " + counted(result_.described, "label") +
                 " too, which the log shows few times");
  // What the engine says of options is data from here on.
  for (std::string& warning : result_.warnings) warning = as_flags(warning);
  result_.dependence.advice = as_flags(result_.dependence.advice);
  return {};
}

// The ledger decides whether this look at the certify rows counts.
Status PolicyFit::look(const Log::State& log, const std::string& digest) {
  const Look taken = look_of(log.file.traces, result_, options_, digest);
  TRACER_ASSIGN_OR_RETURN(const std::string refusal, check_look(ledger_, taken));
  void_reason_ = as_flags(refusal);
  if (!void_reason_.empty()) void_certificates(result_, void_reason_);
  for (const std::string& warning : result_.warnings) events_.caution(warning);
  ledger_ = add_look(std::move(ledger_), taken, result_, !void_reason_.empty());
  return {};
}

// The new policy replaces the one in the folder; after a void look the earlier one stays, and only its ledger grows.
Status PolicyFit::write(const Log::State& log) {
  if (!void_reason_.empty()) {
    TRACER_ASSIGN_OR_RETURN(Artifact earlier, read_artifact(folder_));
    earlier.look_ledger = std::move(ledger_);
    return write_artifact(folder_, earlier);
  }
  const io::TraceFile& file = log.file;
  Artifact artifact;
  artifact.provenance = {log.rows.traces, file.sha256, file.traces.rows(), log.vectors_path, log.vectors.encoder};
  artifact.run = run_json(result_, options_);
  if (!group_by_.empty()) artifact.run["group_by"] = group_by_;
  artifact.findings = findings_json(result_, file);
  artifact.look_ledger = std::move(ledger_);
  artifact.frontier = frontier_json(result_.policy);
  artifact.policy = std::move(result_.policy);
  artifact.descriptions = std::move(descriptions_);
  if (!artifact.policy.stages.empty()) {
    if (!file.traces.id.empty())
      for (int64_t row : artifact.policy.stages[0].neighbours.row)
        artifact.reference_ids.push_back(file.traces.id[row]);
    // Rows are named by their place in the vector file: bad rows count.
    for (Stage* s = &artifact.policy.stages[0]; s != nullptr; s = s->residual.get())
      for (int64_t& row : s->neighbours.row) row = file.position[row];
  }
  const Status written = write_artifact(folder_, artifact);
  result_.policy = std::move(artifact.policy);
  return written;
}

// Null where nothing is to be explained.
Result<Json> PolicyFit::explanation(const Log::State& log) {
  if (!request_.explain || !void_reason_.empty()) return Json(nullptr);
  return explain_fit(backend_, result_, log.file);
}

Json PolicyFit::summary(const Log::State& log) const {
  return {{"certified", result_.policy.certificate(options_.alpha)->certified},
          {"alpha", options_.alpha},
          {"delta", options_.delta},
          {"rows", log.file.traces.rows()},
          {"labels", log.file.traces.labels.size()},
          {"split", split_json(result_)},
          {"frontier", frontier_json(result_.policy)},
          {"deferred_labels", deferred_labels_json(result_.policy)},
          {"warnings", result_.warnings},
          {"peak_memory_bytes", peak_memory_bytes()},
          {"seconds", seconds_}};
}

TargetReport target_report(const Certificate& c) {
  TargetReport t;
  t.alpha = c.alpha, t.certified = c.certified, t.reason = c.certified ? "" : c.reason, t.threshold = c.threshold;
  t.n_certify = c.n_certify, t.n_handled = c.n_handled, t.n_agree = c.n_agree;
  t.coverage = coverage(c);
  if (c.certified) t.agreement = agreement(c.n_agree, c.n_handled);
  t.agreement_lower = agreement_lower(c);
  return t;
}

FitReport PolicyFit::report(const Log::State& log, const Json& explained) const {
  FitReport r;
  r.certified = result_.policy.certificate(options_.alpha)->certified;
  r.alpha = options_.alpha;
  r.rows = log.file.traces.rows();
  r.labels = static_cast<int64_t>(log.file.traces.labels.size());
  for (const Certificate& c : result_.policy.certificates) r.targets.push_back(target_report(c));
  r.warnings = result_.warnings;
  r.void_reason = void_reason_;
  r.document.json = json_text(summary(log));
  r.document.text = frontier_table(frontier_json(result_.policy)) + deferred_labels_text(result_.policy) +
                    fit_summary(result_, log.file, explained, folder_, void_reason_);
  return r;
}

Result<FitReport> PolicyFit::run(Log::State& log) {
  TRACER_RETURN_IF_ERROR(describe_labels(log));
  const std::string digest = log_digest(log.file.traces, log.vectors.x);
  seconds_ = {{"read", seconds_since(started_)}};
  TRACER_RETURN_IF_ERROR(learn(log));
  TRACER_RETURN_IF_ERROR(look(log, digest));
  const auto writing = Clock::now();
  TRACER_RETURN_IF_ERROR(write(log));
  for (const auto& [phase, value] : result_.seconds) seconds_[phase] = value;
  seconds_["write"] = seconds_since(writing);
  TRACER_ASSIGN_OR_RETURN(const Json explained, explanation(log));
  seconds_["total"] = seconds_since(started_);
  events_.tell(number(seconds_["total"].get<double>()) + " s, at most " +
               number(static_cast<double>(peak_memory_bytes()) / (1 << 20)) + " MiB of memory");
  return report(log, explained);
}

}  // namespace

Result<FitReport> fit_policy(const Device& device, Log log, const FitRequest& request, const std::string& folder,
                             const Events& events) {
  PolicyFit fit(DeviceAccess::backend(device), request, folder, events);
  Log::State& state = LogAccess::state(log);
  TRACER_RETURN_IF_ERROR(fit.check_options(state.file.traces.group.empty() ? "" : "groups"));
  if (request.cascade && state.file.input.empty())
    return bad_option("cascade", option("cascade") + ": the log keeps no texts to learn from");
  TRACER_RETURN_IF_ERROR(fit.check_folder());
  TRACER_RETURN_IF_ERROR(fit.resolve_labels(state.file.traces));
  return fit.run(state);
}

Result<FitReport> fit_policy(const Device& device, const LogSource& source, const FitRequest& request,
                             const std::string& folder, const Events& events) {
  Backend& backend = DeviceAccess::backend(device);
  PolicyFit fit(backend, request, folder, events);
  TRACER_RETURN_IF_ERROR(fit.check_options(source.group_by));
  TRACER_ASSIGN_OR_RETURN(const std::string vectors, find_vectors(source));
  std::vector<FileUse> read = {{"TRACES", source.rows.traces}, {option("embeddings"), vectors}};
  for (const FileUse& use : description_files(request.surrogate.descriptions)) read.push_back(use);
  TRACER_RETURN_IF_ERROR(check_outputs(
      {{option("rejects"), rejects_of(source.rows)}, {option("embed_cache"), source.rows.embed.cache}}, read, folder));
  TRACER_RETURN_IF_ERROR(fit.check_folder());
  LogSource keeping = source;
  keeping.keep_texts = source.keep_texts || request.cascade;
  TRACER_ASSIGN_OR_RETURN(auto log, read_log_rows(backend, keeping, vectors, events));
  TRACER_RETURN_IF_ERROR(fit.resolve_labels(log->file.traces));
  TRACER_RETURN_IF_ERROR(read_log_vectors(*log, events));
  return fit.run(*log);
}

}  // namespace tracer
