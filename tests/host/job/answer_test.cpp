// From the body of a 200 to what becomes of an ask.
#include "host/job/answer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tracer::job {
namespace {

TEST(JobAnswer, ALongBadAnswerIsCutBetweenCharacters) {
  llm::ChatOptions options;
  options.labels = {"a", "b"};
  const llm::ChatApi api(options);
  // The text is "a" and the character so many times; what is kept is whole characters, of at most 2,000 bytes.
  struct Case {
    std::string character;
    size_t times, kept_bytes;
  };
  for (const Case& c : {Case{"x", 3000, 2000}, Case{"x", 1999, 2000}, Case{"é", 1500, 1999}, Case{"字", 1000, 1999},
                        Case{"字", 666, 1999}, Case{"😀", 600, 1997}}) {
    std::string text = "a";
    for (size_t i = 0; i < c.times; ++i) text += c.character;
    const nlohmann::json body = {{"choices", nlohmann::json::array({{{"message", {{"content", text}}}}})}};
    AttemptEnd end;
    take_answer(api, body.dump(), false, std::nullopt, 0, end);
    EXPECT_FALSE(end.result);
    ASSERT_TRUE(end.bad_answer);
    EXPECT_EQ(*end.bad_answer, text.substr(0, c.kept_bytes)) << c.character << " " << c.times;
  }
}

}  // namespace
}  // namespace tracer::job
