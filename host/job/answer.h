// From the body of a 200 to what becomes of an ask.
#pragma once

#include <optional>
#include <string_view>

#include "host/job/store.h"
#include "host/llm/chat_api.h"
#include "host/llm/prices.h"

namespace tracer::job {

// Sets the outcome, usage and cost of `end`, and its result: a label; nothing yet, with bad_answer, for a first answer
// that is no label; a failure for a second one (`asked_again`). Neither a result nor a bad_answer: the body is no
// answer of a model. most_cost: what an answer without usage is taken to have cost.
void take_answer(const llm::ChatApi& api, std::string_view body, bool asked_again,
                 const std::optional<llm::Price>& price, int64_t most_cost, AttemptEnd& end);

}  // namespace tracer::job
