// What more traces would give, of all rows and label by label: a learning curve over fits of parts of the policy's log.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/study/growth.h"
#include "host/explain/explained_rows.h"

namespace tracer {

inline constexpr double kGrowthShares[] = {0.125, 0.25, 0.5};  // of the log
inline constexpr uint64_t kGrowthDraws = 3;                    // of each share
inline constexpr int64_t kFewestGrowthRows = 20;               // of a label, to say anything

struct GrowthLog {
  int64_t traces = 0;                 // of the policy's log
  std::vector<int64_t> label_traces;  // of each of the policy's labels
  int64_t more = 0;                   // traces to come, alike
};

// "learning_curve" of explain.json: the points, the policy itself being the last, and the curve through them (power law
// that levels off, engine/study/learning_curve.h). fits: of the rows of e, in its order. A gain's interval is of level
// LearningCurve::kLevel, and joins independent parts in squares (as MOVER does: A. Donner, G. Zou, 2012): what
// the fits leave open about the curve, how far the policy and the coming one may each lie from it, and the rows looked
// at (Wilson's interval of a gain on that many). Its lower end may be below 0: one fit of more traces can do worse.
Json growth_json(const ExplainedRows& e, const std::vector<GrowthFit>& fits, const GrowthLog& log);

}  // namespace tracer
