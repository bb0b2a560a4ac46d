#include "kernels/cpu/scratch.h"

#include <algorithm>
#include <new>
#include <utility>

namespace tracer::cpu {
namespace {

constexpr size_t kMaxIdle = 16;

float* allocate(int64_t floats) {
  return static_cast<float*>(allocate_large(floats * static_cast<int64_t>(sizeof(float))));
}

void release(float* data, int64_t floats) { release_large(data, floats * static_cast<int64_t>(sizeof(float))); }

}  // namespace

Scratch::Scratch(Scratch&& o) noexcept
    : pool_(std::exchange(o.pool_, nullptr)), data_(std::exchange(o.data_, nullptr)), capacity_(o.capacity_) {}

Scratch& Scratch::operator=(Scratch&& o) noexcept {
  std::swap(pool_, o.pool_);
  std::swap(data_, o.data_);
  std::swap(capacity_, o.capacity_);
  return *this;
}

Scratch::~Scratch() {
  if (pool_ != nullptr) pool_->give_back({data_, capacity_});
}

ScratchPool::~ScratchPool() {
  for (const Block& b : idle_) release(b.data, b.capacity);
}

Scratch ScratchPool::take(int64_t floats) {
  Scratch lease;
  floats = std::max<int64_t>(floats, 16);
  {
    std::lock_guard lock(mutex_);
    auto best = idle_.end();
    for (auto it = idle_.begin(); it != idle_.end(); ++it) {
      // A buffer far too large stays for the call that needs it.
      const bool fits = it->capacity >= floats && it->capacity <= 4 * floats + 4096;
      if (fits && (best == idle_.end() || it->capacity < best->capacity)) best = it;
    }
    if (best != idle_.end()) {
      lease.data_ = best->data;
      lease.capacity_ = best->capacity;
      idle_.erase(best);
    }
  }
  if (lease.data_ == nullptr) {
    lease.data_ = allocate(floats);
    lease.capacity_ = floats;
  }
  lease.pool_ = this;
  return lease;
}

void ScratchPool::give_back(Block block) {
  Block evicted{nullptr, 0};
  {
    std::lock_guard lock(mutex_);
    if (idle_.capacity() == 0) idle_.reserve(kMaxIdle + 1);
    idle_.push_back(block);
    if (idle_.size() > kMaxIdle) {  // the oldest goes: sizes change when the problem does
      evicted = idle_.front();
      idle_.erase(idle_.begin());
    }
  }
  if (evicted.data != nullptr) release(evicted.data, evicted.capacity);
}

}  // namespace tracer::cpu
