// The transformer of engine/text/transformer.h, in libtorch. Only this folder may include its headers.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/headeronly/version.h>

#include "engine/text/transformer.h"
#include "engine/torch/attention.h"
#include "engine/torch/bert_layers.h"
#include "engine/torch/cuda_half.h"
#include "engine/torch/device_bert.h"
#include "engine/torch/guarded.h"
#include "engine/torch/tile_bert.h"
#include "engine/torch/tile_product.h"
#include "engine/torch/unit_rows.h"

namespace tracer {
namespace {

using at::Tensor;

at::ScalarType type_of(Precision precision) { return precision == Precision::kFloat32 ? at::kFloat : at::kBFloat16; }

// On the CPU, where a batch is one thread's.
class Bert : public Transformer {
 public:
  Bert(const TransformerShape& shape, const TransformerWeights& weights, Precision precision)
      : layers_(shape, weights, type_of(precision), at::kCPU) {}

  bool rows_stand_alone() const override { return false; }
  Status encode(const TokenBatch& batch, HostMatrix<float> out) const override {
    return guarded([&] {
      // Threads belong to the caller: a matrix product on one thread gives the same bytes however many callers there
      // are.
      at::set_num_threads(1);
      const c10::InferenceMode inference;
      const std::vector<LengthRun> runs = length_runs(batch);
      pool(forward(batch, runs), runs, out);
    });
  }

 private:
  Tensor forward(const TokenBatch& batch, const std::vector<LengthRun>& runs) const {
    const auto tokens = static_cast<int64_t>(batch.ids.size());
    const Tensor ids = at::from_blob(const_cast<int32_t*>(batch.ids.data()), {tokens}, at::kInt);
    const Tensor places = at::empty({tokens}, at::kInt);
    write_places(batch, places.data_ptr<int32_t>());
    return layers_.forward(ids, places,
                           [&](const Tensor& qkv) { return attention_by_runs(qkv, runs, layers_.shape().heads); });
  }

  void pool(const Tensor& x, const std::vector<LengthRun>& runs, HostMatrix<float> out) const {
    const TransformerShape& shape = layers_.shape();
    int64_t row = 0;
    for (const LengthRun& run : runs) {
      const Tensor tokens = x.narrow(0, run.first_token, run.sequences * run.length)
                                .view({run.sequences, run.length, shape.hidden})
                                .to(at::kFloat);
      const Tensor pooled = (shape.pooling == Pooling::kMean ? tokens.mean(1) : tokens.select(1, 0)).contiguous();
      write_unit_rows(pooled.const_data_ptr<float>(), run.sequences, row, out);
      row += run.sequences;
    }
  }

  const BertLayers layers_;
};

Status make(const TransformerShape& shape, const TransformerWeights& weights, Precision precision,
            std::optional<int> cuda_device, std::unique_ptr<Transformer>* out) {
  if (cuda_device && precision == Precision::kInt8)
    return bad_input("precision int8 is for processors; a GPU takes bfloat16 or float32");
  if (precision == Precision::kInt8 && !tile_products_available(precision))
    return bad_input("precision int8 wants a processor with AMX tiles or AVX-512 VNNI");
  if (precision == Precision::kInt8 && !tile_bert_fits(shape, precision))
    return bad_input("precision int8 wants hidden and intermediate sizes that are multiples of 64, and heads of 16");
  if (cuda_device) TRACER_RETURN_IF_ERROR(open_cuda_half(*cuda_device));
  return guarded([&] {
    const c10::InferenceMode inference;
    if (cuda_device)
      *out = make_device_bert(shape, weights, precision, c10::Device(at::kCUDA, static_cast<int8_t>(*cuda_device)));
    else if (tile_bert_fits(shape, precision))
      *out = make_tile_bert(shape, weights, precision);
    else
      *out = std::make_unique<Bert>(shape, weights, precision);
  });
}

const char* version() { return TORCH_VERSION; }

Status check() {
  // Major, minor and patch, a byte each; the lower bytes are free.
  constexpr uint64_t kBuilt = TORCH_ABI_VERSION >> 40;
  const uint64_t running = aoti_torch_abi_version() >> 40;
  if (running == kBuilt) return {};
  const auto shown = [](uint64_t v) {
    return std::to_string(v >> 16) + "." + std::to_string(v >> 8 & 255) + "." + std::to_string(v & 255);
  };
  return device_error("built with libtorch " + shown(kBuilt) + ", but " + shown(running) + " runs");
}

}  // namespace

extern "C" __attribute__((visibility("default")))
const TransformerModule tracer_transformer_module = {kTransformerModuleInterface, version, check, open_cuda_half, make};

}  // namespace tracer
