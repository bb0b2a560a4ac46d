// A job's asks through the batch APIs of mock_llm.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "host/http/http_transfer.h"
#include "host/io/text_hash.h"
#include "host/job/batch_runner.h"
#include "host/llm/batch_api.h"
#include "tests/host/io_test_util.h"
#include "tests/host/job_example.h"
#include "tests/host/mock_server.h"

namespace tracer::job {
namespace {

using llm::Api;
using Faults = std::vector<std::string>;

// A job of `rows` texts, and all that sends them.
class Batches {
 public:
  Batches(Api api, int64_t rows, const Faults& faults = {}, const std::string& key = "")
      : mock(faults), path_(folder.path("out.job")) {
    llm::ChatOptions options;
    options.api = api;
    options.url = mock.address() + (api == Api::kOpenAi ? "/v1" : "");
    options.model = "m";
    options.key = key;
    options.labels = {"label 0", "label 1", "label 2", "label 3"};
    chat.emplace(options);
    prompt.emplace(llm::Prompt::make("{input}", "prompt", options.labels).value());
    auto store = Store::create(path_, job_config(options.labels, "00c0ffee"));
    EXPECT_TRUE(store.ok()) << store.status().message();
    EXPECT_TRUE(store->begin().ok());
    for (int64_t i = 0; i < rows; ++i)
      EXPECT_TRUE(store->add_row({i, std::to_string(i), text(i), "below_threshold", false, 0, 0.5}).ok());
    EXPECT_TRUE(store->set_routed(rows, true).ok());
    EXPECT_TRUE(store->commit().ok());
    EXPECT_TRUE(store->close().ok());
    run_options.poll_seconds = 0.02;
    run_options.give_up_seconds = 20;
    run_options.limits.lines = 100;
  }

  static std::string text(int64_t i) { return "text " + std::to_string(i); }

  // One process's run, from opening the job to closing it. polls: stops when asked so often; -1: never.
  StopReason run(int polls = -1, bool cancel = false) {
    auto store = Store::open(path_);
    EXPECT_TRUE(store.ok()) << store.status().message();
    int asked = 0;
    const auto stopped = [&] { return polls >= 0 && ++asked > polls; };
    auto http = http::HttpTransfer::create({}, [] { return false; });
    EXPECT_TRUE(http.ok());
    llm::BatchApi remote(*chat, **http);
    BatchRunner runner(run_options, *store, *chat, *prompt, remote, folder.path("out.batch"), stopped,
                       [&](const std::string& note) { notes += note + "\n"; });
    const auto reason = cancel ? runner.cancel() : runner.run();
    EXPECT_TRUE(reason.ok()) << reason.status().message();
    message = runner.stop_message();
    EXPECT_TRUE(store->close().ok());
    return reason.ok() ? *reason : StopReason::kNone;
  }
  Ledger ledger() const {
    auto store = Store::open_to_read(path_);
    EXPECT_TRUE(store.ok()) << store.status().message();
    return store->ledger().value();
  }
  // Every row has the label that its text has at the server, and was paid for once.
  void expect_all_answered() const {
    auto store = Store::open_to_read(path_);
    ASSERT_TRUE(store.ok());
    auto reader = store->entries(0);
    ASSERT_TRUE(reader.ok());
    Store::Entry e;
    int64_t rows = 0;
    for (; reader->next(e).value(); ++rows) {
      ASSERT_EQ(e.result.state, AskState::kAnswered) << e.row.input;
      EXPECT_EQ(e.result.label, static_cast<int32_t>(io::xxh64(e.row.input) % 4)) << e.row.input;
    }
    EXPECT_EQ(rows, ledger().asks);
    EXPECT_EQ(mock.stats()["answered_again"], 0);
    EXPECT_EQ(mock.stats()["texts"], rows);
    EXPECT_EQ(ledger().batches, 0);
    for (const auto& entry : std::filesystem::directory_iterator(folder.root()))
      EXPECT_EQ(entry.path().filename().string().rfind("out.batch", 0), std::string::npos) << entry.path();
  }

  MockLlm mock;
  io::TempFolder folder;
  std::optional<llm::ChatApi> chat;
  std::optional<llm::Prompt> prompt;
  BatchRunOptions run_options;
  std::string notes, message;

 private:
  const std::string path_;
};

class JobBatchTest : public testing::TestWithParam<Api> {};
INSTANTIATE_TEST_SUITE_P(Apis, JobBatchTest, testing::Values(Api::kOpenAi, Api::kAnthropic),
                         [](const auto& info) { return info.param == Api::kOpenAi ? "openai" : "anthropic"; });

TEST_P(JobBatchTest, EveryAskIsAnsweredOnce) {
  Batches b(GetParam(), 250, {"--expect-key", "k", "--batch-ms", "50"}, "k");
  EXPECT_EQ(b.run(), StopReason::kNone) << b.message;
  b.expect_all_answered();
  EXPECT_EQ(b.mock.stats()["batches"], 3);
  EXPECT_EQ(b.ledger().attempts, 250);
  EXPECT_EQ(b.ledger().corrections, 0);
  EXPECT_GT(b.ledger().usage.prompt_tokens, 0);
  // Nothing is left: another run asks nothing.
  EXPECT_EQ(b.run(), StopReason::kNone);
  EXPECT_EQ(b.mock.stats()["batches"], 3);
}

TEST_P(JobBatchTest, AFileHoldsNoMoreThanItsBytes) {
  Batches b(GetParam(), 60);
  b.run_options.limits.bytes = 4000;
  EXPECT_EQ(b.run(), StopReason::kNone) << b.message;
  b.expect_all_answered();
  EXPECT_GT(b.mock.stats()["batches"], 3);
}

TEST_P(JobBatchTest, WhatExpiresIsAskedAgain) {
  Batches b(GetParam(), 150, {"--batch-expire", "0.3"});
  EXPECT_EQ(b.run(), StopReason::kNone) << b.message;
  b.expect_all_answered();
  EXPECT_GT(b.ledger().attempts, 150);
}

TEST_P(JobBatchTest, AnAnswerThatIsNoLabelIsAskedAboutOnceMore) {
  Batches once(GetParam(), 40, {"--wrong-once"});
  EXPECT_EQ(once.run(), StopReason::kNone) << once.message;
  once.expect_all_answered();
  EXPECT_EQ(once.ledger().corrections, 40);
  Batches ever(GetParam(), 40, {"--wrong", "1"});
  EXPECT_EQ(ever.run(), StopReason::kNone) << ever.message;
  EXPECT_EQ(ever.ledger().failed, 40);
  EXPECT_EQ(ever.mock.stats()["batches"], 2);
}

TEST_P(JobBatchTest, AServerWithoutSchemasIsAskedInWords) {
  Batches b(GetParam(), 40, {"--no-schema"});
  EXPECT_EQ(b.run(), StopReason::kNone) << b.message;
  b.expect_all_answered();
  EXPECT_EQ(b.mock.stats()["batches"], 2);
}

TEST_P(JobBatchTest, ABatchWhoseAnswerWasLostIsFoundAgain) {
  for (const char* hidden : {"0", "1"}) {  // or is listed a little later
    Batches b(GetParam(), 150, {"--batch-lose-create", "2", "--batch-hide", hidden});
    EXPECT_EQ(b.run(), StopReason::kNone) << b.message;
    b.expect_all_answered();
    EXPECT_EQ(b.mock.stats()["batches"], 2);
  }
}

TEST_P(JobBatchTest, AProcessThatDiedBeforeItKnewTheIdFindsTheBatch) {
  Batches b(GetParam(), 50, {"--batch-lose-create", "1"});
  EXPECT_EQ(b.run(1), StopReason::kInterrupted);  // submitted, no answer, and then stopped
  EXPECT_EQ(b.mock.stats()["batches"], 1);
  EXPECT_EQ(b.ledger().in_batches, 50);
  EXPECT_EQ(b.run(), StopReason::kNone) << b.message;
  b.expect_all_answered();
  EXPECT_EQ(b.mock.stats()["batches"], 1);
}

TEST_P(JobBatchTest, ABatchThatTheServerNeverGotIsFree) {
  Batches b(GetParam(), 50);
  {
    auto store = Store::open(b.folder.path("out.job"));
    ASSERT_TRUE(store.ok());
    Batch lost;
    lost.started = 1e9;
    lost.requests = 2;
    ASSERT_TRUE(add_batch(*store, lost, {1, 2}).ok());
    ASSERT_TRUE(store->close().ok());
  }
  EXPECT_EQ(b.run(), StopReason::kNone) << b.message;
  b.expect_all_answered();
}

// Anthropic's batches bear no mark of ours: one of the same size and hour is taken for it, until its results show.
TEST(JobBatchFoundTest, AnotherJobsBatchIsGivenBack) {
  Batches b(Api::kAnthropic, 2, {"--batch-ms", "100"});
  const std::string theirs = b.folder.path("theirs");
  b.folder.write("theirs", R"({"requests":[{"custom_id":"other-1","params":{"messages":[]}},)"
                           R"({"custom_id":"other-2","params":{"messages":[]}}]})");
  {
    auto http = http::HttpTransfer::create({}, [] { return false; });
    ASSERT_TRUE(http.ok());
    llm::BatchApi remote(*b.chat, **http);
    const auto made = remote.create(theirs, "", "");
    ASSERT_TRUE(made.ok());
    ASSERT_EQ(made->verdict.outcome, http::Outcome::kAnswered) << made->verdict.error;
    auto store = Store::open(b.folder.path("out.job"));
    ASSERT_TRUE(store.ok());
    Batch unknown;
    unknown.started = made->value.created;
    unknown.requests = 2;
    ASSERT_TRUE(add_batch(*store, unknown, {1, 2}).ok());
    ASSERT_TRUE(store->close().ok());
  }
  std::filesystem::remove(theirs);
  EXPECT_EQ(b.run(), StopReason::kNone) << b.message << b.notes;
  EXPECT_EQ(b.ledger().answered, 2);
  EXPECT_EQ(b.mock.stats()["batches"], 2);
}

TEST(JobBatchFailTest, ABatchRefusedAsAWholeIsTriedAgainAFewTimes) {
  Batches twice(Api::kOpenAi, 50, {"--batch-fail", "2"});
  EXPECT_EQ(twice.run(), StopReason::kNone) << twice.message;
  twice.expect_all_answered();
  Batches ever(Api::kOpenAi, 50, {"--batch-fail", "1000"});
  EXPECT_EQ(ever.run(), StopReason::kRefused);
  EXPECT_NE(ever.message.find("Enqueued token limit"), std::string::npos) << ever.message;
  EXPECT_EQ(ever.mock.stats()["batches"], 3);
  EXPECT_EQ(ever.ledger().pending, 50);
  EXPECT_EQ(ever.ledger().in_batches, 0);
}

TEST_P(JobBatchTest, AWrongKeyEndsItAndKeepsTheAsks) {
  Batches b(GetParam(), 10, {"--expect-key", "right"}, "wrong");
  EXPECT_EQ(b.run(), StopReason::kUnauthorized);
  EXPECT_EQ(b.mock.stats()["texts"], 0);
  EXPECT_EQ(b.ledger().in_batches, 0);
  EXPECT_EQ(b.ledger().pending, 10);
}

TEST_P(JobBatchTest, BudgetsHold) {
  Batches b(GetParam(), 250);
  b.run_options.most_requests = 130;
  EXPECT_EQ(b.run(), StopReason::kRequests);
  EXPECT_EQ(b.ledger().attempts, 130);
  EXPECT_EQ(b.ledger().answered, 130);
  EXPECT_EQ(b.ledger().in_batches, 0);

  Batches c(GetParam(), 250);
  c.run_options.price = llm::Price{1'000'000, 1'000'000};
  c.run_options.most_cost = 20'000'000'000;
  EXPECT_EQ(c.run(), StopReason::kCost);
  EXPECT_LE(c.ledger().most_cost, *c.run_options.most_cost);
  EXPECT_GT(c.ledger().answered, 20);
  EXPECT_LT(c.ledger().answered, 250);
  c.run_options.most_cost = std::nullopt;
  EXPECT_EQ(c.run(), StopReason::kNone);
  c.expect_all_answered();
}

TEST_P(JobBatchTest, AStoppedRunLeavesItsBatchesAndTheNextOneTakesThemIn) {
  Batches b(GetParam(), 150, {"--batch-ms", "300"});
  EXPECT_EQ(b.run(3), StopReason::kInterrupted);
  EXPECT_EQ(b.ledger().in_batches, 150);
  EXPECT_EQ(b.run(), StopReason::kNone) << b.message;
  b.expect_all_answered();
  EXPECT_EQ(b.mock.stats()["batches"], 2);
}

TEST_P(JobBatchTest, WhatIsCancelledIsFreeAgain) {
  Batches b(GetParam(), 150, {"--batch-ms", "600000"});
  EXPECT_EQ(b.run(3), StopReason::kInterrupted);
  EXPECT_EQ(b.run(-1, true), StopReason::kNone) << b.message;
  EXPECT_EQ(b.ledger().batches, 0);
  EXPECT_EQ(b.ledger().pending, 150);
  EXPECT_EQ(b.mock.stats()["batches"], 2);
  EXPECT_EQ(b.mock.stats()["texts"], 0);
}

TEST(BatchApiTest, BatchesAreReadAsTheApisDescribeThem) {
  struct Case {
    Api api;
    const char* json;
    llm::BatchProgress progress;
    std::vector<std::string> results;
    int64_t requests, done;
  };
  using P = llm::BatchProgress;
  const Case cases[] = {
      {Api::kOpenAi,
       R"({"id":"batch_1","status":"validating","request_counts":{"total":0,"completed":0,"failed":0}})",
       P::kWorking,
       {},
       0,
       0},
      {Api::kOpenAi,
       R"({"id":"b","status":"in_progress","output_file_id":null,"request_counts":{"total":9,"completed":3,"failed":1}})",
       P::kWorking,
       {},
       9,
       4},
      {Api::kOpenAi,
       R"({"id":"b","status":"completed","output_file_id":"file-o","error_file_id":"file-e"})",
       P::kEnded,
       {"file-o", "file-e"},
       0,
       0},
      {Api::kOpenAi, R"({"id":"b","status":"expired","error_file_id":"file-e"})", P::kEnded, {"file-e"}, 0, 0},
      {Api::kOpenAi, R"({"id":"b","status":"cancelling"})", P::kWorking, {}, 0, 0},
      {Api::kOpenAi,
       R"({"id":"b","status":"failed","errors":{"data":[{"code":"c","message":"m"}]}})",
       P::kFailed,
       {},
       0,
       0},
      {Api::kAnthropic,
       R"({"id":"msgbatch_1","processing_status":"in_progress","created_at":"2024-08-20T18:37:24.100435Z",)"
       R"("request_counts":{"processing":4,"succeeded":1,"errored":0,"canceled":0,"expired":2}})",
       P::kWorking,
       {},
       7,
       3},
      {Api::kAnthropic,
       R"({"id":"m","processing_status":"ended","results_url":"https://elsewhere/x"})",
       P::kEnded,
       {"m"},
       0,
       0}};
  for (const Case& c : cases) {
    const auto batch = llm::parse_batch(c.api, nlohmann::json::parse(c.json));
    ASSERT_TRUE(batch) << c.json;
    EXPECT_EQ(batch->progress, c.progress) << c.json;
    EXPECT_EQ(batch->results, c.results) << c.json;
    EXPECT_EQ(batch->requests, c.requests) << c.json;
    EXPECT_EQ(batch->done, c.done) << c.json;
  }
  const auto failed = llm::parse_batch(Api::kOpenAi, nlohmann::json::parse(cases[5].json));
  EXPECT_EQ(failed->error, "c: m");
  // What would lead an address elsewhere is no id.
  for (const char* bad : {R"({"id":"../x","status":"completed"})", R"({"id":"","status":"completed"})", R"([])",
                          R"("x")", R"({"id":"b"})", R"({"id":"b","status":"completed","output_file_id":"a/b?c"})"})
    EXPECT_FALSE(llm::parse_batch(Api::kOpenAi, nlohmann::json::parse(bad))) << bad;
}

TEST(HttpTransferTest, FilesGoOutAndComeInWholeOrNotAtAll) {
  const io::TempFolder folder;
  auto http = http::HttpTransfer::create({}, [] { return false; });
  ASSERT_TRUE(http.ok());
  MockLlm mock;
  http::TransferRequest request;
  request.url = mock.address() + "/v1/batches/none";
  request.to_file = folder.path("into");
  const auto refused = (*http)->send(request);
  ASSERT_TRUE(refused.ok());
  EXPECT_EQ(refused->status, 404);
  EXPECT_NE(refused->body.find("no such batch"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder.path("into")));
  request.url = mock.address() + "/stats";
  const auto got = (*http)->send(request);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->status, 200);
  EXPECT_EQ(got->body, "");
  EXPECT_TRUE(nlohmann::json::accept(io::slurp(folder.path("into"))));
  request.to_file = folder.path("none/into");
  EXPECT_EQ((*http)->send(request).status().code(), ErrorCode::kIo);
  request.to_file.clear();
  request.body_file = folder.path("none");
  EXPECT_EQ((*http)->send(request).status().code(), ErrorCode::kIo);
  request.body_file.clear();
  request.form_file = folder.path("none");
  EXPECT_EQ((*http)->send(request).status().code(), ErrorCode::kIo);
  request.form_file.clear();
  request.url = "http://127.0.0.1:1/";
  const auto nobody = (*http)->send(request);
  ASSERT_TRUE(nobody.ok());
  EXPECT_EQ(nobody->status, 0);
  EXPECT_NE(nobody->error, "");
  auto stopped = http::HttpTransfer::create({}, [] { return true; });
  request.url = mock.address() + "/stats";
  EXPECT_EQ((*stopped)->send(request)->status, 0);
}

}  // namespace
}  // namespace tracer::job
