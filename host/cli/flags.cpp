#include "host/cli/flags.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "host/cli/command.h"

namespace tracer::cli {
namespace {

Check in_interval(bool closed) {
  return {closed ? "in [0, 1]" : "in (0, 1)", "share", [closed](const std::string& text) -> std::string {
            char* end = nullptr;
            const double v = std::strtod(text.c_str(), &end);
            const bool whole = end != text.c_str() && *end == '\0';
            if (whole && (closed ? v >= 0 && v <= 1 : v > 0 && v < 1)) return "";
            return std::string("expected a number between 0 and 1") + (closed ? "" : ", neither of them") + ", found " +
                   shown(text);
          }};
}

// A check of the library, as one of ours.
Check of(CLI::Validator validator) {
  const std::string name = validator.get_description();
  return {name, validator.get_name(), [validator](const std::string& text) {
            std::string copy = text;
            return validator(copy);
          }};
}

}  // namespace

Check in_range(int64_t least, int64_t most) { return of(CLI::Range(least, most)); }
Check in_range(double least, double most) { return of(CLI::Range(least, most)); }
Check unit_interval() { return in_interval(true); }
Check open_unit_interval() { return in_interval(false); }
Check positive() { return of(CLI::PositiveNumber); }
Check not_negative() { return of(CLI::NonNegativeNumber); }
Check one_of(std::initializer_list<const char*> words) {
  return of(CLI::IsMember(std::vector<std::string>(words.begin(), words.end())));
}

Flag* Flag::required() {
  option_->required();
  return this;
}
Flag* Flag::check(const Check& check) {
  option_->check(
      CLI::Validator([fault = check.fault](std::string& text) { return fault(text); }, check.name, check.words));
  return this;
}
Flag* Flag::check(std::function<std::string(const std::string&)> fault) {
  option_->check([fault = std::move(fault)](const std::string& text) { return fault(text); });
  return this;
}
Flag* Flag::as_bytes() {
  option_->transform(CLI::AsSizeValue(false));
  return this;
}
Flag* Flag::capture_default_str() {
  option_->capture_default_str();
  return this;
}
Flag* Flag::default_str(const std::string& text) {
  option_->default_str(text);
  return this;
}
Flag* Flag::delimiter(char between) {
  option_->delimiter(between);
  return this;
}
Flag* Flag::one_value_each() {
  option_->allow_extra_args(false);
  return this;
}
Flag* Flag::envname(const std::string& variable) {
  option_->envname(variable);
  return this;
}
Flag* Flag::group(const std::string& title) {
  option_->group(title);
  return this;
}
Flag* Flag::needs(Flag* other) {
  option_->needs(other->option_);
  return this;
}
Flag* Flag::excludes(Flag* other) {
  option_->excludes(other->option_);
  return this;
}
bool Flag::empty() const { return option_->empty(); }

Flags::Flags(const std::string& what) : owned_(std::make_unique<CLI::App>(what)), app_(owned_.get()) {}
Flags::Flags(CLI::App* app) : app_(app) {}
Flags::~Flags() = default;

Flag* Flags::own(CLI::Option* option) {
  flags_.push_back(std::make_unique<Flag>(option));
  return flags_.back().get();
}

Flag* Flags::add_option(const std::string& names, std::string& value, const std::string& help) {
  return own(app_->add_option(names, value, help));
}
Flag* Flags::add_option(const std::string& names, std::optional<std::string>& value, const std::string& help) {
  return own(app_->add_option(names, value, help));
}
Flag* Flags::add_option(const std::string& names, std::vector<std::string>& value, const std::string& help) {
  return own(app_->add_option(names, value, help));
}
Flag* Flags::add_option(const std::string& names, double& value, const std::string& help) {
  return own(app_->add_option(names, value, help));
}
Flag* Flags::add_option(const std::string& names, std::optional<double>& value, const std::string& help) {
  return own(app_->add_option(names, value, help));
}
Flag* Flags::add_option(const std::string& names, std::vector<double>& value, const std::string& help) {
  return own(app_->add_option(names, value, help));
}
Flag* Flags::add_option(const std::string& names, int& value, const std::string& help) {
  return own(app_->add_option(names, value, help));
}
Flag* Flags::add_option(const std::string& names, int64_t& value, const std::string& help) {
  return own(app_->add_option(names, value, help));
}
Flag* Flags::add_option(const std::string& names, std::optional<int64_t>& value, const std::string& help) {
  return own(app_->add_option(names, value, help));
}
Flag* Flags::add_option(const std::string& names, uint64_t& value, const std::string& help) {
  return own(app_->add_option(names, value, help));
}
Flag* Flags::add_flag(const std::string& names, bool& value, const std::string& help) {
  return own(app_->add_flag(names, value, help));
}

Flag* Flags::get_option(const std::string& name) { return own(app_->get_option(name)); }

std::vector<Flag*> Flags::get_options() {
  std::vector<Flag*> all;
  for (CLI::Option* option : app_->get_options()) all.push_back(own(option));
  return all;
}

Flags* Flags::add_subcommand(const std::string& name, const std::string& what) {
  commands_.push_back(std::unique_ptr<Flags>(new Flags(app_->add_subcommand(name, what))));
  return commands_.back().get();
}

void Flags::require_subcommand() { app_->require_subcommand(1); }
void Flags::footer(const std::string& text) { app_->footer(text); }
void Flags::set_version_flag(const std::string& name, const std::string& text) { app_->set_version_flag(name, text); }
void Flags::finish(std::function<std::string()> fault) {
  app_->parse_complete_callback([fault = std::move(fault)] {
    const std::string words = fault();
    if (!words.empty()) throw CLI::ValidationError(words);
  });
}
void Flags::callback(std::function<void()> run) { app_->callback(std::move(run)); }

std::optional<int> Flags::parse(int argc, const char* const* argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are answers; everything else is a usage error.
    if (app_->exit(error) != 0) return kExitUsage;
    std::cout.flush();
    if (std::cout.good()) return kExitOk;
    Console().error("cannot write to standard output");
    return kExitRuntime;
  }
  return std::nullopt;
}

}  // namespace tracer::cli
