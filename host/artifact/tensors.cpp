#include "host/artifact/tensors.h"

#include "kernels/ensemble.h"

namespace tracer {

Status copy_matrix(const io::SafetensorsFile& file, const std::string& name, int64_t rows, int64_t cols,
                   Matrix<float>& out) {
  auto view = file.matrix<float>(name, rows, cols);
  if (!view.ok()) return view.status();
  out = Matrix<float>::copy_of(*view);
  const float* v = out.data();
  bool finite = true;  // to the end: an early way out would cost more than it saves
  for (int64_t i = 0; i < out.size(); ++i) finite &= std::isfinite(v[i]);
  return finite ? Status() : not_finite(name);
}

Status check_some_label(const std::vector<float>& bias, const std::string& name) {
  if (*std::max_element(bias.begin(), bias.end()) > kRemovedClassBias) return {};
  return bad_input(std::string(kWeights) + ": " + name + ": expected a label that is not removed, found none");
}

Status copy_acceptor(const io::SafetensorsFile& file, const std::string& prefix, int64_t classes, int64_t features,
                     std::vector<double>& label_frequency, Acceptor& out) {
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kLabelFrequency, classes, label_frequency));
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kAcceptorMean, features, out.mean));
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kAcceptorScale, features, out.scale));
  TRACER_RETURN_IF_ERROR(copy_vector(file, prefix + kAcceptorCoef, features + 1, out.coef));
  if (!std::all_of(out.scale.begin(), out.scale.end(), [](double s) { return s > 0; }))
    return bad_input(std::string(kWeights) + ": " + prefix + kAcceptorScale + ": expected positive numbers");
  return {};
}

}  // namespace tracer
