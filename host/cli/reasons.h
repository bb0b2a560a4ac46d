// How many rows were handled, and why the others were deferred.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "engine/router.h"
#include "host/artifact/artifact.h"

namespace tracer::cli {

class ReasonCounts {
 public:
  void add(Reason reason) { ++count_[static_cast<size_t>(reason)]; }
  int64_t of(Reason reason) const { return count_[static_cast<size_t>(reason)]; }
  int64_t handled() const { return of(Reason::kAccepted); }
  int64_t rows() const;
  // {"below_threshold": n, ...}: one entry for each reason to defer.
  Json deferred() const;
  // "147 below the threshold" and so on; reasons that need an option of `fit` only where they occurred.
  std::string deferred_text(const std::string& between, const std::string& last) const;

 private:
  std::array<int64_t, kReasons> count_ = {};
};

}  // namespace tracer::cli
