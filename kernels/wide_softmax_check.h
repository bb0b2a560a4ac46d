// Whether a call of Backend::wide_softmax fits; what does not is a bug of the caller. Shared by the backends.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernels/backend.h"
#include "kernels/status.h"

namespace tracer {

inline bool learns_from(const WideSoftmaxProblem& p, int64_t model, int64_t row) {
  const int32_t held = p.held_out[static_cast<size_t>(model)];
  return held < 0 || p.fold[static_cast<size_t>(row)] != held;
}

inline Status check_wide(const WideSoftmaxProblem& p, HostMatrix<const float> w, std::span<const float> b,
                         std::span<const uint8_t> active, std::span<double> loss, HostMatrix<float> grad_w,
                         std::span<float> grad_b, HostMatrix<float> held_out_probability) {
  const auto size = [](auto values) { return static_cast<int64_t>(values.size()); };
  const int64_t n = p.x.rows, d = p.x.cols, models = size(p.held_out), cols = models * p.classes;
  if (p.classes < 1) return internal_error("wide_softmax: at least one class");
  if (size(p.label) != n || size(p.fold) != n) {
    return internal_error("wide_softmax: one label and one fold for each row");
  }
  if (p.class_seen.rows != models || p.class_seen.cols != p.classes) {
    return internal_error("wide_softmax: class_seen must be models x classes");
  }
  if (w.rows != d || w.cols != cols || size(b) != cols) {
    return internal_error("wide_softmax: w must be d x models*classes, b models*classes");
  }
  if (size(active) != models || size(loss) != models) {
    return internal_error("wide_softmax: active and loss must have one entry for each model");
  }
  if (grad_w.data != nullptr && (grad_w.rows != d || grad_w.cols != cols || size(grad_b) != cols)) {
    return internal_error("wide_softmax: grad_w must be d x models*classes, grad_b models*classes");
  }
  const HostMatrix<float>& held = held_out_probability;
  if (held.data != nullptr && (held.rows != n || held.cols != p.classes)) {
    return internal_error("wide_softmax: held_out_probability must be n x classes");
  }
  for (const int32_t label : p.label) {
    if (label < 0 || label >= p.classes) return internal_error("wide_softmax: a label is outside [0, classes)");
  }
  for (int64_t m = 0; m < models; ++m) {
    if (active[static_cast<size_t>(m)] == 0) continue;
    for (int64_t i = 0; i < n; ++i) {
      if (learns_from(p, m, i) && p.class_seen(m, p.label[static_cast<size_t>(i)]) == 0) {
        return internal_error("wide_softmax: model " + std::to_string(m) + " learns from row " + std::to_string(i) +
                              ", whose class is removed from it");
      }
    }
  }
  return {};
}

}  // namespace tracer
