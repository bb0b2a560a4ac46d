// Flags of a command, parsed by CLI11. The library costs twenty seconds a file to include, so flags.cpp alone does:
// these classes have what our commands use of it, under its names.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace tracer::cli {

// What the value of a flag may be.
struct Check {
  std::string name;   // as --help shows it: "INT in [0 - 4096]"
  std::string words;  // beginning of the message, where the name is not enough
  // "" where the text is fine, else the message.
  std::function<std::string(const std::string& text)> fault;
};
// Numbers. NaN is in no interval.
Check in_range(int64_t least, int64_t most);
inline Check in_range(int least, int most) { return in_range(int64_t{least}, int64_t{most}); }
Check in_range(double least, double most);
Check unit_interval();       // [0, 1]
Check open_unit_interval();  // (0, 1)
Check positive();
Check not_negative();
Check one_of(std::initializer_list<const char*> words);

// One flag. Belongs to the Flags it was added to.
class Flag {
 public:
  explicit Flag(CLI::Option* option) : option_(option) {}

  Flag* required();
  Flag* check(const Check& check);
  Flag* check(std::function<std::string(const std::string&)> fault);
  Flag* as_bytes();             // takes 500MB, 4GB, ... too
  Flag* capture_default_str();  // --help shows the value that is there now
  Flag* default_str(const std::string& text);
  Flag* delimiter(char between);
  Flag* one_value_each();  // a list whose flag is given again for each of them
  Flag* envname(const std::string& variable);
  Flag* group(const std::string& title);
  Flag* needs(Flag* other);
  Flag* needs(Flag* one, Flag* other) { return needs(one)->needs(other); }
  Flag* excludes(Flag* other);
  bool empty() const;  // after parsing: not given

 private:
  CLI::Option* option_;
};

// The flags of a command, or of the program. Variables must outlive it; they keep their value where a flag is not
// given.
class Flags {
 public:
  explicit Flags(const std::string& what);  // of a program
  ~Flags();
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  // names: "-o,--output", or "TRACES" for a positional one.
  Flag* add_option(const std::string& names, std::string& value, const std::string& help = "");
  Flag* add_option(const std::string& names, std::optional<std::string>& value, const std::string& help = "");
  Flag* add_option(const std::string& names, std::vector<std::string>& value, const std::string& help = "");
  Flag* add_option(const std::string& names, double& value, const std::string& help = "");
  Flag* add_option(const std::string& names, std::optional<double>& value, const std::string& help = "");
  Flag* add_option(const std::string& names, std::vector<double>& value, const std::string& help = "");
  Flag* add_option(const std::string& names, int& value, const std::string& help = "");
  Flag* add_option(const std::string& names, int64_t& value, const std::string& help = "");
  Flag* add_option(const std::string& names, std::optional<int64_t>& value, const std::string& help = "");
  Flag* add_option(const std::string& names, uint64_t& value, const std::string& help = "");
  Flag* add_flag(const std::string& names, bool& value, const std::string& help = "");
  Flag* get_option(const std::string& name);
  std::vector<Flag*> get_options();

  Flags* add_subcommand(const std::string& name, const std::string& what);
  void require_subcommand();
  void footer(const std::string& text);
  void set_version_flag(const std::string& name, const std::string& text);
  // Once the command's flags are read: "" or a usage error in words.
  void finish(std::function<std::string()> fault);
  // What the command does.
  void callback(std::function<void()> run);

  // Runs the callback of the command that the arguments name. Nothing where it did; else the exit code of a usage error
  // (the message is on stderr), or 0 where help or the version was asked for (it is on stdout).
  std::optional<int> parse(int argc, const char* const* argv);

 private:
  explicit Flags(CLI::App* app);
  Flag* own(CLI::Option* option);

  std::unique_ptr<CLI::App> owned_;
  CLI::App* app_;
  std::vector<std::unique_ptr<Flag>> flags_;
  std::vector<std::unique_ptr<Flags>> commands_;
};

}  // namespace tracer::cli
