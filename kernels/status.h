// Errors as values. Every function that can fail returns a Status or a Result<T>; libraries never print, throw on
// purpose, exit or abort.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace tracer {

// Numbers are frozen: they appear in logs.
enum class ErrorCode : int {
  kOk = 0,
  kBadInput = 1,     // the caller's data or options are wrong; the message names file, line and field
  kIo = 2,           // the operating system refused: open, read, write, rename
  kDevice = 3,       // an accelerator is absent, failed, or out of its own memory
  kRefused = 4,      // nothing is broken: the statistics do not support what was asked for
  kInternal = 5,     // a bug in TRACER
  kBrokenPipe = 6,   // the reader of our output went away
  kInterrupted = 7,  // the user asked to stop
  kOutOfMemory = 8,  // the host's memory is used up
};

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == ErrorCode::kOk; }
  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  ErrorCode code_ = ErrorCode::kOk;
  std::string message_;
};

inline Status bad_input(std::string message) { return {ErrorCode::kBadInput, std::move(message)}; }
inline Status io_error(std::string message) { return {ErrorCode::kIo, std::move(message)}; }
inline Status device_error(std::string message) { return {ErrorCode::kDevice, std::move(message)}; }
inline Status refused(std::string message) { return {ErrorCode::kRefused, std::move(message)}; }
inline Status out_of_memory(std::string doing) {
  return {ErrorCode::kOutOfMemory, "out of memory: " + std::move(doing)};
}
inline Status internal_error(std::string message) { return {ErrorCode::kInternal, std::move(message)}; }

// A value or the reason there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT: implicit, so that `return value;` reads well
  Result(Status status) : status_(std::move(status)) {}  // NOLINT: likewise; requires !status.ok()

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace tracer

// Propagates a failed Status to the caller.
#define TRACER_RETURN_IF_ERROR(expr)                 \
  do {                                               \
    ::tracer::Status tracer_status_ = (expr);        \
    if (!tracer_status_.ok()) return tracer_status_; \
  } while (false)
