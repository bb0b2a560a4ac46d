// What a fit came to, in the ten lines that matter.
#pragma once

#include <string>

#include "engine/fit.h"
#include "host/artifact/artifact.h"
#include "host/io/traces.h"

namespace tracer {

inline constexpr int64_t kSummaryRows = 4000;  // certify rows that are explained: of more a sample

// The explanation (sections_json) of result.kept at the target asked for; null where the policy has nothing to
// explain. Same figures as `tracer explain` where all certify rows were kept. Takes result.kept_x.
Result<Json> explain_fit(Backend& backend, FitResult& result, const io::TraceFile& file);

// explanation: as above. folder: where the policy is. refusal: why the ledger voided the look; "": it did not.
std::string fit_summary(const FitResult& result, const io::TraceFile& file, const Json& explanation,
                        const std::string& folder, const std::string& refusal);

}  // namespace tracer
