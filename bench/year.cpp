// A simulated year of updates: CLINC150 arriving in order, half of its labels getting more common month by month.
// Two ways to update a policy: certified on audited rows (docs/updating.md), and the reference's way, in which answers
// to deferred rows are appended to the traces and the whole is fitted and calibrated again. Human labels stand in for
// the teacher. bench_year [FOLDER]; FOLDER defaults to the environment variable TRACER_TEST_DATA.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "bench/pooled_log.h"
#include "engine/challenger.h"
#include "engine/fit.h"
#include "engine/maths/random.h"

namespace tracer {
namespace {

constexpr int kMonths = 12;
constexpr double kAlpha = 0.95, kDelta = 0.05, kAuditRate = 0.15;

struct Month {
  int64_t rows = 0, handled = 0, agree = 0;
};

struct Way {
  std::shared_ptr<Policy> policy;
  std::vector<int32_t> learned;  // rows of the pool
  std::vector<uint8_t> fair;
  std::vector<Month> months;
  std::vector<std::string> event;
};

// Handled or not, and counted.
Status route(Backend& backend, const PooledLog& pool, const std::vector<int32_t>& rows, Way& way,
             std::vector<uint8_t>& handled) {
  PooledLog batch = take_rows(pool, rows);
  std::vector<RowScore> scores;
  TRACER_RETURN_IF_ERROR(score_rows(backend, way.policy->stages[0], batch.x.view(), scores));
  const Certificate& c = *way.policy->certificate(kAlpha);
  const DecisionRule rule = decision_rule(*way.policy, c);
  Month month{static_cast<int64_t>(rows.size()), 0, 0};
  handled.assign(rows.size(), 0);
  for (size_t i = 0; i < rows.size(); ++i) {
    handled[i] = c.certified && decide(scores[i], rule) == Reason::kAccepted;
    month.handled += handled[i];
    month.agree += handled[i] && scores[i].features.label == batch.traces.label[i];
  }
  way.months.push_back(month);
  return {};
}

FitOptions fit_options() {
  FitOptions o;
  o.alpha = kAlpha, o.sweep = {kAlpha}, o.delta = kDelta;
  o.split.kind = SplitKind::kRows;
  return o;
}

Status run(Backend& backend, const std::string& folder) {
  auto pooled = read_pooled_log(folder, {"clinc150_train", "clinc150_test", "clinc150_oos"});
  if (!pooled.ok()) return pooled.status();
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(pooled->x.view()));
  const PooledLog& pool = *pooled;
  const Random random(7, Stream::kRows);
  // Month 0 is the original log. Labels with an odd index come in month m in proportion to m + 1, the others evenly.
  std::vector<std::vector<int32_t>> arrives(kMonths + 1);
  for (int32_t row : Random(7, Stream::kPermute).permutation(pool.x.rows())) {
    const double u = random.uniform(static_cast<uint64_t>(row));
    const double rising = pool.traces.label[row] % 2 == 1 ? std::sqrt(u) : u;
    const double place = rising * (kMonths + 2);  // the original log is two months long
    arrives[static_cast<size_t>(std::max(0, static_cast<int>(place) - 1))].push_back(row);
  }
  PooledLog first = take_rows(pool, arrives[0]);
  auto fitted = fit(backend, first.traces, std::move(first.x), fit_options());
  if (!fitted.ok()) return fitted.status();
  auto champion = std::make_shared<Policy>(std::move(fitted->policy));  // of both, at first
  Way audited{champion, arrives[0], std::vector<uint8_t>(arrives[0].size(), 1), {}, {}};
  Way mixed{champion, arrives[0], {}, {}, {}};

  std::optional<Challenger> waiting;
  std::vector<int32_t> unspent;
  int64_t number = 1;
  for (int m = 1; m <= kMonths; ++m) {
    const std::vector<int32_t>& rows = arrives[static_cast<size_t>(m)];
    std::vector<uint8_t> handled;
    TRACER_RETURN_IF_ERROR(route(backend, pool, rows, audited, handled));
    for (size_t i = 0; i < rows.size(); ++i) {
      if (random.uniform(static_cast<uint64_t>(rows[i]) + (uint64_t{1} << 40)) < kAuditRate)
        unspent.push_back(rows[i]);
      else if (!handled[i])
        audited.learned.push_back(rows[i]), audited.fair.push_back(0);
    }
    std::string event = waiting ? "waits" : "none";
    if (waiting) {
      PooledLog audit = take_rows(pool, unspent);
      auto prepared = prepare_stage(backend, waiting->policy.stages[0]);
      if (!prepared.ok()) return prepared.status();
      std::vector<RowScore> scores, before_scores;
      TRACER_RETURN_IF_ERROR(score_rows_canonically(backend, *prepared, audit.x.view(), scores));
      TRACER_RETURN_IF_ERROR(score_rows(backend, audited.policy->stages[0], audit.x.view(), before_scores));
      std::vector<AuditRow> scored;
      for (size_t i = 0; i < scores.size(); ++i) scored.push_back({scores[i], audit.traces.label[i]});
      const AuditOutcome outcome =
          certify_on_audit(waiting->policy, waiting->policy.certificates[0], waiting->plans[0], scored);
      const Certificate& now = *audited.policy->certificate(kAlpha);
      int64_t before = 0;
      for (const RowScore& s : before_scores)
        before += now.certified && decide(s, decision_rule(*audited.policy, now)) == Reason::kAccepted;
      if (outcome.certificate.certified && outcome.certificate.n_handled > before) {
        audited.policy = std::make_shared<Policy>(std::move(waiting->policy));
        audited.policy->certificates[0] = outcome.certificate;
        event = "deployed";
      } else if (outcome.wager.rows() >= waiting->plans[0].patience) {
        event = "dropped";
      }
      if (event != "waits") waiting.reset(), ++number;
    }
    audited.event.push_back(event);
    if (!waiting) {
      for (int32_t row : unspent) audited.learned.push_back(row), audited.fair.push_back(1);
      unspent.clear();
      PooledLog learn = take_rows(pool, audited.learned);
      ChallengerOptions o;
      o.alpha = kAlpha, o.level = challenger_level(kDelta, number), o.unit = SplitKind::kRows;
      auto frozen = freeze_challenger(backend, learn.traces, std::move(learn.x), audited.fair, o);
      if (!frozen.ok()) return frozen.status();
      waiting = std::move(frozen).value();
    }
    TRACER_RETURN_IF_ERROR(route(backend, pool, rows, mixed, handled));
    for (size_t i = 0; i < rows.size(); ++i)
      if (!handled[i]) mixed.learned.push_back(rows[i]);
    PooledLog mix = take_rows(pool, mixed.learned);
    auto again = fit(backend, mix.traces, std::move(mix.x), fit_options());
    if (!again.ok()) return again.status();
    const bool certified = again->policy.certificate(kAlpha)->certified;
    if (certified) mixed.policy = std::make_shared<Policy>(std::move(again->policy));
    mixed.event.push_back(certified ? "deployed" : "refused");
    if (m == 1)
      std::printf(
          "| month | rows | audited: coverage | agreement | after it | appended: coverage | agreement | after it |\n"
          "|---|---|---|---|---|---|---|---|\n");
    const Month &a = audited.months.back(), &b = mixed.months.back();
    const auto share = [](int64_t k, int64_t n) { return n > 0 ? static_cast<double>(k) / static_cast<double>(n) : 0; };
    std::printf("| %d | %lld | %.3f | %.4f | %s | %.3f | %.4f | %s |\n", m, static_cast<long long>(a.rows),
                share(a.handled, a.rows), share(a.agree, a.handled), audited.event.back().c_str(),
                share(b.handled, b.rows), share(b.agree, b.handled), mixed.event.back().c_str());
    std::fflush(stdout);
  }
  return {};
}

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) {
  const char* data = argc > 1 ? argv[1] : std::getenv("TRACER_TEST_DATA");
  if (data == nullptr) return std::printf("no data: give its folder, or set TRACER_TEST_DATA\n"), 0;
  auto backend = tracer::make_backend({});
  if (!backend.ok()) return std::fprintf(stderr, "%s\n", backend.status().message().c_str()), 1;
  std::printf("computing on %s (%s)\n", std::string((*backend)->name()).c_str(),
              std::string((*backend)->isa()).c_str());
  const tracer::Status done = tracer::run(**backend, data);
  if (!done.ok()) return std::fprintf(stderr, "%s\n", done.message().c_str()), 1;
}
