// tracer: learns a cheap classifier from an LLM's logged answers, proves how well it agrees, and routes.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <iostream>
#include <new>

#include "host/cli/command.h"
#include "tracer_version.h"

namespace {

// A file opened later must not become our standard output. What cannot be used is opened the wrong way round, so that
// using it is an error and not silence.
void fill_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int parse_and_run(CLI::App& app, int argc, char** argv, const int& exit_code) {
  const tracer::cli::Console console;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are answers; everything else is a usage error.
    if (app.exit(error) != 0) return tracer::cli::kExitUsage;
    std::cout.flush();
    if (std::cout.good()) return tracer::cli::kExitOk;
    console.error("cannot write to standard output");
    return tracer::cli::kExitRuntime;
  } catch (const std::bad_alloc&) {
    console.error("out of memory");
    return tracer::cli::kExitRuntime;
  } catch (const std::exception& error) {
    console.error(std::string("unexpected: ") + error.what());
    return tracer::cli::kExitRuntime;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that leaves is an error of write(), answered with an exit code
  CLI::App app{"TRACER turns an LLM's logged answers into a cheap classifier and proves how often it agrees."};
  app.set_version_flag("--version",
                       "tracer " TRACER_VERSION " (git " TRACER_GIT_SHA "; CUDA: " TRACER_CUDA_ARCHS_TEXT ")");
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 ok, 1 failed, 2 usage, 3 refused (not certified), 4 some rows failed, "
      "5 budget or quota spent, 6 alarm asked for, 130 and 143 stopped by a signal.");
  int exit_code = 0;
  tracer::cli::add_embed(app, exit_code);
  tracer::cli::add_fit(app, exit_code);
  tracer::cli::add_evaluate(app, exit_code);
  tracer::cli::add_sweep(app, exit_code);
  tracer::cli::add_route(app, exit_code);
  tracer::cli::add_run(app, exit_code);
  tracer::cli::add_job(app, exit_code);
  tracer::cli::add_report(app, exit_code);
  tracer::cli::add_inspect(app, exit_code);
  tracer::cli::add_explain(app, exit_code);
  tracer::cli::add_update(app, exit_code);
  tracer::cli::add_versions(app, exit_code);
  tracer::cli::add_promote(app, exit_code);
  tracer::cli::add_rollback(app, exit_code);
  tracer::cli::add_diff(app, exit_code);
  tracer::cli::add_audit(app, exit_code);
  tracer::cli::add_doctor(app, exit_code);
  return parse_and_run(app, argc, argv, exit_code);
}
