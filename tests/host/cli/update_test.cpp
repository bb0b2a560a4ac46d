// The loop of updates as its users meet it.
#include <signal.h>
#include <sys/file.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "host/artifact/artifact.h"
#include "tests/host/cli_process.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

// NAME.jsonl and .npy as `tracer run` exports answers: every fourth row audited, the others deferred.
void write_answers(const io::TempFolder& folder, const std::string& name, const SmallLog& log,
                   const std::string& new_label = "") {
  write_log(folder, name, log);
  std::string text;
  int64_t i = 0;
  for (Json row : json_lines(slurp(folder.path(name + ".jsonl")))) {
    row["id"] = name + std::to_string(i);
    row["provenance"] = i % 4 == 0 ? "audit" : "deferred";
    if (!new_label.empty() && i % 16 == 1) row["teacher"] = new_label;
    if (i % 200 == 0) row["teacher"] = nullptr;
    text += row.dump() + "\n";
    ++i;
  }
  folder.write(name + ".jsonl", text);
}

class CliUpdate : public CliTest {
 protected:
  void SetUp() override {
    // A champion that handles few rows, and answers that a challenger can learn more from.
    write_log(folder, "log", {.rows = 500, .noise = 1.3});
    ASSERT_NE(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet"}).code, 1);
    write_answers(folder, "a", {.rows = 1200, .noise = 1.0, .seed = 2});
    write_answers(folder, "b", {.rows = 3000, .noise = 1.0, .seed = 3});
  }
  Json update(const std::string& file, std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"update", "p", file, "--json", "--quiet"};
    args.insert(args.end(), more.begin(), more.end());
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 0) << o.err;
    return o.code == 0 ? Json::parse(o.out) : Json();
  }
  std::string manifest() { return slurp(folder.path("p/manifest.json")); }
};

TEST_F(CliUpdate, AChallengerIsFrozenCertifiedDeployedAndRolledBack) {
  const std::string first = manifest();
  const Json a = update("a.jsonl");
  EXPECT_EQ(a["decision"], "none");
  EXPECT_EQ(a["rows"]["audit"], 300);
  EXPECT_EQ(a["rows"]["unanswered"], 6);
  EXPECT_EQ(a["next"]["version"], 2);
  EXPECT_EQ(a["next"]["level"], 0.025);
  EXPECT_EQ(a["next"]["rows"], 500 + 1200 - 6);  // audit rows that came before it join learn
  EXPECT_EQ(manifest(), first);
  const Json b = update("b.jsonl");
  ASSERT_EQ(b["decision"], "deployed") << b.dump();
  EXPECT_EQ(b["champion"], 2);
  EXPECT_EQ(b["challenger"]["audit_rows"], 750);
  EXPECT_GT(b["change"]["coverage"]["after"].get<double>(), b["change"]["coverage"]["before"].get<double>());
  int64_t in_regions = 0;
  for (const Json& region : b["change"]["regions"]) {
    in_regions += region["n"].get<int64_t>();
    EXPECT_TRUE(contains(region["example"]["id"].get<std::string>(), "b")) << region;
    EXPECT_GE(region["labels"][0]["n"], region["labels"].back()["n"]) << region;
  }
  EXPECT_EQ(b["change"]["regions"].size(), 4u);  // of a log of four clusters
  EXPECT_EQ(in_regions, 750);
  EXPECT_EQ(b["next"]["number"], 2);
  EXPECT_TRUE(std::filesystem::exists(folder.path("p.versions/v000002.change.json")));
  const Outcome routed = run({"evaluate", "p", "log.jsonl"});
  EXPECT_EQ(routed.code, 0) << routed.err;
  const Json list = Json::parse(run({"versions", "p", "--json"}).out);
  EXPECT_EQ(list["champion"], 2);
  EXPECT_EQ(list["versions"].size(), 3u);
  EXPECT_EQ(list["versions"][2]["status"], "waiting");
  EXPECT_EQ(run({"promote", "p", "3"}).code, 3);  // never certified
  EXPECT_EQ(run({"promote", "p", "9"}).code, 2);
  // The version before is what a deployed one is explained against.
  write_log(folder, "fresh", {.rows = 400, .noise = 1.0, .seed = 9});
  const Outcome explained = run({"explain", "p", "--traces", "fresh.jsonl", "--json"});
  ASSERT_EQ(explained.code, 0) << explained.err;
  const Json since = Json::parse(explained.out)["since"];
  ASSERT_TRUE(since.is_object()) << explained.err;
  EXPECT_TRUE(contains(since["folder"].get<std::string>(), "p.versions/v000001"));
  EXPECT_EQ(since["n"], 400);
  EXPECT_GT(since["gained"], since["lost"]);
  const std::string second = manifest();
  const bool first_is_certified = list["versions"][0]["coverage"].is_number();
  const Outcome back = run({"rollback", "p"});
  ASSERT_EQ(back.code, first_is_certified ? 0 : 3) << back.err;
  if (first_is_certified) {
    EXPECT_EQ(manifest(), first);
    EXPECT_EQ(run({"rollback", "p"}).code, 1);
    EXPECT_EQ(run({"promote", "p", "2"}).code, 0);
  }
  EXPECT_EQ(manifest(), second);
  const Outcome diff = run({"diff", "p.versions/v000001", "p", "--traces", "b.jsonl", "--json"});
  ASSERT_EQ(diff.code, 0) << diff.err;
  const Json same = Json::parse(diff.out)["same_rows"];
  EXPECT_EQ(same["rows"], 3000);
  EXPECT_EQ(same["regions"].size(), 4u);
  const Outcome read = run({"diff", "p.versions/v000001", "p", "--traces", "b.jsonl"});
  EXPECT_TRUE(contains(read.out, "  region of ")) << read.out;
  EXPECT_TRUE(contains(read.out, "; such as line ")) << read.out;
}

// Every alpha of the champion is tested on the same audit rows; the one asked for decides.
TEST_F(CliUpdate, EveryAlphaOfTheChampionIsCertifiedWhereItsOwnWagersHavePassed) {
  update("a.jsonl");
  const Json b = update("b.jsonl");
  ASSERT_EQ(b["decision"], "deployed") << b.dump();
  const Json& alphas = b["challenger"]["certificates"];
  ASSERT_EQ(alphas.size(), 7u);
  EXPECT_EQ(b["challenger"]["alpha"], 0.9);
  EXPECT_EQ(b["challenger"]["certified"], true);
  int64_t certified = 0, least_handled = 750;
  for (const Json& c : alphas) {
    EXPECT_EQ(c["level"], 0.025);  // each alone
    certified += c["certified"].get<bool>();
    if (!c["certified"].get<bool>()) {
      EXPECT_EQ(c["n_handled"], 0) << c;
      continue;
    }
    EXPECT_LE(c["n_handled"].get<int64_t>(), least_handled) << c;  // more is asked: no more is handled
    least_handled = c["n_handled"].get<int64_t>();
  }
  EXPECT_GT(certified, 1);
  EXPECT_LT(certified, 7);
  const Json policy = Json::parse(slurp(folder.path("p/certificate.json")));
  ASSERT_EQ(policy["certificates"].size(), 7u);
  for (size_t i = 0; i < 7; ++i) {
    const Json& c = policy["certificates"][i];
    EXPECT_EQ(c["alpha"], alphas[i]["alpha"]);
    EXPECT_EQ(c["method"] != "refused", alphas[i]["certified"].get<bool>()) << c;
    const std::string at = alphas[i]["alpha"].dump();
    EXPECT_EQ(run({"evaluate", "p", "b.jsonl", "--alpha", at}).code, alphas[i]["certified"].get<bool>() ? 0 : 3) << at;
  }
  EXPECT_EQ(Json::parse(slurp(folder.path("p.versions/state.json")))["state"]["plans"].size(), 7u);
}

TEST_F(CliUpdate, AlphasThatHoldTogetherShareTheLevel) {
  ASSERT_NE(
      run({"fit", "log.jsonl", "--alpha", "0.9", "--sweep", "0.8", "0.99", "--simultaneous", "-o", "s", "--quiet"})
          .code,
      1);
  const Outcome first = run({"update", "s", "a.jsonl", "--json"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(Json::parse(first.out)["next"]["level"], 0.025 / 3);
  const Outcome o = run({"update", "s", "b.jsonl"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.out, "deployed; what changed")) << o.out;
  EXPECT_TRUE(contains(o.out, "certified at 0.8 too; not at 0.99\n")) << o.out;
  EXPECT_EQ(Json::parse(slurp(folder.path("s/manifest.json")))["simultaneous"], true);
  const Json policy = Json::parse(slurp(folder.path("s/certificate.json")));
  ASSERT_EQ(policy["certificates"].size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(policy["certificates"][i]["delta"], 0.025 / 3);
}

TEST_F(CliUpdate, TheSameFileAgainIsSpentOnce) {
  update("a.jsonl");
  const Json again = update("a.jsonl");
  EXPECT_EQ(again["rows"]["new"], 0);
  EXPECT_EQ(again["rows"]["known"], 1200);
  EXPECT_EQ(again["challenger"]["audit_rows"], 0);
  EXPECT_EQ(again["decision"], "waiting");
  // An id that stands for another text is no new row, and no old one either.
  std::string text = slurp(folder.path("a.jsonl"));
  text.replace(text.find("text number 4"), 13, "text NUMBER X");
  folder.write("c.jsonl", text);
  std::filesystem::copy(folder.path("a.npy"), folder.path("c.npy"));
  const Outcome o = run({"update", "p", "c.jsonl"});
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, "occurrence")) << o.err;
}

TEST_F(CliUpdate, AnAuditRowNeedsANameAndProvenanceAKnownWord) {
  folder.write("bad.jsonl", "{\"input\":\"x\",\"teacher\":\"y\",\"provenance\":\"audit\"}\n");
  std::filesystem::copy(folder.path("a.npy"), folder.path("bad.npy"));
  EXPECT_TRUE(contains(run({"update", "p", "bad.jsonl"}).err, "needs an \"occurrence\""));
  folder.write("bad.jsonl", "{\"input\":\"x\",\"teacher\":\"y\",\"provenance\":\"picked\"}\n");
  EXPECT_TRUE(contains(run({"update", "p", "bad.jsonl"}).err, "neither \"audit\" nor \"deferred\""));
}

TEST_F(CliUpdate, AChallengerTriesWhatItsChampionWasAskedToTry) {
  std::filesystem::remove_all(folder.path("p"));
  ASSERT_NE(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet", "--members", "softmax,neighbours,mlp",
                 "--families", "global,l2d,l2d_label", "--gate-share", "0.05"})
                .code,
            1);
  update("a.jsonl");
  const Json b = update("b.jsonl");
  ASSERT_EQ(b["decision"], "deployed") << b.dump();
  const Json before = Json::parse(slurp(folder.path("p.versions/v000001/manifest.json")))["run"];
  const Json after = Json::parse(manifest())["run"];
  EXPECT_TRUE(after.contains("update"));
  for (const char* asked : {"members", "families", "gate_share"}) {
    ASSERT_TRUE(before.contains(asked)) << asked;
    EXPECT_EQ(after[asked], before[asked]);
  }
  EXPECT_EQ(after["gate_share"], 0.05);
  const auto policy = read_artifact(folder.path("p"));
  ASSERT_TRUE(policy.ok());
  EXPECT_FALSE(policy->policy.stages[0].gate.reference_distance.empty());
}

TEST_F(CliUpdate, AChallengerLearnsFromItsChampionsDescriptions) {
  std::filesystem::remove_all(folder.path("p"));
  write_log(folder, "words", {.rows = 40, .noise = 0, .seed = 8});
  ASSERT_NE(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet", "--descriptions", "words.jsonl"}).code, 1);
  update("a.jsonl");
  const Json b = update("b.jsonl");
  ASSERT_EQ(b["decision"], "deployed") << b.dump();
  const auto before = read_artifact(folder.path("p.versions/v000001")), after = read_artifact(folder.path("p"));
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(before->run["descriptions"]["rows"], 40);
  EXPECT_EQ(before->descriptions.label.size(), 40u);
  EXPECT_EQ(after->descriptions.label, before->descriptions.label);
  EXPECT_EQ(after->run["descriptions"], before->run["descriptions"]);  // no label has few rows
  const Matrix<float>&x = before->descriptions.x, &y = after->descriptions.x;
  ASSERT_EQ(x.size(), y.size());
  EXPECT_TRUE(std::equal(x.data(), x.data() + x.size(), y.data()));
}

TEST_F(CliUpdate, NewLabelsAreNamed) {
  write_answers(folder, "n", {.rows = 400, .seed = 5}, "brand new");
  const Json j = update("n.jsonl");
  ASSERT_EQ(j["new_labels"].size(), 1u);
  EXPECT_EQ(j["new_labels"][0]["label"], "brand new");
  EXPECT_EQ(j["new_labels"][0]["n"], 25);
}

TEST_F(CliUpdate, AMissingLogIsReplacedByThePolicysRowsAndAnotherOneIsRefused) {
  std::filesystem::rename(folder.path("log.jsonl"), folder.path("gone.jsonl"));
  std::filesystem::rename(folder.path("log.npy"), folder.path("gone.npy"));
  EXPECT_EQ(run({"update", "p", "a.jsonl", "--traces", "b.jsonl"}).code, 1);
  const Outcome o = run({"update", "p", "a.jsonl", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.err, "that the policy holds instead"));
  EXPECT_GT(Json::parse(o.out)["next"]["rows"].get<int64_t>(), 1194 + 200);
}

TEST_F(CliUpdate, ADamagedOrMissingLedgerIsRefused) {
  update("a.jsonl");
  const std::string path = folder.path("p.versions/state.json"), good = slurp(path);
  std::string bad = good;
  bad.replace(bad.find("\"scored\": 0"), 11, "\"scored\": 7");
  folder.write("p.versions/state.json", bad);
  EXPECT_TRUE(contains(run({"update", "p", "b.jsonl"}).err, "damaged"));
  std::filesystem::remove(path);
  EXPECT_TRUE(contains(run({"update", "p", "b.jsonl"}).err, "missing"));
  folder.write("p.versions/state.json", good);
  std::string rows = slurp(folder.path("p.versions/rows-000002.safetensors"));
  rows[rows.size() / 2] ^= 1;
  folder.write("p.versions/rows-000002.safetensors", rows);
  EXPECT_TRUE(contains(run({"update", "p", "b.jsonl"}).err, "damaged"));
}

// The first update waits for its rows on standard input, the versions in its hands.
TEST_F(CliUpdate, WhileOneIsAtWorkAnotherIsRefused) {
  update("a.jsonl");
  const std::string state = slurp(folder.path("p.versions/state.json"));
  int rows[2];
  ASSERT_EQ(::pipe(rows), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(rows[0], 0), ::dup2(null, 1), ::dup2(null, 2);
    ::close(rows[0]), ::close(rows[1]);
    if (::chdir(folder.root().c_str()) != 0) ::_exit(99);
    const char* binary = std::getenv("TRACER_TEST_BINARY");
    ::execl(binary, binary, "update", "p", "-", "--embeddings", "b.npy", nullptr);
    ::_exit(98);
  }
  ::close(rows[0]);
  const int lock = ::open(folder.path("p.versions/lock").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(lock, 0);
  bool held = false;
  for (int tries = 0; tries < 3000 && !held; ++tries) {
    held = ::flock(lock, LOCK_EX | LOCK_NB) != 0;
    if (held) break;
    ::flock(lock, LOCK_UN);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ::close(lock);
  ASSERT_TRUE(held);
  for (const std::vector<std::string>& second : std::vector<std::vector<std::string>>{
           {"update", "p", "b.jsonl"}, {"versions", "p"}, {"promote", "p", "1"}, {"rollback", "p"}}) {
    const Outcome o = run(second);
    EXPECT_EQ(o.code, 3) << second[0] << o.err;
    EXPECT_TRUE(contains(o.err, "p.versions: in use by another process")) << o.err;
  }
  EXPECT_EQ(slurp(folder.path("p.versions/state.json")), state);
  const std::string text = slurp(folder.path("b.jsonl"));
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = ::write(rows[1], text.data() + at, text.size() - at);
    ASSERT_GT(n, 0);
    at += static_cast<size_t>(n);
  }
  ::close(rows[1]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(update("b.jsonl")["rows"]["known"], 3000);
}

TEST_F(CliUpdate, KilledAtAnyInstantThePolicyIsWholeAndTheUpdateCanBeGivenAgain) {
  update("a.jsonl");
  const std::string first = manifest();
  for (int delay_ms : {3, 15, 40, 80, 150, 300, 600}) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      const int null = ::open("/dev/null", O_RDWR);
      ::dup2(null, 1), ::dup2(null, 2);
      if (::chdir(folder.root().c_str()) != 0) ::_exit(99);
      const char* binary = std::getenv("TRACER_TEST_BINARY");
      ::execl(binary, binary, "update", "p", "b.jsonl", nullptr);
      ::_exit(98);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
    ::kill(pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(run({"report", "p"}).code, 0) << delay_ms;
    const Json list = Json::parse(run({"versions", "p", "--json"}).out);
    EXPECT_EQ(list["champion"] == 1, manifest() == first) << delay_ms;
  }
  const Json last = update("b.jsonl");
  EXPECT_EQ(last["champion"], 2);
  const Json state = Json::parse(slurp(folder.path("p.versions/state.json")))["state"];
  ASSERT_EQ(state["rows"].size(), 3u);  // the log, a and b: once each
  EXPECT_EQ(state["rows"][2]["challenger"], 2);
}

TEST_F(CliUpdate, TheAlarmFiresOnBadRowsOnly) {
  write_log(folder, "clean", {});
  ASSERT_EQ(run({"fit", "clean.jsonl", "--alpha", "0.9", "-o", "q", "--quiet"}).code, 0);
  write_answers(folder, "good", {.rows = 2000, .seed = 7});
  const Outcome good = run({"audit", "q", "good.jsonl", "--json"});
  EXPECT_EQ(good.code, 0) << good.err;
  std::string bad = slurp(folder.path("good.jsonl"));
  for (size_t at = 0; (at = bad.find("label 1", at)) != std::string::npos; ++at) bad.replace(at, 7, "label 2");
  folder.write("good.jsonl", bad);
  const Outcome o = run({"audit", "q", "good.jsonl", "--json"});
  EXPECT_EQ(o.code, 6) << o.err;
  EXPECT_LT(Json::parse(o.out)["teacher_agreement_upper"].get<double>(), 0.9);
}

}  // namespace
}  // namespace tracer
