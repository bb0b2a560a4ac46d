#include "engine/fit.h"

#include <algorithm>
#include <chrono>
#include <sstream>

#include "engine/log/label_index.h"
#include "engine/prove/figures.h"
#include "host/artifact/artifact.h"
#include "host/artifact/ledger.h"
#include "host/cli/command.h"
#include "host/cli/descriptions.h"
#include "host/cli/embedding.h"
#include "host/cli/fit_json.h"
#include "host/cli/fit_summary.h"
#include "host/cli/flags.h"
#include "host/cli/inputs.h"
#include "host/cli/labelled_log.h"
#include "host/cli/member_options.h"
#include "host/cli/split_options.h"
#include "host/cli/tables.h"
#include "host/cli/usage.h"

namespace tracer::cli {
namespace {

struct FitCommand {
  Common common;
  InputOptions input;
  FitOptions fit;
  SplitFlags split;
  MemberFlags members;
  LocalEncoderOptions encoder_options;
  DescriptionOptions description_options;
  std::vector<std::string> never;  // as given: labels, or several with commas between
  std::string output = ".tracer";
  bool cascade = false;
  int* exit_code = nullptr;

  int run();
  std::string rejects_path() const { return input.rejects.empty() ? "rejects.jsonl" : input.rejects; }
  Status resolve_never(const Traces& traces);
  Status write(FitResult& result, const io::TraceFile& file, const std::string& vectors, Json ledger, bool is_void);
  int print(const FitResult& result, const io::TraceFile& file, const Json& explanation, const std::string& refusal,
            Json seconds) const;

  EncoderIdentity encoder_;  // of the vectors
  Descriptions descriptions_;
};

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

// The labels of --never by index. A value is one label, or several with commas between where no label is called that.
Status FitCommand::resolve_never(const Traces& traces) {
  const auto add = [&](const std::string& name) -> bool {
    const int32_t label = label_index(traces.labels, name);
    if (label >= 0) fit.never.push_back(label);
    return label >= 0;
  };
  for (const std::string& value : never) {
    if (add(value)) continue;
    std::istringstream parts(value);
    for (std::string name; std::getline(parts, name, ',');)
      if (!add(name)) return bad_input("--never: no trace carries the label \"" + name + "\"");
  }
  return {};
}

// The new policy replaces the one in `output`; after a void look the earlier one stays, and only its ledger grows.
Status FitCommand::write(FitResult& result, const io::TraceFile& file, const std::string& vectors, Json ledger,
                         bool is_void) {
  if (is_void) {
    TRACER_ASSIGN_OR_RETURN(auto earlier, read_artifact(output));
    earlier.ledger = std::move(ledger);
    return write_artifact(output, earlier);
  }
  Artifact artifact;
  artifact.provenance = {input.traces, file.sha256, file.traces.rows(), vectors, encoder_};
  artifact.run = run_json(result, fit);
  if (!split.group_by.empty()) artifact.run["group_by"] = split.group_by;
  artifact.explain = explain_json(result, file);
  artifact.ledger = std::move(ledger);
  artifact.frontier = frontier_json(result.policy);
  artifact.policy = std::move(result.policy);
  artifact.descriptions = std::move(descriptions_);
  if (!artifact.policy.stages.empty()) {
    if (!file.traces.id.empty())
      for (int64_t row : artifact.policy.stages[0].neighbours.row)
        artifact.reference_ids.push_back(file.traces.id[row]);
    // Rows are named by their place in the vector file: bad rows count.
    for (Stage* s = &artifact.policy.stages[0]; s != nullptr; s = s->residual.get())
      for (int64_t& row : s->neighbours.row) row = file.position[row];
  }
  const Status written = write_artifact(output, artifact);
  result.policy = std::move(artifact.policy);
  return written;
}

int FitCommand::print(const FitResult& result, const io::TraceFile& file, const Json& explanation,
                      const std::string& refusal, Json seconds) const {
  const Console& console = common.console;
  const Certificate& asked = *result.policy.certificate(fit.alpha);
  const int code = asked.certified ? kExitOk : kExitRefused;
  const Json frontier = frontier_json(result.policy);
  if (console.json)
    return console.print_json({{"certified", asked.certified},
                               {"alpha", fit.alpha},
                               {"delta", fit.delta},
                               {"rows", file.traces.rows()},
                               {"labels", file.traces.labels.size()},
                               {"split", split_json(result)},
                               {"frontier", frontier},
                               {"deferred_labels", deferred_labels_json(result.policy)},
                               {"warnings", result.warnings},
                               {"peak_memory_bytes", peak_memory_bytes()},
                               {"seconds", std::move(seconds)}},
                              code);
  const std::string text = frontier_table(frontier) + deferred_labels_text(result.policy) +
                           fit_summary(result, file, explanation, output, refusal);
  return console.print(text) ? code : kExitRuntime;
}

int FitCommand::run() {
  const Console& console = common.console;
  const auto started = std::chrono::steady_clock::now();
  const Status usage = read_split_flags(split, fit);
  if (!usage.ok()) return usage_error(console, usage.message());
  if (const Status known = read_members(members, fit); !known.ok()) return usage_error(console, known.message());
  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  auto vectors = vectors_path(input);
  if (!vectors.ok()) return fail(console, vectors.status());
  const bool embeds = vectors->empty();
  if (const std::string given = encoder_options.given(); !embeds && !given.empty())
    return usage_error(console, given + " is for text, but vectors are given: " + *vectors);
  std::vector<FileUse> read_files = {{"TRACES", input.traces}, {"--embeddings", *vectors}};
  for (const FileUse& use : description_options.inputs()) read_files.push_back(use);
  const std::string overwrites =
      check_outputs({{"--rejects", rejects_path()}, {"--embed-cache", input.embed.cache}}, read_files, output);
  if (!overwrites.empty()) return usage_error(console, overwrites);
  const Status replaceable = check_replaceable(output);
  if (!replaceable.ok()) return fail(console, replaceable);
  auto ledger = read_ledger(output);
  if (!ledger.ok()) return fail(console, ledger.status());
  std::optional<Encoder> encoder;
  if (embeds) {  // before the rows: a missing model should not cost their reading
    auto opened = open_named_encoder(input, encoder_options, **backend, console);
    if (!opened.ok()) return fail(console, opened.status());
    encoder = std::move(opened).value();
  }
  auto file = read_log(input, split.group_by, rejects_path(), embeds || cascade, console);
  if (!file.ok()) return fail(console, file.status());
  if (const Status known = resolve_never(file->traces); !known.ok()) return usage_error(console, known.message());
  auto read = read_or_embed(*vectors, encoder ? &*encoder : nullptr, *file, input.traces, console);
  if (!read.ok()) return fail(console, read.status());
  auto descriptions = read_descriptions(
      **backend, description_options, input, {file->traces.labels, *read, input.traces},
      may_need_names(file->traces, 1 - fit.split.certify_fraction), encoder ? &*encoder : nullptr, console);
  if (!descriptions.ok()) return fail(console, descriptions.status());
  descriptions_ = std::move(descriptions).value();
  if (!descriptions_.empty()) fit.descriptions = &descriptions_;
  encoder_ = read->encoder;
  Matrix<float> x = std::move(read->x);
  std::string log = log_digest(file->traces, x);
  Json seconds = {{"read", seconds_since(started)}};
  console.note("read " + std::to_string(file->traces.rows()) + " traces, " +
               std::to_string(file->traces.labels.size()) + " labels, vectors of dimension " +
               std::to_string(x.cols()) + "; computing on " + std::string((*backend)->name()) + " (" +
               std::string((*backend)->isa()) + ", " + std::to_string((*backend)->threads()) + " threads)");

  if (cascade) fit.cascade_texts = file->input;
  if (!console.json) fit.keep_certify = kSummaryRows;
  auto fitted =
      tracer::fit(**backend, file->traces, std::move(x), fit, [&](const std::string& done) { console.note(done); });
  if (!fitted.ok()) return fail(console, fitted.status());
  FitResult& result = *fitted;
  console.note("split by " + std::string(to_string(result.split.kind)) + " (" + result.split.reason +
               "): " + std::to_string(result.split.learn.size()) + " rows to learn from, " +
               std::to_string(result.split.certify.size()) + " to certify on" +
               (result.unit.reason.empty() ? "" : "; " + result.unit.reason));

  if (result.described > 0)
    console.note("learned from descriptions of " + counted(result.described, "label") +
                 " too, which the log shows few times");

  const Look look = look_of(file->traces, result, fit, std::move(log));
  auto refusal = check_look(*ledger, look);
  if (!refusal.ok()) return fail(console, refusal.status());
  if (!refusal->empty()) void_certificates(result, *refusal);
  for (const std::string& warning : result.warnings) console.warn(warning);
  const auto writing = std::chrono::steady_clock::now();
  const Status written = write(result, *file, *vectors,
                               add_look(std::move(ledger).value(), look, result, !refusal->empty()), !refusal->empty());
  if (!written.ok()) return fail(console, written);
  for (const auto& [phase, value] : result.seconds) seconds[phase] = value;
  seconds["write"] = seconds_since(writing);
  Json explanation;
  if (!console.json && refusal->empty()) {
    auto explained = explain_fit(**backend, result, *file);
    if (!explained.ok()) return fail(console, explained.status());
    explanation = std::move(explained).value();
  }
  seconds["total"] = seconds_since(started);
  console.note(number(seconds["total"].get<double>()) + " s, at most " +
               number(static_cast<double>(peak_memory_bytes()) / (1 << 20)) + " MiB of memory");
  return print(result, *file, explanation, *refusal, std::move(seconds));
}

}  // namespace

void add_fit(Flags& app, int& exit_code) {
  auto command = std::make_shared<FitCommand>();
  Flags* sub = app.add_subcommand("fit", "learn a surrogate from traces, certify it, write the policy");
  sub->add_option("TRACES", command->input.traces, "traces: JSONL or CSV, plain or gzip; - for standard input")
      ->required();
  add_input_options(*sub, command->input, true);
  FitOptions& fit = command->fit;
  sub->add_option("--alpha", fit.alpha, "agreement with the teacher to certify")
      ->check(open_unit_interval())
      ->capture_default_str();
  sub->add_option("--sweep", fit.sweep, "other targets to certify on the way")
      ->delimiter(',')
      ->check(open_unit_interval())
      ->capture_default_str();
  sub->add_option("--delta", fit.delta, "chance of a false certificate that you accept")
      ->check(open_unit_interval())
      ->capture_default_str();
  add_split_options(*sub, command->split, fit);
  add_member_options(*sub, command->members);
  sub->add_option("--min-coverage", fit.min_coverage, "a policy that would handle less is refused")
      ->check(unit_interval())
      ->capture_default_str();
  sub->add_option("--never", command->never, "labels always left to the teacher: LABEL,...; may be given again")
      ->one_value_each();
  sub->add_option("--label-floor", fit.label_floor,
                  "leave labels to the teacher that learn does not show to agree this often")
      ->check(open_unit_interval());
  Flag* cascade =
      sub->add_flag("--cascade", command->cascade,
                    "let a stage on the words of the text answer easy rows, before the text encoder sees them");
  sub->add_option("--cascade-tolerance", fit.cascade_tolerance,
                  "share of all rows of expected coverage that the first stage may cost")
      ->check(unit_interval())
      ->needs(cascade)
      ->capture_default_str();
  sub->add_option(
         "--max-references", fit.max_references,
         "learn rows to look neighbours up among and to compare candidates on; of a larger log a random sample")
      ->check(in_range(kFewestReferences, int64_t{1} << 31))
      ->capture_default_str();
  sub->add_option("--budget-seconds", fit.budget_seconds,
                  "once learning took this long, try nothing more; the policy's bytes then depend on time")
      ->check(not_negative());
  sub->add_flag("--simultaneous", fit.simultaneous,
                "all targets hold together: each is tested at delta / their number");
  sub->add_option("--looks", fit.looks, "how many fits of this log will share delta")
      ->check(in_range(1, 1000))
      ->capture_default_str();
  sub->add_flag("--approximate", fit.approximate, "where runs do not certify exactly, use a design effect and say so");
  sub->add_option("--seed", fit.split.seed, "same seed, same bytes")->capture_default_str();
  add_local_encoder_options(*sub, command->encoder_options);
  add_description_options(*sub, command->description_options);
  sub->add_option("-o,--output", command->output, "folder of the policy")->capture_default_str();
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
