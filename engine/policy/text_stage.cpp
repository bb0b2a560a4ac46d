#include "engine/policy/text_stage.h"

#include <algorithm>
#include <cmath>

#include "engine/maths/logistic.h"
#include "engine/policy/acceptor.h"

namespace tracer {
namespace {

constexpr int64_t kRows = 256;  // of a task

}  // namespace

TextAnswer text_answer(const NgramRow& row, HostMatrix<const float> w, const float* bias,
                       std::vector<double>& scratch) {
  const auto classes = static_cast<size_t>(w.cols);
  scratch.assign(bias, bias + classes);
  double* z = scratch.data();
  for (size_t e = 0; e < row.index.size(); ++e) {
    const float* column = w.row(row.index[e]);
    const double x = row.weight[e];
    for (size_t c = 0; c < classes; ++c) z[c] += x * column[c];
  }
  TextAnswer answer;
  for (size_t c = 1; c < classes; ++c)
    if (z[c] > z[answer.label]) answer.label = static_cast<int32_t>(c);
  const double largest = z[answer.label];
  double sum = 0, weighted = 0;
  for (size_t c = 0; c < classes; ++c) {
    const double below = z[c] - largest, e = std::exp(below);
    sum += e;
    if (e > 0) weighted += e * below;
    z[c] = e;
  }
  for (size_t c = 0; c < classes; ++c) {
    z[c] /= sum;
    if (static_cast<int32_t>(c) != answer.label) answer.top2 = std::max(answer.top2, z[c]);
  }
  answer.top1 = z[answer.label];
  if (classes > 1)
    answer.entropy = std::max(0.0, std::log(sum) - weighted / sum) / std::log(static_cast<double>(classes));
  return answer;
}

double unseen_share(const NgramRow& row, std::span<const uint64_t> words) {
  if (row.word.empty()) return 1;
  int64_t unseen = 0;
  for (uint32_t slot : row.word) unseen += (words[slot / 64] >> (slot % 64) & 1) == 0;
  return static_cast<double>(unseen) / static_cast<double>(row.word.size());
}

void text_features(const TextAnswer& answer, double unseen, size_t words, double label_frequency,
                   std::span<double> out) {
  const double top1 = std::clamp(answer.top1, 1e-6, 1 - 1e-6);
  out[0] = logit(top1);
  out[1] = answer.top1 - answer.top2;
  out[2] = answer.entropy;
  out[3] = std::log(top1) - std::log(std::clamp(answer.top2, 1e-6, 1.0));
  out[4] = std::log(std::max(label_frequency, 1e-9));
  out[5] = unseen;
  out[6] = std::log1p(static_cast<double>(words));
}

RowScore score_text(const TextStage& stage, std::string_view text, TextScratch& scratch) {
  scratch.hasher.hash(text, scratch.row);
  const TextAnswer answer = text_answer(scratch.row, stage.w.view(), stage.b.data(), scratch.values);
  const double unseen = unseen_share(scratch.row, stage.words);
  double x[kTextFeatures];
  text_features(answer, unseen, scratch.row.word.size(), stage.label_frequency[answer.label], x);
  RowScore out;
  out.text = true;
  out.features.label = answer.label;
  out.features.top1 = static_cast<float>(answer.top1);
  out.features.top2 = static_cast<float>(answer.top2);
  out.features.entropy = static_cast<float>(answer.entropy);
  out.gated = scratch.row.word.empty() || unseen > stage.most_unseen;
  out.score = accept_score(stage.acceptor, x, answer.label);
  return out;
}

void answer_texts(Backend* backend, const TextStage& stage, const DecisionRule& rule,
                  std::span<const std::string> texts, std::vector<std::optional<RowScore>>& out,
                  HostMatrix<float> probability) {
  const auto n = static_cast<int64_t>(texts.size());
  out.assign(texts.size(), std::nullopt);
  const auto block = [&](int64_t task) {
    TextScratch scratch;
    for (int64_t i = task * kRows; i < std::min(n, (task + 1) * kRows); ++i) {
      const RowScore row = score_text(stage, texts[static_cast<size_t>(i)], scratch);
      if (!text_stage_answers(row, rule)) continue;
      out[static_cast<size_t>(i)] = row;
      if (probability.rows > 0)
        std::transform(scratch.values.begin(), scratch.values.end(), probability.row(i),
                       [](double p) { return static_cast<float>(p); });
    }
  };
  const int64_t tasks = (n + kRows - 1) / kRows;
  if (backend != nullptr) {
    parallel_for(*backend, tasks, block);
  } else {
    for (int64_t task = 0; task < tasks; ++task) block(task);
  }
}

}  // namespace tracer
