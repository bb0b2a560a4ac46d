#include "host/api/doctor.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"

namespace tracer::cli {

void add_doctor(Flags& app, int& exit_code) {
  auto common = std::make_shared<Common>();
  Flags* sub = app.add_subcommand("doctor", "what this machine offers, and what is missing");
  add_common(*sub, *common, true);
  sub->callback([common, &exit_code] {
    const Diagnosis found = diagnose({common->device, common->threads});
    exit_code = print_result(common->console, found.document, found.usable ? kExitOk : kExitRuntime);
  });
}

}  // namespace tracer::cli
