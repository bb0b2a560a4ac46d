#include "host/sweep/run_json.h"

#include "host/io/json_fields.h"

namespace tracer {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Result<SweepPoint> parse_point(const Json& json, const std::string& where) {
  SweepPoint p;
  JsonFields f(json, where);
  f.number("alpha", p.alpha, 0, 1);
  f.boolean("certified", p.certified);
  f.word("method", kMethodNames, p.method);
  f.word("unit", kProofUnitNames, p.unit);
  f.number("threshold", p.threshold, 0, 1);
  f.count("n_learn", p.n_learn);
  f.count("n_certify", p.n_certify);
  f.count("n_handled", p.n_handled, p.n_certify);
  f.count("n_agree", p.n_agree, p.n_handled);
  f.optional_number("teacher_agreement_lower", p.agreement_lower);
  f.number("expected_coverage", p.expected_coverage, 0, 1);
  f.count("test_handled", p.fresh_handled);
  f.count("test_agree", p.fresh_agree, p.fresh_handled);
  if (!f.status().ok()) return f.status();
  return p;
}

}  // namespace

Json run_json(const SweepRun& run) {
  Json points = Json::array();
  for (const SweepPoint& p : run.points)
    points.push_back({{"alpha", p.alpha},
                      {"certified", p.certified},
                      {"method", to_string(p.method)},
                      {"unit", to_string(p.unit)},
                      {"threshold", p.threshold},
                      {"n_learn", p.n_learn},
                      {"n_certify", p.n_certify},
                      {"n_handled", p.n_handled},
                      {"n_agree", p.n_agree},
                      {"teacher_agreement_lower", or_null(p.agreement_lower)},
                      {"expected_coverage", p.expected_coverage},
                      {"test_handled", p.fresh_handled},
                      {"test_agree", p.fresh_agree}});
  Json seconds = Json::object();
  for (const auto& [phase, value] : run.seconds) seconds[phase] = value;
  return {{"traces", run.traces},         {"rows", run.rows}, {"seed", run.seed},
          {"test_rows", run.fresh_rows},  {"points", points}, {"warnings", run.warnings},
          {"seconds", std::move(seconds)}};
}

Result<SweepRun> parse_run(const Json& json, const std::string& where) {
  SweepRun run;
  JsonFields f(json, where);
  int64_t seed = 0;
  f.count("traces", run.traces);
  f.count("rows", run.rows);
  f.count("seed", seed);
  f.count("test_rows", run.fresh_rows);
  run.seed = static_cast<uint64_t>(seed);
  for (const Json& point : f.array("points")) {
    TRACER_ASSIGN_OR_RETURN(auto parsed, parse_point(point, where + ": points"));
    run.points.push_back(std::move(parsed));
  }
  for (const Json& warning : f.array("warnings")) {
    if (!warning.is_string()) return bad_input(where + ": warnings: expected strings");
    run.warnings.push_back(warning.get<std::string>());
  }
  for (const auto& [phase, value] : f.object("seconds").items()) {
    if (!value.is_number()) return bad_input(where + ": seconds: expected numbers");
    run.seconds.emplace_back(phase, value.get<double>());
  }
  if (!f.status().ok()) return f.status();
  return run;
}

}  // namespace tracer
