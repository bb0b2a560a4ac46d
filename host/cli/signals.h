// SIGINT and SIGTERM, counted: a command that goes on for long ends in order at the first, at once at the next.
#pragma once

namespace tracer::cli {

// From now on signals are counted, and do not end the process. Again: no change.
void count_signals();
int signals_seen();
// 128 and the number of the last one.
int exit_code_of_signal();

}  // namespace tracer::cli
