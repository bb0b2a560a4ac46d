#include "engine/torch/device_bert.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/segment_reduce.h>
#include <ATen/ops/sin.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/Stream.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "engine/torch/attention.h"
#include "engine/torch/bert_layers.h"
#include "engine/torch/guarded.h"
#include "engine/torch/unit_rows.h"

namespace tracer {
namespace {

using at::Tensor;

constexpr int kStreams = 3;  // one copies, one computes, one is filled

// Streams that callers borrow; one waits while all are lent.
class StreamPool {
 public:
  explicit StreamPool(c10::Device device) {
    const c10::impl::VirtualGuardImpl impl(device.type());
    for (int i = 0; i < kStreams; ++i)
      free_.push_back(device.is_cuda() ? impl.getStreamFromGlobalPool(device) : impl.getStream(device));
  }
  c10::Stream take() {
    std::unique_lock lock(mutex_);
    returned_.wait(lock, [&] { return !free_.empty(); });
    const c10::Stream stream = free_.back();
    free_.pop_back();
    return stream;
  }
  void give(c10::Stream stream) {
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(stream);
    }
    returned_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<c10::Stream> free_;
};

class Borrowed {
 public:
  explicit Borrowed(StreamPool& pool) : pool_(pool), stream_(pool.take()), guard_(stream_) {}
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  // Work still under way, after an error, is no matter: libtorch reuses a stream's buffers in the stream's own order.
  ~Borrowed() { pool_.give(stream_); }
  void wait() const { stream_.synchronize(); }

 private:
  StreamPool& pool_;
  const c10::Stream stream_;
  const c10::StreamGuard guard_;
};

// Where the sequences of a batch lie, on the device.
struct Places {
  Tensor ids, places, start;  // int32: tokens, tokens, sequences + 1
  Tensor lengths;             // int64: sequences
  int64_t longest = 0;
};

class DeviceBert : public Transformer {
 public:
  DeviceBert(const TransformerShape& shape, const TransformerWeights& weights, at::ScalarType type, c10::Device device)
      : device_(device), layers_(shape, weights, type, device), streams_(device) {
    // Weights came by another stream than those that will read them.
    const c10::impl::VirtualGuardImpl impl(device.type());
    impl.getStream(device).synchronize();
    varlen_ = varlen_is_right(type);
  }

  bool rows_stand_alone() const override { return false; }
  int64_t batch_tokens() const override { return kDeviceBatchTokens; }

  Status encode(const TokenBatch& batch, HostMatrix<float> out) const override {
    return guarded([&] {
      at::set_num_threads(1);
      const c10::InferenceMode inference;
      const Borrowed stream(streams_);
      const Places at = send(batch);
      const std::vector<LengthRun> runs = varlen_ ? std::vector<LengthRun>() : length_runs(batch);
      const int64_t heads = layers_.shape().heads;
      const Tensor x = layers_.forward(at.ids, at.places, [&](const Tensor& qkv) {
        return varlen_ ? attention_varlen(qkv, at.start, at.longest, heads) : attention_by_runs(qkv, runs, heads);
      });
      const Tensor pooled = pool(x, at);
      const Tensor host = host_tensor({out.rows, out.cols}, at::kFloat);
      host.copy_(pooled, /*non_blocking=*/true);
      stream.wait();
      write_unit_rows(host.const_data_ptr<float>(), out.rows, 0, out);
    });
  }

 private:
  // In page-locked memory where there is a device to copy from it; libtorch keeps such memory for the next tensor.
  Tensor host_tensor(at::IntArrayRef sizes, at::ScalarType type) const {
    return at::empty(sizes, at::TensorOptions().dtype(type).pinned_memory(device_.is_cuda()));
  }

  // All that the device needs to know of a batch, in one copy.
  Places send(const TokenBatch& batch) const {
    const auto tokens = static_cast<int64_t>(batch.ids.size());
    const int64_t sequences = batch.sequences();
    const Tensor host = host_tensor({2 * tokens + sequences + 1}, at::kInt);
    auto* to = host.data_ptr<int32_t>();
    std::copy(batch.ids.begin(), batch.ids.end(), to);
    write_places(batch, to + tokens);
    std::transform(batch.start.begin(), batch.start.end(), to + 2 * tokens,
                   [](int64_t s) { return static_cast<int32_t>(s); });
    const Tensor there = host.to(device_, /*non_blocking=*/true);
    Places at{
        there.narrow(0, 0, tokens), there.narrow(0, tokens, tokens), there.narrow(0, 2 * tokens, sequences + 1), {}};
    at.lengths = at.start.narrow(0, 1, sequences).sub(at.start.narrow(0, 0, sequences)).to(at::kLong);
    for (int64_t i = 0; i < sequences; ++i) at.longest = std::max(at.longest, batch.start[i + 1] - batch.start[i]);
    return at;
  }

  Tensor pool(const Tensor& x, const Places& at) const {
    if (layers_.shape().pooling == Pooling::kFirst)
      return x.index_select(0, at.start.narrow(0, 0, at.lengths.size(0))).to(at::kFloat);
    return at::segment_reduce(x.to(at::kFloat), "mean", at.lengths, /*indices=*/{}, /*offsets=*/{}, /*axis=*/0,
                              /*unsafe=*/true);
  }

  // The kernels are asked once: none here, or another answer than run by run, and runs it is.
  bool varlen_is_right(at::ScalarType type) const {
    TokenBatch batch;
    for (const int64_t length : {200, 64, 17, 17, 3, 1}) batch.start.push_back(batch.start.back() + length);
    batch.ids.assign(static_cast<size_t>(batch.start.back()), 0);
    bool right = false;
    const Status asked = guarded([&] {
      const c10::InferenceMode inference;
      const Borrowed stream(streams_);
      const Places at = send(batch);
      const int64_t tokens = batch.start.back(), width = 3 * layers_.shape().hidden, heads = layers_.shape().heads;
      const Tensor qkv = at::arange(tokens * width, at::TensorOptions().dtype(at::kFloat).device(device_))
                             .view({tokens, width})
                             .sin_()
                             .to(type);
      const Tensor apart = attention_varlen(qkv, at.start, at.longest, heads)
                               .to(at::kFloat)
                               .sub(attention_by_runs(qkv, length_runs(batch), heads).to(at::kFloat))
                               .abs()
                               .max();
      right = apart.item<float>() <= (type == at::kFloat ? 1e-4 : 2e-2);
    });
    return asked.ok() && right;
  }

  const c10::Device device_;
  const BertLayers layers_;
  mutable StreamPool streams_;
  bool varlen_ = false;
};

}  // namespace

std::unique_ptr<Transformer> make_device_bert(const TransformerShape& shape, const TransformerWeights& weights,
                                              Precision precision, c10::Device device) {
  const at::ScalarType type = precision == Precision::kFloat32 ? at::kFloat : at::kBFloat16;
  return std::make_unique<DeviceBert>(shape, weights, type, device);
}

}  // namespace tracer
