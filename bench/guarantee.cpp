// The evidence for docs/guarantee.md: how often certificates are false, how often one is given, and what it covers.
//
//   bench_guarantee [--quick] [--data DIR] [--resamples N] [--splits N]
//
// A pool of rows that nothing was learned from, scored by a frozen policy, is taken to be the traffic: certify sets are
// drawn from it with replacement, and a certificate is false when agreement on the pool above its threshold is below
// alpha. Three rules judge the same draws: the rank chain, a fixed sequence over out-of-fold score thresholds, and the
// rule of the reference implementation (tracer-llm 0.3.3: threshold picked by a Clopper-Pearson bound on 70 % of the
// rows, checked on the other 30 % by its point estimate). Then cells made to break a rule.
// Prints Markdown; exits 1 when a rule of ours is false significantly more often than delta within its contract.
// --quick: fewer draws, one real data set; a test under ctest's label "statistics".
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "bench/score_pool.h"
#include "engine/maths/binomial.h"
#include "engine/prove/rank_chain.h"
#include "engine/prove/run_betting.h"
#include "kernels/backend.h"

namespace tracer {
namespace {

constexpr double kDelta = 0.10;
constexpr double kMinCoverage = 0.05;

struct Tally {
  int64_t trials = 0, deployed = 0, wrong = 0;
  double coverage = 0;  // of the pool, summed over deployments
};

struct Line {
  std::string cell, rule;
  int64_t n = 0;
  double alpha = 0;
  bool in_contract = true;  // ours, on independent units: must not exceed delta
  Tally tally;
};

// What a certificate is worth on the pool.
class Truth {
 public:
  explicit Truth(const ScorePool& pool) : pool_(pool) {
    for (size_t i = 0; i < pool.score.size(); ++i)
      if (!pool.gated[i]) rows_.push_back({pool.score[i], pool.disagree[i]});
    std::sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) { return a.score > b.score; });
    bad_.assign(1, 0);
    for (const Row& r : rows_) bad_.push_back(bad_.back() + r.disagree);
  }
  void judge(bool certified, double threshold, double alpha, Tally& tally) const {
    ++tally.trials;
    if (!certified) return;
    const auto handled =
        std::partition_point(rows_.begin(), rows_.end(), [&](const Row& r) { return r.score > threshold; }) -
        rows_.begin();
    ++tally.deployed;
    tally.coverage += static_cast<double>(handled) / static_cast<double>(pool_.score.size());
    tally.wrong +=
        handled > 0 && static_cast<double>(bad_[handled]) > (1 - alpha) * static_cast<double>(handled) * (1 + 1e-12);
  }

 private:
  struct Row {
    double score;
    uint8_t disagree;
  };
  const ScorePool& pool_;
  std::vector<Row> rows_;
  std::vector<int64_t> bad_;
};

struct Sample {
  std::vector<double> score;  // of the rows that pass the gate
  std::vector<uint8_t> disagree;
};

Sample draw(const ScorePool& pool, int64_t n, Draws& draws) {
  Sample s;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t j = draws.below(static_cast<int64_t>(pool.score.size()));
    if (pool.gated[j]) continue;
    s.score.push_back(pool.score[j]);
    s.disagree.push_back(pool.disagree[j]);
  }
  return s;
}

// Counts above descending thresholds (score > t).
void count_above(const Sample& s, const std::vector<double>& threshold, std::vector<int64_t>& rows,
                 std::vector<int64_t>& bad) {
  rows.assign(threshold.size(), 0), bad.assign(threshold.size(), 0);
  for (size_t i = 0; i < s.score.size(); ++i) {
    const auto at =
        std::partition_point(threshold.begin(), threshold.end(), [&](double t) { return !(s.score[i] > t); });
    if (at == threshold.end()) continue;
    ++rows[at - threshold.begin()], bad[at - threshold.begin()] += s.disagree[i];
  }
  for (size_t t = 1; t < threshold.size(); ++t) rows[t] += rows[t - 1], bad[t] += bad[t - 1];
}

// The rival that is valid: a fixed sequence over out-of-fold quantiles, whose start is chosen on resampled learn rows.
class ThresholdChain {
 public:
  ThresholdChain(const LearnScores& learn, int64_t n, double alpha) : allowed_(critical_values(n, 1 - alpha, kDelta)) {
    std::vector<double> sorted(learn.score);
    std::sort(sorted.begin(), sorted.end(), std::greater<double>());
    for (int64_t q = 1; q < 200; ++q) {
      const auto rank = static_cast<size_t>(q) * sorted.size() / 200;
      if (static_cast<double>(rank) < kMinCoverage * static_cast<double>(learn.rows)) continue;
      if (threshold_.empty() || sorted[rank] < threshold_.back()) threshold_.push_back(sorted[rank]);
    }
    threshold_.push_back(0.0);
    ScorePool again{learn.score, learn.disagree, std::vector<uint8_t>(learn.score.size(), 0)};
    Draws draws(5);
    std::vector<double> gain(threshold_.size(), 0);
    for (int resample = 0; resample < 200; ++resample) {
      count_above(draw(again, n, draws), threshold_, rows_, bad_);
      int64_t reach = 0;  // rows handled by the chain that starts here
      for (size_t t = threshold_.size(); t-- > 0;) {
        const bool continues = t + 1 < threshold_.size() && passes(t + 1);
        if (!passes(t)) continue;
        if (!continues) reach = rows_[t];
        gain[t] += static_cast<double>(reach);
      }
    }
    start_ = static_cast<size_t>(std::max_element(gain.begin(), gain.end()) - gain.begin());
  }
  bool certify(const Sample& s, double& threshold) {
    count_above(s, threshold_, rows_, bad_);
    bool any = false;
    for (size_t t = start_; t < threshold_.size() && passes(t); ++t) any = true, threshold = threshold_[t];
    return any;
  }

 private:
  bool passes(size_t t) const { return bad_[t] <= allowed_[rows_[t]]; }
  std::vector<int64_t> allowed_;
  std::vector<double> threshold_;
  std::vector<int64_t> rows_, bad_;
  size_t start_ = 0;
};

// The rule of the reference implementation on the same scores.
bool reference_rule(const Sample& s, int64_t n, double alpha, const std::vector<int64_t>& allowed, double& threshold) {
  const size_t picks = s.score.size() * 7 / 10;  // rows come in random order
  std::vector<int32_t> order(picks);
  for (size_t i = 0; i < picks; ++i) order[i] = static_cast<int32_t>(i);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return s.score[a] > s.score[b]; });
  int64_t bad = 0;
  double at = 2;
  for (size_t r = 1; r <= picks; ++r) {
    bad += s.disagree[order[r - 1]];
    if (r < picks && s.score[order[r]] == s.score[order[r - 1]]) continue;
    if (static_cast<double>(r) >= kMinCoverage * 0.7 * static_cast<double>(n) && bad <= allowed[r])
      at = s.score[order[r - 1]];
  }
  if (at > 1) return false;
  int64_t rows = 0, wrong = 0;
  for (size_t i = picks; i < s.score.size(); ++i)
    if (s.score[i] >= at) ++rows, wrong += s.disagree[i];
  if (rows == 0 || static_cast<double>(wrong) > (1 - alpha) * static_cast<double>(rows)) return false;
  threshold = std::nextafter(at, 0.0);
  return true;
}

// All rules on resamples of one pool.
void run_pool(const std::string& cell, const Trained& trained, std::vector<int64_t> sizes, std::vector<double> alphas,
              int64_t resamples, uint64_t seed, std::vector<Line>& lines) {
  const Truth truth(trained.pool);
  const auto line = [&](const char* rule, int64_t n, double alpha, bool ours) -> Tally& {
    for (Line& l : lines)
      if (l.cell == cell && l.rule == rule && l.n == n && l.alpha == alpha) return l.tally;
    lines.push_back({cell, rule, n, alpha, ours, {}});
    return lines.back().tally;
  };
  for (int64_t n : sizes) {
    const ImaginedCertify imagined(trained.learn, n, seed);
    for (double alpha : alphas) {
      const ChainPlan plan = imagined.plan(alpha, kDelta, kMinCoverage);
      ThresholdChain thresholds(trained.learn, n, alpha);
      const auto allowed = critical_values(n, 1 - alpha, kDelta);
      Tally rank, chain, reference;
      Draws draws(seed * 1000 + static_cast<uint64_t>(n));  // the same sets for every alpha and rule
      for (int64_t i = 0; i < resamples; ++i) {
        const Sample s = draw(trained.pool, n, draws);
        const auto out = certify_by_rank(s.score, s.disagree, n, plan, alpha, kDelta);
        truth.judge(out.certified, out.threshold, alpha, rank);
        double threshold = 1;
        bool certified = thresholds.certify(s, threshold);
        truth.judge(certified, threshold, alpha, chain);
        certified = reference_rule(s, n, alpha, allowed, threshold);
        truth.judge(certified, threshold, alpha, reference);
      }
      for (const auto& [rule, tally, ours] :
           {std::tuple{"rank chain", rank, true}, std::tuple{"threshold chain", chain, true},
            std::tuple{"reference", reference, false}}) {
        Tally& to = line(rule, n, alpha, ours);
        to.trials += tally.trials, to.deployed += tally.deployed, to.wrong += tally.wrong,
            to.coverage += tally.coverage;
      }
    }
  }
}

// A pool and a learn set whose disagreement is `risk` of the score, scores uniform and rounded up to `grain`.
Trained made_up(int64_t rows, const std::function<double(double)>& risk, double grain, uint64_t seed) {
  Draws draws(seed);
  Trained t;
  const auto score = [&] {
    const double s = 0.001 + 0.998 * draws.uniform();
    return grain > 0 ? std::min(0.999, std::ceil(s / grain) * grain) : s;
  };
  for (int64_t i = 0; i < 3000; ++i) {
    t.learn.score.push_back(score());
    t.learn.disagree.push_back(draws.uniform() < risk(t.learn.score.back()));
  }
  t.learn.rows = 3000;
  for (int64_t i = 0; i < rows; ++i) {
    t.pool.score.push_back(score());
    t.pool.disagree.push_back(draws.uniform() < risk(t.pool.score.back()));
  }
  t.pool.gated.assign(rows, 0);
  return t;
}

void adversarial(int64_t resamples, std::vector<Line>& lines) {
  const double e = 0.1;
  struct Cell {
    const char* name;
    int64_t rows, n;
    std::function<double(double)> risk;
    double grain;
  };
  const Cell cells[] = {
      {"all agree", 20'000, 400, [](double) { return 0.0; }, 0},
      {"all disagree", 20'000, 400, [](double) { return 1.0; }, 0},
      {"at the boundary", 20'000, 400, [&](double) { return e; }, 0},
      {"tiny n (30)", 20'000, 30, [&](double s) { return 2.2 * e * (1 - s); }, 0},
      {"best rows wrong", 20'000, 400, [&](double s) { return s > 0.9 ? 3 * e : 0.5 * e; }, 0},
      {"five ties", 20'000, 400, [&](double s) { return s > 0.6 ? 0.6 * e : 1.7 * e; }, 0.2},
      {"one tie", 20'000, 400, [&](double) { return 1.02 * e; }, 1.0},
      {"heavy duplicates (60 rows)", 60, 400, [&](double s) { return 2 * e * (1 - s) + 0.02; }, 0},
  };
  uint64_t seed = 0;
  for (const Cell& c : cells)
    for (int split = 0; split < 2; ++split, ++seed)
      run_pool(c.name, made_up(c.rows, c.risk, c.grain, 2 * seed + 1), {c.n}, {1 - e}, resamples / 2, seed, lines);

  // Drift: certify rows are rosier than the traffic that is judged. No rule can know; outside the contract.
  {
    const Trained rosy = made_up(
        20'000, [&](double s) { return 1.2 * e * (1 - s); }, 0, 91);
    const Trained traffic = made_up(
        20'000, [&](double s) { return 2.6 * e * (1 - s) + 0.02; }, 0, 92);
    const Truth truth(traffic.pool);
    const ChainPlan plan = ImaginedCertify(rosy.learn, 400, 1).plan(1 - e, kDelta, kMinCoverage);
    lines.push_back({"drifted certify rows", "rank chain", 400, 1 - e, false, {}});
    Draws draws(17);
    for (int64_t i = 0; i < resamples; ++i) {
      const Sample s = draw(rosy.pool, 400, draws);
      const auto out = certify_by_rank(s.score, s.disagree, 400, plan, 1 - e, kDelta);
      truth.judge(out.certified, out.threshold, 1 - e, lines.back().tally);
    }
  }

  // Related rows: runs of 20, a tenth of the runs wrong throughout, agreement just below alpha at every threshold.
  // Betting takes the run for its unit; the rank chain, told that rows are units, is outside its contract. Where the
  // rows of a run stand in the log makes no difference to it: this is also the cell of scattered relatives.
  const auto runs = [&](int64_t units, Draws& draws) {
    RunScores out;
    out.units = units;
    for (int64_t g = 0; g < units; ++g) {
      const bool bad = draws.uniform() < 1.01 * e;
      for (int64_t i = 0; i < 20; ++i) {
        out.score.push_back(0.001 + 0.998 * draws.uniform());
        out.disagree.push_back(bad);
        out.unit.push_back(static_cast<int32_t>(g));
      }
    }
    return out;
  };
  Line betting{"related rows (runs of 20)", "betting on runs", 2000, 1 - e, true, {}};
  Line rank{"related rows (runs of 20)", "rank chain, rows as units", 2000, 1 - e, false, {}};
  for (uint64_t split = 0; split < 2; ++split) {
    Draws draws(300 + split);
    const RunScores learn = runs(300, draws);
    BettingPlan plan = plan_betting(learn, 6000, 100, 2000, 20, 1 - e, kDelta, kMinCoverage, split);
    plan.possible = true;
    const ChainPlan chain =
        ImaginedCertify({learn.score, learn.disagree, 6000}, 2000, split).plan(1 - e, kDelta, kMinCoverage);
    for (int64_t i = 0; i < resamples / 2; ++i) {
      const RunScores s = runs(100, draws);
      const auto count = [&](const CertifyOutcome& out, Tally& tally) {
        ++tally.trials, tally.deployed += out.certified, tally.wrong += out.certified;
        if (out.certified) tally.coverage += static_cast<double>(out.handled) / 2000;
      };
      count(certify_by_runs(s, plan, 1 - e, kDelta), betting.tally);
      count(certify_by_rank(s.score, s.disagree, 2000, chain, 1 - e, kDelta), rank.tally);
    }
  }
  lines.push_back(betting);
  lines.push_back(rank);
}

// Prints the table; returns the number of lines that broke their promise.
int report(const std::vector<Line>& lines) {
  const auto ours = std::count_if(lines.begin(), lines.end(), [](const Line& l) { return l.in_contract; });
  const double evidence = 0.05 / static_cast<double>(std::max<int64_t>(ours, 1));
  std::printf(
      "\n| cell | n | alpha | rule | resamples | false %% (limits) | deployed %% | coverage, refusal = 0 | verdict |\n"
      "|---|---|---|---|---|---|---|---|---|\n");
  int broken = 0;
  for (const Line& l : lines) {
    const Tally& t = l.tally;
    const double lower = clopper_pearson_lower(t.wrong, t.trials, evidence),
                 upper = clopper_pearson_upper(t.wrong, t.trials, evidence);
    const bool breaks = l.in_contract && !(lower <= kDelta);
    broken += breaks;
    const double n = static_cast<double>(std::max<int64_t>(t.trials, 1));
    std::printf("| %s | %lld | %.2f | %s | %lld | %.1f (%.1f-%.1f) | %.1f | %.3f | %s |\n", l.cell.c_str(),
                static_cast<long long>(l.n), l.alpha, l.rule.c_str(), static_cast<long long>(t.trials),
                100 * static_cast<double>(t.wrong) / n, 100 * lower, 100 * upper,
                100 * static_cast<double>(t.deployed) / n, t.coverage / n,
                breaks           ? "BROKEN"
                : l.in_contract  ? "holds"
                : lower > kDelta ? "above delta"
                                 : "-");
  }
  std::printf("\ndelta %.2f; limits at level 0.05 / %lld on each side; %d of %lld promises broken\n", kDelta,
              static_cast<long long>(ours), broken, static_cast<long long>(ours));
  return broken;
}

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) {
  using namespace tracer;
  bool quick = false;
  const char* given = std::getenv("TRACER_TEST_DATA");
  std::string folder = given == nullptr ? "" : given;
  int64_t resamples = 1000, splits = 2;
  for (int i = 1; i < argc; ++i) {
    const auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (std::strcmp(argv[i], "--quick") == 0)
      quick = true;
    else if (std::strcmp(argv[i], "--data") == 0)
      folder = value();
    else if (std::strcmp(argv[i], "--resamples") == 0)
      resamples = std::atoll(value());
    else if (std::strcmp(argv[i], "--splits") == 0)
      splits = std::atoll(value());
    else
      return std::fprintf(stderr, "usage: %s [--quick] [--data DIR] [--resamples N] [--splits N]\n", argv[0]), 2;
  }
  if (quick) splits = 1;
  auto backend = make_backend({});
  if (!backend.ok()) return std::fprintf(stderr, "%s\n", backend.status().message().c_str()), 1;
  std::printf("backend %s (%s), %d threads\n", std::string((*backend)->name()).c_str(),
              std::string((*backend)->isa()).c_str(), (*backend)->threads());
#ifndef NDEBUG
  std::printf("WARNING: not a release build\n");
#endif
  std::vector<Line> lines;
  struct Set {
    const char* name;
    std::vector<std::string> files;
    bool skewed;  // label k is kept 1 time in 1 + k/5
    std::vector<double> alphas;
  };
  const std::vector<double> usual = {0.90, 0.95, 0.98};
  const std::vector<Set> sets = {
      {"clinc_domains_llm", {"clinc_domains_llm_train", "clinc_domains_llm_test"}, false, {0.80, 0.90, 0.95, 0.98}},
      {"banking77", {"banking77_train", "banking77_test"}, false, usual},
      {"banking77, skewed labels", {"banking77_train", "banking77_test"}, true, usual},
      {"clinc150", {"clinc150_train", "clinc150_test"}, false, usual}};
  for (const Set& set : sets) {
    if (quick && &set != sets.data()) break;
    for (int64_t split = 0; split < splits; ++split) {
      Trained trained;
      const Status status = train_pool(**backend, folder, set.files, set.skewed, static_cast<uint64_t>(split),
                                       quick ? 2500 : 7500, trained);
      if (!status.ok()) {
        std::printf("skipped %s: %s\n", set.name, status.message().c_str());
        break;
      }
      std::printf("%s, split %lld: %lld learn rows, out-of-fold agreement %.3f; pool %lld rows, agreement %.3f\n",
                  set.name, static_cast<long long>(split), static_cast<long long>(trained.learn.rows),
                  trained.out_of_fold_agreement, static_cast<long long>(trained.pool.score.size()),
                  1 - static_cast<double>(std::count(trained.pool.disagree.begin(), trained.pool.disagree.end(), 1)) /
                          static_cast<double>(trained.pool.score.size()));
      std::fflush(stdout);
      run_pool(set.name, trained, quick ? std::vector<int64_t>{200, 400} : std::vector<int64_t>{200, 400, 1500},
               set.alphas, resamples / splits, static_cast<uint64_t>(split) + 1, lines);
    }
  }
  adversarial(resamples, lines);
  return report(lines) == 0 ? 0 : 1;
}
