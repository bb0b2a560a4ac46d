#undef _FORTIFY_SOURCE  // its longjmp refuses to go to another stack
#include "tests/simt/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace tracer::simt {

namespace {

// What AddressSanitizer wants to know: a switch to another stack begins, it has ended, a stack is as good as new.
// Without it there is nobody to tell.
#if defined(__SANITIZE_ADDRESS__)
void begin_switch(void** fake, const void* stack, size_t bytes) { __sanitizer_start_switch_fiber(fake, stack, bytes); }
void end_switch(void* fake, const void** stack, size_t* bytes) { __sanitizer_finish_switch_fiber(fake, stack, bytes); }
void renew_stack(const void* stack, size_t bytes) { __asan_unpoison_memory_region(stack, bytes); }
#else
void begin_switch(void** /*fake*/, const void* /*stack*/, size_t /*bytes*/) {}
void end_switch(void* /*fake*/, const void** /*stack*/, size_t* /*bytes*/) {}
void renew_stack(const void* /*stack*/, size_t /*bytes*/) {}
#endif

}  // namespace

Fiber::Fiber() {
  void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  stack_ = static_cast<char*>(memory);
}

Fiber::~Fiber() {
  renew_stack(stack_, kStackBytes);
  munmap(stack_, kStackBytes);
}

void Fiber::start(const std::function<void()>& body) {
  renew_stack(stack_, kStackBytes);  // frames of a body that was dropped
  body_ = &body;
  ended_ = false;
  begun_ = false;
  own_fake_ = nullptr;
  getcontext(&own_);
  own_.uc_stack.ss_sp = stack_;
  own_.uc_stack.ss_size = kStackBytes;
  own_.uc_link = nullptr;
  const auto self = reinterpret_cast<uintptr_t>(this);  // makecontext passes ints only
  makecontext(&own_, reinterpret_cast<void (*)()>(&Fiber::entry), 2, static_cast<unsigned>(self >> 32),
              static_cast<unsigned>(self));
}

void Fiber::entry(unsigned high, unsigned low) { reinterpret_cast<Fiber*>(uintptr_t{high} << 32 | low)->run(); }

// A switch of contexts asks the kernel for the signal mask, twice; a jump does not. AddressSanitizer knows the former.
#if defined(__SANITIZE_ADDRESS__)
void Fiber::to_body() { swapcontext(&caller_, &own_); }
void Fiber::to_caller() { swapcontext(&own_, &caller_); }
#else
void Fiber::to_body() {
  if (_setjmp(caller_jump_) != 0) return;
  if (begun_) _longjmp(own_jump_, 1);
  begun_ = true;
  setcontext(&own_);
}
void Fiber::to_caller() {
  if (_setjmp(own_jump_) == 0) _longjmp(caller_jump_, 1);
}
#endif

void Fiber::run() {
  end_switch(nullptr, &caller_stack_, &caller_stack_bytes_);
  (*body_)();
  ended_ = true;
  begin_switch(nullptr, caller_stack_, caller_stack_bytes_);
  to_caller();
}

bool Fiber::resume() {
  void* fake = nullptr;
  begin_switch(&fake, stack_, kStackBytes);
  to_body();
  end_switch(fake, nullptr, nullptr);
  return ended_;
}

void Fiber::suspend() {
  begin_switch(&own_fake_, caller_stack_, caller_stack_bytes_);
  to_caller();
  end_switch(own_fake_, &caller_stack_, &caller_stack_bytes_);
}

}  // namespace tracer::simt
