// The acceptor: how probable it is that the teacher would agree with the surrogate on a row.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/policy/policy.h"
#include "engine/policy/row_features.h"

namespace tracer {

inline constexpr int64_t kAcceptorFeatures = 16;  // of a policy without networks
inline constexpr int64_t kNetworkFeatures = 3;    // more for each network
inline constexpr int64_t kMostAcceptorFeatures =
    kAcceptorFeatures + kNetworkFeatures * static_cast<int64_t>(kMostNetworks);
constexpr int64_t acceptor_feature_count(int64_t networks) { return kAcceptorFeatures + kNetworkFeatures * networks; }

// The acceptor's view of one row, acceptor_feature_count(f.networks) entries; every one is finite.
void acceptor_features(const RowFeatures& f, double label_frequency, std::span<double> out);

// Learns from out-of-fold features, all of as many networks. Cost: about 10 n p^2.
Acceptor fit_acceptor(std::span<const RowFeatures> features, std::span<const uint8_t> agree,
                      std::span<const double> label_frequency);

// Likewise from a design of any features: n x (1 + p), whose first column the caller has set to 1, and whose others are
// centred and scaled in place.
Acceptor fit_acceptor(HostMatrix<double> design, std::span<const uint8_t> agree);

// In (0, 1).
double accept_score(const Acceptor& acceptor, const RowFeatures& f, double label_frequency);
// features: of the row, as many as the acceptor has means. label: of the row.
double accept_score(const Acceptor& acceptor, std::span<const double> features, int32_t label);

}  // namespace tracer
