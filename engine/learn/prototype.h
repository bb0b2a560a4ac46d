// The class prototype: each label's mean, seen through the inverse of the rows' covariance around those means (linear
// discriminant analysis; Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, section 4.3), with a
// ridge:
//   S = within-label covariance,  A = S + ridge * (trace(S) / d) * I
//   logit_c(x) = temperature * (m_c' A^-1 x - m_c' A^-1 m_c / 2 + ln n_c / n)
// in closed form. It is linear, so it answers like any linear member.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/policy/policy.h"
#include "kernels/backend.h"

namespace tracer {

// What it is learned from; those of disjoint rows add up.
struct ClassMoments {
  Matrix<double> gram;        // X'X, d x d
  Matrix<double> sum;         // C x d: of the rows of each label
  std::vector<int64_t> rows;  // C
};

// Of the rows of x named by `rows` (indices). Products are float32 in blocks of 4096 rows, summed in float64. Cost:
// 2 n d^2 flops.
Result<ClassMoments> class_moments(Backend& backend, HostMatrix<const float> x, std::span<const int32_t> label,
                                   int64_t classes, std::span<const int32_t> rows);
void add(const ClassMoments& a, double factor, ClassMoments& to);  // factor: 1 or -1

// Labels without a row are removed (kRemovedBias). Cost: C d^2 + d^3 / 3 float64 operations, twice.
Result<AddedMember> fit_prototype(Backend& backend, const ClassMoments& moments, double ridge, double temperature);

}  // namespace tracer
