// Element types and sizes that the writer and the reader of safetensors share.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "host/io/safetensors.h"

namespace tracer::io {

std::optional<TensorType> tensor_type_named(std::string_view name);

// The bytes of a tensor; false when a size is negative or the product leaves int64.
bool bytes_of(TensorType type, const std::vector<int64_t>& shape, int64_t& bytes);

}  // namespace tracer::io
