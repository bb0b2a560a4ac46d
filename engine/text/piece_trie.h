// A set of byte strings, each with an id, that finds the longest one a text starts with. A double-array trie (Aoe,
// 1989) whose edges are base XOR byte, so that all edges of a node lie in one block of 256 slots. A look-up reads one
// slot for each byte that matches and is bounded by the longest string; immutable once built, so safe to share between
// threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tracer::text {

class PieceTrie {
 public:
  PieceTrie() = default;
  // Distinct strings and ids >= 0, in any order. An empty string is never found. Cost: their bytes, after a sort.
  explicit PieceTrie(std::vector<std::pair<std::string_view, int32_t>> pieces);

  struct Match {
    int32_t id = -1;  // -1: none
    size_t bytes = 0;
  };
  Match longest(std::string_view text) const {
    Match match;
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      const uint32_t next = slots_[node].base ^ static_cast<uint8_t>(text[i]);
      if (slots_[next].parent != node) break;
      node = next;
      if (slots_[node].id >= 0) match = {slots_[node].id, i + 1};
    }
    return match;
  }

 private:
  static constexpr uint32_t kFree = ~uint32_t{0};      // no node has this parent
  static constexpr uint32_t kRoot = ~uint32_t{0} - 1;  // nor is the root an edge's end
  struct Slot {
    uint32_t base = 0;
    uint32_t parent = kFree;
    int32_t id = -1;
  };
  class Builder;

  std::vector<Slot> slots_ = std::vector<Slot>(256, Slot{0, kRoot, -1});
};

}  // namespace tracer::text
