// What the acceptor and the gate see of one row: the kernels' view of the whole ensemble, and what single members say.
#pragma once

#include <array>
#include <cstdint>

#include "engine/policy/policy.h"
#include "kernels/decisions.h"
#include "kernels/matrix.h"

namespace tracer {

// A member's answer by itself; ties to the lower label.
template <class T>
struct Answer {
  int32_t label = 0;
  T top1 = 0;
  T top2 = 0;
};

// What a member says of the ensemble's label. All 0 where the policy has no such member.
struct MemberView {
  float p = 0;       // its probability of the label
  float margin = 0;  // between its two most probable labels
  float agrees = 0;  // 1: it would have answered the same
};

struct RowFeatures : DecisionFeatures {
  float neighbourhood = 2;  // mean distance of its nearest references to theirs (engine/policy/gate.h); unset: 2
  MemberView linear, kernel;
  std::array<MemberView, kMostAdded> added = {};  // the stage's added members, in order
  int32_t n_added = 0;
};

// The two largest of a row of probabilities; top2 is 0 where there is one label.
template <class T>
Answer<T> answer_of(const T* p, int64_t classes) {
  Answer<T> a{0, p[0], 0};
  for (int64_t c = 1; c < classes; ++c) {
    if (p[c] > a.top1) {
      a.top2 = a.top1;
      a.top1 = p[c];
      a.label = static_cast<int32_t>(c);
    } else if (p[c] > a.top2) {
      a.top2 = p[c];
    }
  }
  return a;
}

// The member whose probabilities of one row are p, on the ensemble's label.
template <class T>
MemberView member_view(const T* p, int64_t classes, int32_t label) {
  const Answer<T> a = answer_of(p, classes);
  return {static_cast<float>(p[label]), static_cast<float>(a.top1 - a.top2), a.label == label ? 1.0f : 0.0f};
}

}  // namespace tracer
