// A log of text and a tiny encoder for it, made here.
#pragma once

#include <string>
#include <vector>

#include "tests/host/cli_process.h"
#include "tests/host/encoder_example.h"

namespace tracer {

inline constexpr TinyEncoder kTiny = {.hidden = 16, .heads = 4, .positions = 32};

class CliText : public CliTest {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_TORCH();
    write_tiny_encoder(folder, "model", kTiny);
    write_tiny_encoder(folder, "other", {.hidden = 16, .heads = 4, .positions = 32, .seed = 9});
    folder.write("log.jsonl", text_log(1600));
  }
  // The words tell the label, nearly always; the number tells nothing.
  static std::string text_log(int rows, int first = 0) {
    const std::string words[] = {"card", "lost", "label", "text"};
    const Random random(3, Stream::kRows);
    std::string out;
    for (int i = first; i < first + rows; ++i) {
      const auto draw = [&](int use, int n) { return random.below(static_cast<uint64_t>(3 * i + use), n); };
      const std::string& word = words[draw(0, 4)];
      const bool odd = draw(1, 100) == 0;
      out += Json{{"id", "r" + std::to_string(i)},
                  {"input", word + " " + word + " " + word + " " + word + " " + std::to_string(draw(2, 1000))},
                  {"teacher", "answer " + (odd ? "card" : word)}}
                 .dump() +
             "\n";
    }
    return out;
  }
  Outcome fit(std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--embed-model", "model"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  Json manifest(const std::string& policy = "p") {
    return Json::parse(io::slurp(folder.path(policy + "/manifest.json")));
  }
};

}  // namespace tracer
