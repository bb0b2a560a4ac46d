// What a job has come to, for people and for programs.
#pragma once

#include <string>

#include "host/cli/command.h"
#include "host/job/store.h"

namespace tracer::cli {

// Rows by source, asks, attempts, tokens, cost; null where not known. ledger: the store's.
Result<Json> job_json(job::Store& store, const job::Ledger& ledger);

// "12 requests, 1,204 + 96 tokens, 0.00042 USD".
std::string spent_text(const job::Ledger& ledger, bool priced);

bool is_priced(const Json& config);

// The .job file of a run, by that name or its output's.
std::string job_path_of(const std::string& given);

}  // namespace tracer::cli
