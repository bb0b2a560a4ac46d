// The most frequent keys of a count.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace tracer {

// At most `most`, ties in order of the key.
template <class Key>
std::vector<std::pair<Key, int64_t>> most_frequent(const std::map<Key, int64_t>& counts, size_t most) {
  std::vector<std::pair<Key, int64_t>> order(counts.begin(), counts.end());
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  if (order.size() > most) order.resize(most);
  return order;
}

}  // namespace tracer
