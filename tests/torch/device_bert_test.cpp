// The transformer that runs on a GPU, on libtorch's CPU device, where it must give what the CPU's own gives; and on a
// GPU where there is one.
#include "engine/torch/device_bert.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/sin.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <thread>

#include "engine/torch/attention.h"
#include "engine/torch/cuda_half.h"
#include "host/encoder/encoder_folder.h"
#include "tests/host/encoder_example.h"

namespace tracer {
static void PrintTo(Precision precision, std::ostream* out) { *out << to_string(precision); }
extern "C" const TransformerModule tracer_transformer_module;
namespace {

// Of these lengths, in this order; ids by chance.
TokenBatch batch_of(const std::vector<int64_t>& lengths, uint32_t seed) {
  std::mt19937 random(seed);
  TokenBatch batch;
  for (const int64_t length : lengths) {
    for (int64_t t = 0; t < length; ++t) batch.ids.push_back(static_cast<int32_t>(random() % tiny_vocabulary().size()));
    batch.start.push_back(static_cast<int64_t>(batch.ids.size()));
  }
  return batch;
}

const std::vector<std::vector<int64_t>> kLengths = {
    {1}, {16}, {16, 16, 16}, {9, 9, 8, 8, 8, 3, 1}, {3, 16, 1, 1, 7, 3, 16, 2}};

double furthest(const Matrix<float>& a, const Matrix<float>& b) {
  double most = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double apart = std::abs(double{a.data()[i]} - double{b.data()[i]});
    if (!(apart <= most)) most = apart;  // NaN stays
  }
  return most;
}

class DeviceBert : public testing::Test {
 protected:
  void open(const TinyEncoder& tiny) {
    auto read = read_encoder_folder(write_tiny_encoder(files_, "m", tiny));
    ASSERT_TRUE(read.ok()) << read.status().message();
    folder_.emplace(std::move(read).value());
    const Status made =
        tracer_transformer_module.make(folder_->shape, folder_->weights, Precision::kFloat32, std::nullopt, &cpu_);
    ASSERT_TRUE(made.ok()) << made.message();
  }
  std::unique_ptr<Transformer> on(const c10::Device& device, Precision precision) {
    const c10::InferenceMode inference;
    return make_device_bert(folder_->shape, folder_->weights, precision, device);
  }
  Matrix<float> encode(const Transformer& transformer, const TokenBatch& batch) {
    Matrix<float> out(batch.sequences(), folder_->shape.hidden);
    const Status status = transformer.encode(batch, out.view());
    EXPECT_TRUE(status.ok()) << status.message();
    return out;
  }

  io::TempFolder files_;
  std::optional<EncoderFolder> folder_;
  std::unique_ptr<Transformer> cpu_;
};

TEST_F(DeviceBert, GivesTheVectorsOfTheCpu) {
  for (const char* pooling : {"mean_tokens", "cls_token"}) {
    for (const char* activation : {"gelu", "relu", "gelu_new"}) {
      TinyEncoder tiny;
      tiny.pooling = pooling, tiny.activation = activation;
      open(tiny);
      const auto device = on(at::kCPU, Precision::kFloat32);
      EXPECT_FALSE(device->rows_stand_alone());
      EXPECT_EQ(device->batch_tokens(), kDeviceBatchTokens);
      for (const auto& lengths : kLengths) {
        const TokenBatch batch = batch_of(lengths, 7);
        EXPECT_LE(furthest(encode(*device, batch), encode(*cpu_, batch)), 2e-6) << pooling << " " << activation;
      }
    }
  }
}

TEST_F(DeviceBert, Bfloat16StaysNearFloat32) {
  open({});
  const auto device = on(at::kCPU, Precision::kBfloat16);
  const TokenBatch batch = batch_of(kLengths.back(), 11);
  const Matrix<float> x = encode(*device, batch), y = encode(*cpu_, batch);
  EXPECT_LE(furthest(x, y), 0.05);
  EXPECT_GT(furthest(x, y), 0);
}

TEST_F(DeviceBert, ThreadsShareItsStreamsAndGetTheSameBytes) {
  open({});
  const auto device = on(at::kCPU, Precision::kFloat32);
  std::vector<Matrix<float>> alone;
  for (size_t i = 0; i < kLengths.size(); ++i) alone.push_back(encode(*device, batch_of(kLengths[i], 3)));
  std::vector<std::jthread> threads;
  std::atomic<int> differing{0}, asked{0};
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (size_t n = 0; n < 20; ++n) {
        const size_t i = (n + static_cast<size_t>(t)) % kLengths.size();
        const Matrix<float> x = encode(*device, batch_of(kLengths[i], 3));
        differing += std::memcmp(x.data(), alone[i].data(), static_cast<size_t>(x.size()) * sizeof(float)) != 0;
        ++asked;
      }
    });
  threads.clear();
  EXPECT_EQ(asked, 160);
  EXPECT_EQ(differing, 0);
}

TEST_F(DeviceBert, Int8IsForProcessors) {
  open({});
  std::unique_ptr<Transformer> made;
  const Status status = tracer_transformer_module.make(folder_->shape, folder_->weights, Precision::kInt8, 0, &made);
  EXPECT_EQ(status.code(), ErrorCode::kBadInput);
  EXPECT_EQ(made, nullptr);
}

TEST(CudaHalf, SaysWhatIsMissing) {
  const Status first = open_cuda_half(0);
  const Status none = open_cuda_half(100);
  EXPECT_EQ(none.code(), ErrorCode::kDevice);
  EXPECT_FALSE(none.message().empty());
  EXPECT_TRUE(first.ok() || first.code() == ErrorCode::kDevice) << first.message();
}

// What follows runs on a GPU alone.
class OnCuda : public DeviceBert, public testing::WithParamInterface<Precision> {
 protected:
  void SetUp() override {
    if (const Status open = open_cuda_half(0); !open.ok()) GTEST_SKIP() << "no GPU: " << open.message();
  }
};

TEST_P(OnCuda, OneKernelForAllSequencesGivesWhatRunsGive) {
  const c10::InferenceMode inference;
  const bool exact = GetParam() == Precision::kFloat32;
  for (const int64_t heads : {2, 12}) {
    const TokenBatch batch = batch_of({200, 64, 17, 17, 3, 1}, 1);
    std::vector<int32_t> start(batch.start.begin(), batch.start.end());
    const int64_t tokens = batch.start.back(), width = 3 * 32 * heads;
    const at::Tensor qkv = at::arange(tokens * width, at::TensorOptions().dtype(at::kFloat).device(at::kCUDA))
                               .view({tokens, width})
                               .sin()
                               .to(exact ? at::kFloat : at::kBFloat16);
    const at::Tensor there =
        at::from_blob(start.data(), {static_cast<int64_t>(start.size())}, at::kInt).to(at::Device(at::kCUDA, 0));
    const at::Tensor apart = attention_varlen(qkv, there, 200, heads)
                                 .to(at::kFloat)
                                 .sub(attention_by_runs(qkv, length_runs(batch), heads).to(at::kFloat))
                                 .abs()
                                 .max();
    EXPECT_LE(apart.item<float>(), exact ? 1e-4 : 2e-2);
  }
}

TEST_P(OnCuda, GivesTheVectorsOfTheCpu) {
  TinyEncoder tiny;
  tiny.hidden = 64, tiny.heads = 2, tiny.intermediate = 128, tiny.spread = 0.12;
  open(tiny);
  const auto device = on(c10::Device(at::kCUDA, 0), GetParam());
  for (const auto& lengths : kLengths) {
    const TokenBatch batch = batch_of(lengths, 7);
    const Matrix<float> x = encode(*device, batch);
    EXPECT_LE(furthest(x, encode(*cpu_, batch)), GetParam() == Precision::kFloat32 ? 1e-5 : 0.02);
    const Matrix<float> again = encode(*device, batch);
    EXPECT_EQ(std::memcmp(x.data(), again.data(), static_cast<size_t>(x.size()) * sizeof(float)), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, OnCuda, testing::Values(Precision::kFloat32, Precision::kBfloat16),
                         [](const auto& info) { return std::string(to_string(info.param)); });

}  // namespace
}  // namespace tracer
