// Multilayer perceptrons with relu: learned by Adam (Kingma and Ba, arXiv:1412.6980) with decoupled weight decay
// (Loshchilov and Hutter, arXiv:1711.05101) on mini-batches; the network that answers is a running average of the
// weights (Polyak and Juditsky, 1992), which is smoother than the weights themselves and better on rows not seen.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/policy/policy.h"
#include "kernels/backend.h"

namespace tracer {

struct MlpOptions {
  std::vector<int64_t> hidden = {256};  // units of each hidden layer
  int64_t batch = 256;
  double step = 4e-3;       // of Adam; sqrt(d) larger for the first layer's weights, as rows are of unit length
  double decay = 0.1;       // of the weights, in a step of length 1; biases do not decay
  double averaging = 0.99;  // of the running average, a step; 0: the weights themselves
  uint64_t seed = 0;
};

// One network in training. Which rows share a mini-batch is keyed by (seed, epoch, row); what is drawn does not depend
// on the other networks. Deterministic for any number of threads.
class MlpTrainer {
 public:
  // Learns from the rows of x (n x d) named by `rows`; x and label must outlive it.
  MlpTrainer(Backend& backend, HostMatrix<const float> x, std::span<const int32_t> label, int64_t classes,
             std::vector<int32_t> rows, MlpOptions options);

  // Loss (mean of -ln p(label), without decay) and gradient over the rows named, at the weights as they stand.
  Status gradient(std::span<const int64_t> rows, double& loss);
  // One pass over the rows. Cost: 6 n flops a weight.
  Status epoch();

  struct Part {  // one matrix of weights or one vector of biases, with its gradient
    std::span<float> value;
    std::span<const float> gradient;
    int64_t fan_in = 0;  // 0: biases
  };
  std::vector<Part> parts();
  // The averaged network; labels without a row are removed.
  AddedMember network() const;

 private:
  struct Layer {
    Matrix<float> w, b, grad_w, grad_b, mean_w, mean_b;
    std::vector<float> first_w, second_w, first_b, second_b;  // Adam's moments
    Matrix<float> output, delta;                              // of a mini-batch
  };
  void adam(Layer& layer, double step);

  Backend& backend_;
  HostMatrix<const float> x_;
  std::span<const int32_t> label_;
  int64_t classes_;
  std::vector<int32_t> rows_;
  MlpOptions options_;
  std::vector<Layer> layers_;
  Matrix<float> input_;
  std::vector<uint8_t> seen_;  // labels
  int64_t steps_ = 0, epochs_ = 0;
};

}  // namespace tracer
