// The member gbt from `fit` to every command that reads a policy.
#include <filesystem>

#include "engine/learn/gradient_boosting.h"
#include "tests/engine/band_log.h"
#include "tests/host/cli_process.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

class CliTrees : public CliTest {
 protected:
  void SetUp() override {
    if (const Status open = open_xgboost(); !open.ok()) GTEST_SKIP() << open.message();
    write("log", 1200, 1);
    write("new", 600, 2);
  }
  void write(const std::string& name, int64_t rows, uint64_t seed) {
    const testing::BandLog log = testing::band_log(rows, seed);
    write_labelled(folder, name, log.x.view(), log.label);
  }
  Outcome fit(const std::string& out, const std::string& threads) {
    return run({"fit", "log.jsonl", "-o", out, "--alpha", "0.85", "--sweep", "0.8", "--split", "rows", "--members",
                "softmax,neighbours,gbt", "--threads", threads});
  }
};

TEST_F(CliTrees, EveryCommandServesThem) {
  const Outcome one = fit("one", "1");
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_TRUE(contains(one.err, "gradient-boosted trees: out-of-fold loss")) << one.err;
  ASSERT_EQ(fit("two", "2").code, 0);
  for (const char* part : {"manifest.json", "weights.safetensors", "certificate.json"})
    EXPECT_EQ(slurp(folder.path("one/") + part), slurp(folder.path("two/") + part)) << part;
  const Json manifest = Json::parse(slurp(folder.path("one/manifest.json")));
  EXPECT_EQ(manifest["run"]["members"], Json::parse(R"(["gbt"])"));
  EXPECT_EQ(manifest["stages"][0]["members"].back()["kind"], "gbt");
  // Served where there is no XGBoost.
  ::setenv("TRACER_XGBOOST", folder.path("nothing.so").c_str(), 1);
  const Outcome again = fit("three", "1");
  const Outcome route = run({"route", "one", "new.jsonl", "-o", "a.jsonl", "--threads", "1"});
  const Outcome same = run({"route", "two", "new.jsonl", "-o", "b.jsonl", "--threads", "2"});
  const Outcome evaluate = run({"evaluate", "one", "new.jsonl", "--json"});
  ::unsetenv("TRACER_XGBOOST");
  EXPECT_EQ(again.code, 1);
  EXPECT_TRUE(contains(again.err, "nothing.so")) << again.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path("three")));
  ASSERT_EQ(route.code, 0) << route.err;
  ASSERT_EQ(same.code, 0) << same.err;
  EXPECT_EQ(slurp(folder.path("a.jsonl")), slurp(folder.path("b.jsonl")));
  ASSERT_EQ(evaluate.code, 0) << evaluate.err;
  EXPECT_GT(Json::parse(evaluate.out)["teacher_agreement"].get<double>(), 0.8);
  EXPECT_EQ(run({"inspect", "one", "--row", "3", "--embeddings", "new.npy"}).code, 0);
  EXPECT_EQ(run({"explain", "one", "--traces", "new.jsonl"}).code, 0);
  EXPECT_EQ(run({"report", "one", "--html", "page.html"}).code, 0);
}

}  // namespace
}  // namespace tracer
