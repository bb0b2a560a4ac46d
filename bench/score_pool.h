// Real score pools for bench/guarantee.cpp: the engine's own search and refit on one half of a log, scores on the
// other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/random.h"
#include "engine/rank_chain.h"
#include "engine/router.h"
#include "engine/search.h"
#include "engine/softmax_path.h"
#include "host/io/npy.h"
#include "host/io/traces.h"

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

namespace pool_detail {

// FOLDER/NAME.jsonl and .npy of every name as one log, labels numbered over all of them.
inline Status read_log(const std::string& folder, const std::vector<std::string>& files, std::vector<int32_t>& label,
                       int64_t& classes, Matrix<float>& x) {
  std::vector<Traces> parts;
  std::vector<io::NpyReader> vectors;
  std::vector<std::string> names;
  int64_t n = 0;
  for (const std::string& file : files) {
    auto traces = io::read_traces(folder + "/" + file + ".jsonl", {});
    if (!traces.ok()) return traces.status();
    auto npy = io::NpyReader::open(folder + "/" + file + ".npy");
    if (!npy.ok()) return npy.status();
    if (traces->bad > 0 || npy->rows() != traces->positions) return bad_input(file + ": vectors and traces differ");
    n += npy->rows();
    names.insert(names.end(), traces->traces.labels.begin(), traces->traces.labels.end());
    parts.push_back(std::move(traces->traces));
    vectors.push_back(std::move(npy).value());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  classes = static_cast<int64_t>(names.size());
  x = Matrix<float>(n, vectors[0].cols());
  for (size_t f = 0; f < files.size(); ++f) {
    const auto first = static_cast<int64_t>(label.size());
    TRACER_RETURN_IF_ERROR(vectors[f].read_rows(0, vectors[f].rows(), x.view().rows_from(first, vectors[f].rows())));
    for (int32_t l : parts[f].label) {
      const auto at = std::lower_bound(names.begin(), names.end(), parts[f].labels[l]);
      label.push_back(static_cast<int32_t>(at - names.begin()));
    }
  }
  return {};
}

inline Matrix<float> rows_of(const Matrix<float>& x, const std::vector<int32_t>& rows) {
  Matrix<float> out(static_cast<int64_t>(rows.size()), x.cols());
  for (size_t i = 0; i < rows.size(); ++i) std::copy_n(x.row(rows[i]), x.cols(), out.row(static_cast<int64_t>(i)));
  return out;
}

}  // namespace pool_detail

// Learns from at most learn_rows rows of the pooled files (half of them where there are fewer), scores the rest. Rows
// are dealt at random, so that the pool is drawn like the learn rows.
inline Status train_pool(Backend& backend, const std::string& folder, const std::vector<std::string>& files,
                         bool skewed, uint64_t seed, int64_t learn_rows, Trained& out) {
  std::vector<int32_t> label;
  int64_t classes = 0;
  Matrix<float> x;
  TRACER_RETURN_IF_ERROR(pool_detail::read_log(folder, files, label, classes, x));
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(x.view()));
  std::vector<int32_t> order = Random(seed, Stream::kPermute).permutation(x.rows());
  if (skewed) {
    Draws draws(seed + 77);
    std::erase_if(order, [&](int32_t row) { return draws.uniform() * (1 + 0.2 * label[row]) > 1; });
  }
  const auto n = static_cast<int64_t>(order.size()), cut = std::min(learn_rows, n / 2);
  const std::vector<int32_t> learn(order.begin(), order.begin() + cut), rest(order.begin() + cut, order.end());
  const Matrix<float> learn_x = pool_detail::rows_of(x, learn), rest_x = pool_detail::rows_of(x, rest);

  SearchInput in;
  in.x = learn_x.view();
  in.classes = classes;
  for (int32_t row : learn) in.label.push_back(label[row]);
  in.folds = 5;
  for (int64_t i = 0; i < cut; ++i) in.fold.push_back(static_cast<int32_t>(i % in.folds));
  in.alphas = {0.90, 0.95, 0.98};
  in.delta = 0.10;
  in.n_certify = 400;
  auto searched = search_surrogate(backend, in, {});
  if (!searched.ok()) return searched.status();
  out.learn = eligible_scores(searched->score, searched->disagree, searched->gated);
  out.out_of_fold_agreement = searched->best.agreement;

  // The refit of engine/fit.cpp, from zero instead of a warm start: the minimum is the same.
  const SoftmaxData data{learn_x.view(), in.label, in.classes, in.fold, &searched->moments};
  SoftmaxState state = initial_softmax(data, 0);
  TRACER_RETURN_IF_ERROR(minimise_softmax(backend, data, searched->best.cost, {}, state));
  Stage stage;
  stage.softmax.w = Matrix<float>(x.cols(), in.classes);
  std::copy_n(state.weights.data(), stage.softmax.w.size(), stage.softmax.w.data());
  stage.softmax.b.assign(state.weights.row(x.cols()), state.weights.row(x.cols()) + in.classes);
  stage.neighbours.references = learn_x.clone();
  stage.neighbours.label = in.label;
  stage.neighbours.sharpness = searched->best.vote_sharpness;
  stage.vote_weight = searched->best.vote_weight;
  stage.label_frequency = searched->label_frequency;
  stage.acceptor = searched->acceptor;
  stage.gate = searched->gate;
  std::vector<RowScore> scored;
  TRACER_RETURN_IF_ERROR(score_rows(backend, stage, rest_x.view(), scored));
  for (size_t i = 0; i < rest.size(); ++i) {
    out.pool.score.push_back(scored[i].score);
    out.pool.gated.push_back(scored[i].gated);
    out.pool.disagree.push_back(scored[i].features.label != label[rest[i]]);
  }
  return {};
}

}  // namespace tracer
