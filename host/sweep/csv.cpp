#include "host/sweep/csv.h"

#include <optional>

#include "engine/prove/figures.h"
#include "host/io/json_text.h"

namespace tracer {
namespace {

std::string cell(const std::optional<double>& v) { return v ? io::json_number(*v) : ""; }

}  // namespace

std::string sweep_csv(const std::vector<SweepRun>& runs) {
  std::string text =
      "traces,seed,alpha,certified,method,unit,threshold,coverage,agreement,agreement_lower,expected_coverage,n_rows,"
      "n_learn,n_certify,n_handled,n_agree,test_rows,test_handled,test_agree,test_coverage,test_agreement\n";
  for (const SweepRun& run : runs)
    for (const SweepPoint& p : run.points) {
      const auto whole = [&](int64_t v) { text += "," + std::to_string(v); };
      text += std::to_string(run.traces) + "," + std::to_string(run.seed) + "," + io::json_number(p.alpha) + "," +
              (p.certified ? "1" : "0") + "," + to_string(p.method) + "," + to_string(p.unit) + "," +
              (p.certified ? io::json_number(p.threshold) : "") + "," + io::json_number(p.coverage()) + "," +
              cell(agreement(p.n_agree, p.n_handled)) + "," + cell(p.agreement_lower) + "," +
              io::json_number(p.expected_coverage);
      for (const int64_t v : {run.rows, p.n_learn, p.n_certify, p.n_handled, p.n_agree}) whole(v);
      if (run.fresh_rows == 0) {
        text += ",,,,,\n";
        continue;
      }
      for (const int64_t v : {run.fresh_rows, p.fresh_handled, p.fresh_agree}) whole(v);
      text += "," + io::json_number(run.coverage(p)) + "," + cell(run.agreement(p)) + "\n";
    }
  return text;
}

}  // namespace tracer
