// Stackful coroutines over ucontext, known to AddressSanitizer. All run on the thread that resumes them.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <memory>

namespace tracer::simt {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Arms the fiber with a body, which must outlive it. A body that was left suspended is dropped: no destructors run.
  void start(const std::function<void()>& body);
  // Runs the body until it suspends or ends. True: it has ended.
  bool resume();
  // Called from within the body: back to resume().
  void suspend();

 private:
  static void entry(unsigned high, unsigned low);
  void run();
  void to_body();
  void to_caller();

  static constexpr size_t kStackBytes = 128 << 10;  // AddressSanitizer's frames are large
  char* stack_;
  ucontext_t own_;
  ucontext_t caller_;
  const std::function<void()>* body_ = nullptr;
  bool ended_ = true;
  bool begun_ = false;
  jmp_buf own_jump_;
  jmp_buf caller_jump_;
  // AddressSanitizer's notes of the two stacks.
  void* own_fake_ = nullptr;
  const void* caller_stack_ = nullptr;
  size_t caller_stack_bytes_ = 0;
};

}  // namespace tracer::simt
