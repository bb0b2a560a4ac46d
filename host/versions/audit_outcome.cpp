#include "host/versions/audit_outcome.h"

#include <cmath>

#include "engine/prove/figures.h"
#include "host/artifact/frontier_text.h"
#include "host/io/json_fields.h"
#include "host/io/plain_text.h"

namespace tracer {

Result<ChallengerOutcome> challenger_outcome(const Policy& challenger, const std::vector<AuditPlan>& plans,
                                             const std::vector<AuditRow>& rows, const std::string& where) {
  const std::vector<Certificate>& frozen = challenger.certificates;
  const Certificate* asked = challenger.certificate(challenger.alpha);
  bool fit = asked != nullptr && frozen.size() == plans.size();
  for (size_t i = 0; fit && i < plans.size(); ++i) fit = std::abs(frozen[i].alpha - plans[i].alpha) < 1e-9;
  if (!fit) return bad_input(where + ": damaged: expected a plan for each certificate of the version that waits");
  ChallengerOutcome out;
  out.asked = static_cast<size_t>(asked - frozen.data());
  for (size_t i = 0; i < plans.size(); ++i)
    out.alphas.push_back(certify_on_audit(challenger, frozen[i], plans[i], rows));
  return out;
}

Json outcome_json(const AuditOutcome& outcome) {
  const Certificate& c = outcome.certificate;
  const AuditPlan& plan = outcome.wager.plan();
  const int64_t passed = outcome.wager.passed(), thresholds = static_cast<int64_t>(plan.threshold.size());
  Json j = {{"alpha", c.alpha},
            {"level", plan.level},
            {"thresholds", thresholds},
            {"passed", passed},
            {"certified", c.certified},
            {"threshold", c.certified ? Json(c.threshold) : Json(nullptr)},
            {"n_handled", c.n_handled},
            {"n_agree", c.n_agree},
            {"coverage", optional_json(coverage(c))},
            {"log_wager", nullptr},
            {"log_wager_needed", -std::log(plan.level)}};
  if (passed < thresholds) j["log_wager"] = outcome.wager.state()[static_cast<size_t>(passed)].best;
  return j;
}

std::string other_alphas(const ChallengerOutcome& outcome, const Policy& champion) {
  std::string yes, no, lost;
  for (size_t i = 0; i < outcome.alphas.size(); ++i) {
    const Certificate& c = outcome.alphas[i].certificate;
    if (i == outcome.asked) continue;
    const Certificate* before = champion.certificate(c.alpha);
    std::string& list = c.certified ? yes : before != nullptr && before->certified ? lost : no;
    list += (list.empty() ? "" : ", ") + number(c.alpha);
  }
  std::string text;
  const auto add = [&](const std::string& start, const std::string& list, const std::string& end) {
    if (!list.empty()) text += (text.empty() ? "" : "; ") + start + list + end;
  };
  add("certified at ", yes, " too");
  add("not at ", no, "");
  add("no longer at ", lost, "");
  return text;
}

}  // namespace tracer
