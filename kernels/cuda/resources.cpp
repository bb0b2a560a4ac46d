#include "kernels/cuda/resources.h"

#include <algorithm>
#include <bit>
#include <string>

#include "kernels/cuda/check.h"

namespace tracer::cuda {

namespace {
constexpr int64_t kSmallestBlock = 64 << 10;
constexpr int64_t kKeptBytes = int64_t{256} << 20;
}  // namespace

Result<Stream> Stream::create() {
  cudaStream_t handle = nullptr;
  TRACER_RETURN_IF_ERROR(check(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "cudaStreamCreate"));
  return Stream(handle);
}

Stream::~Stream() {
  if (handle_ != nullptr) cudaStreamDestroy(handle_);
}

Status Stream::synchronise() const { return check(cudaStreamSynchronize(handle_), "cudaStreamSynchronize"); }

Status Stream::wait_for(const Event& event) const {
  return check(cudaStreamWaitEvent(handle_, event.get(), 0), "cudaStreamWaitEvent");
}

Result<Event> Event::create() {
  cudaEvent_t handle = nullptr;
  TRACER_RETURN_IF_ERROR(check(cudaEventCreate(&handle), "cudaEventCreate"));
  return Event(handle);
}

Event::~Event() {
  if (handle_ != nullptr) cudaEventDestroy(handle_);
}

Status Event::record(const Stream& stream) { return check(cudaEventRecord(handle_, stream.get()), "cudaEventRecord"); }

Status Event::synchronise() const { return check(cudaEventSynchronize(handle_), "cudaEventSynchronize"); }

Result<DeviceBuffer> DeviceBuffer::allocate(int64_t bytes, const Stream& stream) {
  if (bytes < 0) return internal_error("a device buffer of " + std::to_string(bytes) + " bytes");
  void* data = nullptr;
  if (bytes > 0) {
    const cudaError_t error = cudaMallocAsync(&data, static_cast<size_t>(bytes), stream.get());
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      size_t free_bytes = 0;
      size_t total_bytes = 0;
      if (cudaMemGetInfo(&free_bytes, &total_bytes) != cudaSuccess) cudaGetLastError();
      return device_error("out of device memory: asked for " + std::to_string(bytes) + " bytes, " +
                          std::to_string(free_bytes) + " of " + std::to_string(total_bytes) + " are free");
    }
    TRACER_RETURN_IF_ERROR(check(error, "cudaMallocAsync"));
  }
  return DeviceBuffer(data, bytes, stream.get());
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ != nullptr) cudaFreeAsync(data_, stream_);
}

Status keep_freed_memory(int device) {
  cudaMemPool_t pool = nullptr;
  TRACER_RETURN_IF_ERROR(check(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool"));
  uint64_t bytes = uint64_t{1} << 30;
  return check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &bytes), "cudaMemPoolSetAttribute");
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) pool_->give_back(data_, bytes_);
}

Result<PinnedBuffer> PinnedPool::take(int64_t bytes) {
  if (bytes < 0) return internal_error("a pinned buffer of " + std::to_string(bytes) + " bytes");
  if (bytes == 0) return PinnedBuffer(nullptr, 0, this);
  const int64_t size = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max(bytes, kSmallestBlock))));
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Block& block) { return block.bytes == size; });
  if (found != kept_.end()) {
    void* const data = found->data;
    kept_.erase(found);
    kept_bytes_ -= size;
    return PinnedBuffer(data, size, this);
  }
  void* data = nullptr;
  if (cudaMallocHost(&data, static_cast<size_t>(size)) != cudaSuccess) {
    cudaGetLastError();
    release();  // what is kept may be what is missing
    TRACER_RETURN_IF_ERROR(check(cudaMallocHost(&data, static_cast<size_t>(size)), "cudaMallocHost"));
  }
  return PinnedBuffer(data, size, this);
}

void PinnedPool::give_back(void* data, int64_t bytes) {
  if (kept_bytes_ + bytes > kKeptBytes) {
    cudaFreeHost(data);
    return;
  }
  kept_.push_back({data, bytes});
  kept_bytes_ += bytes;
}

void PinnedPool::release() {
  for (const Block& block : kept_) cudaFreeHost(block.data);
  kept_.clear();
  kept_bytes_ = 0;
}

}  // namespace tracer::cuda
