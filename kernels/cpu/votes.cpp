#include "kernels/cpu/votes.h"

#include <algorithm>
#include <cmath>

namespace tracer::cpu {
namespace {

constexpr int kMaxSquarings = 64;  // up to this exponent, squaring beats pow

// max(similarity, 0)^sharpness, in float64: a power of a float32 similarity loses digits in float32.
class Power {
 public:
  explicit Power(float sharpness) : exponent_(static_cast<double>(sharpness)) {
    const bool whole = sharpness >= 0 && sharpness <= kMaxSquarings && std::floor(sharpness) == sharpness;
    steps_ = whole ? static_cast<int>(sharpness) : -1;
  }
  double operator()(float similarity) const {
    double base = std::max(static_cast<double>(similarity), 0.0);
    if (steps_ < 0) return std::pow(base, exponent_);
    double result = 1;
    for (int n = steps_; n > 0; n /= 2, base *= base) {
      if (n % 2 != 0) result *= base;
    }
    return result;
  }

 private:
  double exponent_;
  int steps_;
};

}  // namespace

Status check_votes(const NeighbourVote& vote, int64_t rows) {
  if (vote.neighbour.cols != vote.similarity.cols ||
      (vote.neighbour.cols > 0 && (vote.neighbour.rows != rows || vote.similarity.rows != rows))) {
    return internal_error("decision_features_from: neighbour and similarity must be n x k");
  }
  return {};
}

VoteBlock::VoteBlock(const NeighbourVote& vote, int64_t width, float* memory)
    : vote_(vote), k_(vote.neighbour.cols), width_(width) {
  mass_ = reinterpret_cast<double*>(memory);
  total_ = mass_ + width * k_;
  old_ = reinterpret_cast<float*>(total_ + width);
  new_ = old_ + k_ + 16;
  label_ = reinterpret_cast<int32_t*>(new_ + k_ + 16);
}

bool VoteBlock::cast(int64_t first, int64_t rows, int64_t classes) {
  const Power power(vote_.sharpness);
  const int64_t references = static_cast<int64_t>(vote_.reference_label.size());
  bool fits = true;
  first_ = first;
  for (int64_t lane = 0; lane < rows; ++lane) {
    double total = 0;
    for (int64_t j = 0; j < k_; ++j) {
      const int64_t index = vote_.neighbour(first + lane, j);
      int32_t label = -1;
      double mass = 0;
      if (index >= 0) {
        label = index < references ? vote_.reference_label[static_cast<size_t>(index)] : -1;
        if (label < 0 || label >= classes) {
          fits = false;
          label = -1;
        } else {
          mass = power(vote_.similarity(first + lane, j));
        }
      }
      label_[lane * k_ + j] = label;
      mass_[lane * k_ + j] = mass;
      total += mass;
    }
    total_[lane] = total;
  }
  return fits;
}

float VoteBlock::add_to(const IsaKernels& isa, int64_t lane, float entropy, float* p) const {
  const int32_t* label = label_ + lane * k_;
  const double* mass = mass_ + lane * k_;
  const double scale = static_cast<double>(vote_.weight) / total_[lane];
  // Each voted class once, at its first neighbour, with the mass of all of them.
  int64_t voted = 0;
  for (int64_t j = 0; j < k_; ++j) {
    if (label[j] < 0 || std::find(label, label + j, label[j]) != label + j) continue;
    double sum = 0;
    for (int64_t i = j; i < k_; ++i) sum += label[i] == label[j] ? mass[i] : 0.0;
    float& here = p[label[j] * width_ + lane];
    old_[voted] = here;
    here += static_cast<float>(sum * scale);
    new_[voted++] = here;
  }
  // -sum p ln p over the unvoted classes is keep * H(s) - keep ln keep, less what the voted ones had in it.
  const double keep = static_cast<double>(1.0f - vote_.weight);
  const double scaled = keep > 0 ? keep * static_cast<double>(entropy) - keep * std::log(keep) : 0.0;
  return static_cast<float>(scaled + static_cast<double>(isa.entropy_row(new_, voted)) -
                            static_cast<double>(isa.entropy_row(old_, voted)));
}

void VoteBlock::describe(int64_t lane, float otherwise, DecisionFeatures& f) const {
  const int32_t* label = label_ + lane * k_;
  int64_t available = 0, same = 0;
  double distance = 0, mass = 0;
  f.nearest = -2.0f;
  for (int64_t j = 0; j < k_; ++j) {
    if (label[j] < 0) continue;
    const float similarity = vote_.similarity(first_ + lane, j);
    if (available == 0) f.nearest = similarity;
    if (available < kNeighbourhood) distance += 1.0 - static_cast<double>(similarity);
    ++available;
    if (label[j] == f.label) {
      ++same;
      mass += mass_[lane * k_ + j];
    }
  }
  const int64_t near = std::min(available, kNeighbourhood);
  f.mean_distance_10 = near > 0 ? static_cast<float>(distance / static_cast<double>(near)) : 2.0f;
  f.vote_share = available > 0 ? static_cast<float>(static_cast<double>(same) / static_cast<double>(available)) : 0.0f;
  f.vote_p = total_[lane] > 0 ? static_cast<float>(mass / total_[lane]) : otherwise;
}

}  // namespace tracer::cpu
