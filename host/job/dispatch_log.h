// What the dispatcher tells of its work, and whom it asks for more.
#pragma once

#include <cstdint>
#include <string>

#include "host/job/store.h"
#include "kernels/status.h"

namespace tracer::job {

// Thread-safe.
class DispatchLog {
 public:
  virtual ~DispatchLog() = default;
  // Deliver up to n asks when there are some, once for each call.
  virtual void want(int64_t n) = 0;
  // The number of the next attempt.
  virtual int64_t new_attempt() = 0;
  // Before it is sent.
  virtual void attempt_started(int64_t attempt, int64_t ask, AttemptKind kind, int64_t most_cost) = 0;
  virtual void attempt_ended(AttemptEnd end) = 0;
  // Nothing more will be sent. Rows without an answer are written as errors that say why; "" leaves them out, and the
  // output ends where it is.
  virtual void dispatch_ended(std::string why) = 0;
  // Not ok: what is sent from now on could not be kept.
  virtual Status failure() const = 0;
};

}  // namespace tracer::job
