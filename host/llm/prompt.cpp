#include "host/llm/prompt.h"

#include "host/io/file.h"
#include "host/io/sha256.h"

namespace tracer::llm {
namespace {

constexpr char kBuiltIn[] =
    "You classify texts. Answer with exactly one of these labels, spelled as here, and nothing else:\n"
    "{labels}\n"
    "---\n"
    "{input}\n";

std::string replaced(std::string text, const std::string& name, const std::string& by) {
  for (size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += by.size())
    text.replace(at, name.size(), by);
  return text;
}

// Without line ends at its end: they are the file's, not the message's.
std::string chomped(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace

Result<Prompt> Prompt::make(const std::string& given, const std::string& name, const std::vector<std::string>& labels) {
  const std::string text = replaced(given, "\r\n", "\n");
  Prompt p;
  p.text_ = given;
  for (const std::string& label : labels) p.labels_ += (p.labels_.empty() ? "" : "\n") + label;
  std::string user = text;
  const std::string line = "\n---\n";
  if (text.rfind("---\n", 0) == 0) {
    user = text.substr(4);
  } else if (const size_t at = text.find(line); at != std::string::npos) {
    p.system_ = chomped(text.substr(0, at));
    user = text.substr(at + line.size());
    if (p.system_.find("{input}") != std::string::npos)
      return bad_input(name + ": {input} must stand below the line ---: above it are the system's instructions");
  }
  p.system_ = replaced(p.system_, "{labels}", p.labels_);
  // Cut before the labels are filled in: a label may hold "{input}".
  user = chomped(user);
  for (size_t at = 0;;) {
    const size_t next = user.find("{input}", at);
    p.parts_.push_back(replaced(user.substr(at, next - at), "{labels}", p.labels_));
    if (next == std::string::npos) break;
    at = next + 7;
  }
  if (p.parts_.size() < 2) return bad_input(name + ": the prompt has no {input}, the place of the row's text");
  p.digest_ = io::sha256_hex(std::to_string(text.size()) + ":" + text + p.labels_);
  return p;
}

Result<Prompt> Prompt::read(const std::string& path, const std::vector<std::string>& labels) {
  if (path.empty()) return make(kBuiltIn, "the built-in prompt", labels);
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(path, 1 << 20));
  return make(text, path, labels);
}

std::vector<Message> Prompt::messages(const std::string& input, const std::optional<std::string>& bad_answer) const {
  std::vector<Message> out;
  if (!system_.empty()) out.push_back({"system", system_});
  std::string user = parts_[0];
  for (size_t i = 1; i < parts_.size(); ++i) user += input + parts_[i];
  out.push_back({"user", std::move(user)});
  if (!bad_answer) return out;
  // An answer may be long, and an empty message is refused by some servers.
  out.push_back({"assistant", bad_answer->empty() ? "(no answer)" : *bad_answer});
  out.push_back({"user", "That is not one of the labels. Answer with exactly one of these labels, and nothing else:\n" +
                             labels_});
  return out;
}

}  // namespace tracer::llm
