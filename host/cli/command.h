// What the commands share: exit codes, console, and the table of commands. Only host/cli prints and exits.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/io/events.h"
#include "host/io/file_uses.h"
#include "host/io/json_format.h"
#include "host/io/plain_text.h"

namespace tracer::cli {

class Flags;

using Json = nlohmann::ordered_json;

// docs: README, "Exit codes".
enum ExitCode : int {
  kExitOk = 0,
  kExitRuntime = 1,
  kExitUsage = 2,
  kExitRefused = 3,
  kExitPartial = 4,
  kExitBudget = 5,
  kExitAlarm = 6,
};

// stdout carries data, stderr everything else.
struct Console {
  bool json = false;
  bool quiet = false;
  bool no_color = false;

  void note(const std::string& line) const;        // progress; silent under --quiet
  void note_lines(const std::string& text) const;  // the same for whole lines that may be shown as they are
  void warn(const std::string& line) const;        // always
  void error(const std::string& line) const;       // always
  // To stdout; false when it cannot be written (a broken pipe, a full disk).
  bool print(const std::string& text) const;
  int print_json(const Json& document, int code) const;
  // To the file at path, in one step, or for "-" to standard output.
  Status write(const std::string& path,
               const std::string& text) const;  // code, or kExitRuntime when it cannot be written
};

// Notes and warnings go to the console, progress to a line of its own; SIGINT and SIGTERM stop the call once they are
// counted (signals.h). The console must outlive it.
Events events_of(const Console& console);

struct Common {
  Console console;
  std::string device = "auto";
  int threads = 0;
};

// Prints the message and gives the exit code that belongs to it: kExitUsage where an option is at fault.
int fail(const Console& console, const Status& status);

// Prints the message and gives kExitUsage.
int usage_error(const Console& console, const std::string& message);

// Options every command has.
void add_common(Flags& app, Common& common, bool computes);

Result<Device> open_device(const Common& common);

// Prints the document, or under --json its JSON; the code, or kExitRuntime when it cannot be written.
int print_result(const Console& console, const Document& document, int code);

// A command adds itself to the application and stores its exit code when it runs.
void add_fit(Flags& app, int& exit_code);
void add_evaluate(Flags& app, int& exit_code);
void add_sweep(Flags& app, int& exit_code);
void add_scan(Flags& app, int& exit_code);
void add_route(Flags& app, int& exit_code);
void add_run(Flags& app, int& exit_code);
void add_job(Flags& app, int& exit_code);
void add_report(Flags& app, int& exit_code);
void add_inspect(Flags& app, int& exit_code);
void add_explain(Flags& app, int& exit_code);
void add_embed(Flags& app, int& exit_code);
void add_update(Flags& app, int& exit_code);
void add_versions(Flags& app, int& exit_code);
void add_promote(Flags& app, int& exit_code);
void add_rollback(Flags& app, int& exit_code);
void add_diff(Flags& app, int& exit_code);
void add_audit(Flags& app, int& exit_code);
void add_doctor(Flags& app, int& exit_code);

}  // namespace tracer::cli
