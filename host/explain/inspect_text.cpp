#include "host/explain/inspect_text.h"

#include "host/artifact/frontier_text.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

std::string figure(const Json& value) { return number(value.get<double>()); }
std::string text_of(const Json& value) { return shown(value.get<std::string>()); }

// The same line between the two as `tracer explain` draws (host/explain/causes.h).
std::string runner_up_text(const Json& classes) {
  const double first = classes[0]["probability"].get<double>();
  const std::string said = text_of(classes[0]["label"]) + " has probability " + number(first);
  if (classes.size() < 2) return said + ", no other label has any\n";
  const double second = classes[1]["probability"].get<double>();
  const std::string other = text_of(classes[1]["label"]) + " " + number(second);
  if (first > 0.9) return said + ", the runner-up " + other + "\n";
  return said + ", the runner-up " + other +
         (second >= (1 - first) / 2 ? ": it is one of these two\n" : ": the rest is spread over more labels\n");
}

std::string neighbours_text(const Json& d) {
  const Json& n = d["neighbours"];
  if (n.is_null()) return "answered from the text alone: no vector was made of it, and no trace looked at\n";
  const int64_t looked_at = n["looked_at"].get<int64_t>();
  if (looked_at == 0) return "it has no nearest traces\n";
  std::string text = "of its " + counted(looked_at, "nearest trace") + " " +
                     std::to_string(n["carry_surrogate"].get<int64_t>()) + " carry " + text_of(d["surrogate"]);
  if (d["classes"].size() > 1)
    text += " and " + std::to_string(n["carry_runner_up"].get<int64_t>()) + " " + text_of(d["classes"][1]["label"]);
  return text + "\n";
}

}  // namespace

std::string inspect_text(const Json& d) {
  std::string out = text_of(d["why"]) + "\n" + runner_up_text(d["classes"]) + neighbours_text(d) + "classes:\n";
  for (const Json& c : d["classes"]) out += "  " + figure(c["probability"]) + "  " + text_of(c["label"]) + "\n";
  if (d["neighbours"].is_null()) return out;
  out += "nearest traces:\n";
  for (const Json& n : d["nearest"])
    out += "  " + figure(n["similarity"]) + "  row " + std::to_string(n["row"].get<int64_t>()) +
           (n.contains("id") ? " (" + text_of(n["id"]) + ")" : "") + "  " + text_of(n["label"]) +
           (n.contains("text") ? "  " + text_of(n["text"]) : "") + "\n";
  return out;
}

}  // namespace tracer
