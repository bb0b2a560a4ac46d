// The way of rows that are too many to hold: batches through page-locked buffers, two in flight.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/cuda/context.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

// One thread copies 4 to 8 GB/s and the link takes 55, so that the host's threads share what is large.
inline constexpr int64_t kCopyBytes = 256 << 10;  // of a thread at a time

// copy(first, count) for pieces of [0, rows), on the host's threads where there is much to copy.
template <class F>
void in_pieces(const Context& c, int64_t rows, int64_t row_bytes, F&& copy) {
  const int64_t each = std::max<int64_t>(1, kCopyBytes / std::max<int64_t>(1, row_bytes));
  if (c.host == nullptr || rows <= 2 * each) return copy(int64_t{0}, rows);
  parallel_for(*c.host, blocks_of(rows, each),
               [&](int64_t piece) { copy(piece * each, std::min(each, rows - piece * each)); });
}

// Matrices of one shape. A dense one is a matrix whose stride is its width.
template <class T>
void copy_rows(const Context& c, HostMatrix<const T> from, HostMatrix<T> to) {
  in_pieces(c, from.rows, from.cols * static_cast<int64_t>(sizeof(T)), [&](int64_t begin, int64_t count) {
    if (from.stride == from.cols && to.stride == to.cols) {
      std::copy_n(from.row(begin), count * from.cols, to.row(begin));
      return;
    }
    for (int64_t r = begin; r < begin + count; ++r) std::copy_n(from.row(r), from.cols, to.row(r));
  });
}

// One array of a streamed batch, twice: while one is worked on, the other is filled.
template <class T>
class Lane {
 public:
  Lane() = default;
  Status create(Context& c, int64_t rows, int64_t cols) {
    cols_ = cols;
    for (Slot*& slot : slots_) {
      Result<device::Staging<T>> host = device::Staging<T>::allocate(rows * cols, c.staging);
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
  Status fill(Context& c, int slot, HostMatrix<const T> x, int64_t first, int64_t count) {
    copy_rows<T>(c, x.rows_from(first, count), HostMatrix<T>(host(slot), count, cols_));
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
  void drain(Context& c, int slot, HostMatrix<T> x, int64_t first, int64_t count) const {
    copy_rows<T>(c, HostMatrix<const T>(host(slot), count, cols_), x.rows_from(first, count));
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

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
