// Errors as values. Every function that can fail returns a Status or a Result<T>; libraries never print, throw on
// purpose, exit or abort.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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

// A message may name options of the caller's. It names them by marks, since a command line spells an option
// "--embed-url" and a Python caller "embed_url". name: with underscores.
inline constexpr char kOptionBegins = '\x1e', kOptionEnds = '\x1f';
inline std::string option(std::string_view name) { return kOptionBegins + std::string(name) + kOptionEnds; }

// The text with each marked name as spell(name) has it.
template <class Spell>
std::string spell_options(std::string_view marked, const Spell& spell) {
  std::string out;
  for (size_t at = 0; at < marked.size();) {
    const size_t begins = marked.find(kOptionBegins, at);
    const size_t ends = begins == marked.npos ? marked.npos : marked.find(kOptionEnds, begins);
    if (ends == marked.npos) return out.append(marked.substr(at));
    out.append(marked.substr(at, begins - at)).append(spell(marked.substr(begins + 1, ends - begins - 1)));
    at = ends + 1;
  }
  return out;
}

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}
  // field: the option of the caller's that is wrong, by its name ("delta").
  Status(ErrorCode code, std::string field, std::string message)
      : code_(code), message_(std::move(message)), field_(std::move(field)) {}

  bool ok() const { return code_ == ErrorCode::kOk; }
  ErrorCode code() const { return code_; }
  // In words, options by their names.
  std::string message() const {
    return spell_options(message_, [](std::string_view name) { return name; });
  }
  // The same with marks, for who spells options another way.
  const std::string& marked_message() const { return message_; }
  // "" where no single option is at fault. A command line answers with its usage error where there is one.
  const std::string& field() const { return field_; }

 private:
  ErrorCode code_ = ErrorCode::kOk;
  std::string message_;
  std::string field_;
};

inline Status bad_input(std::string message) { return {ErrorCode::kBadInput, std::move(message)}; }
// An option that is missing, out of range, or at odds with another one.
inline Status bad_option(std::string field, std::string message) {
  return {ErrorCode::kBadInput, std::move(field), std::move(message)};
}
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

#define TRACER_JOIN_(a, b) a##b
#define TRACER_JOIN(a, b) TRACER_JOIN_(a, b)
#define TRACER_ASSIGN_OR_RETURN_(result, to, ...) \
  auto result = (__VA_ARGS__);                    \
  if (!result.ok()) return result.status();       \
  to = std::move(result).value()

// Declares or assigns `to` from a Result<T>; propagates its error to the caller: TRACER_ASSIGN_OR_RETURN(auto x, f()).
#define TRACER_ASSIGN_OR_RETURN(to, ...) \
  TRACER_ASSIGN_OR_RETURN_(TRACER_JOIN(tracer_result_, __LINE__), to, __VA_ARGS__)
