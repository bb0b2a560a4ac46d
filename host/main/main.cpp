// tracer: learns a cheap classifier from an LLM's logged answers, proves how well it agrees, and routes.
#include "host/main/main.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <new>

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "tracer_version.h"

namespace tracer {
namespace {

// In the order in which --help lists them.
constexpr void (*kCommands[])(cli::Flags&, int&) = {
    cli::add_embed,    cli::add_fit,     cli::add_evaluate, cli::add_scan,    cli::add_sweep,   cli::add_route,
    cli::add_run,      cli::add_job,     cli::add_report,   cli::add_inspect, cli::add_explain, cli::add_update,
    cli::add_versions, cli::add_promote, cli::add_rollback, cli::add_diff,    cli::add_audit,   cli::add_doctor};

// A file opened later must not become our standard output. What cannot be used is opened the wrong way round, so that
// using it is an error and not silence.
void fill_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace

int run_command(int argc, const char* const* argv) {
  fill_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that leaves is an error of write(), answered with an exit code
  cli::Flags app("TRACER turns an LLM's logged answers into a cheap classifier and proves how often it agrees.");
  app.set_version_flag("--version",
                       "tracer " TRACER_VERSION " (git " TRACER_GIT_SHA "; CUDA: " TRACER_CUDA_ARCHS_TEXT ")");
  app.require_subcommand();
  app.footer(
      "Exit codes: 0 ok, 1 failed, 2 usage, 3 refused (not certified), 4 some rows failed, "
      "5 budget or quota spent, 6 alarm asked for, 130 and 143 stopped by a signal.");
  int exit_code = 0;
  for (const auto add : kCommands) add(app, exit_code);
  const cli::Console console;
  try {
    return app.parse(argc, argv).value_or(exit_code);
  } catch (const std::bad_alloc&) {
    console.error("out of memory");
  } catch (const std::exception& error) {
    console.error(std::string("unexpected: ") + error.what());
  }
  return cli::kExitRuntime;
}

}  // namespace tracer

int main(int argc, char** argv) { return tracer::run_command(argc, argv); }
