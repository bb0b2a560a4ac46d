#include "host/job/answer.h"

#include <algorithm>

namespace tracer::job {

void take_answer(const llm::ChatApi& api, std::string_view body, bool asked_again,
                 const std::optional<llm::Price>& price, int64_t most_cost, AttemptEnd& end) {
  auto answer = llm::parse_chat_answer(api.options().api, body);
  if (!answer.ok()) {
    end.outcome = answer.status().message();
    end.unknown = true;
    return;
  }
  if (answer->has_usage) {
    end.usage = answer->usage;
    end.cost = price ? price->of(answer->usage) : 0;
  } else {
    end.cost = most_cost;
  }
  const int32_t label = llm::parse_label(answer->text, api.options().labels);
  if (label >= 0) {
    end.outcome = "answered";
    end.result = AskResult{AskState::kAnswered, label, "", {}, 0};
    return;
  }
  end.outcome = "unparsed";
  if (asked_again) {
    end.result = AskResult{AskState::kFailed, -1, "unparsed: the answer is none of the labels, twice", {}, 0};
    return;
  }
  constexpr size_t kLongest = 2000;
  size_t length = std::min(answer->text.size(), kLongest);
  // No half of a character: what follows the cut must begin one.
  while (length > 0 && length < answer->text.size() &&
         (static_cast<unsigned char>(answer->text[length]) & 0xc0) == 0x80)
    --length;
  end.bad_answer = answer->text.substr(0, length);
}

}  // namespace tracer::job
