#include "host/job/report.h"

#include "host/io/json_fields.h"
#include "host/io/json_format.h"
#include "host/io/plain_text.h"
#include "host/job/cancel.h"
#include "host/job/lines.h"

namespace tracer::job {
namespace {

using Json = nlohmann::ordered_json;

Json usd(const std::optional<int64_t>& picodollars) {
  return picodollars ? Json(llm::dollars(*picodollars)) : Json(nullptr);
}

Json figures_json(const JobFigures& f) {
  return {{"finished", f.finished},
          {"cancelled", f.cancelled},
          {"routed", f.routed},
          {"sources",
           {{"surrogate", f.by_surrogate}, {"llm", f.by_llm}, {"cache", f.by_cache}, {"error", f.without_answer}}},
          {"deferred", f.deferred},
          {"audited", f.audited},
          {"asks", {{"all", f.asks}, {"answered", f.answered}, {"failed", f.failed}, {"pending", f.pending}}},
          {"batches", {{"open", f.batches}, {"asks", f.in_batches}}},
          {"requests",
           {{"all", f.requests},
            {"retries", f.retries},
            {"corrections", f.corrections},
            {"lost", f.lost},
            {"unknown_cost", f.unknown_cost},
            {"in_flight", f.in_flight}}},
          {"usage", {{"prompt_tokens", f.prompt_tokens}, {"completion_tokens", f.completion_tokens}}},
          {"cost_usd", usd(f.cost)},
          {"cost_usd_at_most", usd(f.most_cost)}};
}

std::string text(int64_t n) { return std::to_string(n); }

}  // namespace

Result<JobFigures> figures_of(Store& store) {
  TRACER_ASSIGN_OR_RETURN(const Ledger l, store.ledger());
  TRACER_ASSIGN_OR_RETURN(const auto sources, store.sources());
  JobFigures f;
  TRACER_ASSIGN_OR_RETURN(f.cancelled, is_cancelled(store));
  f.finished = store.finished();
  f.routed = store.routed();
  f.by_surrogate = store.routed() - l.rows_deferred - l.rows_audited + sources.surrogate;
  f.by_llm = sources.llm, f.by_cache = sources.cache, f.without_answer = sources.error;
  f.deferred = l.rows_deferred, f.audited = l.rows_audited;
  f.asks = l.asks, f.answered = l.answered, f.failed = l.failed, f.pending = l.pending;
  f.batches = l.batches, f.in_batches = l.in_batches;
  f.requests = l.attempts, f.retries = l.retries, f.corrections = l.corrections, f.lost = l.lost;
  f.in_flight = l.in_flight, f.unknown_cost = l.unknown;
  f.prompt_tokens = l.usage.prompt_tokens, f.completion_tokens = l.usage.completion_tokens;
  if (is_priced(store.config())) f.cost = l.cost, f.most_cost = l.most_cost;
  return f;
}

std::string spent_text(const JobFigures& f) {
  std::string out =
      counted(f.requests, "request") + ", " + text(f.prompt_tokens) + " + " + text(f.completion_tokens) + " tokens";
  if (!f.cost) return out;
  out += ", " + dollars_text(*f.cost) + " USD";
  if (f.unknown_cost > 0)
    out += " (at most " + dollars_text(f.most_cost.value_or(*f.cost)) + " with " + counted(f.unknown_cost, "request") +
           " whose end is not known)";
  return out;
}

std::string json_of(const JobFigures& f) { return json_text(figures_json(f)); }

std::string text_of(const JobFigures& f) {
  std::string out = std::string(f.cancelled  ? "cancelled"
                                : f.finished ? "finished"
                                             : "not finished") +
                    ": " + counted(f.routed, "row") + " routed, " + text(f.deferred) + " deferred, " + text(f.audited) +
                    " audited\n";
  out += counted(f.asks, "text") + " for the LLM: " + text(f.answered) + " answered, " + text(f.failed) + " failed, " +
         text(f.pending) + " to ask";
  if (f.batches > 0) out += ", " + text(f.in_batches) + " of them in " + counted(f.batches, "batch") + " at the server";
  out += "\n";
  out += spent_text(f) + "; " + text(f.retries) + " retries, " + text(f.corrections) + " corrections, " + text(f.lost) +
         " lost in a crash\n";
  return out + "lines: " + text(f.by_surrogate) + " surrogate, " + text(f.by_llm) + " llm, " + text(f.by_cache) +
         " cache, " + text(f.without_answer) + " without an answer\n";
}

std::string json_of(const JobEnd& end) {
  Json warnings = Json::array();
  for (const std::string& warning : end.warnings) warnings.push_back(as_flags(warning));
  Json document = {{"policy", end.policy},
                   {"alpha", end.alpha},
                   {"threshold", end.threshold},
                   {"stopped", end.stopped.empty() ? Json(nullptr) : Json(as_flags(end.stopped))}};
  document.update(figures_json(end.figures));
  document["bad_rows"] = end.bad_rows;
  document["warnings"] = std::move(warnings);
  return json_text(document);
}

std::string text_of(const JobEnd& end) {
  const JobFigures& f = end.figures;
  return counted(f.routed, "row") + ": " + text(f.by_surrogate) + " by the surrogate, " + text(f.by_llm) +
         " by the LLM, " + text(f.by_cache) + " as an equal text before, " + text(f.without_answer) +
         " without an answer; " + spent_text(f) + "\n";
}

std::string json_of(const JobPrice& p) {
  return json_text({{"rows", p.rows},
                    {"handled", p.handled},
                    {"to_llm", p.to_llm},
                    {"requests", p.requests},
                    {"prompt_tokens_about", p.prompt_tokens_about},
                    {"prompt_tokens_at_most", p.prompt_tokens_at_most},
                    {"cost_usd_about", optional_json(p.cost_usd_about)},
                    {"cost_usd_at_most", optional_json(p.cost_usd_at_most)}});
}

std::string text_of(const JobPrice& p) {
  std::string out = counted(p.rows, "row") + ": " + text(p.handled) + " handled, " + text(p.to_llm) +
                    " to the LLM in " + counted(p.requests, "request") + ", about " + text(p.prompt_tokens_about) +
                    " tokens of input";
  if (p.cost_usd_about && p.cost_usd_at_most)
    out += "; about " + number(*p.cost_usd_about) + " USD, at most " + number(*p.cost_usd_at_most) +
           " without retries and corrections";
  return out + "\n";
}

std::string json_of(const JobTraces& t) {
  return json_text({{"traces", t.traces}, {"without_answer", t.without_answer}});
}

std::string text_of(const JobTraces& t) {
  return counted(t.traces, "trace") +
         (t.without_answer > 0 ? ", " + counted(t.without_answer, "row") + " without an answer" : "") + "\n";
}

std::string json_of(const JobRest& r) {
  return json_text({{"prefix_rows", r.prefix_rows},
                    {"prefix_bytes", r.prefix_bytes},
                    {"lines", r.lines},
                    {"without_answer", r.without_answer}});
}

std::string text_of(const JobRest& r) {
  return counted(r.lines, "line") + ", to follow the first " + text(r.prefix_rows) + " (" +
         counted(r.prefix_bytes, "byte") + ") of " + shown(r.output) + "; " + counted(r.without_answer, "row") +
         " without an answer left out\n";
}

std::string json_of(const JobCancelled& c) {
  return json_text({{"cancelled", true},
                    {"not_asked", c.not_asked},
                    {"batches_ended", c.batches_ended},
                    {"answered_in_them", c.answered_in_them}});
}

std::string text_of(const JobCancelled& c) {
  std::string out = "cancelled: " + counted(c.not_asked, "text") + " not answered";
  if (c.batches_ended > 0)
    out += ", " + counted(c.batches_ended, "batch") + " ended with " + text(c.answered_in_them) + " answers";
  return out + as_flags("; `tracer run ... " + option("resume") + "` writes the lines, with " + option("retry_errors") +
                        " it takes the job up again\n");
}

std::string json_of(const JobBatchFiles& f) { return json_text({{"requests", f.requests}, {"files", f.files}}); }

std::string text_of(const JobBatchFiles& f) {
  std::string out = counted(f.requests, "request");
  for (const std::string& file : f.files) out += "\n" + file;
  return out + "\n";
}

std::string json_of(const JobBatchAnswers& a) {
  return json_text({{"lines", a.lines},
                    {"answered", a.answered},
                    {"unparsed", a.unparsed},
                    {"failed", a.failed},
                    {"again", a.again},
                    {"settled_before", a.settled_before}});
}

std::string text_of(const JobBatchAnswers& a) {
  return counted(a.lines, "line") + ": " + text(a.answered) + " answered, " + text(a.failed) + " failed for good, " +
         text(a.unparsed + a.again) + " to ask again, " + text(a.settled_before) +
         as_flags(" settled before; `tracer run ... " + option("resume") + "` writes the output\n");
}

}  // namespace tracer::job
