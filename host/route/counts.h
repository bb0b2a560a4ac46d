// How many rows were handled, and why the others were deferred.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "engine/policy/router.h"
#include "host/artifact/artifact.h"

namespace tracer {

// What each stage of a cascade was asked and what came of it.
struct StageCounts {
  int64_t rows = 0, handled = 0, agree = 0;
};
class CascadeCounts {
 public:
  void add(const RowScore& row, bool handled, bool agrees = false) {
    StageCounts& c = row.text ? text_ : vector_;
    ++c.rows, c.handled += handled, c.agree += handled && agrees;
  }
  // {"text": {...}, "vector": {...}}; n_agree only where rows are labelled.
  Json json(bool labelled) const;
  // "2310 answered from the text alone, 631 on vectors"
  std::string handled_text() const;

 private:
  StageCounts text_, vector_;
};
// "text" or "vector"
inline const char* stage_name(const RowScore& row) { return row.text ? "text" : "vector"; }

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

}  // namespace tracer
