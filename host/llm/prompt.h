// What the LLM is asked: a template with the labels and the input in it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/status.h"

namespace tracer::llm {

struct Message {
  std::string role;  // "system", "user" or "assistant"
  std::string text;
};

// A text in which {labels} stands for the labels, a line each, and {input} for the row's text. A line "---" alone parts
// the system message (above) from the user's; without one all is the user's. Thread-safe.
class Prompt {
 public:
  // kBadInput: no {input}, or {input} in the system part (it would be an instruction); `name` stands in messages.
  static Result<Prompt> make(const std::string& text, const std::string& name, const std::vector<std::string>& labels);
  // The template in `path`; for "" the one that is built in.
  static Result<Prompt> read(const std::string& path, const std::vector<std::string>& labels);

  // bad_answer: the question was answered with this, which is none of the labels, and is asked again with a correction.
  std::vector<Message> messages(const std::string& input,
                                const std::optional<std::string>& bad_answer = std::nullopt) const;
  // Of the template and the labels: another prompt may give other answers.
  const std::string& digest() const { return digest_; }
  const std::string& text() const { return text_; }  // the template

 private:
  std::string system_;              // labels filled in; "" when there is none
  std::vector<std::string> parts_;  // the user's, cut at each {input}
  std::string labels_;
  std::string digest_;
  std::string text_;
};

}  // namespace tracer::llm
