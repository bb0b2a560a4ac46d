// Texts that say what a label means - its name, a description, examples of a prompt - as rows to learn from beside a
// log that shows the label few times. They are never held out, counted, certified on or looked up as neighbours.
// Source: names of labels as their embeddings (Schopf et al., arXiv:2211.16285, and others) in one space with the rows;
// figures in docs/decisions/descriptions.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace tracer {

// A label with this many learn rows or more needs no description.
inline constexpr int64_t kEnoughRows = 20;
// How many rows of the log each description counts as.
inline constexpr int kDescriptionWeight = 2;

struct Descriptions {
  Matrix<float> x;             // h x d, of the encoder that made the rows' vectors
  std::vector<int32_t> label;  // h

  bool empty() const { return label.empty(); }
};

// Those to learn from, in order, as unit rows: of labels that `learned` (the labels of the learn rows, in [0, classes))
// shows fewer than kEnoughRows times, but shows; each kDescriptionWeight times. None where `all` is null. kInternal
// where a label of `all` is not in [0, classes).
Result<Descriptions> useful_descriptions(Backend& backend, const Descriptions* all, std::span<const int32_t> learned,
                                         int64_t classes);
// Those of labels that `to` has, labels by index into it instead of `from` (engine/log/label_index.h).
Descriptions translate_descriptions(const Descriptions& all, const std::vector<std::string>& from,
                                    const std::vector<std::string>& to);
// How many labels they are of.
int64_t described_labels(const Descriptions& descriptions);

// Rows of a log and after them the descriptions, as softmax regression learns from them. A description belongs to the
// fold of its label's rows where they all lie in one: which labels are described is learned from the rows, so the model
// that has not seen those rows must not know of the label. The others are of a fold that no model holds out. A copy,
// but where there are no descriptions.
class DescribedRows {
 public:
  // The arguments must outlive it. fold: n. descriptions: unit rows, or null.
  DescribedRows(HostMatrix<const float> x, std::span<const int32_t> label, std::span<const int32_t> fold,
                const Descriptions* descriptions);
  DescribedRows(const DescribedRows&) = delete;
  DescribedRows& operator=(const DescribedRows&) = delete;

  HostMatrix<const float> x() const { return x_; }
  std::span<const int32_t> label() const { return label_; }
  std::span<const int32_t> fold() const { return fold_; }

 private:
  HostMatrix<const float> x_;
  std::span<const int32_t> label_, fold_;
  Matrix<float> own_x_;
  std::vector<int32_t> own_label_, own_fold_;
};

}  // namespace tracer
