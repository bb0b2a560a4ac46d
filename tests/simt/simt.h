// Runs a kernel on the CPU, one fiber a thread, and watches it: accesses outside a buffer, reads of shared memory that
// nobody wrote, barriers and warp operations that not all threads reach, and races (two threads touch one element with
// no barrier between them, at least one writing). Shadow memory finds a race in whatever order the threads run; several
// orders show that the result does not depend on it. Single-threaded; one launch at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <source_location>
#include <string>
#include <vector>

namespace tracer::simt {

enum class Defect { kOutOfBounds, kUninitialised, kRace, kDivergentBarrier, kDivergentWarp, kMisaligned };

struct Finding {
  Defect defect;
  std::string text;
};

// The first findings of a launch; empty for a sound kernel.
struct Report {
  std::vector<Finding> findings;

  bool ok() const { return findings.empty(); }
  bool has(Defect defect) const;
  std::string text() const;
};

// In which order the threads of a block (and the blocks) run between barriers: 0 ascending, 1 descending, any other
// number seeds a shuffle.
using Order = uint32_t;
inline constexpr Order kOrders[] = {0, 1, 2, 3};

// Runs `kernel` once in each of blocks * threads fibers. threads: a multiple of 32, at most 1024. A block whose threads
// diverge at a barrier is abandoned there. dynamic_bytes: of shared memory beside the kernel's own arrays.
Report launch(int64_t blocks, int threads, Order order, const std::function<void()>& kernel, int64_t dynamic_bytes = 0);

enum class Kind : uint8_t { kRead, kWrite, kAtomic };

// The recent accesses to each element of one buffer.
class Shadow {
 public:
  Shadow(std::string name, int64_t count, bool initialised);
  // Records an access of the running thread. False: out of bounds, and the access must not be made.
  bool touch(int64_t index, Kind kind);
  int64_t count() const { return static_cast<int64_t>(cells_.size()); }
  bool written(int64_t index) const { return cells_[static_cast<size_t>(index)].initialised; }
  void mark_written(int64_t first, int64_t count);
  // Reports a vector access at an element where none may start.
  void misaligned(int64_t index);

 private:
  struct Access {
    uint64_t launch;
    int64_t block;
    int thread;
    int block_epoch;  // barriers passed
    int warp_epoch;   // warp synchronisations passed
    Kind kind;
  };
  struct Cell {
    bool initialised;
    std::vector<Access> accesses;
  };
  static bool races(const Access& a, const Access& b);

  std::string name_;
  std::vector<Cell> cells_;
};

// What the vocabulary of kernels (device.h) asks of the running thread.
int thread_index();
int block_size();
int64_t block_index();
int64_t grid_size();
void sync_block(const std::source_location& site);
void sync_warp(const std::source_location& site);
// The bits that lane `source` of the warp brought to the same call (its own for a source outside the warp).
uint64_t exchange(uint64_t bits, int source, const std::source_location& site);
// Bit i: what lane i of the warp brought.
uint32_t ballot(bool predicate, const std::source_location& site);

// A block's shared array: the same storage for all threads that ask under one name.
struct SharedArray {
  void* data;
  Shadow* shadow;
};
SharedArray shared_array(const char* name, int64_t count, int64_t element_bytes);
// All of the launch's dynamic shared memory.
SharedArray dynamic_shared_array(const char* name, int64_t element_bytes);

}  // namespace tracer::simt
