// The transformer on one of libtorch's devices: batches go there and back on a few streams, so that copies and host
// work of one run beside the arithmetic of another.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>

#include "engine/text/transformer.h"

namespace tracer {

// Tokens of a batch on a device: enough to fill it, few enough that a group of texts makes several.
inline constexpr int64_t kDeviceBatchTokens = 16384;

// Throws c10::Error. Float32 products are float32's own (no TF32). Attention is one kernel for all sequences of a batch
// where the device has it and it gives, on sequences made up here, what attention run by run gives.
std::unique_ptr<Transformer> make_device_bert(const TransformerShape& shape, const TransformerWeights& weights,
                                              Precision precision, c10::Device device);

}  // namespace tracer
