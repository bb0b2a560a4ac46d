// What the operations share: streams, products, and the way of rows that are too many to hold.
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
  int64_t rows = 16384;                    // of a streamed batch
  int64_t queries = 1024;                  // of a batch of a search; with the tile's references, the scores fill
  int64_t references = 8192;               // 32 MiB: they stay in the second-level cache
  int64_t wide_floats = 1 << 26;           // logits of wide_softmax at a time
  int64_t decide_shared_bytes = 96 << 10;  // beyond: the logits of a batch pass through device memory
  Screening screening = Screening::kAuto;
};

struct Context {
  device::Stream compute, upload, download;
  device::Multiplier products;
  Tuning tuning;

  static Result<std::unique_ptr<Context>> create(const Tuning& tuning) {
    Result<device::Stream> compute = device::Stream::create();
    if (!compute.ok()) return compute.status();
    Result<device::Stream> upload = device::Stream::create();
    if (!upload.ok()) return upload.status();
    Result<device::Stream> download = device::Stream::create();
    if (!download.ok()) return download.status();
    return std::unique_ptr<Context>(
        new Context{std::move(*compute), std::move(*upload), std::move(*download), device::Multiplier(), tuning});
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

// Dense on the device. The host's memory may go away at once.
template <class T>
Result<device::Array<std::remove_const_t<T>>> upload(Context& c, std::span<T> values) {
  using Value = std::remove_const_t<T>;
  Result<device::Array<Value>> array = allocate<Value>(c, static_cast<int64_t>(values.size()));
  if (!array.ok()) return array;
  TRACER_RETURN_IF_ERROR(device::copy_in<Value>(values.data(), array->count(), *array, 0, c.compute));
  return array;
}
template <class T>
Result<device::Array<T>> upload(Context& c, HostMatrix<const T> x) {
  if (x.stride == x.cols || x.rows <= 1)
    return upload(c, std::span<const T>(x.data, static_cast<size_t>(x.rows * x.cols)));
  Result<device::Array<T>> array = allocate<T>(c, x.rows * x.cols);
  if (!array.ok()) return array;
  const int64_t each = std::max<int64_t>(1, (int64_t{4} << 20) / std::max<int64_t>(1, x.cols));
  std::vector<T> dense(static_cast<size_t>(std::min(each, x.rows) * x.cols));
  for (int64_t first = 0; first < x.rows; first += each) {
    const int64_t rows = std::min(each, x.rows - first);
    for (int64_t r = 0; r < rows; ++r) std::copy_n(x.row(first + r), x.cols, dense.data() + r * x.cols);
    TRACER_RETURN_IF_ERROR(device::copy_in<T>(dense.data(), rows * x.cols, *array, first * x.cols, c.compute));
  }
  return array;
}

// Waits for the compute stream.
template <class T>
Status download(Context& c, const device::Array<T>& from, T* to) {
  TRACER_RETURN_IF_ERROR(device::copy_out<T>(from, 0, from.count(), to, c.compute));
  return c.compute.synchronise();
}

// One array of a streamed batch, twice: while one is worked on, the other is filled.
template <class T>
class Lane {
 public:
  Lane() = default;
  Status create(Context& c, int64_t rows, int64_t cols) {
    cols_ = cols;
    for (Slot*& slot : slots_) {
      Result<device::Staging<T>> host = device::Staging<T>::allocate(rows * cols);
      if (!host.ok()) return host.status();
      Result<device::Array<T>> array = allocate<T>(c, rows * cols);
      if (!array.ok()) return array.status();
      owned_.push_back(std::make_unique<Slot>(Slot{std::move(*host), std::move(*array)}));
      slot = owned_.back().get();
    }
    return {};
  }
  device::Global<T> device(int slot) const { return slots_[slot]->device.global(); }
  T* host(int slot) const { return slots_[slot]->host.data(); }
  // From the caller's rows to the device.
  template <class Rows>
  Status fill(Context& c, int slot, const Rows& x, int64_t first, int64_t count) {
    for (int64_t r = 0; r < count; ++r) std::copy_n(x.row(first + r), cols_, host(slot) + r * cols_);
    return send(c, slot, count);
  }
  // What the caller has written to host(slot).
  Status send(Context& c, int slot, int64_t count) {
    return device::copy_in<T>(host(slot), count * cols_, slots_[slot]->device, 0, c.upload);
  }
  Status zero(Context& c, int slot) { return device::fill_zero(slots_[slot]->device, c.compute); }
  Status fetch(Context& c, int slot, int64_t count) {
    return device::copy_out<T>(slots_[slot]->device, 0, count * cols_, host(slot), c.download);
  }
  template <class Rows>
  void drain(int slot, const Rows& x, int64_t first, int64_t count) const {
    for (int64_t r = 0; r < count; ++r) std::copy_n(host(slot) + r * cols_, cols_, x.row(first + r));
  }

 private:
  struct Slot {
    device::Staging<T> host;
    device::Array<T> device;
  };
  std::vector<std::unique_ptr<Slot>> owned_;
  Slot* slots_[2] = {};
  int64_t cols_ = 0;
};

// Rows in batches, two in flight: the copies of one overlap the work on the other. For each batch, in this order,
//   fill(slot, first, count)     gives copies to c.upload
//   work(slot, first, count)     gives kernels to c.compute, which waits for the copies
//   fetch(slot, first, count)    gives copies to c.download, which waits for the kernels
//   drain(slot, first, count)    runs on the host when they are done; at the latest before the slot is filled again
// Returns when everything is done, also after a failure.
template <class Fill, class Work, class Fetch, class Drain>
Status stream_rows(Context& c, int64_t rows, int64_t each, Fill&& fill, Work&& work, Fetch&& fetch, Drain&& drain) {
  const auto run = [&]() -> Status {
    TRACER_RETURN_IF_ERROR(c.compute.synchronise());  // the memory that it allocated is there for the other streams
    std::vector<device::Event> uploaded, computed, fetched;
    for (int slot = 0; slot < 2; ++slot) {
      for (std::vector<device::Event>* events : {&uploaded, &computed, &fetched}) {
        Result<device::Event> event = device::Event::create();
        if (!event.ok()) return event.status();
        events->push_back(std::move(*event));
      }
    }
    const int64_t batches = blocks_of(rows, each);
    const auto finish = [&](int64_t batch) -> Status {
      const size_t slot = static_cast<size_t>(batch % 2);
      TRACER_RETURN_IF_ERROR(fetched[slot].synchronise());
      return drain(static_cast<int>(slot), batch * each, std::min(each, rows - batch * each));
    };
    for (int64_t batch = 0; batch < batches; ++batch) {
      const int slot = static_cast<int>(batch % 2);
      const size_t s = static_cast<size_t>(slot);
      const int64_t first = batch * each;
      const int64_t count = std::min(each, rows - first);
      if (batch >= 2) TRACER_RETURN_IF_ERROR(finish(batch - 2));
      TRACER_RETURN_IF_ERROR(fill(slot, first, count));
      TRACER_RETURN_IF_ERROR(uploaded[s].record(c.upload));
      TRACER_RETURN_IF_ERROR(c.compute.wait_for(uploaded[s]));
      TRACER_RETURN_IF_ERROR(work(slot, first, count));
      TRACER_RETURN_IF_ERROR(computed[s].record(c.compute));
      TRACER_RETURN_IF_ERROR(c.download.wait_for(computed[s]));
      TRACER_RETURN_IF_ERROR(fetch(slot, first, count));
      TRACER_RETURN_IF_ERROR(fetched[s].record(c.download));
    }
    for (int64_t batch = std::max<int64_t>(0, batches - 2); batch < batches; ++batch) {
      TRACER_RETURN_IF_ERROR(finish(batch));
    }
    return {};
  };
  const Status status = run();
  const Status settled = c.settle();
  return status.ok() ? settled : status;
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
