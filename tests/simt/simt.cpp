#include "tests/simt/simt.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <random>

#include "tests/simt/fiber.h"

namespace tracer::simt {

namespace {

constexpr int kWarp = 32;
constexpr std::ptrdiff_t kMaxFindings = 8;  // of each kind

enum class State { kReady, kAtBarrier, kAtWarp, kDone };

struct Thread {
  std::unique_ptr<Fiber> fiber = std::make_unique<Fiber>();
  State state = State::kReady;
  std::source_location site;  // of the barrier or warp operation it waits at
  uint64_t bits = 0;          // brought to an exchange, then received from it
  int source = 0;
  uint32_t votes = 0;         // received: bit 0 of what each lane brought
  bool synchronises = false;  // the warp operation orders memory
  int warp_epoch = 0;
};

struct SharedStorage {
  std::vector<unsigned char> bytes;
  std::unique_ptr<Shadow> shadow;
};

// The launch that runs now.
struct Launch {
  uint64_t id = 0;
  int64_t blocks = 0;
  int64_t block = 0;
  int thread = 0;
  int block_epoch = 0;
  int64_t dynamic_bytes = 0;
  std::vector<Thread> threads;
  std::map<std::string, SharedStorage> shared;
  Report report;
};

Launch* current = nullptr;
uint64_t launches = 0;

bool same_site(const std::source_location& a, const std::source_location& b) {
  return a.line() == b.line() && a.column() == b.column() && std::strcmp(a.file_name(), b.file_name()) == 0;
}

void add_finding(Defect defect, std::string text) {
  std::vector<Finding>& all = current->report.findings;
  const auto same = std::count_if(all.begin(), all.end(), [&](const Finding& f) { return f.defect == defect; });
  if (same < kMaxFindings) all.push_back({defect, std::move(text)});
}

void wait(State state, const std::source_location& site) {
  Thread& self = current->threads[static_cast<size_t>(current->thread)];
  self.state = state;
  self.site = site;
  self.fiber->suspend();
}

std::vector<int64_t> permutation(int64_t count, Order order, uint64_t salt) {
  std::vector<int64_t> result(static_cast<size_t>(count));
  std::iota(result.begin(), result.end(), 0);
  if (order == 1) std::reverse(result.begin(), result.end());
  if (order > 1) {
    std::mt19937_64 random(order * 1000003ULL + salt);
    std::shuffle(result.begin(), result.end(), random);
  }
  return result;
}

// Lets warps go on whose 32 lanes wait at the same operation, and the block whose threads wait at the same barrier.
// False: nobody could.
bool release(std::vector<Thread>& threads) {
  bool released = false;
  for (size_t first = 0; first < threads.size(); first += kWarp) {
    Thread* lane = &threads[first];
    const bool complete = std::all_of(lane, lane + kWarp, [&](const Thread& t) {
      return t.state == State::kAtWarp && same_site(t.site, lane->site);
    });
    if (!complete) continue;
    uint64_t brought[kWarp];
    uint32_t votes = 0;
    for (int i = 0; i < kWarp; ++i) {
      brought[i] = lane[i].bits;
      votes |= static_cast<uint32_t>(lane[i].bits & 1) << i;
    }
    for (int i = 0; i < kWarp; ++i) {
      lane[i].votes = votes;
      if (lane[i].source >= 0 && lane[i].source < kWarp) lane[i].bits = brought[lane[i].source];
      if (lane[i].synchronises) ++lane[i].warp_epoch;
      lane[i].state = State::kReady;
    }
    released = true;
  }
  const bool all_at_barrier = std::all_of(threads.begin(), threads.end(), [&](const Thread& t) {
    return t.state == State::kAtBarrier && same_site(t.site, threads[0].site);
  });
  if (all_at_barrier) {
    for (Thread& t : threads) t.state = State::kReady;
    ++current->block_epoch;
    released = true;
  }
  return released;
}

void report_divergence(const std::vector<Thread>& threads) {
  const auto waiting = [&](State state) {
    return std::find_if(threads.begin(), threads.end(), [&](const Thread& t) { return t.state == state; });
  };
  auto stuck = waiting(State::kAtBarrier);
  const bool barrier = stuck != threads.end();
  if (!barrier) stuck = waiting(State::kAtWarp);
  const auto other = std::find_if(threads.begin(), threads.end(), [&](const Thread& t) {
    return t.state == State::kDone || t.state != stuck->state || !same_site(t.site, stuck->site);
  });
  const std::string what = barrier ? "barrier" : "warp operation";
  const auto line = [](const Thread& t) {
    return t.state == State::kDone ? std::string("has returned") : "waits at line " + std::to_string(t.site.line());
  };
  add_finding(barrier ? Defect::kDivergentBarrier : Defect::kDivergentWarp,
              "divergent " + what + " in block " + std::to_string(current->block) + ": thread " +
                  std::to_string(stuck - threads.begin()) + " " + line(*stuck) + ", but thread " +
                  std::to_string(other - threads.begin()) + " " + line(*other));
}

void run_block(Order order, const std::function<void()>& kernel) {
  std::vector<Thread>& threads = current->threads;
  const auto count = static_cast<int64_t>(threads.size());
  for (Thread& t : threads) {
    t.state = State::kReady;
    t.warp_epoch = 0;
    t.fiber->start(kernel);
  }
  current->shared.clear();
  current->block_epoch = 0;
  std::vector<int64_t> shuffled;
  for (uint64_t round = 0;; ++round) {
    if (order > 1) shuffled = permutation(count, order, round);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t t = order == 0 ? i : order == 1 ? count - 1 - i : shuffled[static_cast<size_t>(i)];
      Thread& thread = threads[static_cast<size_t>(t)];
      if (thread.state != State::kReady) continue;
      current->thread = static_cast<int>(t);
      if (thread.fiber->resume()) thread.state = State::kDone;
    }
    if (std::all_of(threads.begin(), threads.end(), [](const Thread& t) { return t.state == State::kDone; })) return;
    if (!release(threads)) return report_divergence(threads);
  }
}

}  // namespace

bool Report::has(Defect defect) const {
  return std::any_of(findings.begin(), findings.end(), [&](const Finding& f) { return f.defect == defect; });
}

std::string Report::text() const {
  std::string all;
  for (const Finding& finding : findings) all += finding.text + "\n";
  return all;
}

Report launch(int64_t blocks, int threads, Order order, const std::function<void()>& kernel, int64_t dynamic_bytes) {
  if (threads < kWarp || threads > 1024 || threads % kWarp != 0 || current != nullptr) std::abort();
  Launch running;
  running.id = ++launches;
  running.blocks = blocks;
  running.dynamic_bytes = dynamic_bytes;
  running.threads.resize(static_cast<size_t>(threads));
  current = &running;
  for (const int64_t block : permutation(blocks, order, ~uint64_t{0})) {
    running.block = block;
    run_block(order, kernel);
  }
  current = nullptr;
  return std::move(running.report);
}

Shadow::Shadow(std::string name, int64_t count, bool initialised)
    : name_(std::move(name)), cells_(static_cast<size_t>(count), Cell{initialised, {}}) {}

bool Shadow::races(const Access& a, const Access& b) {
  if (a.launch != b.launch) return false;  // launches on one stream are ordered
  if (a.kind == b.kind && a.kind != Kind::kWrite) return false;
  if (a.block != b.block) return true;  // nothing orders blocks
  if (a.thread == b.thread || a.block_epoch != b.block_epoch) return false;
  return a.thread / kWarp != b.thread / kWarp || a.warp_epoch == b.warp_epoch;
}

bool Shadow::touch(int64_t index, Kind kind) {
  const auto count = static_cast<int64_t>(cells_.size());
  const auto who = [](const Access& a) {
    constexpr const char* kVerbs[] = {"read", "written", "atomically changed"};
    return std::string(kVerbs[static_cast<int>(a.kind)]) + " by thread " + std::to_string(a.thread) + " of block " +
           std::to_string(a.block);
  };
  const int warp_epoch = current->threads[static_cast<size_t>(current->thread)].warp_epoch;
  const Access now = {current->id, current->block, current->thread, current->block_epoch, warp_epoch, kind};
  const auto element = [&] { return name_ + "[" + std::to_string(index) + "]"; };
  if (index < 0 || index >= count) {
    add_finding(Defect::kOutOfBounds,
                element() + " of " + std::to_string(count) + " elements is " + who(now) + ": out of bounds");
    return false;
  }
  Cell& cell = cells_[static_cast<size_t>(index)];
  if (!cell.initialised && kind != Kind::kWrite) {
    add_finding(Defect::kUninitialised, element() + " is " + who(now) + " before anything was written there");
  }
  cell.initialised = true;
  for (const Access& before : cell.accesses) {
    if (races(before, now)) {
      add_finding(Defect::kRace, element() + " is " + who(before) + " and " + who(now) + " with no barrier between");
      break;
    }
  }
  // Forget what `now` stands for from here on: whatever races with the older one races with `now`.
  std::erase_if(cell.accesses, [&](const Access& before) {
    if (before.launch != now.launch) return true;
    if (before.block != now.block || (before.kind != now.kind && now.kind != Kind::kWrite)) return false;
    return before.thread == now.thread || before.block_epoch != now.block_epoch;
  });
  cell.accesses.push_back(now);
  return true;
}

void Shadow::mark_written(int64_t first, int64_t count) {
  for (int64_t i = first; i < first + count; ++i) cells_[static_cast<size_t>(i)].initialised = true;
}

void Shadow::misaligned(int64_t index) {
  add_finding(Defect::kMisaligned, "a vector of four starts at " + name_ + "[" + std::to_string(index) + "]");
}

int thread_index() { return current->thread; }
int block_size() { return static_cast<int>(current->threads.size()); }
int64_t block_index() { return current->block; }
int64_t grid_size() { return current->blocks; }

void sync_block(const std::source_location& site) { wait(State::kAtBarrier, site); }

void sync_warp(const std::source_location& site) {
  Thread& self = current->threads[static_cast<size_t>(current->thread)];
  self.source = -1;
  self.synchronises = true;
  wait(State::kAtWarp, site);
}

uint64_t exchange(uint64_t bits, int source, const std::source_location& site) {
  const int me = current->thread;
  Thread& self = current->threads[static_cast<size_t>(me)];
  self.bits = bits;
  self.source = source;
  self.synchronises = false;  // a shuffle orders registers, not memory
  wait(State::kAtWarp, site);
  return self.bits;
}

uint32_t ballot(bool predicate, const std::source_location& site) {
  exchange(predicate ? 1 : 0, -1, site);
  return current->threads[static_cast<size_t>(current->thread)].votes;
}

SharedArray shared_array(const char* name, int64_t count, int64_t element_bytes) {
  SharedStorage& storage = current->shared[name];
  if (storage.shadow == nullptr) {
    storage.bytes.assign(static_cast<size_t>(count * element_bytes), 0xcd);
    storage.shadow = std::make_unique<Shadow>(name, count, false);
  }
  return {storage.bytes.data(), storage.shadow.get()};
}

SharedArray dynamic_shared_array(const char* name, int64_t element_bytes) {
  return shared_array(name, current->dynamic_bytes / element_bytes, element_bytes);
}

}  // namespace tracer::simt
