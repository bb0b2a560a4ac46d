#include "host/api/router.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include "engine/policy/row_scorer.h"
#include "engine/text/text_encoder.h"
#include "engine/text/utf8.h"
#include "host/api/access.h"
#include "host/explain/inspect.h"
#include "host/explain/inspect_text.h"
#include "host/io/json_format.h"
#include "host/route/opened_policy.h"

namespace tracer {
namespace {

// Rows of one call, or a part of them. Belongs to the caller, who waits for it.
struct Call {
  std::span<const std::string> texts;
  HostMatrix<const float> vectors;  // no rows: the texts are embedded
  std::function<Status()> alone;    // instead of rows: something that wants the device
  std::vector<Routed>* out = nullptr;
  int64_t rows = 0;
  Status status;
  bool done = false;
};

Status check_vectors(HostMatrix<const float> x) {
  for (int64_t r = 0; r < x.rows; ++r) {
    double length = 0;
    for (int64_t j = 0; j < x.cols; ++j) length += static_cast<double>(x(r, j)) * static_cast<double>(x(r, j));
    if (!(length > 0) || !std::isfinite(length))
      return bad_option("vectors", "vectors: row " + std::to_string(r) + ": expected a finite vector that is not zero");
  }
  return {};
}

Status check_texts(std::span<const std::string> texts) {
  for (size_t i = 0; i < texts.size(); ++i)
    if (!text::is_utf8(texts[i])) return bad_option("texts", "texts: row " + std::to_string(i) + ": no UTF-8");
  return {};
}

}  // namespace

struct Router::State {
  // Set by open() and not changed after it.
  Device device;
  RouterOptions options;
  Events events;
  LoadedPolicy loaded;
  std::optional<VectorSource> text;  // absent: the policy takes no text
  std::optional<RowScorer> scorer;

  // What calls and the thread share.
  std::mutex mutex;
  std::condition_variable arrived, finished;
  std::deque<Call*> waiting;
  int64_t waiting_rows = 0;
  bool ending = false;
  std::thread thread;  // last: it uses everything above

  explicit State(Device given) : device(std::move(given)) {}
  ~State();

  Backend& backend() const { return DeviceAccess::backend(device); }
  Status serve(Call& call);
  void run();
  std::vector<Call*> take(std::unique_lock<std::mutex>& lock);
  void answer(const std::vector<Call*>& calls);
  Status answer_together(const std::vector<Call*>& calls);
  Status score(std::span<const std::string> texts, HostMatrix<const float> vectors, std::vector<RowScore>& out);
  Status embed_rest(std::span<const std::string> texts, const std::vector<std::optional<RowScore>>& answered,
                    Matrix<float>& x);
};

Router::State::~State() {
  {
    const std::lock_guard lock(mutex);
    ending = true;
  }
  arrived.notify_all();
  if (thread.joinable()) thread.join();
}

// Puts the call into the queue and waits until it is done.
Status Router::State::serve(Call& call) {
  std::unique_lock lock(mutex);
  if (waiting_rows + call.rows > options.largest_queue && waiting_rows > 0)
    return refused("the queue is full: " + std::to_string(waiting_rows) + " rows wait");
  waiting.push_back(&call);
  waiting_rows += call.rows;
  arrived.notify_one();
  finished.wait(lock, [&] { return call.done; });
  return call.status;
}

// The calls that are answered together, in order of arrival: those of one batch, or one that wants the device alone.
std::vector<Call*> Router::State::take(std::unique_lock<std::mutex>& lock) {
  arrived.wait(lock, [&] { return ending || !waiting.empty(); });
  if (options.longest_wait_us > 0)
    arrived.wait_for(lock, std::chrono::microseconds(options.longest_wait_us),
                     [&] { return ending || waiting_rows >= options.largest_batch; });
  std::vector<Call*> calls;
  int64_t rows = 0;
  while (!waiting.empty()) {
    Call* next = waiting.front();
    const bool fits =
        calls.empty() || (!next->alone && !calls.front()->alone && rows + next->rows <= options.largest_batch);
    if (!fits) break;
    waiting.pop_front();
    waiting_rows -= next->rows;
    rows += next->rows;
    calls.push_back(next);
  }
  return calls;
}

void Router::State::run() {
  std::unique_lock lock(mutex);
  while (true) {
    const std::vector<Call*> calls = take(lock);
    if (calls.empty()) return;  // ending, and nothing waits
    lock.unlock();
    answer(calls);
    lock.lock();
    for (Call* call : calls) call->done = true;
    finished.notify_all();
  }
}

// Where rows of several calls fail together, each call has its own try: the fault is not the others'.
void Router::State::answer(const std::vector<Call*>& calls) {
  Status together = answer_together(calls);
  for (Call* call : calls) call->status = calls.size() > 1 && !together.ok() ? answer_together({call}) : together;
}

Status Router::State::answer_together(const std::vector<Call*>& calls) try {
  if (calls.front()->alone) return calls.front()->alone();
  // Rows with vectors and rows of text alone are scored apart.
  for (const bool given : {true, false}) {
    std::vector<std::string> texts;
    int64_t rows = 0, with_texts = 0;
    for (const Call* call : calls)
      if ((call->vectors.rows > 0) == given) rows += call->rows, with_texts += static_cast<int64_t>(call->texts.size());
    if (rows == 0) continue;
    Matrix<float> x;
    if (given) x = Matrix<float>(rows, loaded.artifact.policy.dimension);
    int64_t at = 0;
    for (const Call* call : calls) {
      if ((call->vectors.rows > 0) != given) continue;
      if (with_texts == rows) texts.insert(texts.end(), call->texts.begin(), call->texts.end());
      for (int64_t r = 0; r < call->vectors.rows; ++r, ++at) std::copy_n(call->vectors.row(r), x.cols(), x.row(at));
    }
    std::vector<RowScore> scores;
    TRACER_RETURN_IF_ERROR(score(texts, std::as_const(x).view(), scores));
    size_t next = 0;
    for (Call* call : calls) {
      if ((call->vectors.rows > 0) != given) continue;
      for (int64_t r = 0; r < call->rows; ++r, ++next) {
        const RowScore& row = scores[next];
        const Reason reason = decide(row, loaded.rule);
        const bool handled = reason == Reason::kAccepted;
        call->out->push_back({handled ? row.features.label : -1, handled, row.text, row.score, to_string(reason)});
      }
    }
  }
  return {};
} catch (const std::bad_alloc&) {
  return out_of_memory("routing rows");
}

Status Router::State::embed_rest(std::span<const std::string> texts,
                                 const std::vector<std::optional<RowScore>>& answered, Matrix<float>& x) {
  std::vector<std::string> rest;
  for (size_t i = 0; i < texts.size(); ++i)
    if (!answered[i]) rest.push_back(texts[i]);
  x = Matrix<float>(static_cast<int64_t>(rest.size()), loaded.artifact.policy.dimension);
  for (int64_t first = 0; first < x.rows(); first += TextEncoder::kGroup) {
    const int64_t count = std::min(x.rows() - first, TextEncoder::kGroup);
    TRACER_RETURN_IF_ERROR(text->encoder->text->encode({rest.data() + first, static_cast<size_t>(count)},
                                                       x.view().rows_from(first, count)));
  }
  return backend().normalise_rows(x.view());
}

Status Router::State::score(std::span<const std::string> texts, HostMatrix<const float> vectors,
                            std::vector<RowScore>& out) {
  if (vectors.rows > 0) return scorer->score({.x = vectors, .normalise = true, .texts = texts}, out);
  std::vector<std::optional<RowScore>> answered;
  scorer->answer_texts(texts, answered);
  Matrix<float> x;
  TRACER_RETURN_IF_ERROR(embed_rest(texts, answered, x));
  return scorer->score_rest(std::as_const(x).view(), answered, out);
}

Router::Router(std::unique_ptr<State> state) : state_(std::move(state)) {}
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;
Router::~Router() = default;

Result<Router> Router::open(Device device, const std::string& folder, const RouterOptions& options,
                            const Events& events) {
  if (options.largest_batch < 1) return bad_option("largest_batch", option("largest_batch") + " must be at least 1");
  auto state = std::make_unique<State>(std::move(device));
  state->options = options;
  state->events = events;
  PolicyOptions policy{folder, std::nullopt};
  if (options.alpha > 0) policy.alpha = options.alpha;
  TRACER_ASSIGN_OR_RETURN(state->loaded, load_policy(policy, events));
  const LoadedPolicy& loaded = state->loaded;
  if (loaded.artifact.provenance.encoder.known()) {
    TRACER_ASSIGN_OR_RETURN(state->text, open_vectors("", options.text, loaded, state->backend(), state->events));
  }
  TRACER_ASSIGN_OR_RETURN(state->scorer, RowScorer::open(state->backend(), loaded.artifact.policy, loaded.rule));
  State* own = state.get();
  state->thread = std::thread([own] { own->run(); });
  return Router(std::move(state));
}

Result<std::vector<Routed>> Router::route(std::span<const std::string> texts) {
  if (!takes_text())
    return bad_option("texts", "this policy was fitted on vectors of unknown origin and takes no text: give vectors");
  TRACER_RETURN_IF_ERROR(check_texts(texts));
  std::vector<Routed> out;
  out.reserve(texts.size());
  for (size_t first = 0; first < texts.size(); first += static_cast<size_t>(state_->options.largest_batch)) {
    Call call;
    call.texts =
        texts.subspan(first, std::min(texts.size() - first, static_cast<size_t>(state_->options.largest_batch)));
    call.rows = static_cast<int64_t>(call.texts.size());
    call.out = &out;
    TRACER_RETURN_IF_ERROR(state_->serve(call));
  }
  return out;
}

Result<std::vector<Routed>> Router::route(HostMatrix<const float> vectors, std::span<const std::string> texts) {
  if (vectors.cols != dimension())
    return bad_option("vectors", "vectors: expected dimension " + std::to_string(dimension()) + ", found " +
                                     std::to_string(vectors.cols));
  if (!texts.empty() && static_cast<int64_t>(texts.size()) != vectors.rows)
    return bad_option("texts", "texts: expected one for each of " + std::to_string(vectors.rows) + " vectors, found " +
                                   std::to_string(texts.size()));
  if (texts.empty() && state_->scorer->has_text_stage() && state_->loaded.rule.text_threshold < 1)
    return bad_option("texts", "a cascade looks at the text first: give the texts with the vectors");
  TRACER_RETURN_IF_ERROR(check_vectors(vectors));
  TRACER_RETURN_IF_ERROR(check_texts(texts));
  std::vector<Routed> out;
  out.reserve(static_cast<size_t>(vectors.rows));
  for (int64_t first = 0; first < vectors.rows; first += state_->options.largest_batch) {
    Call call;
    call.rows = std::min(vectors.rows - first, state_->options.largest_batch);
    call.vectors = vectors.rows_from(first, call.rows);
    if (!texts.empty()) call.texts = texts.subspan(static_cast<size_t>(first), static_cast<size_t>(call.rows));
    call.out = &out;
    TRACER_RETURN_IF_ERROR(state_->serve(call));
  }
  return out;
}

Result<Document> Router::inspect(const std::string& text) {
  if (!takes_text()) return bad_option("text", "this policy takes no text");
  TRACER_RETURN_IF_ERROR(check_texts({&text, 1}));
  Document out;
  Call call;
  call.alone = [&]() -> Status {
    TRACER_ASSIGN_OR_RETURN(const Json found, inspect_row(state_->backend(), state_->loaded, {text, 0, "the text"},
                                                          [&](HostMatrix<float> x) {
                                                            return state_->text->encoder->text->encode({&text, 1}, x);
                                                          }));
    out = {json_text(found), inspect_text(found)};
    return {};
  };
  TRACER_RETURN_IF_ERROR(state_->serve(call));
  return out;
}

const std::vector<std::string>& Router::labels() const { return state_->loaded.artifact.policy.labels; }
int64_t Router::dimension() const { return state_->loaded.artifact.policy.dimension; }
double Router::alpha() const { return state_->loaded.certificate.alpha; }
double Router::threshold() const { return state_->loaded.certificate.threshold; }
const std::string& Router::digest() const { return state_->loaded.artifact.digest; }
bool Router::takes_text() const { return state_->text.has_value(); }

}  // namespace tracer
