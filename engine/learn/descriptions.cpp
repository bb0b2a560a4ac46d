#include "engine/learn/descriptions.h"

#include <algorithm>
#include <utility>

#include "engine/log/label_index.h"
#include "engine/maths/pick.h"

namespace tracer {

Result<Descriptions> useful_descriptions(Backend& backend, const Descriptions* all, std::span<const int32_t> learned,
                                         int64_t classes) {
  Descriptions out;
  if (all == nullptr) return out;
  if (all->x.rows() != static_cast<int64_t>(all->label.size()))
    return internal_error("descriptions and their vectors differ in number");
  std::vector<int64_t> rows(static_cast<size_t>(classes), 0);
  for (int32_t label : learned) ++rows[static_cast<size_t>(label)];
  std::vector<int32_t> useful;
  for (size_t i = 0; i < all->label.size(); ++i) {
    const int32_t label = all->label[i];
    if (label < 0 || label >= classes) return internal_error("a description of no label");
    const int64_t shown = rows[static_cast<size_t>(label)];
    if (shown == 0 || shown >= kEnoughRows) continue;
    useful.insert(useful.end(), kDescriptionWeight, static_cast<int32_t>(i));
    out.label.insert(out.label.end(), kDescriptionWeight, label);
  }
  out.x = pick_rows(all->x.view(), useful);
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(out.x.view()));
  return out;
}

Descriptions translate_descriptions(const Descriptions& all, const std::vector<std::string>& from,
                                    const std::vector<std::string>& to) {
  const std::vector<int32_t> label = translate_labels(all.label, from, to);
  std::vector<int32_t> known;
  for (size_t i = 0; i < label.size(); ++i)
    if (label[i] >= 0) known.push_back(static_cast<int32_t>(i));
  return {pick_rows(all.x.view(), known), pick(label, known)};
}

int64_t described_labels(const Descriptions& descriptions) {
  std::vector<int32_t> labels = descriptions.label;
  std::sort(labels.begin(), labels.end());
  return std::unique(labels.begin(), labels.end()) - labels.begin();
}

DescribedRows::DescribedRows(HostMatrix<const float> x, std::span<const int32_t> label, std::span<const int32_t> fold,
                             const Descriptions* descriptions)
    : x_(x), label_(label), fold_(fold) {
  if (descriptions == nullptr || descriptions->empty()) return;
  const int64_t more = descriptions->x.rows();
  own_x_ = Matrix<float>(x.rows + more, x.cols);
  for (int64_t i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.cols, own_x_.row(i));
  std::copy_n(descriptions->x.data(), descriptions->x.size(), own_x_.row(x.rows));
  own_label_.assign(label.begin(), label.end());
  own_label_.insert(own_label_.end(), descriptions->label.begin(), descriptions->label.end());
  const int32_t none = fold.empty() ? 0 : *std::max_element(fold.begin(), fold.end()) + 1;
  std::vector<int32_t> only(static_cast<size_t>(*std::max_element(own_label_.begin(), own_label_.end())) + 1, -1);
  for (size_t i = 0; i < label.size(); ++i) {
    int32_t& f = only[static_cast<size_t>(label[i])];
    f = f < 0 || f == fold[i] ? fold[i] : none;
  }
  own_fold_.assign(fold.begin(), fold.end());
  for (const int32_t l : descriptions->label) {
    const int32_t f = only[static_cast<size_t>(l)];
    own_fold_.push_back(f < 0 ? none : f);
  }
  x_ = std::as_const(own_x_).view();
  label_ = own_label_;
  fold_ = own_fold_;
}

}  // namespace tracer
