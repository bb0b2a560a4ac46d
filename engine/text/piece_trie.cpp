#include "engine/text/piece_trie.h"

#include <algorithm>
#include <span>

namespace tracer::text {
namespace {

constexpr uint32_t kBlock = 256;
// Free slots tried for a node before it gets a block of its own: bounds the time to build.
constexpr int kTries = 64;

}  // namespace

// Places nodes breadth first. Free slots are a doubly linked ring through `next_` and `previous_`, whose head is slot
// 0: the root is placed from the start.
class PieceTrie::Builder {
 public:
  explicit Builder(std::vector<Slot>& slots) : slots_(slots), next_(1, 0), previous_(1, 0) {
    slots_.clear();
    add_block();
    slots_[0].parent = kRoot;
  }

  using Piece = std::pair<std::string_view, int32_t>;

  void build(std::span<const Piece> sorted) {
    struct Node {
      uint32_t slot;
      size_t begin, end, depth;
    };
    std::vector<Node> level = {{0, 0, sorted.size(), 0}}, below;
    while (!level.empty()) {
      below.clear();
      for (Node node : level) {
        // A string that ends here comes first.
        if (node.begin < node.end && sorted[node.begin].first.size() == node.depth) {
          slots_[node.slot].id = sorted[node.begin++].second;
        }
        bytes_.clear();
        std::vector<Node>& out = below;
        const size_t first_child = out.size();
        for (size_t i = node.begin; i < node.end; ++i) {
          const auto byte = static_cast<uint8_t>(sorted[i].first[node.depth]);
          if (bytes_.empty() || bytes_.back() != byte) {
            bytes_.push_back(byte);
            out.push_back({0, i, i, node.depth + 1});
          }
          ++out.back().end;
        }
        if (bytes_.empty()) continue;
        const uint32_t base = place();
        slots_[node.slot].base = base;
        for (size_t i = 0; i < bytes_.size(); ++i) {
          out[first_child + i].slot = base ^ bytes_[i];
          take(base ^ bytes_[i], node.slot);
        }
      }
      level.swap(below);
    }
  }

 private:
  // A base under which the slots of all of bytes_ are free.
  uint32_t place() {
    uint32_t slot = next_[0];
    for (int tries = 0; slot != 0 && tries < kTries; ++tries, slot = next_[slot]) {
      const uint32_t base = slot ^ bytes_[0];
      const auto is_free = [&](uint8_t byte) { return slots_[base ^ byte].parent == kFree; };
      if (std::all_of(bytes_.begin(), bytes_.end(), is_free)) return base;
    }
    return add_block();
  }

  uint32_t add_block() {
    const auto start = static_cast<uint32_t>(slots_.size());
    slots_.resize(start + kBlock);
    next_.resize(start + kBlock);
    previous_.resize(start + kBlock);
    for (uint32_t i = std::max(start, 1u); i < start + kBlock; ++i) {
      const uint32_t last = previous_[0];
      next_[last] = i;
      previous_[i] = last;
      next_[i] = 0;
      previous_[0] = i;
    }
    return start;
  }

  void take(uint32_t slot, uint32_t parent) {
    slots_[slot].parent = parent;
    next_[previous_[slot]] = next_[slot];
    previous_[next_[slot]] = previous_[slot];
  }

  std::vector<Slot>& slots_;
  std::vector<uint32_t> next_, previous_;
  std::vector<uint8_t> bytes_;
};

PieceTrie::PieceTrie(std::vector<std::pair<std::string_view, int32_t>> pieces) {
  std::sort(pieces.begin(), pieces.end());
  Builder(slots_).build(pieces);
}

}  // namespace tracer::text
