// Coverage and agreement over the sweep on re-splits of pooled data: what is certified on one part is held against the
// other, drawn alike. bench_resplit [FOLDER] [DATA SET ...]; FOLDER defaults to the environment variable
// TRACER_TEST_DATA.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "bench/pooled_log.h"
#include "engine/fit.h"
#include "engine/maths/random.h"
#include "engine/policy/router.h"

namespace tracer {
namespace {

constexpr int kSplits = 5;
constexpr double kDelta = 0.10;

struct Cell {
  std::vector<double> coverage;   // 0 where refused
  std::vector<double> agreement;  // on fresh rows, where certified
  int below = 0;                  // certified, and significantly (one-sided 5 %) below alpha on fresh rows
};

double median(std::vector<double> v) {
  if (v.empty()) return std::nan("");
  std::sort(v.begin(), v.end());
  return v.size() % 2 == 1 ? v[v.size() / 2] : 0.5 * (v[v.size() / 2 - 1] + v[v.size() / 2]);
}

Status run(Backend& backend, const std::string& folder, const std::string& name) {
  auto log = read_pooled_log(folder, {name + "_train", name + "_test"});
  if (!log.ok()) return log.status();
  const int64_t n = log->traces.rows(), fresh = n / 5;
  std::vector<double> alphas;
  std::vector<Cell> cells;
  for (uint64_t seed = 1; seed <= kSplits; ++seed) {
    const auto order = Random(seed, Stream::kPermute).permutation(n);
    PooledLog train = take_rows(*log, {order.begin() + fresh, order.end()});
    PooledLog test = take_rows(*log, {order.begin(), order.begin() + fresh});
    FitOptions options;
    options.delta = kDelta;
    options.split.seed = seed;
    auto fitted = fit(backend, train.traces, std::move(train.x), options);
    if (!fitted.ok()) return fitted.status();
    const Policy& policy = fitted->policy;
    cells.resize(policy.certificates.size());
    alphas.resize(policy.certificates.size());
    TRACER_RETURN_IF_ERROR(backend.normalise_rows(test.x.view()));
    std::vector<RowScore> scores;
    TRACER_RETURN_IF_ERROR(score_rows(backend, policy.stages[0], test.x.view(), scores));
    for (size_t a = 0; a < cells.size(); ++a) {
      const Certificate& c = policy.certificates[a];
      const DecisionRule rule = decision_rule(policy, c);
      alphas[a] = c.alpha;
      double handled = 0, agree = 0;
      for (int64_t i = 0; c.certified && i < fresh; ++i)
        if (decide(scores[i], rule) == Reason::kAccepted)
          ++handled, agree += scores[i].features.label == test.traces.label[i];
      cells[a].coverage.push_back(handled / static_cast<double>(fresh));
      if (handled == 0) continue;
      cells[a].agreement.push_back(agree / handled);
      cells[a].below += agree / handled < c.alpha - 1.645 * std::sqrt(c.alpha * (1 - c.alpha) / handled);
    }
  }
  std::printf("\n%s: %lld rows, 4/5 to fit and 1/5 fresh, %d re-splits, delta %.2f\n\n", name.c_str(),
              static_cast<long long>(n), kSplits, kDelta);
  std::printf(
      "| alpha | certified | coverage of fresh rows: median (least - most) | agreement on them: median (least - most) "
      "| significantly below alpha |\n|---|---|---|---|---|\n");
  for (size_t a = 0; a < cells.size(); ++a) {
    const Cell& c = cells[a];
    const auto [low, high] = std::minmax_element(c.coverage.begin(), c.coverage.end());
    std::printf("| %.2f | %zu of %d | %.3f (%.3f - %.3f) |", alphas[a], c.agreement.size(), kSplits, median(c.coverage),
                *low, *high);
    if (c.agreement.empty()) {
      std::printf(" - | 0 |\n");
      continue;
    }
    const auto [worst, best] = std::minmax_element(c.agreement.begin(), c.agreement.end());
    std::printf(" %.4f (%.4f - %.4f) | %d |\n", median(c.agreement), *worst, *best, c.below);
  }
  std::fflush(stdout);
  return {};
}

int run_all(int argc, char** argv) {
  const char* folder = argc > 1 ? argv[1] : std::getenv("TRACER_TEST_DATA");
  if (folder == nullptr) {
    std::puts("skipped: no data folder (argument, or TRACER_TEST_DATA)");
    return 0;
  }
  std::vector<std::string> names(argv + std::min(argc, 2), argv + argc);
  if (names.empty()) names = {"banking77", "clinc150", "clinc_domains_llm"};
  auto backend = make_backend({});
  if (!backend.ok()) {
    std::puts(backend.status().message().c_str());
    return 1;
  }
  std::printf("backend %s (%s), %d threads\n", std::string((*backend)->name()).c_str(),
              std::string((*backend)->isa()).c_str(), (*backend)->threads());
  for (const std::string& name : names) {
    const Status status = run(**backend, folder, name);
    if (status.ok()) continue;
    std::puts(status.message().c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) { return tracer::run_all(argc, argv); }
