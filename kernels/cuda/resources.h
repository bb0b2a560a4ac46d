// Move-only owners of a CUDA stream, an event, device memory and page-locked host memory. Work on a stream is
// asynchronous; nothing here synchronises except where it says so. After any failure the runtime's error state is
// cleared, so that the process can go on; running out of memory is a Status like any other. Not for use by two threads
// at once.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/matrix.h"
#include "kernels/status.h"

struct CUstream_st;
struct CUevent_st;

namespace tracer::cuda {

class Stream {
 public:
  // A stream of the current device that does not wait for the default stream.
  static Result<Stream> create();
  Stream(Stream&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
  Stream& operator=(Stream&& o) noexcept {
    std::swap(handle_, o.handle_);
    return *this;
  }
  ~Stream();

  CUstream_st* get() const { return handle_; }
  // Waits for all work so far; reports what failed in it.
  Status synchronise() const;
  // Work given to this stream from now on waits for what the event has recorded; the host does not.
  Status wait_for(const class Event& event) const;

 private:
  explicit Stream(CUstream_st* handle) : handle_(handle) {}
  CUstream_st* handle_;
};

class Event {
 public:
  static Result<Event> create();
  Event(Event&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
  Event& operator=(Event&& o) noexcept {
    std::swap(handle_, o.handle_);
    return *this;
  }
  ~Event();

  CUevent_st* get() const { return handle_; }
  Status record(const Stream& stream);
  // Waits until what was recorded is done.
  Status synchronise() const;

 private:
  explicit Event(CUevent_st* handle) : handle_(handle) {}
  CUevent_st* handle_;
};

// Memory from the device's pool, ordered on the stream, which must outlive it. Not initialised. 0 bytes: no memory.
class DeviceBuffer {
 public:
  static Result<DeviceBuffer> allocate(int64_t bytes, const Stream& stream);
  DeviceBuffer(DeviceBuffer&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), bytes_(std::exchange(o.bytes_, 0)), stream_(o.stream_) {}
  DeviceBuffer& operator=(DeviceBuffer&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(bytes_, o.bytes_);
    std::swap(stream_, o.stream_);
    return *this;
  }
  ~DeviceBuffer();

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  DeviceBuffer(void* data, int64_t bytes, CUstream_st* stream) : data_(data), bytes_(bytes), stream_(stream) {}
  void* data_;
  int64_t bytes_;
  CUstream_st* stream_;
};

// What is freed to the device's pool stays there for the next allocation, up to 1 GiB, until the process ends: mapping
// it anew after every synchronisation costs more than most operations.
Status keep_freed_memory(int device);

// Page-locked host memory: copies from and to it run while the host goes on. 0 bytes: no memory.
class PinnedBuffer {
 public:
  PinnedBuffer(PinnedBuffer&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), bytes_(std::exchange(o.bytes_, 0)), pool_(o.pool_) {}
  PinnedBuffer& operator=(PinnedBuffer&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(bytes_, o.bytes_);
    std::swap(pool_, o.pool_);
    return *this;
  }
  ~PinnedBuffer();

  void* data() const { return data_; }

 private:
  friend class PinnedPool;
  PinnedBuffer(void* data, int64_t bytes, class PinnedPool* pool) : data_(data), bytes_(bytes), pool_(pool) {}
  void* data_;
  int64_t bytes_;
  class PinnedPool* pool_;
};

// Keeps page-locked memory between operations, for locking a page costs more than copying it: up to 256 MiB, in powers
// of two. Must outlive its buffers; what a buffer holds must be at rest when it is given back.
class PinnedPool {
 public:
  PinnedPool() = default;
  PinnedPool(const PinnedPool&) = delete;
  PinnedPool& operator=(const PinnedPool&) = delete;
  ~PinnedPool() { release(); }

  Result<PinnedBuffer> take(int64_t bytes);

 private:
  friend class PinnedBuffer;
  struct Block {
    void* data;
    int64_t bytes;
  };
  void give_back(void* data, int64_t bytes);
  void release();
  std::vector<Block> kept_;
  int64_t kept_bytes_ = 0;
};

}  // namespace tracer::cuda
