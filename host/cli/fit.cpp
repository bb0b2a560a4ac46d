#include "engine/fit.h"

#include <chrono>
#include <cstdlib>

#include "engine/figures.h"
#include "host/artifact/artifact.h"
#include "host/artifact/ledger.h"
#include "host/cli/command.h"
#include "host/cli/inputs.h"
#include "host/cli/tables.h"
#include "host/io/sha256.h"

namespace tracer::cli {
namespace {

struct FitCommand {
  Common common;
  InputOptions input;
  FitOptions fit;
  std::string group_by;
  std::string split = "auto";
  std::string unit = "auto";
  std::string output = ".tracer";
  int* exit_code = nullptr;

  int run();
  int usage(const std::string& message) const {
    common.console.error(message);
    return kExitUsage;
  }
  Result<Matrix<float>> read_vectors(const std::string& path, const io::TraceFile& file) const;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Json split_json(const FitResult& r) {
  return {{"kind", to_string(r.split.kind)},
          {"reason", r.split.reason},
          {"n_learn", r.split.learn.size()},
          {"n_certify", r.split.certify.size()},
          {"n_guard", r.split.unused.size()},
          {"folds", r.split.folds},
          {"unit", r.policy.certificates.empty() ? "rows" : r.policy.certificates[0].unit},
          {"unit_reason", r.unit.reason}};
}

Json run_json(const FitResult& r, const FitOptions& o) {
  Json candidates = Json::array();
  for (const Candidate& c : r.candidates)
    candidates.push_back({{"cost", c.cost},
                          {"vote_weight", static_cast<double>(c.vote_weight)},
                          {"log_loss", c.log_loss},
                          {"agreement", c.agreement},
                          {"coverage", c.coverage}});
  return {{"seed", o.split.seed},           {"certify_fraction", o.split.certify_fraction},
          {"min_coverage", o.min_coverage}, {"looks", o.looks},
          {"split", split_json(r)},         {"candidates", candidates}};
}

Json explain_json(const FitResult& r, const Traces& traces) {
  const Dependence& d = r.dependence;
  Json suspects = Json::array();
  for (const Suspect& s : r.suspects) {
    Json j = {{"row", s.row},
              {"line", traces.line[s.row]},
              {"score", s.score},
              {"surrogate", traces.labels[s.surrogate]},
              {"teacher", traces.labels[s.teacher]}};
    if (!traces.id.empty() && !traces.id[s.row].empty()) j["id"] = traces.id[s.row];
    suspects.push_back(std::move(j));
  }
  return {{"dependence",
           {{"neighbour_share", d.neighbour_share},
            {"chance_share", d.chance_share},
            {"adjacent_share", d.adjacent_share},
            {"agreement_rows", d.agreement_rows},
            {"agreement_groups", d.agreement_groups},
            {"related", d.repelled || d.flattered}}},
          {"warnings", r.warnings},
          {"suspects", suspects}};
}

// What is wrong with the text of a number that must lie strictly between 0 and 1; "" when nothing.
std::string share_error(const std::string& text) {
  char* end = nullptr;
  const double v = std::strtod(text.c_str(), &end);
  return end != text.c_str() && *end == '\0' && v > 0 && v < 1 ? ""
                                                               : "expected a number between 0 and 1, found " + text;
}

// A look that the ledger does not allow proves nothing: the certificates are void, the estimates stay.
void void_certificates(FitResult& r, const std::string& why) {
  for (Certificate& c : r.policy.certificates) {
    if (!c.certified) continue;
    Certificate v;
    v.alpha = c.alpha, v.delta = c.delta, v.unit = c.unit, v.method = "refused", v.reason = why;
    v.n_learn = c.n_learn, v.n_certify = c.n_certify, v.n_units = c.n_units, v.tested = c.tested;
    v.expected_coverage = c.expected_coverage;
    c = std::move(v);
  }
  r.warnings.push_back(why);
}

Result<Matrix<float>> FitCommand::read_vectors(const std::string& path, const io::TraceFile& file) const {
  auto reader = io::NpyReader::open(path);
  if (!reader.ok()) return reader.status();
  if (reader->rows() != file.positions)
    return bad_input(path + ": expected " + std::to_string(file.positions) + " vectors, one for each row of " +
                     input.traces + ", found " + std::to_string(reader->rows()));
  const int64_t n = file.traces.rows();
  Matrix<float> x(n, reader->cols());
  // Positions ascend; bad rows leave gaps.
  for (int64_t i = 0; i < n;) {
    int64_t j = i + 1;
    while (j < n && file.position[j] == file.position[j - 1] + 1) ++j;
    TRACER_RETURN_IF_ERROR(reader->read_rows(file.position[i], j - i, x.view().rows_from(i, j - i)));
    i = j;
  }
  return x;
}

int FitCommand::run() {
  const Console& console = common.console;
  const auto started = std::chrono::steady_clock::now();
  if (!group_by.empty() && split == "auto") split = "groups";
  if (!group_by.empty() && split != "groups") return usage("--group-by keeps groups whole: leave --split out");
  if (unit == "runs" && split == "rows")
    return usage("--unit runs needs a split that keeps runs: --split runs, --split time or --group-by");
  fit.split.kind = split == "rows"     ? SplitKind::kRows
                   : split == "runs"   ? SplitKind::kRuns
                   : split == "time"   ? SplitKind::kTime
                   : split == "groups" ? SplitKind::kGroups
                                       : SplitKind::kAuto;
  fit.unit = unit == "rows" ? Unit::kRows : unit == "runs" ? Unit::kRuns : Unit::kAuto;

  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  auto vectors = vectors_path(input);
  if (!vectors.ok()) return fail(console, vectors.status());
  auto ledger = read_ledger(output);
  if (!ledger.ok()) return fail(console, ledger.status());

  io::TraceReadOptions read;
  read.reader = reader_options(input);
  read.reader.group_by = group_by;
  read.rejects_path = input.rejects.empty() ? "rejects.jsonl" : input.rejects;
  read.max_bad_ratio = input.max_bad_ratio;
  auto file = io::read_traces(input.traces, read);
  if (!file.ok()) return fail(console, file.status());
  if (file->bad > 0)
    console.warn(std::to_string(file->bad) + " of " + std::to_string(file->positions) +
                 " rows could not be read and were left out; first, " + file->first_bad + "; all of them in " +
                 read.rejects_path);
  auto x = read_vectors(*vectors, *file);
  if (!x.ok()) return fail(console, x.status());
  // Names log and vectors together: what a look is a look at.
  io::Sha256 log_digest;
  log_digest.update(file->sha256);
  log_digest.update({reinterpret_cast<const char*>(x->data()), static_cast<size_t>(x->size()) * sizeof(float)});
  const double reading = seconds_since(started);
  console.note("read " + std::to_string(file->traces.rows()) + " traces, " +
               std::to_string(file->traces.labels.size()) + " labels, vectors of dimension " +
               std::to_string(x->cols()) + "; computing on " + std::string((*backend)->name()) + " (" +
               std::string((*backend)->isa()) + ", " + std::to_string((*backend)->threads()) + " threads)");

  auto fitted = tracer::fit(**backend, file->traces, std::move(x).value(), fit,
                            [&](const std::string& done) { console.note(done); });
  if (!fitted.ok()) return fail(console, fitted.status());
  FitResult& result = *fitted;
  console.note("split by " + std::string(to_string(result.split.kind)) + " (" + result.split.reason +
               "): " + std::to_string(result.split.learn.size()) + " rows to learn from, " +
               std::to_string(result.split.certify.size()) + " to certify on" +
               (result.unit.reason.empty() ? "" : "; " + result.unit.reason));

  const Look look = look_of(file->traces, result, fit, log_digest.hex());
  auto verdict = check_look(*ledger, look);
  if (!verdict.ok()) return fail(console, verdict.status());
  if (!verdict->refusal.empty()) void_certificates(result, verdict->refusal);
  for (const std::string& warning : result.warnings) console.warn(warning);

  Artifact artifact;
  artifact.provenance = {input.traces, file->sha256, file->traces.rows(), *vectors, "unknown"};
  artifact.run = run_json(result, fit);
  artifact.explain = explain_json(result, file->traces);
  artifact.ledger = add_look(std::move(ledger).value(), look, result);
  artifact.frontier = Json::array();
  for (const Certificate& c : result.policy.certificates) artifact.frontier.push_back(frontier_entry(c));
  if (!file->traces.id.empty() && !result.policy.stages.empty())
    for (int32_t row : result.split.learn) artifact.reference_ids.push_back(file->traces.id[row]);
  artifact.policy = std::move(result.policy);
  const auto writing = std::chrono::steady_clock::now();
  const Status written = write_artifact(output, artifact);
  if (!written.ok()) return fail(console, written);

  const Certificate* asked = artifact.policy.certificate(fit.alpha);
  const int code = asked->certified ? kExitOk : kExitRefused;
  if (!console.json) {
    std::string text = frontier_table(artifact.frontier);
    text += asked->certified ? "certified at " : "refused at ";
    text += number(fit.alpha) + (asked->certified ? ": " : ": " + asked->reason + "; ") +
            (asked->certified
                 ? percent(*coverage(*asked)) + " of the traffic handled, agreement with the teacher at least " +
                       number(fit.alpha) + " (delta " + number(asked->delta) + ")"
                 : refusal_estimate(*asked)) +
            "\npolicy in " + output + "\n";
    return console.print(text) ? code : kExitRuntime;
  }
  Json seconds = {{"read", reading}};
  for (const auto& [phase, value] : result.seconds) seconds[phase] = value;
  seconds["write"] = seconds_since(writing);
  seconds["total"] = seconds_since(started);
  return console.print_json({{"certified", asked->certified},
                             {"alpha", fit.alpha},
                             {"delta", fit.delta},
                             {"rows", file->traces.rows()},
                             {"labels", file->traces.labels.size()},
                             {"split", artifact.run["split"]},
                             {"frontier", artifact.frontier},
                             {"warnings", result.warnings},
                             {"seconds", seconds}},
                            code);
}

}  // namespace

namespace {

const CLI::Validator kShare([](std::string& text) { return share_error(text); }, "in (0, 1)", "share");

}  // namespace

void add_fit(CLI::App& app, int& exit_code) {
  auto command = std::make_shared<FitCommand>();
  CLI::App* sub = app.add_subcommand("fit", "learn a surrogate from traces, certify it, write the policy");
  sub->add_option("TRACES", command->input.traces, "traces: JSONL or CSV, plain or gzip; - for standard input")
      ->required();
  add_input_options(*sub, command->input, true);
  FitOptions& fit = command->fit;
  sub->add_option("--alpha", fit.alpha, "agreement with the teacher to certify")->check(kShare)->capture_default_str();
  sub->add_option("--sweep", fit.sweep, "other targets to certify on the way")
      ->delimiter(',')
      ->check(kShare)
      ->capture_default_str();
  sub->add_option("--delta", fit.delta, "chance of a false certificate that you accept")
      ->check(kShare)
      ->capture_default_str();
  sub->add_option("--split", command->split, "auto, rows, runs or time")
      ->check(CLI::IsMember({"auto", "rows", "runs", "time"}))
      ->capture_default_str();
  sub->add_option("--group-by", command->group_by, "key (of the row or its metadata) whose groups stay on one side");
  sub->add_option("--certify-fraction", fit.split.certify_fraction, "share of the log kept for the certificate")
      ->check(kShare)
      ->capture_default_str();
  sub->add_option("--min-coverage", fit.min_coverage, "a policy that would handle less is refused")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  sub->add_flag("--simultaneous", fit.simultaneous,
                "all targets hold together: each is tested at delta / their number");
  sub->add_option("--looks", fit.looks, "how many fits of this log will share delta")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  sub->add_option("--unit", command->unit, "what is independent: auto, rows or runs")
      ->check(CLI::IsMember({"auto", "rows", "runs"}))
      ->capture_default_str();
  sub->add_flag("--approximate", fit.approximate, "where runs do not certify exactly, use a design effect and say so");
  sub->add_option("--folds", fit.split.folds, "cross-validation folds")
      ->check(CLI::Range(2, 100))
      ->capture_default_str();
  sub->add_option("--seed", fit.split.seed, "same seed, same bytes")->capture_default_str();
  sub->add_option("-o,--output", command->output, "folder of the policy")->capture_default_str();
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
