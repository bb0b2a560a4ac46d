#include "host/cli/job_report.h"

#include "host/job/cancel.h"
#include "host/job/lines.h"

namespace tracer::cli {

bool is_priced(const Json& config) {
  const auto llm = config.find("llm");
  return llm != config.end() && llm->contains("price") && !llm->at("price").is_null();
}

std::string job_path_of(const std::string& given) {
  const std::string end = ".job";
  const bool named = given.size() > end.size() && given.compare(given.size() - end.size(), end.size(), end) == 0;
  return named ? given : given + end;
}

std::string spent_text(const job::Ledger& l, bool priced) {
  std::string text = counted(l.attempts, "request") + ", " + std::to_string(l.usage.prompt_tokens) + " + " +
                     std::to_string(l.usage.completion_tokens) + " tokens";
  if (priced) text += ", " + job::dollars_text(l.cost) + " USD";
  if (priced && l.unknown > 0)
    text += " (at most " + job::dollars_text(l.most_cost) + " with " + counted(l.unknown, "request") +
            " whose end is not known)";
  return text;
}

Result<Json> job_json(job::Store& store, const job::Ledger& l) {
  TRACER_ASSIGN_OR_RETURN(auto sources, store.sources());
  const bool priced = is_priced(store.config());
  const int64_t asked = l.rows_deferred + l.rows_audited;
  TRACER_ASSIGN_OR_RETURN(auto cancelled, job::is_cancelled(store));
  return Json{{"finished", store.finished()},
              {"cancelled", cancelled},
              {"routed", store.routed()},
              {"sources",
               {{"surrogate", store.routed() - asked + sources.surrogate},
                {"llm", sources.llm},
                {"cache", sources.cache},
                {"error", sources.error}}},
              {"deferred", l.rows_deferred},
              {"audited", l.rows_audited},
              {"asks", {{"all", l.asks}, {"answered", l.answered}, {"failed", l.failed}, {"pending", l.pending}}},
              {"batches", {{"open", l.batches}, {"asks", l.in_batches}}},
              {"requests",
               {{"all", l.attempts},
                {"retries", l.retries},
                {"corrections", l.corrections},
                {"lost", l.lost},
                {"unknown_cost", l.unknown},
                {"in_flight", l.in_flight}}},
              {"usage", {{"prompt_tokens", l.usage.prompt_tokens}, {"completion_tokens", l.usage.completion_tokens}}},
              {"cost_usd", priced ? Json(llm::dollars(l.cost)) : Json()},
              {"cost_usd_at_most", priced ? Json(llm::dollars(l.most_cost)) : Json()}};
}

}  // namespace tracer::cli
