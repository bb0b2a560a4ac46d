// A sparse matrix times a dense one.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// The contract of Backend::sparse_product.
Status sparse_product(const Context& context, const SparseRows& a, HostMatrix<const float> b, HostMatrix<float> out);

}  // namespace tracer::cpu
