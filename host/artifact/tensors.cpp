#include "host/artifact/tensors.h"

#include <bit>
#include <cstdint>

#include "kernels/decisions.h"

namespace tracer {

Status copy_matrix(const io::SafetensorsFile& file, const std::string& name, int64_t rows, int64_t cols,
                   Matrix<float>& out) {
  TRACER_ASSIGN_OR_RETURN(auto view, file.matrix<float>(name, rows, cols));
  out = Matrix<float>::copy_of(view);
  const float* v = out.data();
  uint32_t special = 0;  // to the end and of the bits, so that it is done by vectors
  for (int64_t i = 0; i < out.size(); ++i)
    special |= static_cast<uint32_t>((std::bit_cast<uint32_t>(v[i]) & 0x7fffffffu) >= 0x7f800000u);
  return special == 0 ? Status() : not_finite(name);
}

Status check_some_label(const std::vector<float>& bias, const std::string& name) {
  if (*std::max_element(bias.begin(), bias.end()) > kRemovedBias) return {};
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
