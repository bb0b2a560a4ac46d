// How texts become requests and answers become vectors, on a clock of the test's and against a server of the test's.
#include "host/encoder/embed_client.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "tests/host/fake_http.h"
#include "tests/host/io_test_util.h"

namespace tracer {
namespace {

using http::FakeHttp;
using io::contains;
using Json = nlohmann::json;
using Answer = FakeHttp::Answer;
using Texts = std::vector<std::string>;

// Of "text 12": 12, 1.
Json vector_of(const std::string& text) { return {std::stod(text.substr(5)), 1.0}; }

Answer vectors(const Texts& texts) {
  Json out = Json::array();
  for (const std::string& text : texts) out.push_back(vector_of(text));
  return {200, out.dump(), {}, 1};
}
Answer status(int code, std::vector<std::pair<std::string, std::string>> headers = {}) {
  return {code, R"({"error":{"message":"no"}})", std::move(headers), 1};
}

// A client of n texts, "text 1" and so on, whose names are 101, 102, ...
class Client {
 public:
  using Server = std::function<Answer(const Texts& texts, int64_t before)>;

  Client(EmbedClientOptions options, Server server) {
    options.clock = [this] { return now; };
    EmbedApiOptions api;
    api.dialect = EmbedDialect::kTei;
    api.url = "http://h/embed";
    api.key = "sk-secret";
    auto http = std::make_unique<FakeHttp>(now, [this, server](const http::HttpRequest& request) {
      Texts texts = Json::parse(request.body)["inputs"];
      most_in_flight = std::max(most_in_flight, http_->in_flight() + 1);
      sizes.push_back(static_cast<int64_t>(texts.size()));
      sent_at.push_back(now);
      return server(texts, static_cast<int64_t>(sizes.size()) - 1);
    });
    http_ = http.get();
    client.emplace(EmbedApi::make(api).value(), options, std::move(http));
  }
  Status embed(int64_t n) {
    Texts texts;
    std::vector<int64_t> rows;
    for (int64_t i = 1; i <= n; ++i) texts.push_back("text " + std::to_string(i)), rows.push_back(100 + i);
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    return client->embed(views, rows, [&](int64_t first, HostMatrix<const float> x) {
      for (int64_t i = 0; i < x.rows; ++i) {
        EXPECT_EQ(x(i, 0), static_cast<float>(first + i + 1));
        ++got[first + i];
      }
    });
  }
  // Every one of n texts came once.
  void expect_all(int64_t n) const {
    EXPECT_EQ(static_cast<int64_t>(got.size()), n);
    for (const auto& [at, times] : got) EXPECT_EQ(times, 1) << at;
  }

  int64_t now = 1'000'000, most_in_flight = 0;
  std::vector<int64_t> sizes, sent_at;  // of the requests
  std::map<int64_t, int> got;
  std::optional<EmbedClient> client;

 private:
  FakeHttp* http_ = nullptr;
};

TEST(EmbedClient, TextsGoInBatchesSeveralAtOnce) {
  EmbedClientOptions options;
  options.batch = 10, options.concurrency = 3;
  Client c(options, [](const Texts& texts, int64_t) { return vectors(texts); });
  ASSERT_TRUE(c.embed(95).ok());
  c.expect_all(95);
  EXPECT_EQ(c.sizes.size(), 10u);
  EXPECT_EQ(c.sizes.back(), 5);
  EXPECT_EQ(c.most_in_flight, 3);
  EXPECT_EQ(c.client->dimension(), 2);
  EXPECT_EQ(c.client->counts().texts, 95);
}

TEST(EmbedClient, ATooLargeRequestIsHalvedAndLaterOnesAreNoLarger) {
  EmbedClientOptions options;
  options.batch = 32, options.concurrency = 1;
  Client c(options, [](const Texts& texts, int64_t) { return texts.size() > 10 ? status(413) : vectors(texts); });
  ASSERT_TRUE(c.embed(64).ok());
  c.expect_all(64);
  EXPECT_EQ(std::count_if(c.sizes.begin(), c.sizes.end(), [](int64_t n) { return n > 10; }), 3);  // 32, 16, 16
  EXPECT_EQ(c.sizes.back(), 8);
}

TEST(EmbedClient, ATextThatIsRefusedAloneIsNamed) {
  EmbedClientOptions options;
  options.batch = 8, options.concurrency = 2;
  Client c(options, [](const Texts& texts, int64_t) {
    return std::find(texts.begin(), texts.end(), "text 6") != texts.end() ? status(422) : vectors(texts);
  });
  const Status failed = c.embed(100);
  EXPECT_EQ(failed.code(), ErrorCode::kBadInput);
  EXPECT_TRUE(contains(failed.message(), "http://h/embed: batch "));
  EXPECT_TRUE(contains(failed.message(), ", row 106: http 422"));
  EXPECT_LT(c.sizes.size(), 20u);  // nothing more is sent then
}

TEST(EmbedClient, FaultsOfTheServerAreRetriedLaterEachTime) {
  EmbedClientOptions options;
  options.most_attempts = 4;
  Client c(options, [](const Texts& texts, int64_t before) {
    return before < 3 ? Answer{before == 1 ? 0 : 500, "", {}, 1} : vectors(texts);
  });
  ASSERT_TRUE(c.embed(5).ok());
  c.expect_all(5);
  ASSERT_EQ(c.sent_at.size(), 4u);
  for (size_t i = 1; i < 4; ++i) EXPECT_GE(c.sent_at[i] - c.sent_at[i - 1], 250 << (i - 1)) << i;
  EXPECT_EQ(c.client->counts().retried, 3);

  Client never(options, [](const Texts&, int64_t) { return status(500); });
  const Status failed = never.embed(5);
  EXPECT_EQ(failed.code(), ErrorCode::kIo);
  EXPECT_TRUE(contains(failed.message(), "rows 101 to 105: http 500"));
  EXPECT_TRUE(contains(failed.message(), "(after 4 attempts)"));
}

TEST(EmbedClient, BeingToldToWaitUsesNoAttemptUp) {
  EmbedClientOptions options;
  options.most_attempts = 1;
  Client c(options, [](const Texts& texts, int64_t before) {
    return before < 4 ? status(429, {{"retry-after", "20"}}) : vectors(texts);
  });
  ASSERT_TRUE(c.embed(5).ok());
  ASSERT_EQ(c.sent_at.size(), 5u);
  for (size_t i = 1; i < 5; ++i) EXPECT_GE(c.sent_at[i] - c.sent_at[i - 1], 20'000) << i;
  EXPECT_EQ(c.client->counts().throttled, 4);
}

TEST(EmbedClient, APauseHoldsBackWhatWasNotSentYet) {
  EmbedClientOptions options;
  options.batch = 1, options.concurrency = 1;
  Client c(options, [](const Texts& texts, int64_t before) {
    return before == 0 ? status(429, {{"retry-after", "20"}}) : vectors(texts);
  });
  ASSERT_TRUE(c.embed(5).ok());
  c.expect_all(5);
  ASSERT_EQ(c.sent_at.size(), 6u);
  EXPECT_GE(c.sent_at[1] - c.sent_at[0], 20'000);
}

TEST(EmbedClient, AskingEndsWithoutAnyAnswerForSoLong) {
  EmbedClientOptions options;
  options.most_attempts = 1000, options.give_up_seconds = 100;
  Client c(options, [](const Texts&, int64_t) { return Answer{0, "", {}, 10}; });
  const int64_t began = c.now;
  const Status failed = c.embed(5);
  EXPECT_EQ(failed.code(), ErrorCode::kIo);
  EXPECT_TRUE(contains(failed.message(), "no answer for so long"));
  EXPECT_GE(c.now - began, 100'000);
  EXPECT_LT(c.now - began, 140'000);  // the longest pause is half a minute
}

TEST(EmbedClient, WhatIsNoAnswerOfThisModelIsRefused) {
  const auto refused = [](const std::string& body, const std::string& part) {
    Client c({}, [&](const Texts&, int64_t) { return Answer{200, body, {}, 1}; });
    const Status failed = c.embed(2);
    EXPECT_EQ(failed.code(), ErrorCode::kBadInput) << body;
    EXPECT_TRUE(contains(failed.message(), part)) << body;
    EXPECT_TRUE(c.got.empty());
  };
  refused("[[1,2]]", "http://h/embed: batch 1");
  refused("[[1,2],[1,null]]", "row 102");
  refused("[[0,0],[1,2]]", "row 101");
  Client other({}, [](const Texts& texts, int64_t) { return vectors(texts); });
  other.client->expect_dimension(3);
  EXPECT_EQ(other.embed(2).code(), ErrorCode::kBadInput);
}

TEST(EmbedClient, HalfADocumentIsAskedForAgain) {
  Client c({}, [](const Texts& texts, int64_t before) {
    return before == 0 ? Answer{200, "<html>", {}, 1} : vectors(texts);
  });
  ASSERT_TRUE(c.embed(3).ok());
  c.expect_all(3);
  EXPECT_EQ(c.sizes.size(), 2u);
}

TEST(EmbedClient, ARefusedKeyEndsItAndIsNotInTheMessage) {
  Client c({}, [](const Texts&, int64_t) {
    return Answer{401, R"({"error":{"message":"bad key sk-secret"}})", {}, 1};
  });
  const Status failed = c.embed(3);
  EXPECT_EQ(failed.code(), ErrorCode::kIo);
  EXPECT_TRUE(contains(failed.message(), "http 401"));
  EXPECT_FALSE(contains(failed.message(), "sk-secret"));
  EXPECT_EQ(c.sizes.size(), 1u);
}

TEST(EmbedClient, StopsWhenItIsTold) {
  std::optional<Client> c;
  EmbedClientOptions options;
  options.batch = 1, options.concurrency = 1;
  options.stopped = [&] { return c->sizes.size() >= 3; };
  c.emplace(options, [](const Texts& texts, int64_t) { return vectors(texts); });
  EXPECT_EQ(c->embed(100).code(), ErrorCode::kInterrupted);
  EXPECT_EQ(c->sizes.size(), 3u);
  EXPECT_GE(c->got.size(), 2u);
}

}  // namespace
}  // namespace tracer
