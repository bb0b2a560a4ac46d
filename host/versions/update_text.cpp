// What an update came to, as JSON and in words.
#include "engine/maths/percent.h"
#include "engine/prove/figures.h"
#include "host/io/json_fields.h"
#include "host/io/plain_text.h"
#include "host/versions/change_text.h"
#include "host/versions/update.h"

namespace tracer {
namespace {

Json challenger_json(const Judgement& j) {
  Json out = {{"version", j.version.number},
              {"number", j.version.challenger},
              {"audit_rows", j.audited},
              {"patience", j.patience},
              {"champion_coverage", optional_json(agreement(j.change.handled[0], j.change.rows))}};
  out.update(outcome_json(j.outcome.decisive()));
  out["certificates"] = Json::array();
  for (const AuditOutcome& alpha : j.outcome.alphas) out["certificates"].push_back(outcome_json(alpha));
  return out;
}

Json next_json(const NextChallenger& next) {
  return {{"version", next.version},  {"number", next.number},         {"level", next.level},
          {"rows", next.rows},        {"thresholds", next.thresholds}, {"expected_coverage", next.expected_coverage},
          {"patience", next.patience}};
}

std::string judgement_text(const Judgement& j) {
  const Certificate& c = j.outcome.decisive().certificate;
  std::string text =
      "version " + std::to_string(j.version.number) + " (challenger " + std::to_string(j.version.challenger) +
      ", tested at " + number(j.version.level) + ") on " + counted(j.audited, "audit row") + ": " +
      (c.certified ? "certified, handles " + percent(*coverage(c)) : "not certified yet") + "; the champion handles " +
      (j.change.rows > 0 ? percent(static_cast<double>(j.change.handled[0]) / static_cast<double>(j.change.rows))
                         : "-") +
      " of them\n";
  switch (j.decision) {
    case UpdateDecision::kDeployed:
      if (!j.other_alphas.empty()) text += j.other_alphas + "\n";
      return text + "deployed; what changed for each label and region is in " + j.change_file + "\n" +
             moved_regions(j.change, j.names);
    case UpdateDecision::kDropped:
      return text + "dropped; the champion stays\n";
    default:
      return text + "the champion stays, and the challenger waits for more audit rows\n";
  }
}

}  // namespace

Json update_json(const UpdateOutcome& o) {
  const TakenIn& taken = o.rows.taken;
  Json labels = Json::array();
  for (const auto& [label, n] : o.rows.new_labels) labels.push_back({{"label", label}, {"n", n}});
  return {{"decision", to_string(o.decision())},
          {"champion", o.champion},
          {"policy", o.policy},
          {"rows",
           {{"new", taken.rows},
            {"audit", taken.audit},
            {"unanswered", taken.unanswered},
            {"deferred", taken.deferred},
            {"known", taken.known}}},
          {"new_labels", std::move(labels)},
          {"challenger", o.judgement ? challenger_json(*o.judgement) : Json(nullptr)},
          {"change", o.judgement ? change_json(o.judgement->change, o.judgement->names) : Json(nullptr)},
          {"next", o.next ? next_json(*o.next) : Json(nullptr)}};
}

std::string update_text(const UpdateOutcome& o) {
  const TakenIn& taken = o.rows.taken;
  std::string text = "took in " + counted(taken.rows, "row") + ": " + std::to_string(taken.audit) + " audited (" +
                     std::to_string(taken.unanswered) + " without a usable answer), " + std::to_string(taken.deferred) +
                     " deferred; " + std::to_string(taken.known) + " known already\n";
  for (const auto& [label, n] : o.rows.new_labels)
    text += "new label: " + shown(label) + " (" + counted(n, "row") + ")\n";
  if (o.judgement) text += judgement_text(*o.judgement);
  if (o.next)
    text += "version " + std::to_string(o.next->version) + " frozen on " + counted(o.next->rows, "row") +
            "; audit rows that arrive from now on are scored with it\n";
  return text;
}

}  // namespace tracer
