// The live alarm: whether the policy in place still agrees with the teacher, on audited rows.
#pragma once

#include <cstdint>
#include <string>

#include "engine/prove/audit_bounds.h"
#include "host/versions/kept_files.h"

namespace tracer {

struct AuditFigures {
  double alpha = 0, delta = 0;
  AuditBounds bounds;      // of the handled audit rows, in order of arrival
  int64_t audited = 0;     // audit rows that the policy answered or left to the teacher, each once
  int64_t unanswered = 0;  // audit rows among them without a usable answer
  int64_t biased = 0;      // rows that are left out since they are no audit rows
  int64_t of_others = 0;   // rows that are left out since another policy ran
};

// rows: all audit rows since the policy was put in place, in order of arrival. delta: the chance of ever a false alarm.
// kBadInput names the row whose score is not finite.
Result<AuditFigures> watch_agreement(Backend& backend, const LoadedPolicy& loaded, const ReadRows& read, double delta);

// Format: docs/updating.md.
Json audit_json(const AuditFigures& figures);
std::string audit_text(const AuditFigures& figures);

}  // namespace tracer
