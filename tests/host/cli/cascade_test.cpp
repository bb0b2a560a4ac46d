// A cascade from the log to the answers: what the text stage answers is not embedded, and nothing else changes.
#include <filesystem>

#include "tests/host/cli_process.h"
#include "tests/host/cli_run_fixture.h"
#include "tests/host/mock_server.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

class CliCascade : public CliTest {
 protected:
  static constexpr int kLog = 3000, kFresh = 600;

  // As mock_llm embeds them: by the label that a text's hash gives. Of three texts, two name their label.
  static std::string rows(int count, int first) {
    std::string out;
    for (int i = first, made = 0; made < count; ++i) {
      std::string input = "some question " + std::to_string(i);
      for (int t = 0; i % 3 != 0 && t < 4; ++t) {
        const std::string easy = "question on topic" + std::to_string(t) + " " + std::to_string(i);
        if (io::xxh64(easy) % 4 == static_cast<uint64_t>(t)) input = easy;
      }
      const std::string label = "label " + std::to_string(io::xxh64(input) % 4);
      out += Json{{"id", "r" + std::to_string(i)}, {"input", input}, {"teacher", label}}.dump() + "\n";
      ++made;
    }
    return out;
  }

  void SetUp() override {
    folder.write("log.jsonl", rows(kLog, 0));
    folder.write("fresh.jsonl", rows(kFresh, 100000));
  }
  std::vector<std::string> server(const MockLlm& mock) const {
    return {"--embed-url", mock.address() + "/v1/embeddings", "--embed-model", "m"};
  }
  Outcome command(std::vector<std::string> args, const std::vector<std::string>& more) {
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  void fit_cascade(const MockLlm& mock) {
    const Outcome o =
        command({"fit", "log.jsonl", "--cascade", "--alpha", "0.9", "--sweep", "0.95", "-o", "p"}, server(mock));
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_TRUE(contains(o.out, "from the text alone")) << o.out;
  }
  int64_t embedded(const MockLlm& mock) { return mock.stats()["embed"]["texts"].get<int64_t>(); }
};

TEST_F(CliCascade, WhatTheTextStageAnswersIsNotEmbedded) {
  MockLlm mock;
  fit_cascade(mock);
  const Json certificates = Json::parse(slurp(folder.path("p/certificate.json")))["certificates"];
  EXPECT_LT(certificates[0]["text_stage"]["threshold"], 1);
  EXPECT_GT(certificates[0]["text_stage"]["n_handled"], 0.3 * certificates[0]["n_handled"].get<double>());

  MockLlm other;  // counts the texts of this pass
  Outcome o = command({"route", "p", "fresh.jsonl", "-o", "out.jsonl"}, server(other));
  ASSERT_EQ(o.code, 0) << o.err;
  const auto lines = json_lines(slurp(folder.path("out.jsonl")));
  ASSERT_EQ(lines.size(), static_cast<size_t>(kFresh));
  int64_t by_text = 0, handled = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["id"], "r" + std::to_string(100000 + i));
    by_text += lines[i]["stage"] == "text";
    handled += lines[i]["stage"] == "text" && lines[i]["decision"] == "handled";
  }
  EXPECT_GT(by_text, kFresh / 3);
  EXPECT_EQ(embedded(other), kFresh - by_text + 1);  // and one for the dimension
  const Json meta = Json::parse(slurp(folder.path("out.jsonl.meta.json")));
  EXPECT_EQ(meta["stages"]["text"]["rows"], by_text);
  EXPECT_EQ(meta["stages"]["text"]["handled"], handled);
  EXPECT_EQ(meta["stages"]["text"]["rows"].get<int64_t>() + meta["stages"]["vector"]["rows"].get<int64_t>(), kFresh);

  // With vectors beside the rows, whatever the number of threads: the same answers.
  ASSERT_EQ(command({"embed", "fresh.jsonl", "-o", "fresh.npy"}, server(mock)).code, 0);
  for (const char* threads : {"1", "3"}) {
    o = run({"route", "p", "fresh.jsonl", "-o", "given.jsonl", "--threads", threads});
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(slurp(folder.path("given.jsonl")), slurp(folder.path("out.jsonl")));
  }

  o = run({"evaluate", "p", "fresh.jsonl", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json figures = Json::parse(o.out);
  EXPECT_EQ(figures["stages"]["text"]["rows"], by_text);
  EXPECT_EQ(figures["stages"]["text"]["handled"], handled);
  EXPECT_EQ(figures["stages"]["text"]["handled"].get<int64_t>() + figures["stages"]["vector"]["handled"].get<int64_t>(),
            figures["handled"]);
  EXPECT_GE(figures["teacher_agreement"], 0.85);
  EXPECT_TRUE(contains(run({"evaluate", "p", "fresh.jsonl"}).out, "answered from the text alone"));
}

TEST_F(CliCascade, ARunGivesTheRowsThatRouteGivesAndGoesOnWhereItStopped) {
  MockLlm mock;
  fit_cascade(mock);
  ASSERT_EQ(command({"route", "p", "fresh.jsonl", "-o", "out.jsonl"}, server(mock)).code, 0);
  const std::vector<std::string> args = {
      "run",         "p", "fresh.jsonl",  "-o", "run.jsonl", "--llm-url", mock.address() + "/v1",
      "--llm-model", "m", "--audit-rate", "0"};
  ASSERT_EQ(command(args, server(mock)).code, 0);
  const auto routed = json_lines(slurp(folder.path("out.jsonl"))), ran = json_lines(slurp(folder.path("run.jsonl")));
  ASSERT_EQ(ran.size(), routed.size());
  for (size_t i = 0; i < ran.size(); ++i) {
    EXPECT_EQ(ran[i]["id"], routed[i]["id"]);
    EXPECT_EQ(ran[i]["source"] == "surrogate", routed[i]["decision"] == "handled") << i;
    if (routed[i]["decision"] == "handled") {
      EXPECT_EQ(ran[i]["label"], routed[i]["label"]);
    }
  }
  // A torn output is made whole: the rows after the tear are routed again, in their company.
  const std::string whole = slurp(folder.path("run.jsonl"));
  std::filesystem::resize_file(folder.path("run.jsonl"), whole.size() / 2);
  std::vector<std::string> again = args;
  again.push_back("--resume");
  ASSERT_EQ(command(again, server(mock)).code, 0);
  EXPECT_EQ(slurp(folder.path("run.jsonl")), whole);
}

TEST_F(CliCascade, InspectSaysWhichStageAnswersAndWhatKnowsOneStageRefuses) {
  MockLlm mock;
  fit_cascade(mock);
  Outcome o = command({"inspect", "p", "--text", "question on topic1 again", "--json"}, server(mock));
  ASSERT_EQ(o.code, 0) << o.err;
  Json d = Json::parse(o.out);
  EXPECT_EQ(d["stage"], "text");
  EXPECT_EQ(d["surrogate"], "label 1");
  EXPECT_TRUE(d["neighbours"].is_null());
  o = command({"inspect", "p", "--text", "question on topic1 again"}, server(mock));
  EXPECT_TRUE(contains(o.out, "no vector was made of it")) << o.out;
  o = command({"inspect", "p", "--text", "entirely unheard of", "--json"}, server(mock));
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(Json::parse(o.out)["stage"], "vector");
  ASSERT_EQ(command({"embed", "log.jsonl", "-o", "log.npy"}, server(mock)).code, 0);
  o = run({"inspect", "p", "--row", "1", "--embeddings", "log.npy"});
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, "give --text")) << o.err;
  EXPECT_EQ(run({"report", "p"}).code, 0);
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"explain", "p", "--curve"}, {"update", "p", "log.jsonl"}}) {
    o = run(args);
    EXPECT_EQ(o.code, 1) << args[0];
    EXPECT_TRUE(contains(o.err, "expected a policy of one stage")) << args[0] << ": " << o.err;
  }
  EXPECT_EQ(run({"diff", "p", "p"}).code, 0);
}

TEST_F(CliCascade, AnExplanationIsOfTheStageThatAnswers) {
  MockLlm mock;
  fit_cascade(mock);
  ASSERT_EQ(command({"embed", "fresh.jsonl", "-o", "fresh.npy"}, server(mock)).code, 0);
  ASSERT_EQ(run({"route", "p", "fresh.jsonl", "-o", "out.jsonl"}).code, 0);
  Outcome o = run({"explain", "p", "--traces", "fresh.jsonl", "--rows", "rows.jsonl", "--json", "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  const auto routed = json_lines(slurp(folder.path("out.jsonl"))), rows = json_lines(slurp(folder.path("rows.jsonl")));
  ASSERT_EQ(rows.size(), static_cast<size_t>(kFresh));
  int64_t by_text = 0, handled = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i]["id"], routed[i]["id"]);
    EXPECT_EQ(rows[i]["stage"], routed[i]["stage"]);
    EXPECT_EQ(rows[i]["score"], routed[i]["score"]);
    EXPECT_EQ(rows[i]["decision"], routed[i]["reason"]);
    if (routed[i]["decision"] == "handled") {
      EXPECT_EQ(rows[i]["surrogate"], routed[i]["label"]);
    }
    EXPECT_GE(rows[i]["probability"], 0.25) << "the largest of four";
    EXPECT_LE(rows[i]["probability"], 1.0 + 1e-6);
    EXPECT_GT(rows[i]["nearest"], -1.01) << "also of rows that were not looked up";
    by_text += rows[i]["stage"] == "text", handled += rows[i]["decision"] == "accepted";
  }
  EXPECT_GT(by_text, kFresh / 3);
  EXPECT_EQ(Json::parse(o.out)["n_handled"], handled);
  // Of its own log, the rows that certified it.
  o = command({"explain", "p", "--json"}, server(mock));
  ASSERT_EQ(o.code, 0) << o.err;
  const Json own = Json::parse(o.out), certificate = Json::parse(slurp(folder.path("p/certificate.json")));
  EXPECT_EQ(own["rows"]["kind"], "certify");
  EXPECT_EQ(own["n_handled"], certificate["certificates"][0]["n_handled"]);
  EXPECT_EQ(own["n_agree"], certificate["certificates"][0]["n_agree"]);
  // Beside an earlier policy without a text stage, and the other way round.
  ASSERT_EQ(command({"fit", "log.jsonl", "--alpha", "0.9", "--sweep", "0.95", "-o", "q"}, server(mock)).code, 0);
  for (const bool cascade_first : {false, true}) {
    o = run({"explain", cascade_first ? "q" : "p", "--since", cascade_first ? "p" : "q", "--traces", "fresh.jsonl",
             "--json", "--quiet"});
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(Json::parse(o.out)["since"]["n_handled"][cascade_first ? "before" : "now"], handled);
  }
  ASSERT_EQ(run({"report", "p", "--html", "r.html", "--traces", "fresh.jsonl"}).code, 0);
  EXPECT_GT(slurp(folder.path("r.html")).size(), 10000u);
}

// Both see the rows as route does, whichever stage answers them.
TEST_F(CliCascade, AnAuditAndADiffCountWhatRouteAnswers) {
  MockLlm mock;
  fit_cascade(mock);
  ASSERT_EQ(command({"fit", "log.jsonl", "--alpha", "0.9", "--sweep", "0.95", "-o", "q"}, server(mock)).code, 0);
  std::string audited;
  for (Json row : json_lines(slurp(folder.path("fresh.jsonl")))) {
    row["provenance"] = "audit";
    audited += row.dump() + "\n";
  }
  folder.write("audited.jsonl", audited);
  Json figures[2];
  for (const bool alone : {false, true}) {
    const Outcome o = command({"evaluate", alone ? "q" : "p", "fresh.jsonl", "--json"}, server(mock));
    ASSERT_EQ(o.code, 0) << o.err;
    figures[alone] = Json::parse(o.out);
  }
  ASSERT_GT(figures[0]["stages"]["text"]["handled"], 100);
  const auto check = [&](const Outcome& o, const std::vector<std::string>& what) {
    ASSERT_EQ(o.code, 0) << what[0] << ": " << o.err;
    const Json j = Json::parse(o.out);
    EXPECT_EQ(j["audit_rows"], kFresh);
    EXPECT_EQ(j["n_handled"], figures[0]["handled"]);
    EXPECT_EQ(j["teacher_agreement"], figures[0]["teacher_agreement"]);
  };
  check(command({"audit", "p", "audited.jsonl", "--json"}, server(mock)), {"text"});
  ASSERT_EQ(command({"embed", "audited.jsonl", "-o", "audited.npy"}, server(mock)).code, 0);
  check(run({"audit", "p", "audited.jsonl", "--json"}), {"vectors"});
  for (const bool swapped : {false, true}) {
    const Outcome o = run({"diff", swapped ? "p" : "q", swapped ? "q" : "p", "--traces", "audited.jsonl", "--json"});
    ASSERT_EQ(o.code, 0) << o.err;
    const Json same = Json::parse(o.out)["same_rows"];
    EXPECT_EQ(same["n_handled"]["before"], figures[!swapped]["handled"]);
    EXPECT_EQ(same["n_handled"]["after"], figures[swapped]["handled"]);
    EXPECT_EQ(same["teacher_agreement"]["after"], figures[swapped]["teacher_agreement"]);
  }
}

TEST_F(CliCascade, SameLogSameBytes) {
  MockLlm mock;
  ASSERT_EQ(command({"embed", "log.jsonl", "-o", "log.npy"}, server(mock)).code, 0);
  for (const char* threads : {"1", "2"}) {
    const Outcome o = run({"fit", "log.jsonl", "--cascade", "--alpha", "0.9", "--threads", threads, "-o", threads});
    ASSERT_EQ(o.code, 0) << o.err;
  }
  EXPECT_EQ(slurp(folder.path("1/SHA256SUMS")), slurp(folder.path("2/SHA256SUMS")));
  const Outcome o = run({"fit", "log.jsonl", "--cascade-tolerance", "0.1", "-o", "q"});
  EXPECT_EQ(o.code, 2) << "it goes with --cascade";
}

}  // namespace
}  // namespace tracer
