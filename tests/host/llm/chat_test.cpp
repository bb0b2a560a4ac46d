// What goes to the LLM and what comes back: requests, answers, prompts, prices, keys.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "host/http/secret.h"
#include "host/llm/chat_api.h"
#include "host/llm/prices.h"
#include "host/llm/prompt.h"
#include "tests/host/io_test_util.h"

namespace tracer::llm {
namespace {

using Json = nlohmann::json;
using io::contains;

const std::vector<std::string> kLabels = {"bill", "say \"no\"", "back\\slash", "caf\xc3\xa9", "tab\there"};
const std::string kHostile = std::string("\"}],\"model\":\"x\" \\ \\u0000 {input} {labels}\n\r\t") + '\0' +
                             "\x01\x1f\x7f caf\xc3\xa9 \xe2\x80\xa8 \xf0\x9f\x98\x80 </s>";

ChatOptions options(Api api) {
  ChatOptions o;
  o.api = api;
  o.url = "https://example.com/v1";
  o.model = "m\"1\n";
  o.key = "k";
  o.labels = kLabels;
  o.max_output_tokens = 77;
  o.temperature = 0.25;
  return o;
}

std::vector<Dialect> dialects() {
  std::vector<Dialect> all;
  for (int bits = 0; bits < 8; ++bits) all.push_back({(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0});
  return all;
}

TEST(LlmBody, OpenAiInEveryDialect) {
  const ChatApi api(options(Api::kOpenAi));
  for (const Dialect& d : dialects()) {
    const std::string text = api.body({{"system", kHostile}, {"user", kHostile}}, d);
    const Json j = Json::parse(text, nullptr, false);
    ASSERT_TRUE(j.is_object()) << text;
    EXPECT_EQ(j["model"], "m\"1\n");
    ASSERT_EQ(j["messages"].size(), 2u);
    EXPECT_EQ(j["messages"][0], (Json{{"role", "system"}, {"content", kHostile}}));
    EXPECT_EQ(j["messages"][1], (Json{{"role", "user"}, {"content", kHostile}}));
    EXPECT_EQ(j.contains("max_completion_tokens"), d.max_completion_tokens);
    EXPECT_EQ(j.contains("max_tokens"), !d.max_completion_tokens);
    EXPECT_EQ(j[d.max_completion_tokens ? "max_completion_tokens" : "max_tokens"], 77);
    EXPECT_EQ(j.contains("temperature"), d.temperature);
    EXPECT_EQ(j.value("temperature", 0.25), 0.25);
    EXPECT_EQ(j.contains("response_format"), d.structured);
    EXPECT_FALSE(j.contains("tools"));
    if (!d.structured) continue;
    EXPECT_EQ(j["response_format"]["type"], "json_schema");
    const Json& schema = j["response_format"]["json_schema"];
    EXPECT_EQ(schema["strict"], true);
    EXPECT_EQ(schema["schema"]["properties"]["label"]["enum"], Json(kLabels));
    EXPECT_EQ(schema["schema"]["required"], Json({"label"}));
    EXPECT_EQ(schema["schema"]["additionalProperties"], false);
  }
}

TEST(LlmBody, AnthropicInEveryDialect) {
  const ChatApi api(options(Api::kAnthropic));
  for (const Dialect& d : dialects()) {
    const std::string text = api.body({{"system", kHostile}, {"user", kHostile}, {"assistant", kHostile}}, d);
    const Json j = Json::parse(text, nullptr, false);
    ASSERT_TRUE(j.is_object()) << text;
    EXPECT_EQ(j["model"], "m\"1\n");
    EXPECT_EQ(j["system"], kHostile);
    ASSERT_EQ(j["messages"].size(), 2u);  // no system among them
    EXPECT_EQ(j["messages"][0], (Json{{"role", "user"}, {"content", kHostile}}));
    EXPECT_EQ(j["messages"][1], (Json{{"role", "assistant"}, {"content", kHostile}}));
    EXPECT_EQ(j["max_tokens"], 77) << "it knows no other name";
    EXPECT_FALSE(j.contains("max_completion_tokens"));
    EXPECT_EQ(j.contains("temperature"), d.temperature);
    EXPECT_FALSE(j.contains("response_format"));
    EXPECT_EQ(j.contains("tools"), d.structured);
    if (!d.structured) continue;
    ASSERT_EQ(j["tools"].size(), 1u);
    EXPECT_EQ(j["tools"][0]["input_schema"]["properties"]["label"]["enum"], Json(kLabels));
    EXPECT_EQ(j["tool_choice"], (Json{{"type", "tool"}, {"name", j["tools"][0]["name"]}}));
  }
}

TEST(LlmBody, NoSystemPart) {
  for (const Api api : {Api::kOpenAi, Api::kAnthropic}) {
    const Json j = Json::parse(ChatApi(options(api)).body({{"user", "hi"}}, {}));
    EXPECT_FALSE(j.contains("system"));
    EXPECT_EQ(j["messages"].size(), 1u);
  }
}

TEST(LlmBody, ManyLabelsAreAskedForInWordsAlone) {
  for (const Api api : {Api::kOpenAi, Api::kAnthropic})
    for (const size_t n : {kMostSchemaLabels, kMostSchemaLabels + 1}) {
      ChatOptions o = options(api);
      o.labels.clear();
      for (size_t i = 0; i < n; ++i) o.labels.push_back("l" + std::to_string(i));
      const Json j = Json::parse(ChatApi(o).body({{"user", "hi"}}, {}));
      EXPECT_EQ(j.contains("response_format") || j.contains("tools"), n <= kMostSchemaLabels) << n;
    }
}

TEST(LlmBody, AddressAndHeaders) {
  ChatOptions o = options(Api::kOpenAi);
  o.url = "https://example.com/v1//";
  EXPECT_EQ(ChatApi(o).url(), "https://example.com/v1/chat/completions");
  const auto has = [](const ChatApi& api, const std::string& header) {
    return std::count(api.headers().begin(), api.headers().end(), header) == 1;
  };
  EXPECT_TRUE(has(ChatApi(o), "Authorization: Bearer k"));
  EXPECT_TRUE(has(ChatApi(o), "Content-Type: application/json"));
  o.api = Api::kAnthropic;
  o.url = "https://example.com";
  EXPECT_EQ(ChatApi(o).url(), "https://example.com/v1/messages");
  EXPECT_TRUE(has(ChatApi(o), "x-api-key: k"));
  EXPECT_TRUE(has(ChatApi(o), "anthropic-version: 2023-06-01"));
  o.key = "";
  for (const Api api : {Api::kOpenAi, Api::kAnthropic}) {
    o.api = api;
    const ChatApi keyless(o);
    for (const std::string& h : keyless.headers()) EXPECT_FALSE(contains(h, "x-api-key") || contains(h, "Auth")) << h;
  }
}

TEST(LlmBody, MostUsageIsAtLeastAByteAToken) {
  const ChatApi api(options(Api::kOpenAi));
  const std::string body = api.body({{"user", std::string(10'000, '\xe2')}}, {});
  EXPECT_GE(api.most_usage(body).prompt_tokens, static_cast<int64_t>(body.size()));
  EXPECT_GE(api.most_usage(body).completion_tokens, 77);
  EXPECT_GT(api.most_usage("").prompt_tokens, 0);
}

TEST(LlmAnswer, OpenAi) {
  const auto a = parse_chat_answer(Api::kOpenAi, R"({"choices":[{"message":{"content":"bill\n"}},{"message":{}}],
    "usage":{"prompt_tokens":12,"completion_tokens":3}})");
  ASSERT_TRUE(a.ok()) << a.status().message();
  EXPECT_EQ(a.value().text, "bill\n");
  EXPECT_TRUE(a.value().has_usage);
  EXPECT_EQ(a.value().usage.prompt_tokens, 12);
  EXPECT_EQ(a.value().usage.completion_tokens, 3);
}

TEST(LlmAnswer, Anthropic) {
  const auto text = parse_chat_answer(Api::kAnthropic, R"({"content":[{"type":"text","text":"bi"},{"type":"thinking"},
    {"type":"text","text":"ll"}],"usage":{"input_tokens":12,"output_tokens":3}})");
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text.value().text, "bill");
  EXPECT_EQ(text.value().usage.prompt_tokens, 12);
  const auto tool = parse_chat_answer(Api::kAnthropic, R"({"content":[{"type":"text","text":"I call"},
    {"type":"tool_use","name":"classify","input":{"label":"bill"}}]})");
  ASSERT_TRUE(tool.ok());
  EXPECT_EQ(parse_label(tool.value().text, kLabels), 0);
  EXPECT_FALSE(tool.value().has_usage);
}

TEST(LlmAnswer, AnthropicCountsCachedTokensApart) {
  const auto a = parse_chat_answer(Api::kAnthropic, R"({"content":[],"usage":{"input_tokens":5,"output_tokens":3,
    "cache_creation_input_tokens":1000,"cache_read_input_tokens":200}})");
  ASSERT_TRUE(a.ok());
  EXPECT_TRUE(a.value().has_usage);
  EXPECT_EQ(a.value().usage.prompt_tokens, 1205);
  EXPECT_EQ(a.value().usage.completion_tokens, 3);
  const auto null = parse_chat_answer(Api::kAnthropic, R"({"content":[],"usage":{"input_tokens":5,"output_tokens":3,
    "cache_creation_input_tokens":null,"cache_read_input_tokens":-7}})");
  ASSERT_TRUE(null.ok());
  EXPECT_EQ(null.value().usage.prompt_tokens, 5);
}

TEST(LlmAnswer, CountsThatCannotBeAreNoUsage) {
  for (const char* count : {"-1", "1.5", "\"12\"", "null", "18446744073709551615", "9223372036854775807", "1e3", "[]",
                            "2000000000000", "true"}) {
    const std::string body = R"({"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":)" +
                             std::string(count) + R"(,"completion_tokens":3}})";
    const auto a = parse_chat_answer(Api::kOpenAi, body);
    ASSERT_TRUE(a.ok()) << count;
    EXPECT_FALSE(a.value().has_usage) << count;
  }
}

TEST(LlmAnswer, NoTextIsAnEmptyOne) {
  for (const char* body : {R"({"choices":[{"message":{}}]})", R"({"choices":[{"message":{"content":null}}]})",
                           R"({"choices":[{"message":{"content":[{"type":"text"}],"refusal":"no"}}],"usage":[]})"}) {
    const auto a = parse_chat_answer(Api::kOpenAi, body);
    ASSERT_TRUE(a.ok()) << body;
    EXPECT_EQ(a.value().text, "") << body;
    EXPECT_FALSE(a.value().has_usage) << body;
  }
  EXPECT_TRUE(parse_chat_answer(Api::kAnthropic, R"({"content":[1,null,{},[],{"type":7,"text":"x"}]})").ok());
}

TEST(LlmAnswer, WhatIsNoAnswerIsBadInputWithoutTheBody) {
  const char* bodies[] = {"",
                          "SECRET",
                          "<html>SECRET</html>",
                          "null",
                          "[]",
                          "7",
                          "\"SECRET\"",
                          R"({"SECRET":1})",
                          R"({"choices":[],"content":{}})",
                          R"({"choices":{},"content":"SECRET"})",
                          R"({"choices":[{}]})",
                          R"({"choices":[null]})",
                          R"({"choices":[{"message":"SECRET"}]})",
                          R"({"error":{"message":"SECRET"}})",
                          "{\"choices\":[{\"message\":{\"content\":\"SECRET\xff\"}}],\"content\":1}",
                          R"({"choices":[{"message":{"content":"SECRET"}}]} more)"};
  for (const Api api : {Api::kOpenAi, Api::kAnthropic})
    for (const char* body : bodies) {
      const auto a = parse_chat_answer(api, body);
      ASSERT_FALSE(a.ok()) << body;
      EXPECT_EQ(a.status().code(), ErrorCode::kBadInput);
      EXPECT_FALSE(contains(a.status().message(), "SECRET")) << body;
    }
}

TEST(LlmAnswer, DeepNestingIsRefused) {
  for (const char* open : {"[", "{\"a\":", "{\"choices\":["}) {
    std::string body;
    for (int i = 0; i < 500'000; ++i) body += open;
    EXPECT_FALSE(parse_chat_answer(Api::kOpenAi, body).ok());
    EXPECT_FALSE(parse_chat_answer(Api::kAnthropic, body).ok());
    EXPECT_EQ(http::parse_api_error(body).message, "");
    EXPECT_EQ(parse_label("{\"label\":" + body, kLabels), -1);
  }
  // Brackets in a text are none.
  const std::string text(1000, '[');
  const auto a = parse_chat_answer(Api::kOpenAi, R"({"choices":[{"message":{"content":"\")" + text + R"("}}]})");
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(a.value().text, "\"" + text);
}

TEST(LlmAnswer, EveryTruncationIsRefused) {
  const std::string openai = R"({"choices":[{"message":{"content":"b\u00e9\\"}}],"usage":{"prompt_tokens":1,)"
                             R"("completion_tokens":2}})";
  const std::string anthropic = R"({"content":[{"type":"tool_use","input":{"label":"b"}}],"usage":{"input_tokens":1,)"
                                R"("output_tokens":2}})";
  ASSERT_TRUE(parse_chat_answer(Api::kOpenAi, openai).ok());
  ASSERT_TRUE(parse_chat_answer(Api::kAnthropic, anthropic).ok());
  for (size_t n = 0; n < openai.size(); ++n)
    EXPECT_FALSE(parse_chat_answer(Api::kOpenAi, openai.substr(0, n)).ok()) << n;
  for (size_t n = 0; n < anthropic.size(); ++n)
    EXPECT_FALSE(parse_chat_answer(Api::kAnthropic, anthropic.substr(0, n)).ok()) << n;
}

TEST(LlmApiError, Table) {
  struct Case {
    const char* body;
    http::ApiError error;
  };
  const Case cases[] = {
      {R"({"error":{"message":"Rate limit","type":"requests","param":null,"code":"rate_limit_exceeded"}})",
       {"requests", "rate_limit_exceeded", "", "Rate limit"}},
      {R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})",
       {"overloaded_error", "", "", "Overloaded"}},
      {R"({"object":"error","message":"bad","type":"BadRequestError","param":"temperature","code":400})",  // vLLM
       {"BadRequestError", "400", "temperature", "bad"}},
      {R"({"error":"model not found"})", {"", "", "", "model not found"}},
      {R"({"detail":"Not Found"})", {"", "", "", "Not Found"}},
      {R"({"error":{"message":"two\nlines\u0000\t."}})", {"", "", "", "two lines  ."}},
      {R"({"error":null})", {}},
      {R"({"error":[1]})", {}},
      {R"({"error":{"message":{"a":1}}})", {}},
      {"[]", {}},
      {"", {}},
      {"<html>busy</html>", {}},
  };
  for (const Case& c : cases) {
    const http::ApiError e = http::parse_api_error(c.body);
    EXPECT_EQ(e.type, c.error.type) << c.body;
    EXPECT_EQ(e.code, c.error.code) << c.body;
    EXPECT_EQ(e.param, c.error.param) << c.body;
    EXPECT_EQ(e.message, c.error.message) << c.body;
  }
}

TEST(LlmApiError, LongMessagesAreCutBetweenCharacters) {
  for (size_t lead = 0; lead < 8; ++lead)
    for (const std::string& character :
         {std::string("a"), std::string("\xc3\xa9"), std::string("\xe2\x82\xac"), std::string("\xf0\x9f\x98\x80")}) {
      std::string message(lead, 'x');
      while (message.size() < 1000) message += character;
      const std::string cut = http::parse_api_error(Json{{"error", {{"message", message}}}}.dump()).message;
      EXPECT_LE(cut.size(), 300u);
      EXPECT_GE(cut.size(), 290u);
      EXPECT_EQ(message.rfind(cut, 0), 0u);
      EXPECT_EQ((cut.size() - lead) % character.size(), 0u) << lead;
    }
}

TEST(LlmDialect, Table) {
  struct Case {
    http::ApiError error;
    std::optional<Dialect> other;  // of the first dialect
  };
  const Case cases[] = {
      {{"", "unsupported_parameter", "max_tokens", ""}, Dialect{true, true, true}},
      {{"", "", "", "Use 'max_completion_tokens' instead."}, Dialect{true, true, true}},
      {{"", "unsupported_value", "temperature", ""}, Dialect{true, false, false}},
      {{"", "", "", "`temperature` is not supported"}, Dialect{true, false, false}},
      {{"", "", "response_format", ""}, Dialect{false, false, true}},
      {{"", "", "", "json_schema is not supported"}, Dialect{false, false, true}},
      {{"", "", "", "tool_choice: not available"}, Dialect{false, false, true}},
      {{"", "", "messages", "too long"}, std::nullopt},
      {{}, std::nullopt},
  };
  for (const Case& c : cases) EXPECT_EQ(other_dialect({}, c.error), c.other) << c.error.param << c.error.message;
  EXPECT_EQ(other_dialect({true, true, true}, {"", "", "max_tokens", ""}), std::nullopt);
  EXPECT_EQ(other_dialect({true, false, false}, {"", "", "temperature", ""}), std::nullopt);
  EXPECT_EQ(other_dialect({false, false, true}, {"", "", "response_format", ""}), std::nullopt);
}

TEST(LlmDialect, TryingAnotherComesToAnEnd) {
  const char* words[] = {"max_tokens", "max_completion_tokens", "temperature", "response_format", "schema", "tool"};
  for (const Dialect& first : dialects())
    for (int bits = 0; bits < 64; ++bits) {
      http::ApiError error;
      for (int i = 0; i < 6; ++i)
        if ((bits >> i & 1) != 0) error.message += std::string(words[i]) + " ";
      Dialect d = first;
      int steps = 0;
      for (std::optional<Dialect> other; (other = other_dialect(d, error)); d = *other) {
        EXPECT_FALSE(*other == d);
        ASSERT_LT(++steps, 4);
      }
    }
}

TEST(LlmLabel, Table) {
  const std::vector<std::string> labels = {"a", "b c", "{\"label\":\"a\"}x", "caf\xc3\xa9", "A", "7"};
  struct Case {
    std::string answer;
    int32_t label;
  };
  const Case cases[] = {{"a", 0},
                        {" a\n", 0},
                        {"\r\n\t b c \t", 1},
                        {"b  c", -1},
                        {"A", 4},
                        {"B C", -1},
                        {"a.", -1},
                        {"\"a\"", -1},
                        {"Label: a", -1},
                        {"a b c", -1},
                        {"", -1},
                        {" ", -1},
                        {"{\"label\":\"a\"}x", 2},  // a label may look like anything
                        {"caf\xc3\xa9", 3},
                        {"cafe\xcc\x81", -1},  // the same to the eye, not the same spelling
                        {R"({"label":"a"})", 0},
                        {" {\"label\" : \" b c \\n\"} ", 1},
                        {R"({"label":"caf\u00e9"})", 3},
                        {R"({"why":"...","label":"a"})", 0},
                        {R"({"label":"z"})", -1},
                        {R"({"label":7})", -1},
                        {R"({"label":null})", -1},
                        {R"({"label":["a"]})", -1},
                        {R"({"label":{"label":"a"}})", -1},
                        {R"({"Label":"a"})", -1},
                        {R"(["a"])", -1},
                        {R"({"label":"a")", -1},
                        {R"({"label":"a"} ok)", -1},
                        {"```json\n{\"label\":\"a\"}\n```", -1},
                        {std::string("a\0", 2), -1}};
  for (const Case& c : cases) EXPECT_EQ(parse_label(c.answer, labels), c.label) << c.answer;
  EXPECT_EQ(parse_label("a", {}), -1);
}

std::vector<Message> asked(const std::string& text, const std::string& input,
                           const std::vector<std::string>& labels = {"a", "b"}) {
  const auto prompt = Prompt::make(text, "p.txt", labels);
  EXPECT_TRUE(prompt.ok()) << prompt.status().message();
  return prompt.ok() ? prompt.value().messages(input) : std::vector<Message>{{"", ""}};
}

TEST(LlmPrompt, SystemAndUserParts) {
  const auto m = asked("Choose:\n{labels}\n---\nText: {input}\n", "hello");
  ASSERT_EQ(m.size(), 2u);
  EXPECT_EQ(m[0].role, "system");
  EXPECT_EQ(m[0].text, "Choose:\na\nb");
  EXPECT_EQ(m[1].role, "user");
  EXPECT_EQ(m[1].text, "Text: hello");
}

TEST(LlmPrompt, WithoutALineAllIsTheUsers) {
  const auto m = asked("{labels}|{input}|{input}|{labels}", "x");
  ASSERT_EQ(m.size(), 1u);
  EXPECT_EQ(m[0].role, "user");
  EXPECT_EQ(m[0].text, "a\nb|x|x|a\nb");
  EXPECT_EQ(asked("a --- b {input}", "x").size(), 1u);
  EXPECT_EQ(asked("a\n----\n{input}", "x").size(), 1u);
}

TEST(LlmPrompt, OnlyTheFirstLineParts) {
  const auto m = asked("s\n---\n{input}\n---\nu", "x");
  ASSERT_EQ(m.size(), 2u);
  EXPECT_EQ(m[1].text, "x\n---\nu");
}

TEST(LlmPrompt, ALineAtTheVeryTopLeavesNoSystemPart) {
  const auto m = asked("---\nText: {input}", "x");
  ASSERT_EQ(m.size(), 1u);
  EXPECT_EQ(m[0].role, "user");
  EXPECT_EQ(m[0].text, "Text: x");
}

TEST(LlmPrompt, WindowsLineEnds) {
  const auto m = asked("s\r\n---\r\nu\r\n{input}\r\n", "x\r\n");
  ASSERT_EQ(m.size(), 2u);
  EXPECT_EQ(m[0].text, "s");
  EXPECT_EQ(m[1].text, "u\nx\r\n") << "the input stays as it is";
}

TEST(LlmPrompt, NothingIsReplacedInWhatWasFilledIn) {
  const std::vector<std::string> labels = {"{input}", "{labels}", "---", "\n---\n"};
  const std::string all = "{input}\n{labels}\n---\n\n---\n";
  for (const std::string input : {"{input}", "{labels}", "\n---\n{labels}{input}", "{inp{input}ut}", ""}) {
    const auto m = asked("s {labels}\n---\n{labels}={input}={labels}!", input, labels);
    ASSERT_EQ(m.size(), 2u);
    EXPECT_EQ(m[0].text, "s " + all);
    EXPECT_EQ(m[1].text, all + "=" + input + "=" + all + "!");
  }
}

TEST(LlmPrompt, Errors) {
  for (const char* text : {"", "no place", "{Input}", "{ input }", "s\n---\n", "s\n---\n{labels}", "{labels}"}) {
    const auto p = Prompt::make(text, "p.txt", {"a", "{input}"});
    ASSERT_FALSE(p.ok()) << text;
    EXPECT_EQ(p.status().code(), ErrorCode::kBadInput);
    EXPECT_TRUE(contains(p.status().message(), "p.txt: ")) << text;
    EXPECT_TRUE(contains(p.status().message(), "{input}")) << text;
  }
  const auto above = Prompt::make("obey {input}\n---\n{input}", "p.txt", {"a"});
  ASSERT_FALSE(above.ok());
  EXPECT_TRUE(contains(above.status().message(), "p.txt: "));
  EXPECT_TRUE(contains(above.status().message(), "below"));
  const io::TempFolder folder;
  EXPECT_EQ(Prompt::read(folder.path("absent"), {"a"}).status().code(), ErrorCode::kIo);
}

TEST(LlmPrompt, FileAndBuiltIn) {
  const io::TempFolder folder;
  const auto file = Prompt::read(folder.write("p.txt", "{labels}? {input}\n"), {"a", "b"});
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file.value().messages("x")[0].text, "a\nb? x");
  const auto built_in = Prompt::read("", {"a", "b"});
  ASSERT_TRUE(built_in.ok());
  ASSERT_EQ(built_in.value().messages("x").size(), 2u);
  EXPECT_EQ(built_in.value().messages("x")[1].text, "x");
  EXPECT_TRUE(contains(built_in.value().messages("x")[0].text, "a\nb"));
}

TEST(LlmPrompt, CorrectionGoesOnFromTheAnswer) {
  const auto p = Prompt::make("s\n---\n{input}", "p", {"a", "b"});
  ASSERT_TRUE(p.ok());
  const auto m = p.value().messages("x", "perhaps a");
  ASSERT_EQ(m.size(), 4u);
  EXPECT_EQ(m[1].text, "x");
  EXPECT_EQ(m[2].role, "assistant");
  EXPECT_EQ(m[2].text, "perhaps a");
  EXPECT_EQ(m[3].role, "user");
  EXPECT_TRUE(contains(m[3].text, "a\nb"));
  EXPECT_FALSE(p.value().messages("x", "")[2].text.empty());
}

TEST(LlmPrompt, DigestIsOfTemplateAndLabels) {
  const auto digest = [](const std::string& text, const std::vector<std::string>& labels) {
    return Prompt::make(text, "p", labels).value().digest();
  };
  const std::string one = digest("q {input}", {"a", "b"});
  EXPECT_EQ(digest("q {input}", {"a", "b"}), one);
  EXPECT_NE(digest("r {input}", {"a", "b"}), one);
  EXPECT_NE(digest("q {input}", {"b", "a"}), one);
  EXPECT_NE(digest("q {input}", {"a", "c"}), one);
  EXPECT_NE(digest("q {input}a", {"b"}), digest("q {input}", {"ab"}));
}

TEST(LlmPrice, IsExact) {
  struct Case {
    const char* usd;  // a million tokens
    int64_t picodollars;
  };
  const Case cases[] = {{"0", 0},           {"0.0375", 37'500}, {"0.15", 150'000},    {"0.6", 600'000},
                        {"2.5", 2'500'000}, {"75", 75'000'000}, {"1e-6", 1},          {"0.1", 100'000},
                        {"0.07", 70'000},   {"0.29", 290'000},  {"1.1", 1'100'000},   {"0.000001", 1},
                        {"1e-7", 1},        {"0.0000011", 2},   {"600", 600'000'000}, {"0.435", 435'000}};
  const io::TempFolder folder;
  for (const Case& c : cases) {
    const std::string path = folder.write(
        "prices.json", R"({"other":{}, "m":{"input":)" + std::string(c.usd) + R"(,"output":)" + c.usd + "}}");
    const auto p = read_price(path, "m");
    ASSERT_TRUE(p.ok()) << p.status().message();
    EXPECT_EQ(p.value().prompt, c.picodollars) << c.usd;
    EXPECT_EQ(p.value().completion, c.picodollars) << c.usd;
  }
  const Price p{37'500, 150'000};
  EXPECT_EQ(p.of({1000, 3}), 37'950'000);
  EXPECT_EQ(dollars(kPicodollars), 1.0);
}

TEST(LlmPrice, EveryThousandthOfADollar) {
  const io::TempFolder folder;
  for (int mills = 0; mills < 3000; mills += 7) {
    char usd[32];
    std::snprintf(usd, sizeof usd, "%d.%03d", mills / 1000, mills % 1000);
    const auto p = read_price(folder.write("p.json", R"({"m":{"input":)" + std::string(usd) + R"(,"output":0}})"), "m");
    ASSERT_TRUE(p.ok());
    EXPECT_EQ(p.value().prompt, mills * 1000) << usd;
  }
}

TEST(LlmPrice, TheDearestAnswerThatIsBelievedFits) {
  const io::TempFolder folder;
  int64_t tokens = 0;  // the most that a server may claim, in each of up to four counts
  for (int64_t n = 1; n <= int64_t{1} << 50; n *= 2) {
    const auto a =
        parse_chat_answer(Api::kOpenAi, R"({"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":)" +
                                            std::to_string(n) + R"(,"completion_tokens":)" + std::to_string(n) + "}}");
    ASSERT_TRUE(a.ok());
    if (a.value().has_usage) tokens = n;
  }
  EXPECT_GE(tokens, int64_t{1} << 24);
  int64_t price = 0;
  for (double usd = 1; usd < 1e9; usd *= 10) {
    const auto p = read_price(folder.write("p.json", Json{{"m", {{"input", usd}, {"output", usd}}}}.dump()), "m");
    if (p.ok()) price = p.value().prompt;
  }
  EXPECT_GE(price, 1000 * 1'000'000);
  int64_t cost = 0;
  EXPECT_FALSE(__builtin_mul_overflow(tokens, 4 * price, &cost)) << tokens << " " << price;
}

TEST(LlmPrice, ErrorsNameFileModelAndField) {
  struct Case {
    const char* json;
    std::vector<std::string> parts;
  };
  const Case cases[] = {{R"({"n":{"input":1,"output":1}})", {"\"m\""}},
                        {R"({})", {"\"m\""}},
                        {R"({"m":{"output":1}})", {"\"m\"", "input"}},
                        {R"({"m":{"input":1}})", {"\"m\"", "output"}},
                        {R"({"m":{"input":-1,"output":1}})", {"\"m\"", "input"}},
                        {R"({"m":{"input":1,"output":"1"}})", {"\"m\"", "output"}},
                        {R"({"m":{"input":1,"output":1e9}})", {"\"m\"", "output"}},
                        {R"({"m":{"input":null,"output":1}})", {"\"m\"", "input"}},
                        {R"({"m":3})", {"\"m\"", "object"}},
                        {R"([])", {"object"}},
                        {R"({"m":)", {}},
                        {"", {}}};
  const io::TempFolder folder;
  for (const Case& c : cases) {
    const auto p = read_price(folder.write("prices.json", c.json), "m");
    ASSERT_FALSE(p.ok()) << c.json;
    EXPECT_EQ(p.status().code(), ErrorCode::kBadInput) << c.json;
    EXPECT_TRUE(contains(p.status().message(), "prices.json")) << c.json;
    for (const std::string& part : c.parts) EXPECT_TRUE(contains(p.status().message(), part)) << c.json;
  }
  EXPECT_EQ(read_price(folder.path("absent"), "m").status().code(), ErrorCode::kIo);
}

class LlmKey : public testing::Test {
 protected:
  std::string key_file(const std::string& text, mode_t mode = 0600) const {
    const std::string path = folder_.write("key", text);
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
  static constexpr char kVariable[] = "TRACER_TEST_LLM_KEY";
  void TearDown() override { ::unsetenv(kVariable); }
  const io::TempFolder folder_;
};

TEST_F(LlmKey, FileWithWhitespaceAround) {
  for (const char* text : {"sk-1", "sk-1\n", "\r\n \tsk-1 \r\n"}) {
    const auto key = http::read_key({key_file(text), kVariable});
    ASSERT_TRUE(key.ok()) << key.status().message();
    EXPECT_EQ(key.value(), "sk-1");
  }
  ASSERT_EQ(::setenv(kVariable, "other", 1), 0);
  EXPECT_EQ(http::read_key({key_file("sk-1"), kVariable}).value(), "sk-1") << "the file goes first";
}

TEST_F(LlmKey, AFileThatOthersCanUseIsRefused) {
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0666, 0777}) {
    const auto key = http::read_key({key_file("SECRET", mode), ""});
    ASSERT_FALSE(key.ok()) << mode;
    EXPECT_EQ(key.status().code(), ErrorCode::kBadInput);
    EXPECT_TRUE(contains(key.status().message(), "chmod 600"));
    EXPECT_FALSE(contains(key.status().message(), "SECRET"));
  }
  for (const mode_t mode : {0600, 0400, 0700}) EXPECT_TRUE(http::read_key({key_file("k", mode), ""}).ok()) << mode;
}

TEST_F(LlmKey, ControlCharactersAndEmptyOnesAreRefused) {
  for (const std::string& text : {std::string("SECRET\nX-Other: 1"), std::string("SECRET\r\nHost: x"),
                                  std::string("SEC\tRET"), std::string("SECRET\0x", 8), std::string("\0SECRET", 7),
                                  std::string("SECRET\x7f"), std::string("\x1bSECRET")}) {
    const auto key = http::read_key({key_file(text), ""});
    ASSERT_FALSE(key.ok());
    EXPECT_EQ(key.status().code(), ErrorCode::kBadInput);
    EXPECT_TRUE(contains(key.status().message(), "control character"));
    EXPECT_FALSE(contains(key.status().message(), "SEC"));
  }
  for (const char* text : {"", " \n\t"}) {
    const auto key = http::read_key({key_file(text), ""});
    ASSERT_FALSE(key.ok());
    EXPECT_TRUE(contains(key.status().message(), "empty"));
  }
  EXPECT_EQ(http::read_key({folder_.path("absent"), ""}).status().code(), ErrorCode::kIo);
}

TEST_F(LlmKey, Environment) {
  EXPECT_EQ(http::read_key({"", kVariable}).value(), "") << "not set: local servers want none";
  ASSERT_EQ(::setenv(kVariable, " sk-2\n", 1), 0);
  EXPECT_EQ(http::read_key({"", kVariable}).value(), "sk-2");
  ASSERT_EQ(::setenv(kVariable, "SECRET\nX: 1", 1), 0);
  const auto key = http::read_key({"", kVariable});
  ASSERT_FALSE(key.ok());
  EXPECT_TRUE(contains(key.status().message(), kVariable));
  EXPECT_FALSE(contains(key.status().message(), "SECRET"));
}

}  // namespace
}  // namespace tracer::llm
