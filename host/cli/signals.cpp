#include "host/cli/signals.h"

#include <csignal>
#include <initializer_list>

namespace tracer::cli {
namespace {

volatile std::sig_atomic_t seen = 0;
volatile std::sig_atomic_t last = 0;

void on_signal(int number) {
  seen = seen + 1;
  last = number;
}

}  // namespace

void count_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (const int number : {SIGINT, SIGTERM}) ::sigaction(number, &action, nullptr);
}

int signals_seen() { return seen; }

int exit_code_of_signal() { return 128 + last; }

}  // namespace tracer::cli
