// What an update made of the rows it was given.
#pragma once

#include <cstdint>

namespace tracer {

struct TakenIn {
  int64_t rows = 0;        // new ones
  int64_t deferred = 0;    // new rows that a policy had deferred
  int64_t audit = 0;       // new rows of the audit
  int64_t unanswered = 0;  // audit rows among the new ones that have no usable answer
  int64_t known = 0;       // rows that were taken in before; they are left out
};

}  // namespace tracer
