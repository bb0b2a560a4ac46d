// A policy at work in a program: texts or vectors in, answers or deferrals out, from many threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "host/route/policy_options.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer {

struct RouterOptions {
  double alpha = 0;              // certified target to serve; 0: the one that fit was asked for
  RowSource text;                // how text is embedded: encoder, embed (server, cache); the rest is not looked at
  int64_t largest_batch = 4096;  // rows that are answered together, at most; a call of more rows is answered in parts
  int64_t longest_wait_us = 0;   // that a call waits for others to join it; 0: none
  int64_t largest_queue = 1 << 20;  // rows that wait at most: beyond, a call fails with kRefused and nothing is lost
};

// What becomes of one row.
struct Routed {
  int32_t label = -1;       // into Router::labels(); -1: deferred, the teacher is to be asked
  bool handled = false;     // label >= 0
  bool by_text = false;     // by the text stage of a cascade, without a vector
  double score = 0;         // in (0, 1): the probability that the teacher agrees with the surrogate's label
  std::string_view reason;  // accepted, below_threshold, out_of_distribution, never_label, below_label_floor
};

// Serves many threads. Calls put their rows into a queue; one thread owns the device and takes all that waits, in order
// of arrival, up to largest_batch rows at a time. While it is idle a call is taken at once; while it computes, calls
// gather, and longest_wait_us lets it wait for more when less than a batch is there. A call returns when its own rows
// are done. Waste: none, rows are never padded. A fault of one call's rows is that call's alone. Bytes: a row's
// decision and score depend on its vector and text alone, not on its company, unless the encoder's vectors do (int8 on
// some processors, servers: docs/embedding.md): then the last bits of a score may, as they do between two runs of
// `tracer route`. Rows next to a decision's boundary are decided by one canonical routine on every device.
class Router {
 public:
  // Takes the device. kRefused: the policy is not certified at that alpha; kBadInput: damaged, or another encoder.
  // A policy that was fitted on vectors of unknown origin takes vectors alone. events: of opening; `warn` is kept and
  // called on the router's thread.
  static Result<Router> open(Device device, const std::string& folder, const RouterOptions& options,
                             const Events& events);
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;
  // Waits for the calls that are under way.
  ~Router();

  // One answer a text, in order. Any thread. kBadInput: the policy takes no text, or a text is no UTF-8 (names it);
  // kRefused: the queue is full; kDevice, kIo: the encoder or its server failed.
  Result<std::vector<Routed>> route(std::span<const std::string> texts);
  // One answer a vector; they need not have length 1. texts: n, or none: a cascade that looks at the text first wants
  // them. kBadInput: another dimension, or a vector that is zero or not finite (names its row).
  Result<std::vector<Routed>> route(HostMatrix<const float> vectors, std::span<const std::string> texts = {});
  // Why one text is handled or deferred: label, runner-up, nearest traces (as `tracer inspect`).
  Result<Document> inspect(const std::string& text);

  const std::vector<std::string>& labels() const;
  int64_t dimension() const;
  double alpha() const;
  double threshold() const;
  const std::string& digest() const;  // names the policy
  bool takes_text() const;

 private:
  struct State;
  explicit Router(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tracer
