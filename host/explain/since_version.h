// The earlier policy that `tracer explain` compares with.
#pragma once

#include "host/explain/since.h"
#include "host/explain/unseen_rows.h"

namespace tracer {

// since_json() against source.since, else against the version that was in place before this one where `tracer update`
// keeps versions beside the policy; null where there is none. An earlier version that cannot be compared is warned of;
// of a folder that was named, it is an error.
Result<Json> explain_since(Backend& backend, const ExplainSource& source, const LoadedPolicy& loaded,
                           const UnseenRows& unseen, const ExplainedRows& e, const Events& events);

// The section in words; "" for null.
std::string since_text(const Json& since);

}  // namespace tracer
