// Tensors of weights.safetensors, checked and copied. Every error names the tensor.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/policy/policy.h"
#include "host/artifact/names.h"
#include "host/io/safetensors.h"
#include "kernels/status.h"

namespace tracer {

inline Status not_finite(const std::string& name) {
  return bad_input(std::string(kWeights) + ": " + name + ": expected finite numbers, found NaN or infinity");
}

// rows -1: any number of them.
Status copy_matrix(const io::SafetensorsFile& file, const std::string& name, int64_t rows, int64_t cols,
                   Matrix<float>& out);

template <class T>
Status copy_vector(const io::SafetensorsFile& file, const std::string& name, int64_t count, std::vector<T>& out) {
  TRACER_ASSIGN_OR_RETURN(auto values, file.values<T>(name, {count}));
  if constexpr (std::is_floating_point_v<T>)
    if (!std::all_of(values.begin(), values.end(), [](T v) { return std::isfinite(v); })) return not_finite(name);
  out.assign(values.begin(), values.end());
  return {};
}

// Of a bias: not every label may be removed.
Status check_some_label(const std::vector<float>& bias, const std::string& name);

// An acceptor on that many features, and the labels' shares that go into them; not its label offsets.
Status copy_acceptor(const io::SafetensorsFile& file, const std::string& prefix, int64_t classes, int64_t features,
                     std::vector<double>& label_frequency, Acceptor& out);

}  // namespace tracer
