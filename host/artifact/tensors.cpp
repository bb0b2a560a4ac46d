#include "host/artifact/tensors.h"

#include "kernels/ensemble.h"

namespace tracer {

Status copy_matrix(const io::SafetensorsFile& file, const std::string& name, int64_t rows, int64_t cols,
                   Matrix<float>& out) {
  auto view = file.matrix<float>(name, rows, cols);
  if (!view.ok()) return view.status();
  if (!std::all_of(view->data, view->data + view->rows * view->cols, [](float v) { return std::isfinite(v); }))
    return not_finite(name);
  out = Matrix<float>(view->rows, view->cols);
  std::copy_n(view->data, out.size(), out.data());
  return {};
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
