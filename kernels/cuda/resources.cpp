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

Result<Event> Event::create() {
  cudaEvent_t handle = nullptr;
  TRACER_RETURN_IF_ERROR(check(cudaEventCreate(&handle), "cudaEventCreate"));
  return Event(handle);
}

Event::~Event() {
  if (handle_ != nullptr) cudaEventDestroy(handle_);
}

Status Event::record(const Stream& stream) { return check(cudaEventRecord(handle_, stream.get()), "cudaEventRecord"); }

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

namespace {

template <class From, class To>
Status copy_rows(const From& from, const To& to, cudaMemcpyKind kind, const Stream& stream) {
  if (from.rows != to.rows || from.cols != to.cols) return internal_error("copy: the shapes differ");
  if (from.rows == 0 || from.cols == 0) return {};
  constexpr size_t kSize = sizeof(float);
  return check(cudaMemcpy2DAsync(to.data, static_cast<size_t>(to.stride) * kSize, from.data,
                                 static_cast<size_t>(from.stride) * kSize, static_cast<size_t>(from.cols) * kSize,
                                 static_cast<size_t>(from.rows), kind, stream.get()),
               "cudaMemcpy2DAsync");
}

}  // namespace

Status copy(HostMatrix<const float> from, DeviceMatrix<float> to, const Stream& stream) {
  return copy_rows(from, to, cudaMemcpyHostToDevice, stream);
}

Status copy(DeviceMatrix<const float> from, HostMatrix<float> to, const Stream& stream) {
  return copy_rows(from, to, cudaMemcpyDeviceToHost, stream);
}

Status copy_to_host(const DeviceBuffer& from, void* to, int64_t bytes, const Stream& stream) {
  if (bytes < 0 || bytes > from.bytes()) return internal_error("copy_to_host: more bytes than the buffer holds");
  if (bytes == 0) return {};
  return check(cudaMemcpyAsync(to, from.data(), static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream.get()),
               "cudaMemcpyAsync");
}

}  // namespace tracer::cuda
