// Order inside a tie does not show in the result, since a tie is never cut. So no indices are carried: all scores of a
// segment are sorted, the scores of its disagreements are sorted, and walking both together counts the disagreements of
// every prefix.
#include "kernels/cpu/parity.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>
#include <vector>

namespace tracer::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int32_t kNoEnd = std::numeric_limits<int32_t>::max();  // stands where a prefix would cut a tie

// Ascending keys are descending scores; +0 and -0 have the same key.
uint32_t key_of(float score) {
  const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);
  return bits >> 31 != 0 ? bits : ~(bits | 0x80000000u);
}

float score_of(uint32_t key) { return std::bit_cast<float>(key >> 31 != 0 ? key : ~key & 0x7fffffffu); }

// Radix sort, least significant digit first; digits that all keys share are skipped.
class Radix {
 public:
  static constexpr int kBits = 11;
  static constexpr int kDigits = 3;
  static constexpr size_t kBuckets = size_t{1} << kBits;

  // Sorts n keys, ascending; returns where they are, keys or spare.
  uint32_t* sort(uint32_t* keys, uint32_t* spare, int64_t n) {
    for (auto& digit : count_) digit.fill(0);
    for (int64_t i = 0; i < n; ++i) {
      for (int d = 0; d < kDigits; ++d) ++count_[static_cast<size_t>(d)][bucket(keys[i], d)];
    }
    for (int d = 0; d < kDigits; ++d) {
      auto& count = count_[static_cast<size_t>(d)];
      if (n > 0 && count[bucket(keys[0], d)] == n) continue;
      int64_t begin = 0;
      for (int64_t& c : count) begin += std::exchange(c, begin);
      for (int64_t i = 0; i < n; ++i) spare[count[bucket(keys[i], d)]++] = keys[i];
      std::swap(keys, spare);
    }
    return keys;
  }

 private:
  static size_t bucket(uint32_t key, int digit) { return key >> (digit * kBits) & (kBuckets - 1); }
  std::array<std::array<int64_t, kBuckets>, kDigits> count_;
};

// The largest r in [1, rows] with disagree[r] <= allowed[r], 0 if none.
int64_t largest_prefix(const int32_t* disagree, const int32_t* allowed, int64_t rows) {
  constexpr int64_t kBlock = 512;
  for (int64_t end = rows; end > 0;) {
    const int64_t begin = std::max<int64_t>(1, end - kBlock + 1);
    int32_t any = 0;  // without a branch inside, so that it is compiled to vectors
    for (int64_t r = begin; r <= end; ++r) any |= disagree[r] <= allowed[r];
    if (any != 0) {
      while (disagree[end] > allowed[end]) --end;
      return end;
    }
    end = begin - 1;
  }
  return 0;
}

// Working memory of one worker: three arrays of keys, and the disagreements of each prefix.
struct Memory {
  uint32_t* keys;
  uint32_t* spare;
  uint32_t* wrong;
  int32_t* disagree;
  static int64_t floats(int64_t longest) { return 4 * round_up(longest + 1, 16); }
  Memory(float* base, int64_t longest) {
    const int64_t each = round_up(longest + 1, 16);
    keys = reinterpret_cast<uint32_t*>(base);
    spare = keys + each;
    wrong = spare + each;
    disagree = reinterpret_cast<int32_t*>(wrong + each);
  }
};

void sweep_segment(const ParitySweepProblem& p, int64_t begin, int64_t rows, const Memory& memory, Radix& radix,
                   ParityPoint* out) {
  const float* score = p.score.data() + begin;
  const uint8_t* agree = p.agree.data() + begin;
  int64_t wrongs = 0;
  for (int64_t i = 0; i < rows; ++i) {
    memory.keys[i] = key_of(score[i]);
    memory.wrong[wrongs] = memory.keys[i];
    wrongs += agree[i] == 0;
  }
  // The disagreements first: `disagree` is free until they are sorted.
  const uint32_t* wrong = radix.sort(memory.wrong, reinterpret_cast<uint32_t*>(memory.disagree), wrongs);
  if (wrong != memory.wrong) std::copy_n(wrong, wrongs, memory.wrong);
  wrong = memory.wrong;
  const uint32_t* keys = radix.sort(memory.keys, memory.spare, rows);
  int32_t* disagree = memory.disagree;
  int64_t d = 0;
  for (int64_t r = 1; r <= rows; ++r) {
    // One step a row is enough: at the end of a tie all its disagreements have been passed.
    d += d < wrongs && wrong[d] <= keys[r - 1];
    disagree[r] = r < rows && keys[r] == keys[r - 1] ? kNoEnd : static_cast<int32_t>(d);
  }
  for (int64_t a = 0; a < p.allowed.rows; ++a) {
    const int64_t r = largest_prefix(disagree, p.allowed.row(a), rows);
    out[a].handled = r;
    out[a].disagree = r > 0 ? disagree[r] : 0;
    out[a].score_next = r < rows ? score_of(keys[r]) : rows > 0 ? -kInfinity : kInfinity;
  }
}

Status check(const ParitySweepProblem& p, HostMatrix<ParityPoint> out, int64_t* longest) {
  const int64_t n = static_cast<int64_t>(p.score.size());
  if (p.segment_begin.empty()) return internal_error("parity_sweep: segment_begin has S + 1 entries");
  const size_t segments = p.segment_begin.size() - 1;
  if (p.agree.size() != p.score.size()) return internal_error("parity_sweep: one flag for each score");
  if (p.segment_begin.front() != 0 || p.segment_begin.back() != n) {
    return internal_error("parity_sweep: segments must cover the rows");
  }
  for (size_t s = 0; s < segments; ++s) {
    const int64_t rows = p.segment_begin[s + 1] - p.segment_begin[s];
    if (rows < 0) return internal_error("parity_sweep: segments must ascend");
    *longest = std::max(*longest, rows);
  }
  if (*longest >= kNoEnd) return internal_error("parity_sweep: a segment is too long");
  if (p.allowed.cols < *longest + 1) return internal_error("parity_sweep: allowed must cover the longest segment");
  if (out.rows != static_cast<int64_t>(segments) || out.cols != p.allowed.rows) {
    return internal_error("parity_sweep: out must be S x A");
  }
  return {};
}

}  // namespace

Status parity_sweep(const Context& context, const ParitySweepProblem& p, HostMatrix<ParityPoint> out) {
  int64_t longest = 0;
  TRACER_RETURN_IF_ERROR(check(p, out, &longest));
  const int64_t threads = context.pool->threads(), floats = Memory::floats(longest);
  const Scratch scratch = context.scratch->take(floats * threads);
  std::vector<Radix> radix(static_cast<size_t>(threads));
  run(*context.pool, out.rows, [&](int64_t s, int worker) {
    const int64_t begin = p.segment_begin[static_cast<size_t>(s)];
    sweep_segment(p, begin, p.segment_begin[static_cast<size_t>(s) + 1] - begin,
                  Memory(scratch.data() + worker * floats, longest), radix[static_cast<size_t>(worker)], out.row(s));
  });
  return {};
}

}  // namespace tracer::cpu
