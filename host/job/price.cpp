#include "host/job/price.h"

#include <string>
#include <unordered_set>

#include "host/io/text_hash.h"
#include "host/job/llm.h"
#include "host/job/rows.h"
#include "host/job/run.h"
#include "host/route/scoring.h"

namespace tracer::job {

Result<JobPrice> price(Backend& backend, const JobRequest& request, const Events& events) {
  TRACER_RETURN_IF_ERROR(check_request(request));
  TRACER_ASSIGN_OR_RETURN(const std::string vectors, vectors_path(request.input));
  TRACER_ASSIGN_OR_RETURN(const LoadedPolicy loaded, load_policy(request.policy, events));
  TRACER_ASSIGN_OR_RETURN(const Llm llm, make_llm(request.llm, loaded.artifact.policy.labels, false, request.batch));
  TRACER_ASSIGN_OR_RETURN(const VectorSource source, open_vectors(vectors, request.input, loaded, backend, events));
  TRACER_ASSIGN_OR_RETURN(BatchReader reader, BatchReader::open(request.input, false, true,
                                                                loaded.artifact.policy.dimension, "", source, events));
  const auto& per_token = llm.dispatch.price;
  const JobRows rows(loaded, request.audit_rate, request.audit_seed.value_or(0), per_token.has_value());
  JobPrice out;
  int64_t bytes = 0;
  llm::Usage most;
  std::unordered_set<uint64_t> texts;
  const llm::Dialect dialect{llm.dispatch.structured, false, true};
  const Status routed = score_all(backend, loaded, reader, [&](ScoredBatch& scored) -> Status {
    for (size_t i = 0; i < scored.batch.rows.size(); ++i, ++out.rows) {
      const auto row = rows.route(scored.batch.rows[i], scored.scores[i], out.rows).deferred;
      if (!row) continue;
      ++out.to_llm;
      if (!texts.insert(io::xxh64(row->input)).second) continue;
      const std::string body = llm.api->body(llm.prompt->messages(row->input), dialect);
      bytes += static_cast<int64_t>(body.size());
      most += llm.api->most_usage(body);
    }
    return {};
  });
  TRACER_RETURN_IF_ERROR(routed);
  // Four bytes a token is the rule of thumb for English; an answer is a label.
  const llm::Usage likely{bytes / 4, static_cast<int64_t>(texts.size()) * 12};
  out.handled = out.rows - out.to_llm;
  out.requests = static_cast<int64_t>(texts.size());
  out.prompt_tokens_about = likely.prompt_tokens;
  out.prompt_tokens_at_most = most.prompt_tokens;
  if (per_token) {
    out.cost_usd_about = llm::dollars(per_token->of(likely));
    out.cost_usd_at_most = llm::dollars(per_token->of(most));
  }
  return out;
}

}  // namespace tracer::job
