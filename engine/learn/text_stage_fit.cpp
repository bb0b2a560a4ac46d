#include "engine/learn/text_stage_fit.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "engine/learn/softmax_path.h"
#include "engine/policy/acceptor.h"
#include "engine/policy/text_stage.h"
#include "engine/text/ngrams.h"
#include "engine/text/sparse_softmax.h"

namespace tracer {
namespace {

constexpr double kCosts[] = {10, 30, 100, 300, 1000};
constexpr double kWorthwhile = 0.98;      // a weaker strength must leave less than this of the loss
constexpr double kUnseenQuantile = 0.98;  // of out-of-fold rows' shares of unseen words
constexpr int64_t kRows = 256;            // of a task

std::vector<NgramRow> hash_all(Backend& backend, std::span<const std::string_view> texts) {
  const auto n = static_cast<int64_t>(texts.size());
  std::vector<NgramRow> rows(texts.size());
  parallel_for(backend, (n + kRows - 1) / kRows, [&](int64_t task) {
    NgramHasher hasher;
    for (int64_t i = task * kRows; i < std::min(n, (task + 1) * kRows); ++i)
      hasher.hash(texts[static_cast<size_t>(i)], rows[static_cast<size_t>(i)]);
  });
  return rows;
}

void mark(std::vector<uint64_t>& words, const NgramRow& row) {
  for (uint32_t slot : row.word) words[slot / 64] |= uint64_t{1} << (slot % 64);
}

// The words of all rows but those of `held_out`.
std::vector<uint64_t> words_of(const std::vector<NgramRow>& rows, std::span<const int32_t> fold, int32_t held_out) {
  std::vector<uint64_t> words(static_cast<size_t>(kWordSlots / 64), 0);
  for (size_t i = 0; i < rows.size(); ++i)
    if (fold[i] != held_out) mark(words, rows[i]);
  return words;
}

// The rows that one model learns from.
struct LearnSet {
  SparseMatrix x;
  std::vector<int32_t> label;
};
LearnSet learn_set(const std::vector<NgramRow>& rows, const TextSearchInput& in, int32_t held_out) {
  LearnSet set;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (in.fold[i] == held_out) continue;
    set.x.add_row(rows[i].index, rows[i].weight);
    set.label.push_back(in.label[i]);
  }
  return set;
}

// All zero, labels without a row removed.
Matrix<float> start_of(const LearnSet& set, int64_t classes) {
  Matrix<float> w(kNgramBuckets + 1, classes);
  std::fill_n(w.row(kNgramBuckets), classes, kRemovedBias);
  for (int32_t label : set.label) w(kNgramBuckets, label) = 0;
  return w;
}

// Removed labels counted as 0.
Matrix<float> mean_of(const std::vector<Matrix<float>>& weights) {
  Matrix<float> mean(weights[0].rows(), weights[0].cols());
  for (const Matrix<float>& w : weights)
    for (int64_t i = 0; i < w.size(); ++i)
      mean.data()[i] += (w.data()[i] <= kRemovedBias ? 0.0f : w.data()[i]) / static_cast<float>(weights.size());
  return mean;
}

HostMatrix<const float> weights_of(const Matrix<float>& w) { return w.view().rows_from(0, kNgramBuckets); }

struct OutOfFold {
  std::vector<TextAnswer> answer;
  double log_loss = 0;
};

OutOfFold answers(Backend& backend, const std::vector<NgramRow>& rows, const TextSearchInput& in,
                  const std::vector<Matrix<float>>& fold_weights) {
  const auto n = static_cast<int64_t>(rows.size());
  OutOfFold out{std::vector<TextAnswer>(rows.size()), 0};
  std::vector<double> loss(rows.size());
  parallel_for(backend, (n + kRows - 1) / kRows, [&](int64_t task) {
    std::vector<double> p;
    for (int64_t i = task * kRows; i < std::min(n, (task + 1) * kRows); ++i) {
      const auto at = static_cast<size_t>(i);
      const Matrix<float>& w = fold_weights[static_cast<size_t>(in.fold[at])];
      out.answer[at] = text_answer(rows[at], weights_of(w), w.row(kNgramBuckets), p);
      loss[at] = -std::log(std::max(p[static_cast<size_t>(in.label[at])], 1e-12));
    }
  });
  for (double l : loss) out.log_loss += l / static_cast<double>(n);
  return out;
}

bool is_never(std::span<const int32_t> never, int32_t label) {
  return std::binary_search(never.begin(), never.end(), label);
}

// The acceptor and the limit of unseen words, and what they make of the out-of-fold rows.
void accept_out_of_fold(const std::vector<NgramRow>& rows, const TextSearchInput& in,
                        const std::vector<TextAnswer>& answer, TextSearchResult& result) {
  const auto n = static_cast<int64_t>(rows.size());
  Matrix<double> design(n, kTextFeatures + 1), features(n, kTextFeatures);
  std::vector<uint8_t> agree(rows.size());
  std::vector<double> unseen(rows.size());
  for (int32_t fold = 0; fold < in.folds; ++fold) {
    const std::vector<uint64_t> words = words_of(rows, in.fold, fold);
    for (size_t i = 0; i < rows.size(); ++i)
      if (in.fold[i] == fold) unseen[i] = unseen_share(rows[i], words);
  }
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    agree[at] = answer[at].label == in.label[at];
    text_features(answer[at], unseen[at], rows[at].word.size(), in.label_frequency[answer[at].label],
                  {features.row(i), static_cast<size_t>(kTextFeatures)});
    design(i, 0) = 1;
    std::copy_n(features.row(i), kTextFeatures, design.row(i) + 1);
    result.agreement += agree[at] / static_cast<double>(n);
  }
  TextStage& stage = result.stage;
  stage.acceptor = fit_acceptor(design.view(), agree);
  std::vector<double> sorted(unseen);
  const auto rank = static_cast<int64_t>(std::ceil(kUnseenQuantile * static_cast<double>(n))) - 1;
  std::nth_element(sorted.begin(), sorted.begin() + rank, sorted.end());
  stage.most_unseen = sorted[static_cast<size_t>(rank)];
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    const int32_t label = answer[at].label;
    result.side.predicted.push_back(label);
    result.side.score.push_back(
        accept_score(stage.acceptor, {features.row(i), static_cast<size_t>(kTextFeatures)}, label));
    result.side.closed.push_back(rows[at].word.empty() || unseen[at] > stage.most_unseen || is_never(in.never, label));
  }
}

}  // namespace

Result<TextSearchResult> search_text_stage(Backend& backend, const TextSearchInput& in,
                                           const std::function<void(const std::string&)>& progress) {
  if (in.classes > kMostTextLabels)
    return bad_input(option("cascade") + ": " + std::to_string(in.classes) + " labels; a text stage takes at most " +
                     std::to_string(kMostTextLabels));
  const std::vector<NgramRow> rows = hash_all(backend, in.text);
  std::vector<LearnSet> sets;
  std::vector<Matrix<float>> weights;
  for (int32_t fold = 0; fold < in.folds; ++fold) {
    sets.push_back(learn_set(rows, in, fold));
    weights.push_back(start_of(sets.back(), in.classes));
  }
  TextSearchResult result;
  OutOfFold best;
  Matrix<float> start;  // of the last fit: where the folds stand, so that it stops at a like place
  for (double cost : kCosts) {
    for (size_t m = 0; m < sets.size(); ++m)
      TRACER_RETURN_IF_ERROR(minimise_sparse_softmax(backend, sets[m].x, sets[m].label, {cost}, weights[m]));
    OutOfFold now = answers(backend, rows, in, weights);
    if (progress) {
      std::ostringstream line;
      line << "text stage, softmax regression on n-grams, cost " << cost << ": out-of-fold loss " << now.log_loss;
      progress(line.str());
    }
    if (!best.answer.empty() && !(now.log_loss < kWorthwhile * best.log_loss)) break;
    start = mean_of(weights);
    best = std::move(now);
    result.stage.cost = cost;
    result.log_loss = best.log_loss;
  }
  sets.clear(), weights.clear();
  accept_out_of_fold(rows, in, best.answer, result);

  const LearnSet all = learn_set(rows, in, -1);
  Matrix<float> w = start_of(all, in.classes);
  for (int64_t c = 0; c < in.classes; ++c)
    for (int64_t r = 0; w(kNgramBuckets, c) > kRemovedBias && r <= kNgramBuckets; ++r) w(r, c) = start(r, c);
  TRACER_RETURN_IF_ERROR(minimise_sparse_softmax(backend, all.x, all.label, {result.stage.cost}, w));
  TextStage& stage = result.stage;
  stage.w = Matrix<float>(kNgramBuckets, in.classes);
  std::copy_n(w.data(), stage.w.size(), stage.w.data());
  stage.b.assign(w.row(kNgramBuckets), w.row(kNgramBuckets) + in.classes);
  stage.words = words_of(rows, in.fold, -1);
  stage.label_frequency.assign(in.label_frequency.begin(), in.label_frequency.end());
  return result;
}

TextSide score_texts(Backend& backend, const TextStage& stage, std::span<const std::string_view> texts,
                     std::span<const int32_t> never) {
  const auto n = static_cast<int64_t>(texts.size());
  TextSide side{std::vector<double>(texts.size()), std::vector<int32_t>(texts.size()),
                std::vector<uint8_t>(texts.size())};
  parallel_for(backend, (n + kRows - 1) / kRows, [&](int64_t task) {
    TextScratch scratch;
    for (int64_t i = task * kRows; i < std::min(n, (task + 1) * kRows); ++i) {
      const auto at = static_cast<size_t>(i);
      const RowScore row = score_text(stage, texts[at], scratch);
      side.score[at] = row.score;
      side.predicted[at] = row.features.label;
      side.closed[at] = row.gated || is_never(never, row.features.label);
    }
  });
  return side;
}

}  // namespace tracer
