// The acceptor: how probable it is that the teacher would agree with the surrogate on a row.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/policy/policy.h"
#include "engine/policy/row_features.h"

namespace tracer {

inline constexpr int64_t kAcceptorFeatures = 16;  // of a policy without added members
inline constexpr int64_t kAddedFeatures = 3;      // more for each added member
inline constexpr int64_t kMostAcceptorFeatures = kAcceptorFeatures + kAddedFeatures * static_cast<int64_t>(kMostAdded);
constexpr int64_t acceptor_feature_count(int64_t added) { return kAcceptorFeatures + kAddedFeatures * added; }

// Writes the acceptor's view of one row: acceptor_feature_count(f.n_added) entries, all of them finite.
void acceptor_features(const RowFeatures& f, double label_frequency, std::span<double> out);

// Learns from out-of-fold features, all with as many added members. Cost: about 10 n p^2.
Acceptor fit_acceptor(std::span<const RowFeatures> features, std::span<const uint8_t> agree,
                      std::span<const double> label_frequency);

// The same from a design of any features: n x (1 + p). The caller has set the first column to 1; the other columns are
// centred and scaled in place.
Acceptor fit_acceptor(HostMatrix<double> design, std::span<const uint8_t> agree);

// The score lies in (0, 1).
double accept_score(const Acceptor& acceptor, const RowFeatures& f, double label_frequency);
// features: those of the row, as many as the acceptor has means. label: the surrogate's label of the row.
double accept_score(const Acceptor& acceptor, std::span<const double> features, int32_t label);

}  // namespace tracer
