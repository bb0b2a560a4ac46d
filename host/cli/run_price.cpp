#include "host/cli/run_price.h"

#include <unordered_set>

#include "host/artifact/frontier_text.h"
#include "host/io/text_hash.h"

namespace tracer::cli {

int price_job(const Console& console, Backend& backend, const LoadedPolicy& loaded, BatchReader& reader,
              const JobRows& rows, const Llm& llm) {
  int64_t at = 0, asked = 0, bytes = 0;
  llm::Usage most;
  std::unordered_set<uint64_t> texts;
  const llm::Dialect dialect{llm.dispatch.structured, false, true};
  const Status routed = score_all(backend, loaded, reader, [&](ScoredBatch& scored) -> Status {
    for (size_t i = 0; i < scored.batch.rows.size(); ++i, ++at) {
      const auto row = rows.route(scored.batch.rows[i], scored.scores[i], at).deferred;
      if (!row) continue;
      ++asked;
      if (!texts.insert(io::xxh64(row->input)).second) continue;
      const std::string body = llm.api->body(llm.prompt->messages(row->input), dialect);
      bytes += static_cast<int64_t>(body.size());
      most += llm.api->most_usage(body);
    }
    return {};
  });
  if (!routed.ok()) return fail(console, routed);
  const auto& price = llm.dispatch.price;
  // Four bytes a token is the rule of thumb for English; an answer is a label.
  const llm::Usage likely{bytes / 4, static_cast<int64_t>(texts.size()) * 12};
  const Json document = {{"rows", at},
                         {"handled", at - asked},
                         {"to_llm", asked},
                         {"requests", texts.size()},
                         {"prompt_tokens_about", likely.prompt_tokens},
                         {"prompt_tokens_at_most", most.prompt_tokens},
                         {"cost_usd_about", price ? Json(llm::dollars(price->of(likely))) : Json()},
                         {"cost_usd_at_most", price ? Json(llm::dollars(price->of(most))) : Json()}};
  std::string text = counted(at, "row") + ": " + std::to_string(at - asked) + " handled, " + std::to_string(asked) +
                     " to the LLM in " + counted(static_cast<int64_t>(texts.size()), "request") + ", about " +
                     std::to_string(likely.prompt_tokens) + " tokens of input";
  if (price)
    text += "; about " + number(llm::dollars(price->of(likely))) + " USD, at most " +
            number(llm::dollars(price->of(most))) + " without retries and corrections";
  if (console.json) return console.print_json(document, kExitOk);
  return console.print(text + "\n") ? kExitOk : kExitRuntime;
}

}  // namespace tracer::cli
