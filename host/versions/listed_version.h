// One version of a policy, as a list shows it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tracer {

struct ListedVersion {
  int64_t number = 0;      // from 1
  std::string origin;      // "fit" or "update"
  std::string status;      // "champion", "deployed" (it was the champion before), "waiting" or "dropped"
  double delta = 0;        // the chance of error that its certificate was tested at
  int64_t audit_rows = 0;  // spent on it so far
  // Of a version that is or was the champion; the last three if it is certified at its alpha.
  std::optional<std::string> policy;  // digest
  std::optional<double> alpha;
  std::optional<double> coverage, agreement, agreement_lower;
};

}  // namespace tracer
