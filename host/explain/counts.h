// Coverage and agreement of some of the rows, as JSON.
#pragma once

#include "engine/prove/figures.h"
#include "engine/study/prediction.h"
#include "host/explain/rows.h"
#include "host/io/json_fields.h"

namespace tracer {

struct Counts {
  int64_t rows = 0, handled = 0, agree = 0;  // agree: among the handled

  void add(const ExplainedRow& row) { ++rows, handled += row.handled(), agree += row.handled() && row.agrees(); }
};

// teacher_agreement_lower: one-sided at delta, of these rows by themselves. teacher_agreement_fresh: the 95 %
// prediction interval for as many handled rows to come.
inline nlohmann::ordered_json counts_json(const Counts& c, double delta) {
  nlohmann::ordered_json fresh;
  if (c.handled > 0) {
    const Interval at = prediction_interval(c.agree, c.handled, c.handled);
    fresh = {at.low, at.high};
  }
  return {{"n", c.rows},
          {"n_handled", c.handled},
          {"n_agree", c.agree},
          {"coverage", optional_json(agreement(c.handled, c.rows))},
          {"teacher_agreement", optional_json(agreement(c.agree, c.handled))},
          {"teacher_agreement_lower", optional_json(agreement_lower(c.agree, c.handled, delta))},
          {"teacher_agreement_fresh", fresh}};
}

}  // namespace tracer
