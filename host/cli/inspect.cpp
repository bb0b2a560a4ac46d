#include <algorithm>
#include <numeric>
#include <optional>

#include "engine/policy/gate.h"
#include "engine/policy/router.h"
#include "engine/policy/text_stage.h"
#include "host/artifact/frontier_text.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"
#include "host/explain/inspect_text.h"
#include "host/explain/trace_texts.h"
#include "host/io/json_with.h"
#include "host/io/npy.h"
#include "host/report/excerpt.h"
#include "host/route/counts.h"
#include "host/route/opened_policy.h"

namespace tracer::cli {
namespace {

constexpr size_t kTopClasses = 5;
constexpr int64_t kNearest = 5;        // traces listed
constexpr int64_t kCounted = 10;       // traces whose labels are counted
constexpr size_t kMostTextBytes = 90;  // of a trace's text

struct InspectCommand {
  Common common;
  PolicyOptions policy;
  RowSource input;
  int64_t row = 0;
  std::optional<std::string> text;

  int run();
  std::string named() const { return text ? "the text" : "row " + std::to_string(row) + " of " + input.embeddings; }
  bool answer_text(const LoadedPolicy& loaded, RowScore& score, Matrix<float>& probability) const;
  Status read_vector(const LoadedPolicy& loaded, const Backend& backend, HostMatrix<float> x) const;
  Json decision_json(const LoadedPolicy& loaded, const RowScore& score) const;
  Json describe_text(const LoadedPolicy& loaded, const RowScore& score, const Matrix<float>& probability) const;
  Json describe(const LoadedPolicy& loaded, const RowScore& score, const Matrix<float>& probability,
                const Matrix<int32_t>& near, const Matrix<float>& similarity) const;
};

const OodGate& gate_of(const LoadedPolicy& loaded, const RowScore& s) {
  const Stage& stage = loaded.artifact.policy.stages[0];
  return s.residual ? stage.residual->gate : stage.gate;
}

std::string outlier_in_words(const OodGate& gate, const RowFeatures& f) {
  const std::string distance = "mean distance to its 10 nearest traces " + number(f.mean_distance_10);
  if (gate.reference_distance.empty()) return distance;
  return "outlier score " + number(outlier_score(gate, f)) + ", the limit is " + number(outlier_limit(gate, f.label)) +
         ": " + distance + ", theirs to their nearest " + number(f.neighbourhood) + ", largest probability " +
         number(f.top1);
}

std::string why(const RowScore& s, Reason reason, const LoadedPolicy& loaded, const std::string& label) {
  const double threshold = loaded.certificate.threshold;
  switch (reason) {
    case Reason::kAccepted:
      return "handled: the teacher is expected to say " + label + " too with probability " + number(s.score) +
             ", above the threshold " + number(threshold);
    case Reason::kBelowThreshold:
      return "deferred: the teacher is expected to agree with " + label + " with probability " + number(s.score) +
             ", not above the threshold " + number(threshold);
    case Reason::kOutOfDistribution:
      return "deferred: unlike anything learned (" + outlier_in_words(gate_of(loaded, s), s.features) + ")";
    case Reason::kNeverLabel:
      return "deferred: the surrogate says " + label + ", which this policy never answers (--never)";
    case Reason::kBelowLabelFloor:
      return "deferred: the surrogate says " + label + ", which learn did not show to agree " +
             number(loaded.artifact.policy.label_floor) + " of the time (--label-floor)";
  }
  return "";
}

std::vector<int32_t> by_probability(const Matrix<float>& probability) {
  std::vector<int32_t> order(static_cast<size_t>(probability.cols()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return probability(0, a) > probability(0, b); });
  return order;
}

Json top_classes(const Policy& policy, const Matrix<float>& probability) {
  Json classes = Json::array();
  for (const int32_t label : by_probability(probability)) {
    const float p = probability(0, label);
    if (classes.size() == kTopClasses || (!classes.empty() && !(p > 0))) break;
    classes.push_back({{"label", policy.labels[label]}, {"probability", p}});
  }
  return classes;
}

// What a stage says of its own answer.
Json answer_features(const RowScore& s) {
  return {{"top1", s.features.top1}, {"margin", s.features.top1 - s.features.top2}, {"entropy", s.features.entropy}};
}

Json InspectCommand::decision_json(const LoadedPolicy& loaded, const RowScore& s) const {
  const std::string& label = loaded.artifact.policy.labels[s.features.label];
  const Reason reason = decide(s, loaded.rule);
  Json d = {{text ? "text" : "row", text ? Json(*text) : Json(row)},
            {"alpha", loaded.certificate.alpha},
            {"decision", reason == Reason::kAccepted ? "handled" : "deferred"},
            {"reason", to_string(reason)}};
  if (loaded.artifact.policy.text) d["stage"] = stage_name(s);
  return with(std::move(d), {{"surrogate", label},
                             {"score", s.score},
                             {"threshold", loaded.certificate.threshold},
                             {"why", why(s, reason, loaded, label)}});
}

Json InspectCommand::describe(const LoadedPolicy& loaded, const RowScore& s, const Matrix<float>& probability,
                              const Matrix<int32_t>& near, const Matrix<float>& similarity) const {
  const Policy& p = loaded.artifact.policy;
  if (s.text) return describe_text(loaded, s, probability);
  const NeighbourMember& member = p.stages[0].neighbours;
  const OodGate& gate = gate_of(loaded, s);
  const std::vector<int32_t> order = by_probability(probability);
  Json nearest = Json::array();
  int64_t looked_at = 0, carry = 0, carry_runner_up = 0;
  for (int64_t j = 0; j < std::min(kCounted, near.cols()) && near(0, j) >= 0; ++j) {
    const int32_t found = member.label[near(0, j)];
    ++looked_at, carry += found == s.features.label;
    carry_runner_up += order.size() > 1 && found != s.features.label && found == order[1];
  }
  std::vector<int64_t> listed;
  for (int64_t j = 0; j < std::min(kNearest, near.cols()) && near(0, j) >= 0; ++j)
    listed.push_back(member.row[near(0, j)]);
  const auto texts = trace_texts(loaded.artifact.provenance, listed);
  for (int64_t j = 0; j < std::min(kNearest, near.cols()) && near(0, j) >= 0; ++j) {
    const int32_t r = near(0, j);
    Json neighbour = {{"row", member.row[r]}};
    if (!loaded.artifact.reference_ids.empty()) neighbour["id"] = loaded.artifact.reference_ids[r];
    neighbour["label"] = p.labels[member.label[r]];
    neighbour["similarity"] = similarity(0, j);
    if (const auto known = texts.find(member.row[r]); known != texts.end() && !known->second.empty())
      neighbour["text"] = excerpt(known->second, kMostTextBytes);
    nearest.push_back(std::move(neighbour));
  }
  return with(
      decision_json(loaded, s),
      {{"features", with(answer_features(s), {{"softmax_probability", s.features.softmax_p},
                                              {"neighbour_vote", s.features.vote_p},
                                              {"neighbour_share", s.features.vote_share},
                                              {"mean_distance", s.features.mean_distance_10},
                                              {"neighbours_mean_distance", s.features.neighbourhood},
                                              {"outlier_score", outlier_score(gate, s.features)},
                                              {"outlier_limit", outlier_limit(gate, s.features.label)}})},
       {"classes", top_classes(p, probability)},
       {"neighbours", {{"looked_at", looked_at}, {"carry_surrogate", carry}, {"carry_runner_up", carry_runner_up}}},
       {"nearest", nearest}});
}

// Of a row that the text stage of a cascade answers: it has looked at no trace.
Json InspectCommand::describe_text(const LoadedPolicy& loaded, const RowScore& s,
                                   const Matrix<float>& probability) const {
  return with(decision_json(loaded, s), {{"features", answer_features(s)},
                                         {"classes", top_classes(loaded.artifact.policy, probability)},
                                         {"neighbours", nullptr},
                                         {"nearest", Json::array()}});
}

// Whether the text stage answers the text.
bool InspectCommand::answer_text(const LoadedPolicy& loaded, RowScore& score, Matrix<float>& probability) const {
  const Policy& p = loaded.artifact.policy;
  if (!p.text || !text) return false;
  TextScratch scratch;
  score = score_text(*p.text, *text, scratch);
  probability = Matrix<float>(1, static_cast<int64_t>(p.labels.size()));
  std::transform(scratch.values.begin(), scratch.values.end(), probability.data(),
                 [](double v) { return static_cast<float>(v); });
  return text_stage_answers(score, loaded.rule);
}

Status InspectCommand::read_vector(const LoadedPolicy& loaded, const Backend& backend, HostMatrix<float> x) const {
  TRACER_ASSIGN_OR_RETURN(auto source,
                          open_vectors(input.embeddings, input, loaded, backend, events_of(common.console)));
  if (source.encoder) return source.encoder->text->encode({&*text, 1}, x);
  TRACER_ASSIGN_OR_RETURN(auto reader, io::NpyReader::open(source.npy));
  if (reader.cols() != x.cols)
    return bad_input(source.npy + ": expected vectors of dimension " + std::to_string(x.cols) + ", found " +
                     std::to_string(reader.cols()));
  if (row >= reader.rows())
    return bad_input(source.npy + ": row " + std::to_string(row) + " does not exist; rows are 0 to " +
                     std::to_string(reader.rows() - 1));
  return reader.read_rows(row, 1, x);
}

int InspectCommand::run() {
  const Console& console = common.console;
  auto loaded = load_policy(policy, events_of(console));
  if (!loaded.ok()) return fail(console, loaded.status());
  const Policy& p = loaded->artifact.policy;
  if (p.text && loaded->rule.text_threshold < 1 && !text)
    return fail(console,
                bad_input(policy.folder + ": a cascade, which looks at the text first: give --text instead of --row"));
  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  Matrix<float> x(1, p.dimension), similarity, probability;
  Matrix<int32_t> near;
  std::vector<RowScore> scores;
  const auto score = [&]() -> Status {
    scores.resize(1);
    if (answer_text(*loaded, scores[0], probability)) return check_score(*loaded, scores[0], named());
    TRACER_RETURN_IF_ERROR(read_vector(*loaded, **backend, x.view()));
    TRACER_RETURN_IF_ERROR((*backend)->normalise_rows(x.view()));
    TRACER_ASSIGN_OR_RETURN(auto stage, prepare_stage(**backend, p.stages[0], {loaded->certificate.threshold}, 1));
    TRACER_RETURN_IF_ERROR(score_rows(**backend, stage, x.view(), scores, &near, &similarity, &probability));
    return check_score(*loaded, scores[0], named());
  };
  const Status scored = score();
  if (!scored.ok()) return fail(console, scored);
  const Json d = describe(*loaded, scores[0], probability, near, similarity);
  if (console.json) return console.print_json(d, kExitOk);
  return console.print(inspect_text(d)) ? kExitOk : kExitRuntime;
}

}  // namespace

void add_inspect(Flags& app, int& exit_code) {
  auto command = std::make_shared<InspectCommand>();
  Flags* sub = app.add_subcommand("inspect", "why one row is handled or deferred");
  add_policy_options(*sub, command->policy);
  Flag* row = sub->add_option("--row", command->row, "row of the vector file, from 0");
  row->check(not_negative());
  Flag* embeddings = sub->add_option("--embeddings", command->input.embeddings, "vectors: .npy");
  Flag* text = sub->add_option("--text", command->text, "text, embedded by the policy's encoder");
  Flag* model =
      sub->add_option("--embed-model", command->input.encoder, "folder of that encoder, or name of the server's model");
  add_embed_options(*sub, command->input.embed);
  row->needs(embeddings), embeddings->needs(row), model->needs(text);
  text->excludes(row)->excludes(embeddings);
  sub->finish([row, text] {
    return std::string(row->empty() && text->empty() ? "--text TEXT, or --row N with --embeddings FILE is required"
                                                     : "");
  });
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
