#include "host/encoder/vector_cache.h"

#include <utility>

#include "host/io/sha256.h"

namespace tracer {
namespace {

char half_byte(char hex) { return static_cast<char>(hex <= '9' ? hex - '0' : hex - 'a' + 10); }

}  // namespace

VectorKey vector_key(std::initializer_list<std::string_view> parts) {
  io::Sha256 digest;
  for (const std::string_view part : parts) {
    digest.update(std::to_string(part.size()) + ":");
    digest.update(part);
  }
  const std::string hex = digest.hex();
  VectorKey key{};
  for (size_t i = 0; i < key.size() && 2 * i + 1 < hex.size(); ++i)
    key[i] = static_cast<char>(half_byte(hex[2 * i]) << 4 | half_byte(hex[2 * i + 1]));
  return key;
}

Result<VectorCache> VectorCache::open(const std::string& path, int64_t most_bytes, Warn warn) {
  VectorCache cache;
  cache.path_ = path;
  cache.warn_ = std::move(warn);
  auto store = VectorStore::open(path, most_bytes);
  if (store.ok()) {
    cache.store_ = std::move(store).value();
  } else if (store.status().code() == ErrorCode::kBadInput) {
    return store.status();
  } else {
    cache.warn_(store.status().message() + "; embedding goes on without the cache");
  }
  return cache;
}

void VectorCache::get(std::span<const VectorKey> keys, HostMatrix<float> out, std::vector<bool>& found) {
  found.assign(keys.size(), false);
  if (!store_) return;
  const Status read = store_->get(keys, out, found);
  if (!read.ok()) {
    found.assign(keys.size(), false);
    store_.reset();
    warn_(read.message() + "; embedding goes on without the cache");
    return;
  }
  if (store_->damaged() > 0 && damaged_ == 0)
    warn_(path_ + ": holds damaged vectors, which are made again; remove the file if this goes on");
  damaged_ = store_->damaged();
  for (const bool one : found) counts_.found += one ? 1 : 0;
}

void VectorCache::put(std::span<const VectorKey> keys, HostMatrix<const float> vectors) {
  counts_.made += static_cast<int64_t>(keys.size());
  if (!store_ || !writes_) return;
  const Status kept = store_->put(keys, vectors);
  if (kept.ok()) return;
  writes_ = false;
  warn_(kept.message() + "; what is embedded from here on is not kept in the cache");
}

}  // namespace tracer
