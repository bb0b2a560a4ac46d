// The program. Joins the front ends that share one binary: the commands of host/cli.
#pragma once

namespace tracer {

// What the program does with these arguments (argv[0] is its name): prints, and gives the exit code.
int run_command(int argc, const char* const* argv);

}  // namespace tracer
