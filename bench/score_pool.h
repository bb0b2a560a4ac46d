// Real score pools for bench/guarantee.cpp: the engine's own search and refit on one half of a log, scores on the
// other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bench/pooled_log.h"
#include "engine/learn/refit.h"
#include "engine/learn/search.h"
#include "engine/maths/random.h"
#include "engine/policy/router.h"
#include "engine/prove/rank_chain.h"

namespace tracer {

// Rows that stand for the traffic.
struct ScorePool {
  std::vector<double> score;
  std::vector<uint8_t> disagree, gated;
};

struct Trained {
  LearnScores learn;
  ScorePool pool;
  double out_of_fold_agreement = 0;
};

// One counter, any number of draws.
class Draws {
 public:
  explicit Draws(uint64_t seed) : random_(seed ^ 0x5eedull, Stream::kRows) {}
  double uniform() { return random_.uniform(next_++); }
  int64_t below(int64_t n) { return random_.below(next_++, n); }

 private:
  Random random_;
  uint64_t next_ = 0;
};

// Learns from at most learn_rows rows of the pooled files (half of them where there are fewer), scores the rest. Rows
// are dealt at random, so that the pool is drawn like the learn rows.
inline Status train_pool(Backend& backend, const std::string& folder, const std::vector<std::string>& files,
                         bool skewed, uint64_t seed, int64_t learn_rows, Trained& out) {
  auto pooled = read_pooled_log(folder, files);
  if (!pooled.ok()) return pooled.status();
  const std::vector<int32_t>& label = pooled->traces.label;
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(pooled->x.view()));
  std::vector<int32_t> order = Random(seed, Stream::kPermute).permutation(pooled->x.rows());
  if (skewed) {
    Draws draws(seed + 77);
    std::erase_if(order, [&](int32_t row) { return draws.uniform() * (1 + 0.2 * label[row]) > 1; });
  }
  const auto n = static_cast<int64_t>(order.size()), cut = std::min(learn_rows, n / 2);
  const std::vector<int32_t> learn(order.begin(), order.begin() + cut), rest(order.begin() + cut, order.end());
  const PooledLog learn_log = take_rows(*pooled, learn), rest_log = take_rows(*pooled, rest);
  const Matrix<float>&learn_x = learn_log.x, &rest_x = rest_log.x;

  SearchInput in;
  in.x = learn_x.view();
  in.classes = static_cast<int64_t>(pooled->traces.labels.size());
  in.label = learn_log.traces.label;
  in.folds = 5;
  for (int64_t i = 0; i < cut; ++i) in.fold.push_back(static_cast<int32_t>(i % in.folds));
  in.alphas = {0.90, 0.95, 0.98};
  in.delta = 0.10;
  in.n_certify = 400;
  auto searched = search_surrogate(backend, in, {});
  if (!searched.ok()) return searched.status();
  out.learn = eligible_scores(searched->score, searched->disagree, searched->gated);
  out.out_of_fold_agreement = searched->best.agreement;

  auto stage = refit(backend, *searched, {in.x, in.label, in.fold, std::vector<int64_t>(in.label.size())}, in.classes);
  if (!stage.ok()) return stage.status();
  std::vector<RowScore> scored;
  TRACER_RETURN_IF_ERROR(score_rows(backend, *stage, rest_x.view(), scored));
  for (size_t i = 0; i < rest.size(); ++i) {
    out.pool.score.push_back(scored[i].score);
    out.pool.gated.push_back(scored[i].gated);
    out.pool.disagree.push_back(scored[i].features.label != rest_log.traces.label[i]);
  }
  return {};
}

}  // namespace tracer
