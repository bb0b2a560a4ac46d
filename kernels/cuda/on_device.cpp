#include "kernels/cuda/on_device.h"

#include "kernels/cuda/resources.h"
#include "kernels/cuda/row_kernels.h"

namespace tracer::cuda {

namespace {

// A device matrix of the host matrix's shape and stride, with its values.
Result<DeviceBuffer> upload(HostMatrix<const float> x, const Stream& stream) {
  Result<DeviceBuffer> buffer = DeviceBuffer::allocate(x.rows * x.stride * static_cast<int64_t>(sizeof(float)), stream);
  if (!buffer.ok()) return buffer;
  const DeviceMatrix<float> device(static_cast<float*>(buffer->data()), x.rows, x.cols, x.stride);
  TRACER_RETURN_IF_ERROR(copy(x, device, stream));
  return buffer;
}

}  // namespace

Status decision_features_on_device(HostMatrix<const float> logits, std::span<RowDecision> out) {
  if (static_cast<int64_t>(out.size()) != logits.rows) return internal_error("decision_features: the shapes differ");
  Result<Stream> stream = Stream::create();
  if (!stream.ok()) return stream.status();
  Result<DeviceBuffer> x = upload(logits, *stream);
  if (!x.ok()) return x.status();
  const auto bytes = static_cast<int64_t>(out.size_bytes());
  Result<DeviceBuffer> decisions = DeviceBuffer::allocate(bytes, *stream);
  if (!decisions.ok()) return decisions.status();
  TRACER_RETURN_IF_ERROR(
      decision_features({static_cast<const float*>(x->data()), logits.rows, logits.cols, logits.stride},
                        static_cast<RowDecision*>(decisions->data()), *stream));
  TRACER_RETURN_IF_ERROR(copy_to_host(*decisions, out.data(), bytes, *stream));
  return stream->synchronise();
}

Status normalise_rows_on_device(HostMatrix<float> x) {
  Result<Stream> stream = Stream::create();
  if (!stream.ok()) return stream.status();
  Result<DeviceBuffer> buffer = upload(x, *stream);
  if (!buffer.ok()) return buffer.status();
  const DeviceMatrix<float> device(static_cast<float*>(buffer->data()), x.rows, x.cols, x.stride);
  TRACER_RETURN_IF_ERROR(normalise_rows(device, *stream));
  TRACER_RETURN_IF_ERROR(copy(DeviceMatrix<const float>(device), x, *stream));
  return stream->synchronise();
}

}  // namespace tracer::cuda
