// What a long call tells its caller on the way, and how the caller stops it. Nothing in the libraries prints.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace tracer {

// How far one pass over rows is. `doing` ("embedding") names the pass; passes do not overlap.
struct Progress {
  std::string_view doing;
  int64_t rows = 0;     // done so far, 0 at the start of the pass
  double share = -1;    // of the pass, in [0, 1]; negative: not known
  bool done = false;    // the last word of the pass
  bool broken = false;  // likewise, of one that an error ended
};

// Each function may be empty. They are called on the thread that made the call, one at a time, but `stopped` and
// `abandoned`, which any thread may ask; none may throw. Lines have no line break at their end; what they quote of
// files is raw text.
struct Events {
  std::function<void(std::string_view line)> note;  // what is being done
  std::function<void(std::string_view line)> warn;  // what the caller should know of the result
  std::function<void(const Progress&)> progress;
  // True, and true from then on: end soon, in order; the call returns kInterrupted.
  std::function<bool()> stopped;
  // Asked once `stopped` was true. True: end at once; what is under way is not waited for.
  std::function<bool()> abandoned;

  void tell(std::string_view line) const {
    if (note) note(line);
  }
  void caution(std::string_view line) const {
    if (warn) warn(line);
  }
  void advance(const Progress& at) const {
    if (progress) progress(at);
  }
  bool stop_wanted() const { return stopped && stopped(); }
  bool abandon_wanted() const { return abandoned && abandoned(); }
};

// One pass over rows, told to the events. They and `doing` must outlive it.
class Pass {
 public:
  Pass(const Events& events, std::string_view doing) : events_(events), doing_(doing) { tell(-1, false, false); }
  ~Pass() {
    if (!over_) tell(-1, false, true);
  }
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  // `rows` more are done; `share` as in Progress.
  void advance(int64_t rows, double share) {
    rows_ += rows;
    tell(share, false, false);
  }
  void finish() {
    over_ = true;
    tell(1, true, false);
  }
  int64_t rows() const { return rows_; }

 private:
  void tell(double share, bool done, bool broken) const { events_.advance({doing_, rows_, share, done, broken}); }

  const Events& events_;
  const std::string_view doing_;
  int64_t rows_ = 0;
  bool over_ = false;
};

}  // namespace tracer
