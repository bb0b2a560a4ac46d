// What the operations share: streams, products, page-locked memory, the host's threads.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/runtime.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

enum class Screening { kAuto, kAlways, kNever };

// How much is done at a time. Results do not depend on it, but for the bytes of library products.
struct Tuning {
  int64_t rows = 16384;                  // of a streamed batch
  int64_t queries = 4096;                // of a batch of a search: a warp each, enough of them to hide latency;
  int64_t references = 2048;             // of its tile: scores of 32 MiB stay in the second-level cache
  int64_t wide_floats = 1 << 26;         // logits of wide_softmax at a time
  int64_t head_shared_bytes = 32 << 10;  // beyond: the logits of a batch pass through device memory
  Screening screening = Screening::kAuto;
};

struct Context {
  device::Stream compute, upload, download;
  device::Multiplier products;
  device::StagingPool staging;
  Tuning tuning;
  Backend* host;  // copies on its threads; null: on the caller's

  // host must outlive the context.
  static Result<std::unique_ptr<Context>> create(const Tuning& tuning, Backend* host) {
    Result<device::Stream> compute = device::Stream::create();
    if (!compute.ok()) return compute.status();
    Result<device::Stream> upload = device::Stream::create();
    if (!upload.ok()) return upload.status();
    Result<device::Stream> download = device::Stream::create();
    if (!download.ok()) return download.status();
    return std::unique_ptr<Context>(
        new Context{std::move(*compute), std::move(*upload), std::move(*download), {}, {}, tuning, host});
  }

  // Waits for everything; the first failure.
  Status settle() const {
    const Status waited[] = {upload.synchronise(), compute.synchronise(), download.synchronise()};
    for (const Status& status : waited) TRACER_RETURN_IF_ERROR(status);
    return {};
  }
};

inline int64_t blocks_of(int64_t items, int64_t each) { return (items + each - 1) / each; }

template <class T>
Result<device::Array<T>> allocate(Context& c, int64_t count) {
  return device::Array<T>::allocate(count, c.compute);
}

// product.cu: c (m x n) = op(a) op(b), all dense on the device, for float and BFloat16; the bytes are the CPU's.
template <class T>
Status exact_product(Context& c, Trans ta, Trans tb, int64_t m, int64_t n, int64_t k, device::Global<const T> a,
                     device::Global<const T> b, bool accumulate, device::Global<float> out);

// The same through the library, where there is one: faster, but the bytes depend on the shape and on the device.
template <class T>
Status product(Context& c, Trans ta, Trans tb, int64_t m, int64_t n, int64_t k, device::Global<const T> a,
               device::Global<const T> b, bool accumulate, device::Global<float> out) {
  if (!c.products.available()) return exact_product<T>(c, ta, tb, m, n, k, a, b, accumulate, out);
  return c.products.multiply(ta, tb, m, n, k, a, ta == Trans::kNo ? k : m, b, tb == Trans::kNo ? n : k, accumulate, out,
                             n, c.compute);
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
