#include "host/api/evaluate.h"

#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/maths/percent.h"
#include "engine/policy/router.h"
#include "engine/prove/figures.h"
#include "host/api/access.h"
#include "host/api/log_access.h"
#include "host/io/file_uses.h"
#include "host/io/json_fields.h"
#include "host/io/json_format.h"
#include "host/io/output_stream.h"
#include "host/io/plain_text.h"
#include "host/route/batch_reader.h"
#include "host/route/counts.h"
#include "host/route/opened_policy.h"
#include "host/route/scoring.h"

namespace tracer {
namespace {

struct LabelCounts {
  int64_t rows = 0, handled = 0, agree = 0;
};

class Evaluator {
 public:
  explicit Evaluator(const EvaluateRequest& request) : request_(request) {}

  Status count(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader);
  void warn(const BatchReader& reader, const Events& events) const;
  Evaluation figures(const LoadedPolicy& loaded) const;

 private:
  std::string text(const LoadedPolicy& loaded, const Evaluation& e) const;
  Json json(const LoadedPolicy& loaded, const Evaluation& e) const;

  const EvaluateRequest& request_;
  ReasonCounts counts_;
  CascadeCounts stages_;
  int64_t agree_ = 0;
  std::vector<LabelCounts> labels_;
  int64_t unknown_labels_ = 0;
};

Status Evaluator::count(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader) {
  const Policy& p = loaded.artifact.policy;
  std::unordered_map<std::string, int32_t> index;
  for (size_t l = 0; l < p.labels.size(); ++l) index[p.labels[l]] = static_cast<int32_t>(l);
  labels_.resize(p.labels.size());
  std::optional<io::OutputStream> errors_out;
  if (!request_.errors.empty()) {
    TRACER_ASSIGN_OR_RETURN(auto out, io::OutputStream::open(request_.errors));
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
      TRACER_RETURN_IF_ERROR(errors_out->write_line(json_line(line)));
    }
    return {};
  };
  TRACER_RETURN_IF_ERROR(score_all(backend, loaded, reader, take));
  if (errors_out) TRACER_RETURN_IF_ERROR(errors_out->close());
  if (counts_.rows() > 0) return {};
  return bad_input(request_.source.traces + (reader.rejects().count() == 0
                                                 ? ": no rows"
                                                 : ": no good row; first bad one, " + reader.rejects().first()));
}

void Evaluator::warn(const BatchReader& reader, const Events& events) const {
  if (reader.rejects().count() > 0)
    events.caution(counted(reader.rejects().count(), "row") + " could not be read; first, " + reader.rejects().first() +
                   "; all of them in " + reader.rejects().path());
  if (unknown_labels_ > 0)
    events.caution(counted(unknown_labels_, "row") + (unknown_labels_ == 1 ? " carries" : " carry") +
                   " a label that the policy was not fitted on; counted as disagreements where handled");
}

Evaluation Evaluator::figures(const LoadedPolicy& loaded) const {
  Evaluation e;
  e.alpha = loaded.certificate.alpha, e.delta = loaded.certificate.delta;
  e.rows = counts_.rows(), e.handled = counts_.handled(), e.agree = agree_, e.unknown_labels = unknown_labels_;
  if (e.rows > 0) e.coverage = static_cast<double>(e.handled) / static_cast<double>(e.rows);
  e.agreement = tracer::agreement(e.agree, e.handled);
  e.agreement_lower = tracer::agreement_lower(e.agree, e.handled, e.delta);
  e.document = {json_text(json(loaded, e)), text(loaded, e)};
  return e;
}

std::string Evaluator::text(const LoadedPolicy& loaded, const Evaluation& e) const {
  std::string text = counted(e.rows, "row") + ", alpha " + number(e.alpha) + ": handled " + std::to_string(e.handled) +
                     (e.coverage ? " (" + percent(*e.coverage) + ")" : "") + ", deferred " +
                     counts_.deferred_text(", ", " and ") + "\nagreement with the teacher on handled rows: " +
                     (e.agreement ? number(*e.agreement) + ", at least " + number(*e.agreement_lower) + " (delta " +
                                        number(e.delta) + ")"
                                  : "none handled") +
                     "\n";
  if (loaded.artifact.policy.text) text += "handled rows: " + stages_.handled_text() + "\n";
  return text;
}

Json Evaluator::json(const LoadedPolicy& loaded, const Evaluation& e) const {
  const Policy& p = loaded.artifact.policy;
  Json labels = Json::array();
  for (size_t l = 0; l < labels_.size(); ++l) {
    const LabelCounts& c = labels_[l];
    if (c.rows == 0 && c.handled == 0) continue;
    labels.push_back({{"label", p.labels[l]},
                      {"n", c.rows},
                      {"n_handled", c.handled},
                      {"n_agree", c.agree},
                      {"teacher_agreement", optional_json(agreement(c.agree, c.handled))},
                      {"teacher_agreement_lower", optional_json(agreement_lower(c.agree, c.handled, e.delta))}});
  }
  Json document = {{"rows", e.rows},
                   {"alpha", e.alpha},
                   {"handled", e.handled},
                   {"coverage", optional_json(e.coverage)},
                   {"teacher_agreement", optional_json(e.agreement)},
                   {"teacher_agreement_lower", optional_json(e.agreement_lower)},
                   {"deferred", counts_.deferred()},
                   {"unknown_labels", unknown_labels_},
                   {"labels", labels}};
  if (p.text) document["stages"] = stages_.json(true);
  return document;
}

}  // namespace

Result<Evaluation> evaluate_policy(const Device& device, const EvaluateRequest& request, const Events& events) {
  const RowSource& rows = request.source;
  TRACER_ASSIGN_OR_RETURN(const std::string vectors, vectors_path(rows));
  TRACER_RETURN_IF_ERROR(check_outputs({{option("errors"), request.errors},
                                        {option("rejects"), rejects_of(rows)},
                                        {option("embed_cache"), rows.embed.cache}},
                                       {{"TRACES", rows.traces}, {option("embeddings"), vectors}},
                                       request.policy.folder));
  TRACER_ASSIGN_OR_RETURN(const LoadedPolicy loaded, load_policy(request.policy, events));
  Backend& backend = DeviceAccess::backend(device);
  TRACER_ASSIGN_OR_RETURN(const VectorSource source, open_vectors(vectors, rows, loaded, backend, events));
  TRACER_ASSIGN_OR_RETURN(BatchReader reader,
                          BatchReader::open(rows, true, !request.errors.empty(), loaded.artifact.policy.dimension,
                                            rejects_of(rows), source, events));
  Evaluator evaluator(request);
  TRACER_RETURN_IF_ERROR(evaluator.count(backend, loaded, reader));
  evaluator.warn(reader, events);
  return evaluator.figures(loaded);
}

}  // namespace tracer
