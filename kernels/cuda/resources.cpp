#include "kernels/cuda/resources.h"

#include <string>

#include "kernels/cuda/check.h"

namespace tracer::cuda {

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

Result<float> Event::milliseconds_since(const Event& start) const {
  float milliseconds = 0.0f;
  TRACER_RETURN_IF_ERROR(check(cudaEventSynchronize(start.handle_), "cudaEventSynchronize"));
  TRACER_RETURN_IF_ERROR(check(cudaEventSynchronize(handle_), "cudaEventSynchronize"));
  TRACER_RETURN_IF_ERROR(check(cudaEventElapsedTime(&milliseconds, start.handle_, handle_), "cudaEventElapsedTime"));
  return milliseconds;
}

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

Result<PinnedBuffer> PinnedBuffer::allocate(int64_t bytes) {
  if (bytes < 0) return internal_error("a pinned buffer of " + std::to_string(bytes) + " bytes");
  void* data = nullptr;
  if (bytes > 0) TRACER_RETURN_IF_ERROR(check(cudaMallocHost(&data, static_cast<size_t>(bytes)), "cudaMallocHost"));
  return PinnedBuffer(data);
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) cudaFreeHost(data_);
}

}  // namespace tracer::cuda
