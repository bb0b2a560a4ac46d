// tracer: learns a cheap classifier from an LLM's logged answers, proves how well it agrees, and routes.
#include <csignal>

#include "host/cli/command.h"
#include "tracer_version.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that leaves is an error of write(), answered with an exit code
  CLI::App app{"TRACER turns an LLM's logged answers into a cheap classifier and proves how often it agrees."};
  app.set_version_flag("--version",
                       "tracer " TRACER_VERSION " (git " TRACER_GIT_SHA "; CUDA: " TRACER_CUDA_ARCHS_TEXT ")");
  app.require_subcommand(1);
  app.footer("Exit codes: 0 ok, 1 failed, 2 usage, 3 refused (not certified), 4 some rows failed, 6 alarm asked for.");
  int exit_code = 0;
  tracer::cli::add_fit(app, exit_code);
  tracer::cli::add_evaluate(app, exit_code);
  tracer::cli::add_route(app, exit_code);
  tracer::cli::add_report(app, exit_code);
  tracer::cli::add_inspect(app, exit_code);
  tracer::cli::add_doctor(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are answers; everything else is a usage error.
    return app.exit(error) == 0 ? tracer::cli::kExitOk : tracer::cli::kExitUsage;
  }
  return exit_code;
}
