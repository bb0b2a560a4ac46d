// Many requests on one thread, against a server on loopback.
#include "host/http/http_client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>

#include "tests/host/io_test_util.h"
#include "tests/host/loopback_server.h"

namespace tracer::http {
namespace {

using io::contains;
using Clock = std::chrono::steady_clock;
using Reply = LoopbackServer::Reply;

std::unique_ptr<HttpClient> client(const HttpOptions& options = {}) {
  auto made = HttpClient::create(options);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return std::move(made).value();
}

// All that was submitted, by id.
std::map<uint64_t, HttpResponse> answers(HttpClient& http, size_t n) {
  std::map<uint64_t, HttpResponse> out;
  std::vector<HttpResponse> done;
  const auto until = Clock::now() + std::chrono::seconds(20);
  while (out.size() < n && Clock::now() < until) {
    EXPECT_TRUE(http.poll(100, done).ok());
    for (HttpResponse& response : done) EXPECT_TRUE(out.emplace(response.id, std::move(response)).second);
    done.clear();
  }
  EXPECT_EQ(out.size(), n);
  EXPECT_EQ(http.in_flight(), 0);
  return out;
}
HttpResponse answer(HttpClient& http, const std::string& url, const std::string& body = "{}") {
  EXPECT_TRUE(http.submit({1, url, {"Content-Type: application/json"}, body}).ok());
  return answers(http, 1)[1];
}

TEST(HttpClient, EachAnswerComesBackWithItsRequestsId) {
  LoopbackServer server(
      [](const std::string& request) { return LoopbackServer::ok(LoopbackServer::body_of(request)); });
  const auto http = client();
  for (uint64_t id = 1; id <= 40; ++id)
    ASSERT_TRUE(http->submit({id, server.url(), {}, "body " + std::to_string(id)}).ok());
  EXPECT_EQ(http->in_flight(), 40);
  for (const auto& [id, response] : answers(*http, 40)) {
    EXPECT_EQ(response.status, 200) << response.error;
    EXPECT_EQ(response.body, "body " + std::to_string(id));
  }
}

TEST(HttpClient, ARequestIsAPostWithItsHeadersAndAnAnswersHeadersAreInLowerCase) {
  std::string came;
  LoopbackServer server([&](const std::string& request) {
    came = request;
    return LoopbackServer::ok("x", "Retry-After: 7\r\nX-Two:  words here \r\n");
  });
  const auto http = client();
  ASSERT_TRUE(http->submit({7, server.url("/v1/a?b=c"), {"Authorization: Bearer k", "X-Own: 1"}, "{\"a\":1}"}).ok());
  const HttpResponse response = answers(*http, 1)[7];
  EXPECT_EQ(came.rfind("POST /v1/a?b=c HTTP/1.1\r\n", 0), 0u) << came;
  EXPECT_TRUE(contains(came, "\r\nAuthorization: Bearer k\r\n"));
  EXPECT_TRUE(contains(came, "\r\nX-Own: 1\r\n"));
  EXPECT_EQ(LoopbackServer::body_of(came), "{\"a\":1}");
  EXPECT_EQ(response.header("retry-after"), "7");
  EXPECT_EQ(response.header("x-two"), "words here");
  EXPECT_EQ(response.header("absent"), "");
}

TEST(HttpClient, ConnectionsAreKeptAndNoMoreThanAllowed) {
  LoopbackServer server([](const std::string&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return LoopbackServer::ok("x");
  });
  HttpOptions options;
  options.max_connections = 3;
  const auto http = client(options);
  for (int round = 0; round < 3; ++round) {
    for (uint64_t id = 1; id <= 12; ++id) ASSERT_TRUE(http->submit({id, server.url(), {}, "{}"}).ok());
    for (const auto& [id, response] : answers(*http, 12)) EXPECT_EQ(response.status, 200) << response.error;
  }
  EXPECT_LE(server.most_connections(), 3);
  EXPECT_LE(server.connections(), 3);
}

TEST(HttpClient, RedirectsAreNotFollowed) {
  int64_t asked = 0;
  LoopbackServer server([&](const std::string&) {
    ++asked;
    return Reply{"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"};
  });
  const auto http = client();
  EXPECT_EQ(answer(*http, server.url()).status, 302);
  EXPECT_EQ(asked, 1);
}

TEST(HttpClient, HalfABodyIsNoAnswer) {
  LoopbackServer server([](const std::string&) {
    return Reply{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":", true};
  });
  const auto http = client();
  const HttpResponse torn = answer(*http, server.url());
  EXPECT_EQ(torn.status, 0);
  EXPECT_FALSE(torn.error.empty());
  EXPECT_TRUE(torn.sent);  // it may have been worked on, and billed
}

TEST(HttpClient, TooLargeABodyIsNoAnswer) {
  LoopbackServer server([](const std::string&) { return LoopbackServer::ok(std::string(5000, 'x')); });
  HttpOptions options;
  options.max_response_bytes = 4999;
  const auto http = client(options);
  const HttpResponse large = answer(*http, server.url());
  EXPECT_EQ(large.status, 0);
  EXPECT_TRUE(contains(large.error, "larger than 4999 bytes"));
  options.max_response_bytes = 5000;
  EXPECT_EQ(answer(*client(options), server.url()).status, 200);
}

TEST(HttpClient, ASlowServerTimesOut) {
  std::atomic<bool> over{false};
  LoopbackServer server([&](const std::string&) {
    while (!over.load()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return LoopbackServer::ok("late");
  });
  HttpOptions options;
  options.timeout_ms = 100;
  const auto http = client(options);
  const auto began = Clock::now();
  const HttpResponse late = answer(*http, server.url());
  EXPECT_GE(Clock::now() - began, std::chrono::milliseconds(90));
  EXPECT_EQ(late.status, 0);
  EXPECT_TRUE(late.sent);
  EXPECT_FALSE(late.error.empty());
  over = true;
}

TEST(HttpClient, WhereNobodyListensNothingWasSent) {
  std::string url;
  {
    url = LoopbackServer([](const std::string&) { return Reply{}; }).url();
  }
  const HttpResponse none = answer(*client(), url);
  EXPECT_EQ(none.status, 0);
  EXPECT_FALSE(none.sent);
  EXPECT_FALSE(none.error.empty());
}

TEST(HttpClient, AnotherThreadWakesAPoll) {
  const auto http = client();
  std::vector<HttpResponse> done;
  http->wake();  // one before the poll counts
  auto began = Clock::now();
  ASSERT_TRUE(http->poll(30'000, done).ok());
  std::thread waker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    http->wake();
  });
  ASSERT_TRUE(http->poll(30'000, done).ok());
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(20));
  waker.join();
  // And once woken, it waits again.
  began = Clock::now();
  ASSERT_TRUE(http->poll(30, done).ok());
  EXPECT_GE(Clock::now() - began, std::chrono::milliseconds(25));
  EXPECT_TRUE(done.empty());
}

TEST(HttpClient, MayEndWithRequestsInFlight) {
  std::atomic<bool> over{false};
  LoopbackServer server([&](const std::string&) {
    while (!over.load()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return LoopbackServer::ok("late");
  });
  auto http = client();
  std::vector<HttpResponse> done;
  for (uint64_t id = 1; id <= 8; ++id) ASSERT_TRUE(http->submit({id, server.url(), {}, "{}"}).ok());
  for (int i = 0; i < 200 && server.connections() < 8; ++i) ASSERT_TRUE(http->poll(10, done).ok());
  EXPECT_EQ(server.connections(), 8);
  http.reset();
  over = true;
}

}  // namespace
}  // namespace tracer::http
