// The live alarm: does the policy in place still agree with the teacher, on audited rows?
#include <set>

#include "engine/prove/audit_bounds.h"
#include "engine/prove/figures.h"
#include "host/artifact/frontier_text.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"
#include "host/io/json_fields.h"
#include "host/versions/changes.h"
#include "host/versions/kept_files.h"

namespace tracer::cli {
namespace {

struct AuditCommand {
  Common common;
  PolicyOptions policy;
  RowSource input;
  std::optional<double> delta;

  int run();
};

int AuditCommand::run() {
  const Console& console = common.console;
  auto vectors = vectors_path(input);
  if (!vectors.ok()) return fail(console, vectors.status());
  const std::string rejects = input.rejects.empty() ? "rejects.jsonl" : input.rejects;
  const Status clash = check_outputs({{option("rejects"), rejects}, {option("embed_cache"), input.embed.cache}},
                                     {{"AUDITED", input.traces}, {option("embeddings"), *vectors}}, policy.folder);
  if (!clash.ok()) return fail(console, clash);
  auto loaded = load_policy(policy, events_of(console));
  if (!loaded.ok()) return fail(console, loaded.status());
  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  auto read = read_kept_rows(input, *vectors, rejects, true, *loaded, **backend, events_of(console));
  if (!read.ok()) return fail(console, read.status());
  auto scores = score_kept(**backend, loaded->artifact.policy, read->rows);
  if (!scores.ok()) return fail(console, scores.status());
  answer_kept(**backend, loaded->artifact.policy, loaded->rule, read->file.input, *scores);

  const double alpha = loaded->certificate.alpha;
  AuditBounds bounds(alpha, delta.value_or(loaded->artifact.policy.delta));
  int64_t audited = 0, biased = 0, of_others = 0, unanswered = 0;
  std::set<uint64_t> seen;
  for (int64_t i = 0; i < read->rows.rows(); ++i) {
    if (read->rows.provenance[i] != io::RowOrigin::kAudit) {
      ++biased;
      continue;
    }
    const std::string& ran = read->file.policy[static_cast<size_t>(i)];
    if (!ran.empty() && ran != loaded->artifact.digest) {
      ++of_others;
      continue;
    }
    if (!seen.insert(read->rows.name[i]).second) continue;  // the same occurrence again
    ++audited, unanswered += read->rows.label[i] < 0;
    const AuditRow& row = (*scores)[static_cast<size_t>(i)];
    if (const Status finite = check_score(*loaded, row.score, "line " + std::to_string(read->file.traces.line[i]));
        !finite.ok())
      return fail(console, finite);
    if (decide(row.score, loaded->rule) == Reason::kAccepted) bounds.add(row.score.features.label != row.teacher);
  }
  if (biased > 0) console.warn(counted(biased, "row") + " not of provenance \"audit\" left out: no fair sample");
  if (of_others > 0) console.warn(counted(of_others, "row") + " of another policy left out");
  const int code = bounds.alarm() ? kExitAlarm : kExitOk;
  const auto share = agreement(bounds.rows() - bounds.disagreements(), bounds.rows());
  if (console.json)
    return console.print_json({{"alarm", bounds.alarm()},
                               {"alarm_at", bounds.alarm() ? Json(bounds.alarm_at()) : Json(nullptr)},
                               {"alpha", alpha},
                               {"delta", delta.value_or(loaded->artifact.policy.delta)},
                               {"audit_rows", audited},
                               {"unanswered", unanswered},
                               {"n_handled", bounds.rows()},
                               {"n_agree", bounds.rows() - bounds.disagreements()},
                               {"teacher_agreement", optional_json(share)},
                               {"teacher_agreement_lower", bounds.lower()},
                               {"teacher_agreement_upper", bounds.upper()}},
                              code);
  const std::string text =
      counted(audited, "audit row") + ", " + std::to_string(bounds.rows()) + " of them handled; agreement " +
      (share ? number(*share) : "-") + ", at all times between " + number(bounds.lower()) + " and " +
      number(bounds.upper()) + "\n" +
      (bounds.alarm() ? "ALARM: below alpha " + number(alpha) + " since handled audit row " +
                            std::to_string(bounds.alarm_at()) + "\n"
                      : "no alarm: nothing shows agreement to be below alpha " + number(alpha) + "\n");
  return console.print(text) ? code : kExitRuntime;
}

}  // namespace

void add_audit(Flags& app, int& exit_code) {
  auto command = std::make_shared<AuditCommand>();
  Flags* sub = app.add_subcommand("audit", "watch the agreement of a policy on audited rows; exit 6 is the alarm");
  add_policy_options(*sub, command->policy);
  sub->add_option("AUDITED", command->input.traces,
                  "all audit rows since the policy was put in place, in order of arrival: JSONL or CSV")
      ->required();
  sub->add_option("--delta", command->delta, "chance of ever a false alarm (default: the policy's delta)")
      ->check(open_unit_interval());
  add_input_options(*sub, command->input, true);
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
