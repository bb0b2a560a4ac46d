// What a fit is asked to try.
#pragma once

#include <string>
#include <vector>

#include "engine/policy/gate.h"

namespace tracer {

// The members to try beside softmax regression and neighbours (engine/learn/member_search.h).
struct MemberSet {
  bool prototype = false;
  bool mlp = false;   // one hidden layer
  bool mlp2 = false;  // two hidden layers
  bool gbt = false;   // gradient-boosted trees
  bool any() const { return prototype || mlp || mlp2 || gbt; }
};
// "prototype", "mlp", "mlp2", "gbt": those of the set, in this order.
std::vector<std::string> member_names(const MemberSet& members);

struct Choices {
  MemberSet members;
  bool label_thresholds = false;  // try the family l2d_label beside global and l2d
  bool residual = false;  // try the family rsb; a challenger, which has one stage, and a second surrogate do not
  double gate_share = kGateShare;  // the share of ordinary rows that the gate may defer, in [0, 0.5]
};

}  // namespace tracer
