// Two policies compared: what they promise, which labels they know, and what they do on the same rows.
#include "engine/prove/figures.h"
#include "host/artifact/frontier_text.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"
#include "host/io/json_fields.h"
#include "host/versions/change_text.h"
#include "host/versions/changes.h"
#include "host/versions/kept_files.h"

namespace tracer::cli {
namespace {

struct DiffCommand {
  Common common;
  RowSource input;  // traces: "" for none
  std::string folders[2];
  std::optional<double> alpha;

  int run();

 private:
  int print(const Change& change, const RowNames& names) const;

  LoadedPolicy sides_[2];
};

Json side_json(const LoadedPolicy& side) {
  const Certificate& c = side.certificate;
  return {{"folder", side.folder},
          {"policy", side.artifact.digest},
          {"alpha", c.alpha},
          {"certified", c.certified},
          {"labels", side.artifact.policy.labels.size()},
          {"coverage", optional_json(coverage(c))},
          {"teacher_agreement", optional_json(c.certified ? agreement(c.n_agree, c.n_handled) : std::nullopt)},
          {"teacher_agreement_lower", optional_json(agreement_lower(c))}};
}

std::string joined(const std::vector<std::string>& labels) {
  std::string out;
  for (const std::string& label : labels) out += (out.empty() ? "" : ", ") + shown(label);
  return out.empty() ? "none" : out;
}

int DiffCommand::print(const Change& change, const RowNames& names) const {
  if (common.console.json) {
    Json j = {{"before", side_json(sides_[0])},
              {"after", side_json(sides_[1])},
              {"labels_gained", change.gained},
              {"labels_lost", change.lost},
              {"same_rows", nullptr}};
    if (!input.traces.empty()) j["same_rows"] = change_json(change, names);
    return common.console.print_json(j, kExitOk);
  }
  std::string text;
  for (const LoadedPolicy& side : sides_) {
    const Certificate& c = side.certificate;
    text += side.folder + ": alpha " + number(c.alpha) + ", coverage " + figure(coverage(c)) + ", agreement " +
            figure(c.certified ? agreement(c.n_agree, c.n_handled) : std::nullopt) + ", at least " +
            figure(agreement_lower(c)) + (c.certified ? "\n" : ", not certified\n");
  }
  text += "labels gained: " + joined(change.gained) + "; lost: " + joined(change.lost) + "\n";
  if (!input.traces.empty()) text += change_text(change, names);
  return common.console.print(text) ? kExitOk : kExitRuntime;
}

int DiffCommand::run() {
  const Console& console = common.console;
  for (int s = 0; s < 2; ++s) {
    auto artifact = read_artifact(folders[s]);
    if (!artifact.ok()) return fail(console, artifact.status());
    sides_[s].folder = folders[s];
    sides_[s].artifact = std::move(artifact).value();
    const Policy& policy = sides_[s].artifact.policy;
    const double wanted = alpha.value_or(policy.alpha);
    const Certificate* c = policy.certificate(wanted);
    if (c == nullptr)
      return fail(console, refused(folders[s] + ": alpha " + number(wanted) + " was not part of its sweep"));
    sides_[s].certificate = *c;
  }
  Change change;
  if (input.traces.empty()) {
    compare_labels(sides_[0].artifact.policy, sides_[1].artifact.policy, change);
    return print(change, {});
  }
  if (sides_[0].artifact.policy.dimension != sides_[1].artifact.policy.dimension)
    return fail(console, bad_input("the policies take vectors of different dimensions, so no rows fit both"));
  auto vectors = vectors_path(input);
  if (!vectors.ok()) return fail(console, vectors.status());
  const std::string rejects = input.rejects.empty() ? "rejects.jsonl" : input.rejects;
  for (const std::string& folder : folders)
    if (const Status clash =
            check_outputs({{option("rejects"), rejects}, {option("embed_cache"), input.embed.cache}},
                          {{option("traces"), input.traces}, {option("embeddings"), *vectors}}, folder);
        !clash.ok())
      return fail(console, clash);
  const EncoderIdentity &a = sides_[0].artifact.provenance.encoder, &b = sides_[1].artifact.provenance.encoder;
  if (a.known() && b.known() && !a.makes_vectors_of(b))
    return fail(console, bad_input("the policies were fitted with different encoders, so no rows fit both: " +
                                   describe(a) + ", " + describe(b)));
  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  // The one that may want their texts too.
  auto rows = read_kept_rows(input, *vectors, rejects, true, sides_[sides_[1].artifact.policy.text ? 1 : 0], **backend,
                             events_of(console));
  if (!rows.ok()) return fail(console, rows.status());
  std::vector<AuditRow> scores[2];
  for (int s = 0; s < 2; ++s) {
    auto scored = score_kept(**backend, sides_[s].artifact.policy, rows->rows);
    if (!scored.ok()) return fail(console, scored.status());
    scores[s] = std::move(scored).value();
    const Policy& policy = sides_[s].artifact.policy;
    answer_kept(**backend, policy, decision_rule(policy, sides_[s].certificate), rows->file.input, scores[s]);
  }
  if (const Status unit = (*backend)->normalise_rows(rows->rows.x.view()); !unit.ok()) return fail(console, unit);
  auto regions = find_regions(**backend, rows->rows.x.view());
  if (!regions.ok()) return fail(console, regions.status());
  const RowNames names{std::move(rows->file.traces.line), std::move(rows->file.traces.id), std::move(rows->file.input)};
  return print(change_on({&sides_[0].artifact.policy, &sides_[0].certificate}, scores[0],
                         {&sides_[1].artifact.policy, &sides_[1].certificate}, scores[1], rows->rows, *regions, names),
               names);
}

}  // namespace

void add_diff(Flags& app, int& exit_code) {
  auto command = std::make_shared<DiffCommand>();
  Flags* sub = app.add_subcommand("diff", "compare two policies, on the same rows where there are some");
  sub->add_option("BEFORE", command->folders[0], "folder of a policy")->required();
  sub->add_option("AFTER", command->folders[1], "folder of another, for instance DIR.versions/v000001")->required();
  sub->add_option("--traces", command->input.traces, "labelled rows to compare them on");
  sub->add_option("--alpha", command->alpha, "certified target (default: the one each was asked for)")
      ->check(open_unit_interval());
  add_input_options(*sub, command->input, true);
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
