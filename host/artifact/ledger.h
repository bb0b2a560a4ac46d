// The ledger: which certify rows have been looked at. One log buys one promise; a second look at the same rows (another
// seed, option or split) is certified only when delta was shared out among looks beforehand (--looks N).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/fit.h"
#include "host/artifact/artifact.h"

namespace tracer {

struct Look {
  std::string config;          // digest of everything that decides the outcome: log, vectors, options
  std::vector<uint64_t> rows;  // sorted hashes of the certify rows (text, label and line)
  std::vector<double> alphas;
  double delta = 0;
  int looks = 1;  // fits that share delta
};

// The look that this fit took.
Look look_of(const Traces& traces, const FitResult& result, const FitOptions& options, const std::string& log_digest);

struct LedgerVerdict {
  bool repeated = false;  // the very same fit: not a new look
  std::string refusal;    // why the certificates are void; empty when they stand
};

// Whether `look` may certify, given what the ledger holds. Two looks share rows when a twentieth of either's rows stand
// in the other.
Result<LedgerVerdict> check_look(const Json& ledger, const Look& look);

// The ledger with the look added (unchanged when it is there already).
Json add_look(Json ledger, const Look& look, const FitResult& result);

}  // namespace tracer
