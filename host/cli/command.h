// What the commands share: exit codes, console, and the table of commands. Only host/cli prints and exits.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "kernels/backend.h"
#include "kernels/status.h"

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

// A document as files and standard output hold it. Any JSON reader takes it: bytes that are no UTF-8 become U+FFFD.
std::string json_text(const Json& document);

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

struct Common {
  Console console;
  std::string device = "auto";
  int threads = 0;
};

// Prints the message and gives the exit code that belongs to it.
int fail(const Console& console, const Status& status);

// Text of a file as a terminal may show it: control characters and bytes that are no UTF-8 as \xNN, C1 controls and
// those that change the direction of writing as <U+NNNN>. For people only: JSON carries the text itself.
std::string shown(std::string_view text);

// "1 row", "2 rows".
std::string counted(int64_t n, const std::string& noun);

// Prints the message and gives kExitUsage.
int usage_error(const Console& console, const std::string& message);

// Options every command has.
void add_common(Flags& app, Common& common, bool computes);

Result<std::unique_ptr<Backend>> open_backend(const Common& common);

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
