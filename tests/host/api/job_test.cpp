// Jobs by the library, as a program that links it runs them.
#include "host/api/job.h"

#include <chrono>
#include <cmath>

#include "host/io/plain_text.h"
#include "tests/host/cli_run_fixture.h"

namespace tracer {
namespace {

using io::contains;
using Clock = std::chrono::steady_clock;

class ApiJob : public CliRunTest {
 protected:
  void SetUp() override {
    CliRunTest::SetUp();
    auto opened = open_device({"cpu", 2});
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    device_.emplace(std::move(opened).value());
  }
  JobRequest request(const MockLlm& mock) const {
    JobRequest r;
    r.policy.folder = folder.path("p");
    r.input.traces = folder.path("q.jsonl");
    r.output = folder.path("out.jsonl");
    r.audit_rate = 0.1;
    r.audit_seed = 3;
    r.llm.server.url = mock.address() + "/v1";
    r.llm.model = "m";
    return r;
  }
  std::optional<Device> device_;
};

TEST_F(ApiJob, EveryRowIsAnsweredAndTheFiguresAreThoseOfTheLines) {
  MockLlm mock;
  std::string notes;
  Events events;
  events.note = [&](std::string_view line) { notes += std::string(line) + "\n"; };
  const auto report = tracer::run_job(*device_, request(mock), events);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->outcome, JobOutcome::kComplete);
  EXPECT_EQ(report->problem, "");
  EXPECT_EQ(report->figures.routed, kRows);
  EXPECT_EQ(report->figures.by_llm, sources()["llm"]);
  EXPECT_EQ(report->figures.by_surrogate, sources()["surrogate"]);
  EXPECT_GT(report->figures.audited, kRows / 20);
  EXPECT_FALSE(report->figures.cost.has_value());
  EXPECT_EQ(mock.stats()["answers"], report->figures.requests);
  EXPECT_EQ(to_json(*report), io::slurp(folder.path("out.jsonl.meta.json")));
  EXPECT_EQ(Json::parse(to_json(*report))["sources"]["llm"], report->figures.by_llm);
  EXPECT_TRUE(contains(notes + "\n", to_text(*report)));

  const auto status = job_status(folder.path("out.jsonl"));
  ASSERT_TRUE(status.ok()) << status.status().message();
  EXPECT_TRUE(status->finished);
  EXPECT_EQ(status->by_llm, report->figures.by_llm);
  const auto traces = export_job({folder.path("out.jsonl.job"), folder.path("answers.jsonl"), "", ""});
  ASSERT_TRUE(traces.ok()) << traces.status().message();
  EXPECT_EQ(traces->traces, report->figures.by_llm);
  EXPECT_EQ(json_lines(io::slurp(folder.path("answers.jsonl"))).size(), static_cast<size_t>(traces->traces));
}

TEST_F(ApiJob, AFaultNamesItsOptionAsData) {
  MockLlm mock;
  const auto field = [&](const std::function<void(JobRequest&)>& change) {
    JobRequest r = request(mock);
    change(r);
    const auto report = tracer::run_job(*device_, r, {});
    EXPECT_EQ(report.status().code(), ErrorCode::kBadInput);
    EXPECT_FALSE(contains(report.status().message(), "--")) << report.status().message();
    return report.status().field();
  };
  EXPECT_EQ(field([](JobRequest& r) { r.output = ""; }), "output");
  EXPECT_EQ(field([](JobRequest& r) { r.output = r.input.traces; }), "output");
  EXPECT_EQ(field([](JobRequest& r) { r.input.traces = "-"; }), "input");
  EXPECT_EQ(field([](JobRequest& r) { r.retry_errors = true; }), "retry_errors");
  EXPECT_EQ(field([](JobRequest& r) { r.batch = r.hold = true; }), "batch");
  EXPECT_EQ(field([](JobRequest& r) { r.llm.server.url = ""; }), "llm_url");
  EXPECT_EQ(field([](JobRequest& r) { r.llm.server.url = "file:///etc/passwd"; }), "llm_url");
  EXPECT_EQ(field([](JobRequest& r) { r.llm.server.key_env = "TRACER_TEST_NO_SUCH_KEY"; }), "llm_key_env");
  EXPECT_EQ(field([](JobRequest& r) { r.llm.model = ""; }), "llm_model");
  EXPECT_EQ(field([](JobRequest& r) { r.llm.max_cost_usd = 1; }), "prices");
  EXPECT_EQ(mock.stats()["requests"], 0);
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.jsonl.job")));
}

TEST_F(ApiJob, ACallThatIsStoppedKeepsItsAnswersAndAnotherGoesOn) {
  const std::string whole = output_without_faults({"--audit-rate", "0.1"});
  MockLlm mock({"--latency-ms", "20"});
  JobRequest r = request(mock);
  r.llm.concurrency = 2;
  const auto began = Clock::now();
  std::string warnings;
  Events events;
  events.warn = [&](std::string_view line) { warnings += line; };
  events.stopped = [&] { return Clock::now() - began > std::chrono::milliseconds(600); };
  const auto stopped = tracer::run_job(*device_, r, events);
  EXPECT_EQ(stopped.status().code(), ErrorCode::kInterrupted);
  EXPECT_TRUE(contains(as_flags(warnings), "--resume goes on"));
  const auto status = job_status(r.output);
  ASSERT_TRUE(status.ok()) << status.status().message();
  EXPECT_FALSE(status->finished);
  EXPECT_EQ(status->in_flight, 0);  // they were waited for
  EXPECT_GT(status->answered, 0);
  EXPECT_EQ(tracer::run_job(*device_, r, {}).status().code(), ErrorCode::kBadInput);  // there is a job already
  r.resume = true;
  const auto done = tracer::run_job(*device_, r, {});
  ASSERT_TRUE(done.ok()) << done.status().message();
  EXPECT_EQ(done->outcome, JobOutcome::kComplete);
  EXPECT_EQ(output(), whole);
  EXPECT_EQ(mock.stats()["answered_again"], 0);
}

TEST_F(ApiJob, AnAbandonedCallDoesNotWaitForWhatIsInFlight) {
  MockLlm mock({"--latency-ms", "60000"});
  const auto began = Clock::now();
  Events events;
  events.stopped = events.abandoned = [&] { return mock.stats()["requests"] > 0; };
  const auto report = tracer::run_job(*device_, request(mock), events);
  EXPECT_EQ(report.status().code(), ErrorCode::kInterrupted);
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(40));
  const auto status = job_status(folder.path("out.jsonl"));
  ASSERT_TRUE(status.ok()) << status.status().message();
  EXPECT_GT(status->in_flight, 0);
}

TEST_F(ApiJob, ASpentBudgetIsAnOutcomeAndSaysWhichOption) {
  MockLlm mock;
  JobRequest r = request(mock);
  r.llm.max_requests = 5;
  const auto report = tracer::run_job(*device_, r, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->outcome, JobOutcome::kBudget);
  EXPECT_EQ(as_flags(report->stopped), "budget: --max-requests reached");
  EXPECT_EQ(Json::parse(to_json(*report))["stopped"], "budget: --max-requests reached");
  EXPECT_GT(report->figures.pending, 0);
  for (const Json& line : lines())
    if (line["source"] == "error") {
      EXPECT_EQ(line["error"], "budget: --max-requests reached");
    }
}

TEST_F(ApiJob, APriceNeedsNoServerAndWritesNothing) {
  MockLlm mock;
  write("prices.json", R"({"m": {"input": 1.0, "output": 2.0}})");
  JobRequest r = request(mock);
  r.llm.server.url = r.output = "";
  r.llm.prices = folder.path("prices.json");
  const auto price = price_job(*device_, r, {});
  ASSERT_TRUE(price.ok()) << price.status().message();
  EXPECT_EQ(price->rows, kRows);
  EXPECT_EQ(price->rows, price->handled + price->to_llm);
  ASSERT_TRUE(price->cost_usd_about && price->cost_usd_at_most);
  EXPECT_GT(*price->cost_usd_at_most, *price->cost_usd_about);
  r = request(mock);
  r.llm.prices = folder.path("prices.json");
  const auto report = tracer::run_job(*device_, r, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->figures.asks, price->requests);
  ASSERT_TRUE(report->figures.cost.has_value());
  EXPECT_LE(static_cast<double>(*report->figures.cost) / 1e12, *price->cost_usd_at_most);
}

}  // namespace
}  // namespace tracer
