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

#include "tests/simt/simt.h"

#define TRACER_KERNEL inline void
#define TRACER_DEVICE inline
#define TRACER_SHARED(type, name, count) \
  const ::tracer::device::Global<type> name = ::tracer::device::shared<type>(#name, count)

namespace tracer::device {

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

 private:
  template <class U>
  friend class Global;
  template <class U>
  friend U atomic_add(const Global<U>& p, int64_t i, std::type_identity_t<U> value);

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
  const std::vector<T>& values() const { return values_; }
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
T shuffle_xor(T value, int lane_mask, const Site& site = Site::current()) {
  return exchanged(value, (thread_index() % kWarp) ^ lane_mask, site);
}
template <class T>
T shuffle_down(T value, int lanes, const Site& site = Site::current()) {
  return exchanged(value, thread_index() % kWarp + lanes, site);
}

template <class T>
T atomic_add(const Global<T>& p, int64_t i, std::type_identity_t<T> value) {
  if (!p.shadow_->touch(p.offset_ + i, simt::Kind::kAtomic)) return T{};
  return std::exchange(p.data_[p.offset_ + i], p.data_[p.offset_ + i] + value);
}

}  // namespace tracer::device
