// The acceptor: how probable it is that the teacher would agree with the surrogate on a row.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/policy.h"
#include "engine/row_features.h"

namespace tracer {

inline constexpr int64_t kAcceptorFeatures = 16;

// The acceptor's view of one row; every entry is finite.
void acceptor_features(const RowFeatures& f, double label_frequency, std::span<double, kAcceptorFeatures> out);

// Learns from out-of-fold features. Cost: about 10 n p^2.
Acceptor fit_acceptor(std::span<const RowFeatures> features, std::span<const uint8_t> agree,
                      std::span<const double> label_frequency);

// In (0, 1).
double accept_score(const Acceptor& acceptor, const RowFeatures& f, double label_frequency);

}  // namespace tracer
