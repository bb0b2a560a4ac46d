// What jobs have come to, for programs (json_of: one JSON document, a line break at its end) and for people (text_of:
// lines for a terminal).
#pragma once

#include <string>

#include "host/job/results.h"
#include "host/job/store.h"
#include "kernels/status.h"

namespace tracer::job {

inline bool is_priced(const JobConfig& config) { return config.llm.price.has_value(); }

Result<JobFigures> figures_of(Store& store);

// "12 requests, 1204 + 96 tokens, 0.00042 USD".
std::string spent_text(const JobFigures& figures);

std::string json_of(const JobFigures& figures);
std::string text_of(const JobFigures& figures);
std::string json_of(const JobEnd& end);
std::string text_of(const JobEnd& end);
std::string json_of(const JobPrice& price);
std::string text_of(const JobPrice& price);
std::string json_of(const JobTraces& traces);
std::string text_of(const JobTraces& traces);
std::string json_of(const JobRest& rest);
std::string text_of(const JobRest& rest);
std::string json_of(const JobCancelled& cancelled);
std::string text_of(const JobCancelled& cancelled);
std::string json_of(const JobBatchFiles& files);
std::string text_of(const JobBatchFiles& files);
std::string json_of(const JobBatchAnswers& answers);
std::string text_of(const JobBatchAnswers& answers);

}  // namespace tracer::job
