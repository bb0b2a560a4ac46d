// Gradient-boosted trees, learned by XGBoost (Chen and Guestrin 2016, arXiv:1603.02754), whose library is opened when a
// fit first asks for the member "gbt". The trees are read from it once: policies are served without it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/policy/policy.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer {

// Opens $TRACER_XGBOOST, else libxgboost.so.0 or libxgboost.so where the loader finds them. kDevice, saying what the
// loader said. Thread-safe; the library stays open.
Status open_xgboost();

// One ensemble: a tree for every label each round, on one thread, so that the bytes do not depend on how many trainers
// run beside it. To be used on the thread that made it: XGBoost keeps what it knows of rows by thread. Requires
// open_xgboost().
class TreeTrainer {
 public:
  // x: n x d, dense; label: of each row, in [0, classes). held_out: rows to say something of after each round, n' x d.
  // Both are copied. kInternal, with what XGBoost said; kOutOfMemory.
  static Result<std::unique_ptr<TreeTrainer>> create(HostMatrix<const float> x, std::span<const int32_t> label,
                                                     HostMatrix<const float> held_out, int64_t classes, uint64_t seed);
  ~TreeTrainer();
  TreeTrainer(const TreeTrainer&) = delete;
  TreeTrainer& operator=(const TreeTrainer&) = delete;

  Status round();
  // Probabilities of the rows held out, n' x classes, row after row, by what was learned so far; valid until the next
  // call.
  Result<std::span<const float>> held_out_probability();
  Result<Trees> trees() const;

 private:
  struct State;
  explicit TreeTrainer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tracer
