#include "host/versions/audit.h"

#include <set>

#include "engine/prove/figures.h"
#include "host/io/json_fields.h"
#include "host/io/plain_text.h"
#include "host/versions/change_text.h"
#include "host/versions/changes.h"

namespace tracer {
namespace {

std::optional<double> share_agreed(const AuditBounds& bounds) {
  return agreement(bounds.rows() - bounds.disagreements(), bounds.rows());
}

}  // namespace

Result<AuditFigures> watch_agreement(Backend& backend, const LoadedPolicy& loaded, const ReadRows& read, double delta) {
  const auto line_of = [&](int64_t i) {
    return "line " + std::to_string(read.file.traces.line[static_cast<size_t>(i)]);
  };
  auto scores =
      score_to_decide(backend, {&loaded.artifact.policy, &loaded.certificate}, read.rows, read.file.input, line_of);
  if (!scores.ok()) return Status(scores.status().code(), loaded.folder + ": " + scores.status().marked_message());
  const double alpha = loaded.certificate.alpha;
  AuditFigures out{alpha, delta, AuditBounds(alpha, delta)};
  std::set<uint64_t> seen;
  for (int64_t i = 0; i < read.rows.rows(); ++i) {
    if (read.rows.provenance[i] != io::RowOrigin::kAudit) {
      ++out.biased;
      continue;
    }
    const std::string& ran = read.file.policy[static_cast<size_t>(i)];
    if (!ran.empty() && ran != loaded.artifact.digest) {
      ++out.of_others;
      continue;
    }
    if (!seen.insert(read.rows.name[i]).second) continue;  // the same occurrence again
    ++out.audited, out.unanswered += read.rows.label[i] < 0;
    const AuditRow& row = (*scores)[static_cast<size_t>(i)];
    if (decide(row.score, loaded.rule) == Reason::kAccepted) out.bounds.add(row.score.features.label != row.teacher);
  }
  return out;
}

Json audit_json(const AuditFigures& f) {
  const AuditBounds& bounds = f.bounds;
  return {{"alarm", bounds.alarm()},
          {"alarm_at", bounds.alarm() ? Json(bounds.alarm_at()) : Json(nullptr)},
          {"alpha", f.alpha},
          {"delta", f.delta},
          {"audit_rows", f.audited},
          {"unanswered", f.unanswered},
          {"n_handled", bounds.rows()},
          {"n_agree", bounds.rows() - bounds.disagreements()},
          {"teacher_agreement", optional_json(share_agreed(bounds))},
          {"teacher_agreement_lower", bounds.lower()},
          {"teacher_agreement_upper", bounds.upper()}};
}

std::string audit_text(const AuditFigures& f) {
  const AuditBounds& bounds = f.bounds;
  return counted(f.audited, "audit row") + ", " + std::to_string(bounds.rows()) + " of them handled; agreement " +
         figure(share_agreed(bounds)) + ", at all times between " + number(bounds.lower()) + " and " +
         number(bounds.upper()) + "\n" +
         (bounds.alarm() ? "ALARM: below alpha " + number(f.alpha) + " since handled audit row " +
                               std::to_string(bounds.alarm_at()) + "\n"
                         : "no alarm: nothing shows agreement to be below alpha " + number(f.alpha) + "\n");
}

}  // namespace tracer
