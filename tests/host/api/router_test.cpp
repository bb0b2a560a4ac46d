// The Router: the answers of `tracer route`, from one thread and from many.
#include "host/api/router.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "host/api/evaluate.h"
#include "host/api/route.h"
#include "tests/host/cli_text_fixture.h"

namespace tracer {
namespace {

class RouterTest : public CliTest {
 protected:
  void SetUp() override {
    fit_policy();
    write_log(folder, "in", {.rows = 700, .seed = 7});
    auto reader = io::NpyReader::open(folder.path("in.npy"));
    ASSERT_TRUE(reader.ok());
    x = Matrix<float>(reader->rows(), reader->cols());
    ASSERT_TRUE(reader->read_rows(0, x.rows(), x.view()).ok());
    const Outcome routed = run({"route", "p", "in.jsonl", "-o", "-", "-q"});
    ASSERT_EQ(routed.code, 0) << routed.err;
    expected = json_lines(routed.out);
    ASSERT_EQ(static_cast<int64_t>(expected.size()), x.rows());
  }
  static RouterOptions with(const std::function<void(RouterOptions&)>& change) {
    RouterOptions options;
    change(options);
    return options;
  }
  Router open(const RouterOptions& options = {}) {
    auto device = open_device({"cpu", 2});
    EXPECT_TRUE(device.ok());
    auto router = Router::open(std::move(*device), folder.path("p"), options, {});
    EXPECT_TRUE(router.ok()) << router.status().message();
    return std::move(router).value();
  }
  // Row i of the answers is row first + i of the input.
  void expect_same(const Router& router, const std::vector<Routed>& rows, int64_t first) const {
    for (size_t i = 0; i < rows.size(); ++i) {
      const Json& line = expected[static_cast<size_t>(first) + i];
      ASSERT_EQ(rows[i].handled, line["decision"] == "handled") << first + static_cast<int64_t>(i);
      EXPECT_EQ(rows[i].score, line["score"].get<double>());
      EXPECT_EQ(rows[i].reason, line["reason"].get<std::string>());
      if (rows[i].handled) {
        EXPECT_EQ(router.labels()[static_cast<size_t>(rows[i].label)], line["label"].get<std::string>());
      } else {
        EXPECT_EQ(rows[i].label, -1);
      }
    }
  }
  Matrix<float> x;
  std::vector<Json> expected;
};

TEST_F(RouterTest, AnswersAsTheCommandDoes) {
  Router router = open();
  EXPECT_EQ(router.dimension(), x.cols());
  EXPECT_EQ(router.alpha(), 0.9);
  EXPECT_FALSE(router.takes_text()) << "fitted on vectors of unknown origin";
  const auto rows = router.route(std::as_const(x).view());
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  ASSERT_EQ(static_cast<int64_t>(rows->size()), x.rows());
  expect_same(router, *rows, 0);
}

TEST_F(RouterTest, CallsOfAnySizeAndBatchesOfAnySizeSayTheSame) {
  for (const int64_t batch : {int64_t{1}, int64_t{3}, int64_t{256}, int64_t{4096}}) {
    Router router = open(with([&](RouterOptions& o) { o.largest_batch = batch; }));
    for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{2}, int64_t{5}, x.rows()}) {
      const auto rows = router.route(std::as_const(x).view().rows_from(0, count));
      ASSERT_TRUE(rows.ok()) << rows.status().message();
      ASSERT_EQ(static_cast<int64_t>(rows->size()), count) << batch;
      expect_same(router, *rows, 0);
    }
  }
}

TEST_F(RouterTest, ManyThreadsGetTheirOwnRows) {
  for (const int64_t wait_us : {int64_t{0}, int64_t{2000}}) {
    Router router = open(with([&](RouterOptions& o) { o.longest_wait_us = wait_us; }));
    constexpr int kThreads = 8, kCalls = 25;
    std::vector<std::thread> threads;
    std::atomic<int> failed{0};
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (int c = 0; c < kCalls; ++c) {
          const int64_t first = (t * 83 + c * 29) % (x.rows() - 11), count = 1 + (t + c) % 11;
          const auto rows = router.route(std::as_const(x).view().rows_from(first, count));
          if (!rows.ok() || static_cast<int64_t>(rows->size()) != count) {
            ++failed;
            continue;
          }
          for (int64_t i = 0; i < count; ++i)
            failed += (*rows)[static_cast<size_t>(i)].score !=
                      expected[static_cast<size_t>(first + i)]["score"].get<double>();
        }
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(failed.load(), 0) << wait_us;
  }
}

TEST_F(RouterTest, AFaultIsTheCallsAloneAndNamesTheField) {
  Router router = open();
  Matrix<float> bad(2, x.cols());
  std::copy_n(x.row(0), x.cols(), bad.row(0));  // row 1 is zero
  const auto zero = router.route(std::as_const(bad).view());
  EXPECT_EQ(zero.status().field(), "vectors");
  EXPECT_TRUE(io::contains(zero.status().message(), "row 1"));
  bad(1, 0) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(router.route(std::as_const(bad).view()).status().code(), ErrorCode::kBadInput);
  Matrix<float> wide(1, x.cols() + 1);
  wide(0, 0) = 1;
  EXPECT_TRUE(io::contains(router.route(std::as_const(wide).view()).status().message(), "dimension"));
  const std::vector<std::string> texts = {"a"};
  EXPECT_EQ(router.route(texts).status().field(), "texts");
  EXPECT_EQ(router.route(std::as_const(x).view(), texts).status().field(), "texts") << "one text for 700 vectors";
  EXPECT_EQ(router.inspect("a").status().code(), ErrorCode::kBadInput);
  const auto rows = router.route(std::as_const(x).view());
  ASSERT_TRUE(rows.ok()) << "the router goes on";
  expect_same(router, *rows, 0);
}

TEST_F(RouterTest, AFullQueueRefusesAndLosesNothing) {
  Router router = open(with([](RouterOptions& o) { o.largest_batch = 64, o.largest_queue = 64; }));
  std::vector<std::thread> threads;
  std::atomic<int64_t> answered{0}, refused_calls{0}, wrong{0};
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&] {
      for (int c = 0; c < 20; ++c) {
        const auto rows = router.route(std::as_const(x).view().rows_from(0, 64));
        if (rows.ok())
          ++answered, wrong += rows->size() != 64;
        else
          ++refused_calls, wrong += rows.status().code() != ErrorCode::kRefused;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered + refused_calls, 120);
  EXPECT_GT(answered.load(), 0);
  EXPECT_EQ(wrong.load(), 0);
}

TEST_F(RouterTest, RefusesWhatIsNotCertified) {
  auto device = open_device({"cpu", 1});
  ASSERT_TRUE(device.ok());
  const auto router =
      Router::open(std::move(*device), folder.path("p"), with([](RouterOptions& o) { o.alpha = 0.6; }), {});
  EXPECT_EQ(router.status().code(), ErrorCode::kRefused);
  auto again = open_device({"cpu", 1});
  EXPECT_EQ(Router::open(std::move(*again), folder.path("nothing"), {}, {}).status().code(), ErrorCode::kBadInput);
}

TEST_F(RouterTest, FilesAreRoutedAndEvaluatedByTheLibraryToo) {
  auto device = open_device({"cpu", 2});
  ASSERT_TRUE(device.ok());
  RouteRequest request;
  request.policy.folder = folder.path("p");
  request.source.traces = folder.path("in.jsonl");
  request.output = folder.path("out.jsonl");
  const auto report = route_file(*device, request, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->rows, x.rows());
  EXPECT_EQ(report->handled + report->deferred, report->rows);
  EXPECT_EQ(json_lines(io::slurp(folder.path("out.jsonl"))), expected);
  EXPECT_EQ(io::slurp(folder.path("out.jsonl.meta.json")), to_json(*report));
  EvaluateRequest fresh;
  fresh.policy = request.policy, fresh.source = request.source;
  fresh.source.rejects = folder.path("rejects.jsonl");
  const auto found = evaluate_policy(*device, fresh, {});
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->handled, report->handled);
  ASSERT_TRUE(found->agreement && found->agreement_lower);
  EXPECT_GT(*found->agreement, *found->agreement_lower);
  request.source.traces = request.output;  // an output that would destroy its input
  EXPECT_EQ(route_file(*device, request, {}).status().field(), "output");
}

class RouterText : public CliText {};

TEST_F(RouterText, TextsAreAnsweredAsTheCommandAnswersThem) {
  ASSERT_EQ(fit().code, 0);
  folder.write("fresh.jsonl", text_log(300, 5000));
  const Outcome routed = run({"route", "p", "fresh.jsonl", "-o", "-", "--quiet"});
  ASSERT_EQ(routed.code, 0) << routed.err;
  const std::vector<Json> expected = json_lines(routed.out);
  std::vector<std::string> texts;
  for (const Json& row : json_lines(io::slurp(folder.path("fresh.jsonl"))))
    texts.push_back(row["input"].get<std::string>());
  auto device = open_device({"cpu", 2});
  RouterOptions options;
  options.text.encoder = folder.path("model");
  auto router = Router::open(std::move(*device), folder.path("p"), options, {});
  ASSERT_TRUE(router.ok()) << router.status().message();
  EXPECT_TRUE(router->takes_text());
  const auto rows = router->route(texts);
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  ASSERT_EQ(rows->size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ((*rows)[i].handled, expected[i]["decision"] == "handled") << i;
    EXPECT_EQ((*rows)[i].score, expected[i]["score"].get<double>()) << i;
  }
  const auto found = router->inspect(texts[0]);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(Json::parse(found->json)["score"], expected[0]["score"]);
  EXPECT_FALSE(found->text.empty());
  texts[1] = "\xff";
  EXPECT_TRUE(io::contains(router->route(texts).status().message(), "row 1"));
}

}  // namespace
}  // namespace tracer
