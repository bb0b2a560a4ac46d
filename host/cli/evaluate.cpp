#include <unordered_map>

#include "engine/policy/router.h"
#include "engine/prove/figures.h"
#include "host/artifact/frontier_text.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"
#include "host/encoder/source.h"
#include "host/io/json_fields.h"
#include "host/io/output_stream.h"
#include "host/route/batch_reader.h"
#include "host/route/counts.h"
#include "host/route/opened_policy.h"
#include "host/route/scoring.h"

namespace tracer::cli {
namespace {

struct LabelCounts {
  int64_t rows = 0, handled = 0, agree = 0;
};

struct EvaluateCommand {
  Common common;
  PolicyOptions policy;
  RowSource input;
  std::string errors;
  double fail_below = -1;

  int run();
  Status count(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader);
  int print(const LoadedPolicy& loaded) const;

  ReasonCounts counts_;
  CascadeCounts stages_;
  int64_t agree_ = 0;
  std::vector<LabelCounts> labels_;
  int64_t unknown_labels_ = 0;
};

Status EvaluateCommand::count(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader) {
  const Policy& p = loaded.artifact.policy;
  std::unordered_map<std::string, int32_t> index;
  for (size_t l = 0; l < p.labels.size(); ++l) index[p.labels[l]] = static_cast<int32_t>(l);
  labels_.resize(p.labels.size());
  std::optional<io::OutputStream> errors_out;
  if (!errors.empty()) {
    TRACER_ASSIGN_OR_RETURN(auto out, io::OutputStream::open(errors));
    errors_out.emplace(std::move(out));
  }
  const auto take = [&](const ScoredBatch& scored) -> Status {
    for (size_t i = 0; i < scored.batch.rows.size(); ++i) {
      const RowBatch::Row& row = scored.batch.rows[i];
      const RowScore& score = scored.scores[i];
      const auto known = index.find(row.label);
      const int32_t teacher = known == index.end() ? -1 : known->second;
      if (teacher >= 0)
        ++labels_[teacher].rows;
      else
        ++unknown_labels_;
      const Reason reason = decide(score, loaded.rule);
      counts_.add(reason);
      stages_.add(score, reason == Reason::kAccepted, score.features.label == teacher);
      if (reason != Reason::kAccepted) continue;
      const int32_t answer = score.features.label;
      const bool agrees = answer == teacher;
      agree_ += agrees;
      ++labels_[answer].handled, labels_[answer].agree += agrees;
      if (agrees || !errors_out) continue;
      Json line = {{"line", row.line},     {"id", row.id ? Json(*row.id) : Json(nullptr)},
                   {"input", row.input},   {"surrogate", p.labels[answer]},
                   {"teacher", row.label}, {"score", score.score}};
      TRACER_RETURN_IF_ERROR(errors_out->write_line(line.dump(-1, ' ', false, Json::error_handler_t::replace)));
    }
    return {};
  };
  TRACER_RETURN_IF_ERROR(score_all(backend, loaded, reader, take));
  if (errors_out) TRACER_RETURN_IF_ERROR(errors_out->close());
  if (counts_.rows() > 0) return {};
  return bad_input(input.traces + (reader.rejects().count() == 0
                                       ? ": no rows"
                                       : ": no good row; first bad one, " + reader.rejects().first()));
}

int EvaluateCommand::print(const LoadedPolicy& loaded) const {
  const Policy& p = loaded.artifact.policy;
  const double delta = loaded.certificate.delta;
  const int64_t rows = counts_.rows(), handled = counts_.handled();
  const auto share = agreement(agree_, handled);
  const auto lower = agreement_lower(agree_, handled, delta);
  int code = kExitOk;
  if (fail_below >= 0 && !(share && *share >= fail_below)) code = kExitAlarm;
  if (!common.console.json) {
    std::string text =
        counted(rows, "row") + ", alpha " + number(loaded.certificate.alpha) + ": handled " + std::to_string(handled) +
        (rows > 0 ? " (" + percent(static_cast<double>(handled) / static_cast<double>(rows)) + ")" : "") +
        ", deferred " + counts_.deferred_text(", ", " and ") + "\nagreement with the teacher on handled rows: " +
        (share ? number(*share) + ", at least " + number(*lower) + " (delta " + number(delta) + ")" : "none handled") +
        "\n";
    if (p.text) text += "handled rows: " + stages_.handled_text() + "\n";
    return common.console.print(text) ? code : kExitRuntime;
  }
  Json labels = Json::array();
  for (size_t l = 0; l < labels_.size(); ++l) {
    const LabelCounts& c = labels_[l];
    if (c.rows == 0 && c.handled == 0) continue;
    labels.push_back({{"label", p.labels[l]},
                      {"n", c.rows},
                      {"n_handled", c.handled},
                      {"n_agree", c.agree},
                      {"teacher_agreement", optional_json(agreement(c.agree, c.handled))},
                      {"teacher_agreement_lower", optional_json(agreement_lower(c.agree, c.handled, delta))}});
  }
  Json document = {
      {"rows", rows},
      {"alpha", loaded.certificate.alpha},
      {"handled", handled},
      {"coverage", rows > 0 ? Json(static_cast<double>(handled) / static_cast<double>(rows)) : Json(nullptr)},
      {"teacher_agreement", optional_json(share)},
      {"teacher_agreement_lower", optional_json(lower)},
      {"deferred", counts_.deferred()},
      {"unknown_labels", unknown_labels_},
      {"labels", labels}};
  if (p.text) document["stages"] = stages_.json(true);
  return common.console.print_json(document, code);
}

int EvaluateCommand::run() {
  const Console& console = common.console;
  const std::string rejects = input.rejects.empty() ? "rejects.jsonl" : input.rejects;
  auto vectors = vectors_path(input);
  if (!vectors.ok()) return fail(console, vectors.status());
  const Status clash = check_outputs(
      {{option("errors"), errors}, {option("rejects"), rejects}, {option("embed_cache"), input.embed.cache}},
      {{"TRACES", input.traces}, {option("embeddings"), *vectors}}, policy.folder);
  if (!clash.ok()) return fail(console, clash);
  auto loaded = load_policy(policy, events_of(console));
  if (!loaded.ok()) return fail(console, loaded.status());
  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  auto source = open_vectors(*vectors, input, *loaded, **backend, events_of(console));
  if (!source.ok()) return fail(console, source.status());
  auto reader = BatchReader::open(input, true, !errors.empty(), loaded->artifact.policy.dimension, rejects, *source,
                                  events_of(console));
  if (!reader.ok()) return fail(console, reader.status());
  const Status done = count(**backend, *loaded, *reader);
  if (!done.ok()) return fail(console, done);
  if (reader->rejects().count() > 0)
    console.warn(counted(reader->rejects().count(), "row") + " could not be read; first, " + reader->rejects().first() +
                 "; all of them in " + reader->rejects().path());
  if (unknown_labels_ > 0)
    console.warn(counted(unknown_labels_, "row") + (unknown_labels_ == 1 ? " carries" : " carry") +
                 " a label that the policy was not fitted on; counted as disagreements where handled");
  return print(*loaded);
}

}  // namespace

void add_evaluate(Flags& app, int& exit_code) {
  auto command = std::make_shared<EvaluateCommand>();
  Flags* sub = app.add_subcommand("evaluate", "test a policy on fresh labelled rows");
  add_policy_options(*sub, command->policy);
  sub->add_option("TRACES", command->input.traces, "labelled rows: JSONL or CSV, plain or gzip; - for standard input")
      ->required();
  add_input_options(*sub, command->input, true);
  sub->add_option("--errors", command->errors, "write every handled disagreement to this file, a JSON line each");
  sub->add_option("--fail-below", command->fail_below,
                  "exit with 6 when agreement on handled rows is below this, or no row is handled")
      ->check(unit_interval());
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
