// The acceptor on a row's features.
#pragma once

#include "kernels/ensemble.h"

namespace tracer::cpu {

// See LinearAcceptor.
float acceptor_score(const LinearAcceptor& acceptor, const DecisionFeatures& f);

}  // namespace tracer::cpu
