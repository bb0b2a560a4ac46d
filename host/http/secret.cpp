#include "host/http/secret.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "host/io/file.h"

namespace tracer::http {
namespace {

Result<std::string> checked(std::string text, const std::string& where) {
  const auto space = [](unsigned char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && space(text.back())) text.pop_back();
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), space));
  if (text.empty()) return bad_input(where + ": the API key is empty");
  // A line end would end the header, and let the rest be one of its own.
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
    return bad_input(where + ": the API key holds a control character");
  return text;
}

}  // namespace

Result<std::string> read_key(const KeySource& source) {
  if (source.file.empty()) {
    const char* value = std::getenv(source.environment.c_str());
    if (value == nullptr || *value == '\0') return std::string();
    return checked(value, "$" + source.environment);
  }
  TRACER_ASSIGN_OR_RETURN(auto fd, io::open_for_reading(source.file));
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return io::errno_error(source.file, "cannot read", errno);
  if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return bad_input(source.file + ": others than its owner may read or write this key file: chmod 600 it");
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(source.file, 1 << 16));
  return checked(std::move(text), source.file);
}

}  // namespace tracer::http
