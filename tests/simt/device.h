// The words of kernels/cuda/device.cuh on the CPU, under the harness. Include before any kernel.
#pragma once

#define TRACER_SIMT 1

#include <bit>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/bfloat16.h"
#include "tests/simt/simt.h"

#define TRACER_DEVICE_BUILD examined
#define TRACER_KERNEL inline void
#define TRACER_DEVICE inline
#define TRACER_MAX_THREADS(count)
#define TRACER_RESIDENT(count, blocks)
#define TRACER_UNROLL
#define TRACER_NO_UNROLL
#define TRACER_SHARED(type, name, count) \
  const ::tracer::device::Global<type> name = ::tracer::device::shared<type>(#name, count)
#define TRACER_DYNAMIC_SHARED(type, name) \
  const ::tracer::device::Global<type> name = ::tracer::device::dynamic_shared<type>(#name)

namespace tracer::device {
inline namespace TRACER_DEVICE_BUILD {

// One element: reading and writing it go through the shadow.
template <class T>
class Element {
 public:
  Element(T* data, simt::Shadow* shadow, int64_t index) : data_(data), shadow_(shadow), index_(index) {}
  Element(const Element&) = delete;

  operator T() const { return shadow_->touch(index_, simt::Kind::kRead) ? data_[index_] : T{}; }  // NOLINT
  Element& operator=(T value) {
    if (shadow_->touch(index_, simt::Kind::kWrite)) data_[index_] = value;
    return *this;
  }
  Element& operator=(const Element& other) { return *this = static_cast<T>(other); }
  Element& operator+=(T value) { return *this = static_cast<T>(*this) + value; }

 private:
  T* data_;
  simt::Shadow* shadow_;
  int64_t index_;
};

template <class T>
class Global {
 public:
  using Value = std::remove_const_t<T>;
  static_assert(std::is_trivially_copyable_v<Value>);

  // No memory: every access is out of bounds.
  Global() : data_(nullptr), shadow_(&nothing()), offset_(0) {}
  Global(Value* data, simt::Shadow* shadow, int64_t offset = 0) : data_(data), shadow_(shadow), offset_(offset) {}
  template <class U>
  requires(std::is_same_v<const U, T>) Global(const Global<U>& o)
      : data_(o.data_), shadow_(o.shadow_), offset_(o.offset_) {}  // NOLINT

  auto operator[](int64_t i) const {
    if constexpr (std::is_const_v<T>) {
      return static_cast<Value>(Element<Value>(data_, shadow_, offset_ + i));
    } else {
      return Element<T>(data_, shadow_, offset_ + i);
    }
  }
  Global operator+(int64_t n) const { return {data_, shadow_, offset_ + n}; }

  // As a library call sees the memory: null when [i, i + count) is not all inside.
  Value* library_data(int64_t i, int64_t count) const {
    return offset_ + i >= 0 && offset_ + i + count <= shadow_->count() ? data_ + offset_ + i : nullptr;
  }
  bool library_written(int64_t i) const { return shadow_->written(offset_ + i); }
  void library_writes(int64_t i, int64_t count) const { shadow_->mark_written(offset_ + i, count); }

 private:
  static simt::Shadow& nothing() {
    static simt::Shadow none("no array", 0, false);
    return none;
  }
  template <class U>
  friend class Global;
  template <class U, class F>
  friend U atomic(const Global<U>& p, int64_t i, F change);
  template <class U>
  friend bool aligned4(const Global<U>& p, int64_t i);

  Value* data_;
  simt::Shadow* shadow_;
  int64_t offset_;
};

// Device memory of a test: what a kernel gets as Global<T>.
template <class T>
class Buffer {
 public:
  Buffer(std::string name, std::vector<T> values)
      : values_(std::move(values)), shadow_(std::move(name), static_cast<int64_t>(values_.size()), true) {}
  // Not initialised, as fresh device memory is.
  Buffer(std::string name, int64_t count)
      : values_(static_cast<size_t>(count)), shadow_(std::move(name), count, false) {}
  Buffer(const Buffer&) = delete;

  Global<T> global() { return {values_.data(), &shadow_}; }
  int64_t count() const { return static_cast<int64_t>(values_.size()); }
  // As a copy or a library call on the device sees it: writes count elements from first on.
  T* write(int64_t first, int64_t count) {
    shadow_.mark_written(first, count);
    return values_.data() + first;
  }
  const std::vector<T>& values() const { return values_; }
  bool written(int64_t i) const { return shadow_.written(i); }
  bool all_written() const {
    for (size_t i = 0; i < values_.size(); ++i) {
      if (!shadow_.written(static_cast<int64_t>(i))) return false;
    }
    return true;
  }

 private:
  std::vector<T> values_;
  simt::Shadow shadow_;
};

template <class T>
Global<T> shared(const char* name, int64_t count) {
  const simt::SharedArray array = simt::shared_array(name, count, sizeof(T));
  return {static_cast<T*>(array.data), array.shadow};
}

template <class T>
Global<T> dynamic_shared(const char* name) {
  const simt::SharedArray array = simt::dynamic_shared_array(name, sizeof(T));
  return {static_cast<T*>(array.data), array.shadow};
}

inline constexpr int kWarp = 32;

inline int thread_index() { return simt::thread_index(); }
inline int block_size() { return simt::block_size(); }
inline int64_t block_index() { return simt::block_index(); }
inline int64_t grid_size() { return simt::grid_size(); }

using Site = std::source_location;
inline void sync_block(const Site& site = Site::current()) { simt::sync_block(site); }
inline void sync_warp(const Site& site = Site::current()) { simt::sync_warp(site); }

template <class T>
T exchanged(T value, int source, const Site& site) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = simt::exchange(bits, source, site);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
template <class T>
T shuffle(T value, int lane, const Site& site = Site::current()) {
  return exchanged(value, lane % kWarp, site);
}
template <class T>
T shuffle_up(T value, int lanes, const Site& site = Site::current()) {
  return exchanged(value, thread_index() % kWarp - lanes, site);
}
template <class T>
T shuffle_down(T value, int lanes, const Site& site = Site::current()) {
  return exchanged(value, thread_index() % kWarp + lanes, site);
}
template <class T>
T shuffle_xor(T value, int lane_mask, const Site& site = Site::current()) {
  return exchanged(value, (thread_index() % kWarp) ^ lane_mask, site);
}
inline uint32_t ballot(bool predicate, const Site& site = Site::current()) { return simt::ballot(predicate, site); }
inline bool any(bool predicate, const Site& site = Site::current()) { return simt::ballot(predicate, site) != 0; }
inline bool all(bool predicate, const Site& site = Site::current()) { return simt::ballot(predicate, site) == ~0u; }

template <class T, class F>
T atomic(const Global<T>& p, int64_t i, F change) {
  if (!p.shadow_->touch(p.offset_ + i, simt::Kind::kAtomic)) return T{};
  return std::exchange(p.data_[p.offset_ + i], change(p.data_[p.offset_ + i]));
}
template <class T>
T atomic_add(const Global<T>& p, int64_t i, std::type_identity_t<T> value) {
  return atomic(p, i, [=](T old) { return old + value; });
}
template <class T>
T atomic_max(const Global<T>& p, int64_t i, std::type_identity_t<T> value) {
  return atomic(p, i, [=](T old) { return old < value ? value : old; });
}
template <class T>
T atomic_cas(const Global<T>& p, int64_t i, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return atomic(p, i, [=](T old) { return old == expected ? value : old; });
}

inline int popcount(uint32_t bits) { return std::popcount(bits); }
inline int lowest_bit(uint32_t bits) { return bits == 0 ? -1 : std::countr_zero(bits); }
inline uint32_t float_bits(float x) { return std::bit_cast<uint32_t>(x); }
inline float float_of_bits(uint32_t bits) { return std::bit_cast<float>(bits); }

template <class T>
struct Four {
  T v[4];
};
template <class T>
bool aligned4(const Global<T>& p, int64_t i) {
  const bool aligned = (p.offset_ + i) % 4 == 0;
  if (!aligned) p.shadow_->misaligned(p.offset_ + i);
  return aligned;
}
template <class T>
Four<std::remove_const_t<T>> load4(const Global<T>& p, int64_t i) {
  aligned4(p, i);
  return {{p[i], p[i + 1], p[i + 2], p[i + 3]}};
}
template <class T>
void store4(const Global<T>& p, int64_t i, const Four<T>& v) {
  aligned4(p, i);
  for (int e = 0; e < 4; ++e) p[i + e] = v.v[e];
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::device
