// The family rsb from `fit` to every command that reads a policy.
#include "tests/engine/two_rules.h"
#include "tests/host/cli_process.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

class CliResidual : public CliTest {
 protected:
  void write_two_rules(const std::string& name, int64_t rows, uint64_t seed) {
    const testing::TwoRules log = testing::two_rules(rows, seed);
    write_labelled(folder, name, log.x.view(), log.label);
  }
  Outcome fit(const std::string& out, const std::string& families, const std::string& threads) {
    return run({"fit", "log.jsonl", "-o", out, "--alpha", "0.85", "--sweep", "0.9", "--split", "rows", "--families",
                families, "--threads", threads});
  }
};

TEST_F(CliResidual, EveryCommandServesThePair) {
  write_two_rules("log", 3000, 1);
  write_two_rules("new", 1500, 2);
  const Outcome one = fit("one", "global,l2d,rsb", "1");
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_TRUE(contains(one.err, "coverage with a second surrogate")) << one.err;
  ASSERT_EQ(fit("two", "global,l2d,rsb", "2").code, 0);
  for (const char* part : {"manifest.json", "weights.safetensors", "certificate.json"})
    EXPECT_EQ(slurp(folder.path("one/") + part), slurp(folder.path("two/") + part)) << part;
  const Json manifest = Json::parse(slurp(folder.path("one/manifest.json")));
  EXPECT_EQ(manifest["format_version"], 7);
  EXPECT_EQ(manifest["run"]["families"], Json::parse(R"(["global", "l2d", "rsb"])"));
  ASSERT_EQ(manifest["stages"].size(), 2u);
  EXPECT_TRUE(manifest["stages"][1].contains("residual_below"));

  const Outcome report = run({"report", "one", "--json"});
  ASSERT_EQ(report.code, 0) << report.err;
  EXPECT_EQ(Json::parse(report.out)["frontier"][0]["method"], "rsb");
  ASSERT_EQ(fit("plain", "global,l2d", "1").code, 0);
  const auto evaluated = [&](const std::string& policy) {
    const Outcome o = run({"evaluate", policy, "new.jsonl", "--json"});
    EXPECT_EQ(o.code, 0) << o.err;
    return Json::parse(o.out);
  };
  const Json pair = evaluated("one"), plain = evaluated("plain");
  EXPECT_GT(pair["coverage"].get<double>(), plain["coverage"].get<double>() + 0.05) << pair << plain;
  EXPECT_GT(pair["teacher_agreement"].get<double>(), 0.83) << pair;

  ASSERT_EQ(run({"route", "one", "new.jsonl", "-o", "a.jsonl", "--threads", "1"}).code, 0);
  ASSERT_EQ(run({"route", "two", "new.jsonl", "-o", "b.jsonl", "--threads", "2"}).code, 0);
  EXPECT_EQ(slurp(folder.path("a.jsonl")), slurp(folder.path("b.jsonl")));
  int64_t handled = 0;
  for (const Json& line : json_lines(slurp(folder.path("a.jsonl")))) handled += line["decision"] == "handled";
  EXPECT_EQ(handled, std::llround(pair["coverage"].get<double>() * 1500));

  EXPECT_EQ(run({"inspect", "one", "--row", "3", "--embeddings", "new.npy"}).code, 0);
  EXPECT_EQ(run({"explain", "one", "--traces", "new.jsonl"}).code, 0);
  EXPECT_EQ(run({"report", "one", "--html", "page.html"}).code, 0);
  EXPECT_EQ(run({"diff", "plain", "one", "--traces", "new.jsonl"}).code, 0);
  EXPECT_EQ(run({"audit", "one", "new.jsonl"}).code, 0);
}

}  // namespace
}  // namespace tracer
