// What decides a job's output, as it lies on the disk, and what two of them differ in.
#include "host/job/config.h"

#include <gtest/gtest.h>

#include "tests/host/io_test_util.h"
#include "tests/host/job_example.h"

namespace tracer::job {
namespace {

using io::contains;

// As version 0.1 wrote it: jobs of that version go on.
constexpr char kOfVersion01[] =
    R"({"policy":"4eed91a66cccff6d9da5075c6016aebd923ee43c5b1600f134e70f27fe0ed4f4","alpha":0.8,"input_bytes":38780,)"
    R"("input_key":"","format":"auto","labels":["label 0","label 1"],"audit_rate":0.25,"llm":{"api":"openai",)"
    R"("model":"m","prompt":"df838f6cb872a13d","prompt_text":"Answer:\n{labels}\n---\n{input}\n","structured":"auto",)"
    R"("max_output_tokens":64,"temperature":0.5,"price":{"prompt":1500000,"completion":2000000}},)"
    R"("job_id":"bfc5709d67592504","audit_seed":9})";

std::string edited(const std::string& from, const std::string& to) {
  std::string text = kOfVersion01;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(JobConfig, ReadsAndWritesTheBytesOfVersion01) {
  const auto config = parse_config(kOfVersion01, "x.job");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->rows.alpha, 0.8);
  EXPECT_EQ(config->rows.input_bytes, 38780);
  EXPECT_EQ(config->rows.labels, (std::vector<std::string>{"label 0", "label 1"}));
  EXPECT_EQ(config->audit_rate, 0.25);
  EXPECT_EQ(config->llm.api, LlmApi::kOpenAi);
  EXPECT_TRUE(config->llm.structured);
  EXPECT_EQ(config->llm.prompt_text, "Answer:\n{labels}\n---\n{input}\n");
  ASSERT_TRUE(config->llm.price.has_value());
  EXPECT_EQ(config->llm.price->completion, 2'000'000);
  EXPECT_EQ(config->job_id, "bfc5709d67592504");
  EXPECT_EQ(config->audit_seed, 9);
  EXPECT_EQ(config_text(*config), kOfVersion01);
  for (const auto& [from, to] : {std::pair("\"api\":\"openai\"", "\"api\":\"anthropic\""),
                                 {"\"structured\":\"auto\"", "\"structured\":\"off\""},
                                 {"\"input_bytes\":38780", "\"input_bytes\":null"},
                                 {"{\"prompt\":1500000,\"completion\":2000000}", "null"},
                                 {"\"temperature\":0.5", "\"temperature\":0.0"}}) {
    const auto other = parse_config(edited(from, to), "x.job");
    ASSERT_TRUE(other.ok()) << other.status().message();
    EXPECT_EQ(config_text(*other), edited(from, to));
  }
}

TEST(JobConfig, DamageIsNamed) {
  const auto fault = [](const std::string& text) {
    const auto config = parse_config(text, "x.job: config");
    EXPECT_EQ(config.status().code(), ErrorCode::kBadInput) << text;
    EXPECT_EQ(config.status().message().rfind("x.job: config", 0), 0u) << config.status().message();
    return config.status().message();
  };
  for (const char* field : {"policy", "alpha", "input_bytes", "input_key", "format", "labels", "audit_rate", "llm",
                            "api", "model", "prompt", "prompt_text", "structured", "max_output_tokens", "temperature",
                            "price", "completion", "job_id", "audit_seed"})
    EXPECT_TRUE(contains(fault(edited("\"" + std::string(field) + "\":", "\"other\":")), field)) << field;
  EXPECT_TRUE(contains(fault(edited("\"api\":\"openai\"", "\"api\":\"telegraph\"")), "telegraph"));
  EXPECT_TRUE(contains(fault(edited("\"structured\":\"auto\"", "\"structured\":true")), "structured"));
  EXPECT_TRUE(contains(fault(edited("\"label 1\"", "1")), "labels"));
  EXPECT_TRUE(contains(fault(edited("\"audit_seed\":9", "\"audit_seed\":-9")), "audit_seed"));
  EXPECT_TRUE(contains(fault(edited("\"alpha\":0.8", "\"alpha\":80")), "alpha"));
  fault("");
  fault("[]");
  fault("{}");
}

TEST(JobConfig, ADifferenceIsSaidInWords) {
  const JobConfig job = job_config({"a", "b"});
  JobConfig now = job;
  EXPECT_EQ(difference(now, job), "");
  now.job_id = "another", now.audit_seed = 1;  // given once and for all
  EXPECT_EQ(difference(now, job), "");
  now.llm.temperature = 1;
  EXPECT_EQ(difference(now, job), "llm.temperature: the job has 0.0, now it is 1.0");
  now.rows.input_bytes.reset();
  EXPECT_EQ(difference(now, job), "input_bytes: the job has 1234, now it is null");
  EXPECT_EQ(difference(now.rows, job.rows), "input_bytes: the job has 1234, now it is null");
  now = job;
  now.llm.price = llm::Price{1, 2};
  EXPECT_EQ(difference(now, job), R"(llm.price: the job has null, now it is {"prompt":1,"completion":2})");
  JobConfig priced = now;
  priced.llm.price->completion = 3;
  EXPECT_EQ(difference(now, priced), "llm.price.completion: the job has 3, now it is 2");
  EXPECT_EQ(difference(now.rows, job.rows), "");  // rows alone are the same
  now = job;
  now.rows.labels.assign(100, "label");
  const std::string long_one = difference(now, job);
  EXPECT_EQ(long_one.rfind(R"(labels: the job has ["a","b"], now it is ["label",)", 0), 0u) << long_one;
  EXPECT_LT(long_one.size(), 150u);
}

}  // namespace
}  // namespace tracer::job
