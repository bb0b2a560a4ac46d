#include <cmath>

#include "engine/prove/figures.h"
#include "host/artifact/artifact.h"
#include "host/io/json_fields.h"

namespace tracer {
namespace {

Json estimate_json(const RefusalEstimate& e) {
  return {{"best_alpha", optional_json(e.best_alpha)},
          {"fewest_handled", e.fewest_handled},
          {"traces_missing", optional_json(e.traces_missing)}};
}

}  // namespace

Json frontier_entry(const Certificate& c) {
  Json j;
  j["alpha"] = c.alpha;
  j["certified"] = c.certified;
  j["method"] = to_string(c.method);
  j["coverage"] = optional_json(coverage(c));
  j["teacher_agreement"] = optional_json(c.certified ? agreement(c.n_agree, c.n_handled) : std::nullopt);
  j["teacher_agreement_lower"] = optional_json(agreement_lower(c));
  j["threshold"] = c.certified ? Json(c.threshold) : Json(nullptr);
  if (c.approximate) j["approximate"] = true;
  if (c.text_threshold < 1) j["text_stage_share"] = optional_json(agreement(c.text_handled, c.n_handled));
  if (!c.certified) {
    j["reason"] = c.reason;
    j["estimate"] = estimate_json(c.estimate);
  }
  return j;
}

Json certificate_json(const Certificate& c, const Policy& policy) {
  Json j;
  j["alpha"] = c.alpha;
  j["delta"] = c.delta;
  j["certified"] = c.certified;
  j["approximate"] = c.approximate;
  j["method"] = to_string(c.method);
  j["unit"] = to_string(c.unit);
  j["reason"] = c.reason;
  j["threshold"] = c.threshold;
  j["n_learn"] = c.n_learn;
  j["n_certify"] = c.n_certify;
  j["n_units"] = c.n_units;
  j["unit_rows"] = c.unit_rows;
  j["n_handled"] = c.n_handled;
  j["n_agree"] = c.n_agree;
  j["coverage"] = optional_json(coverage(c));
  const auto interval = coverage_interval(c);
  j["coverage_interval_95"] = interval ? Json{interval->low, interval->high} : Json(nullptr);
  j["teacher_agreement"] = optional_json(c.certified ? agreement(c.n_agree, c.n_handled) : std::nullopt);
  j["teacher_agreement_lower"] = optional_json(agreement_lower(c));
  j["chain_tested"] = c.tested;
  j["expected_coverage"] = c.expected_coverage;
  j["unseen_texts"] = {
      {"n_handled", c.unseen_handled},
      {"n_agree", c.unseen_agree},
      {"teacher_agreement", optional_json(agreement(c.unseen_agree, c.unseen_handled))},
      {"teacher_agreement_lower", optional_json(agreement_lower(c.unseen_agree, c.unseen_handled, c.delta))}};
  if (policy.text)
    j["text_stage"] = {{"threshold", c.text_threshold}, {"n_handled", c.text_handled}, {"n_agree", c.text_agree}};
  j["labels"] = Json::array();
  for (const LabelFigures& f : c.labels)
    j["labels"].push_back({{"label", policy.labels[f.label]},
                           {"index", f.label},
                           {"n", f.rows},
                           {"n_handled", f.handled},
                           {"n_agree", f.agree},
                           {"teacher_agreement", optional_json(agreement(f.agree, f.handled))},
                           {"teacher_agreement_lower", optional_json(agreement_lower(f.agree, f.handled, c.delta))}});
  if (policy.label_floor > 0) {
    j["below_label_floor"] = Json::array();
    for (const FlooredLabel& f : c.floored)
      j["below_label_floor"].push_back(
          {{"label", policy.labels[f.label]},
           {"index", f.label},
           {"n_handled", f.handled},
           {"n_agree", f.agree},
           {"teacher_agreement", optional_json(agreement(f.agree, f.handled))},
           {"teacher_agreement_lower", optional_json(agreement_lower(f.agree, f.handled, policy.delta))}});
  }
  j["estimate"] = c.certified ? Json(nullptr) : estimate_json(c.estimate);
  return j;
}

Result<Certificate> parse_certificate(const Json& json, int64_t labels) {
  Certificate c;
  JsonFields f(json, "certificate.json: certificate");
  f.number("alpha", c.alpha, 0, 1);
  f.number("delta", c.delta, 0, 1);
  f.boolean("certified", c.certified);
  f.boolean("approximate", c.approximate);
  f.word("method", kMethodNames, c.method);
  f.word("unit", kProofUnitNames, c.unit);
  f.text("reason", c.reason);
  f.number("threshold", c.threshold, 0, 1);
  f.count("n_learn", c.n_learn);
  f.count("n_certify", c.n_certify);
  f.count("n_units", c.n_units);
  f.count("unit_rows", c.unit_rows);
  f.count("n_handled", c.n_handled, c.n_certify);
  f.count("n_agree", c.n_agree, c.n_handled);
  f.count("chain_tested", c.tested);
  f.number("expected_coverage", c.expected_coverage, 0, 1);
  const Json& unseen_texts = f.object("unseen_texts");
  const Json& label_entries = f.array("labels");
  TRACER_RETURN_IF_ERROR(f.status());
  JsonFields unseen(unseen_texts, "certificate.json: unseen_texts");
  unseen.count("n_handled", c.unseen_handled, c.n_handled);
  unseen.count("n_agree", c.unseen_agree, c.unseen_handled);
  TRACER_RETURN_IF_ERROR(unseen.status());
  if (json.contains("text_stage")) {
    const Json& text_stage = f.object("text_stage");
    TRACER_RETURN_IF_ERROR(f.status());
    JsonFields t(text_stage, "certificate.json: text_stage");
    t.number("threshold", c.text_threshold, 0, 1);
    t.count("n_handled", c.text_handled, c.n_handled);
    t.count("n_agree", c.text_agree, c.text_handled);
    TRACER_RETURN_IF_ERROR(t.status());
  }
  for (const Json& entry : label_entries) {
    LabelFigures figures;
    JsonFields g(entry, "certificate.json: labels");
    int64_t index = 0;
    g.count("index", index, labels - 1);
    g.count("n", figures.rows);
    g.count("n_handled", figures.handled);
    g.count("n_agree", figures.agree, figures.handled);
    TRACER_RETURN_IF_ERROR(g.status());
    figures.label = static_cast<int32_t>(index);
    c.labels.push_back(figures);
  }
  if (json.contains("below_label_floor")) {
    const Json& below = f.array("below_label_floor");
    TRACER_RETURN_IF_ERROR(f.status());
    for (const Json& entry : below) {
      FlooredLabel label;
      JsonFields g(entry, "certificate.json: below_label_floor");
      int64_t index = 0;
      g.count("index", index, labels - 1);
      g.count("n_handled", label.handled);
      g.count("n_agree", label.agree, label.handled);
      TRACER_RETURN_IF_ERROR(g.status());
      label.label = static_cast<int32_t>(index);
      if (!c.floored.empty() && label.label <= c.floored.back().label)
        return bad_input("certificate.json: below_label_floor: \"index\": expected ascending labels, found " +
                         std::to_string(index) + " after " + std::to_string(c.floored.back().label));
      c.floored.push_back(label);
    }
  }
  if (!c.certified) {
    const Json& estimate = f.object("estimate");
    TRACER_RETURN_IF_ERROR(f.status());
    JsonFields e(estimate, "certificate.json: estimate");
    e.optional_number("best_alpha", c.estimate.best_alpha);
    e.count("fewest_handled", c.estimate.fewest_handled);
    e.optional_count("traces_missing", c.estimate.traces_missing);
    TRACER_RETURN_IF_ERROR(e.status());
  }
  return c;
}

}  // namespace tracer
