// Working memory that survives from call to call: a fresh 50 MB buffer costs thousands of page faults each time.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/large_memory.h"

namespace tracer::cpu {

// An owning array with unspecified contents.
template <class T>
class LargeArray {
 public:
  static_assert(std::is_trivially_copyable_v<T>);
  LargeArray() = default;
  explicit LargeArray(int64_t size) : bytes_(size * static_cast<int64_t>(sizeof(T))), data_(allocate(bytes_)) {}
  LargeArray(LargeArray&& o) noexcept : bytes_(std::exchange(o.bytes_, 0)), data_(std::exchange(o.data_, nullptr)) {}
  LargeArray& operator=(LargeArray&& o) noexcept {
    std::swap(bytes_, o.bytes_);
    std::swap(data_, o.data_);
    return *this;
  }
  ~LargeArray() { release_large(data_, bytes_); }

  T* data() const { return static_cast<T*>(data_); }

 private:
  static void* allocate(int64_t bytes) { return allocate_large(bytes); }
  int64_t bytes_ = 0;
  void* data_ = nullptr;
};

class ScratchPool;

// A 64-byte aligned array of floats with unspecified contents, given back to its pool when the lease ends.
class Scratch {
 public:
  Scratch() = default;
  Scratch(Scratch&& o) noexcept;
  Scratch& operator=(Scratch&& o) noexcept;
  ~Scratch();

  float* data() const { return data_; }

 private:
  friend class ScratchPool;
  ScratchPool* pool_ = nullptr;
  float* data_ = nullptr;
  int64_t capacity_ = 0;
};

// Safe to use from several threads at once.
class ScratchPool {
 public:
  ScratchPool() = default;
  ~ScratchPool();
  ScratchPool(const ScratchPool&) = delete;
  ScratchPool& operator=(const ScratchPool&) = delete;

  // The smallest idle buffer that fits, else a new one. Throws std::bad_alloc.
  Scratch take(int64_t floats);

 private:
  friend class Scratch;
  struct Block {
    float* data;
    int64_t capacity;
  };
  void give_back(Block block);

  std::mutex mutex_;
  std::vector<Block> idle_;  // protected by mutex_
};

}  // namespace tracer::cpu
