#include "host/explain/fit_summary.h"

#include <algorithm>

#include "engine/maths/percent.h"
#include "engine/prove/figures.h"
#include "host/artifact/frontier_text.h"
#include "host/explain/explained_rows.h"
#include "host/explain/text.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

constexpr size_t kReasons = 3;

std::string verdict(const Certificate& c, const std::string& refusal) {
  const std::string at = " at " + number(c.alpha) + ": ";
  if (!c.certified) return "refused" + at + c.reason + (refusal.empty() ? "; " + refusal_estimate(c) : "");
  return "certified" + at + percent(*coverage(c)) + " of the traffic handled, agreement with the teacher at least " +
         number(c.alpha) + " (delta " + number(c.delta) + "); " + number(*agreement(c.n_agree, c.n_handled)) + " of " +
         std::to_string(c.n_handled) + " handled certify rows, bound " + number(*agreement_lower(c)) +
         (c.text_threshold < 1 ? "; " + percent(*agreement(c.text_handled, c.n_handled)) +
                                     " of the handled rows answered from the text alone"
                               : "");
}

std::string deferred_text(const Json& e, const FitResult& result) {
  const int64_t n = e["n"].get<int64_t>(), deferred = n - e["n_handled"].get<int64_t>();
  const bool sample = n < static_cast<int64_t>(result.split.certify.size());
  std::string text = "deferred: " + std::to_string(deferred) + " of " + (sample ? "a sample of " : "") +
                     counted(n, "certify row") + " (" +
                     percent(static_cast<double>(deferred) / static_cast<double>(n)) + ")";
  const std::vector<const Json*> reasons = reasons_by_rows(e);
  for (size_t i = 0; i < std::min(reasons.size(), kReasons); ++i)
    text += (i == 0 ? ": " : ", ") + (*reasons[i])["text"].get<std::string>() + " " +
            percent((*reasons[i])["share"].get<double>());
  text += "\n";
  if (!reasons.empty()) text += "would help: " + (*reasons[0])["help"].get<std::string>() + "\n";
  return text;
}

std::string next_step(const FitResult& result, const Certificate& asked, const std::string& folder,
                      const std::string& refusal) {
  if (!refusal.empty())
    return "next: certify on fresh traces, or plan the looks with " + as_flags(option("looks")) +
           " from the first fit on\n";
  if (asked.certified)
    return "next: `tracer report " + folder + " " + as_flags(option("html")) + " FILE` shows why, `tracer evaluate " +
           folder + " FRESH` checks it on other rows, `tracer route " + folder + " IN -o OUT` uses it\n";
  if (result.policy.stages.empty()) return "next: gather more traces\n";
  const auto other = std::find_if(result.policy.certificates.rbegin(), result.policy.certificates.rend(),
                                  [](const Certificate& c) { return c.certified; });
  const std::string why = "`tracer report " + folder + " " + as_flags(option("html")) + " FILE` shows why";
  if (other == result.policy.certificates.rend()) return "next: " + why + "\n";
  return "next: " + why + "; certified at " + number(other->alpha) + ": " + percent(*coverage(*other)) +
         " handled with " + as_flags(option("alpha")) + " " + number(other->alpha) + "\n";
}

}  // namespace

Result<Json> explain_fit(Backend& backend, FitResult& result, const io::TraceFile& file) {
  const Certificate* asked = result.policy.certificate(result.policy.alpha);
  if (result.policy.stages.empty() || result.kept.empty()) return Json(nullptr);
  ExplainedRows e;
  e.policy = &result.policy, e.certificate = asked;
  e.x = std::move(result.kept_x);
  std::vector<int32_t> teacher;
  for (const int32_t row : result.kept) {
    const auto at = static_cast<size_t>(row);
    teacher.push_back(file.traces.label[at]);
    e.names.line.push_back(file.traces.line[at]);
    if (!file.traces.id.empty()) e.names.id.push_back(file.traces.id[at]);
    if (!file.input.empty()) e.names.input.push_back(file.input[at]);
  }
  TRACER_RETURN_IF_ERROR(explain(backend, teacher, e));
  return sections_json(e);
}

std::string fit_summary(const FitResult& result, const io::TraceFile& file, const Json& explanation,
                        const std::string& folder, const std::string& refusal) {
  const Certificate& asked = *result.policy.certificate(result.policy.alpha);
  std::string text = counted(file.traces.rows(), "trace") + ", " +
                     counted(static_cast<int64_t>(file.traces.labels.size()), "label") + "; split by " +
                     to_string(result.split.kind) + ": " + std::to_string(result.split.learn.size()) +
                     " to learn from, " + std::to_string(result.split.certify.size()) + " to certify on\n";
  text += verdict(asked, refusal) + "\n";
  if (explanation.is_object()) {
    text += deferred_text(explanation, result);
    text += weakest_labels(explanation["labels"]);
    if (explanation["n_handled"].get<int64_t>() > 0) text += least_region(explanation["regions"]);
    text += first_suspect(explanation["suspects"]);
  }
  text += refusal.empty() ? "policy in " + shown(folder) + "\n" : "the earlier policy in " + shown(folder) + " stays\n";
  return text + next_step(result, asked, shown(folder), refusal);
}

}  // namespace tracer
