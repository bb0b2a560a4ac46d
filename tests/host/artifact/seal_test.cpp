// What a forger with matching digests can do to an artifact, and what a folder must be for one to take its place.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/artifact/parts.h"
#include "tests/host/artifact_example.h"

namespace tracer {
namespace {

namespace fs = std::filesystem;
using io::contains;
using io::slurp;
using io::TempFolder;

TEST(ArtifactSeal, SealedPartsOfTheWrongTypeAreRefusedByName) {
  const TempFolder folder;
  Artifact a = small_artifact();
  const std::string deep = std::string(200000, '[');
  const std::string entry = R"([{"alpha":0.9,"certified":true,"method":"l2d","coverage":null,"teacher_agreement":null,)"
                            R"("teacher_agreement_lower":null,"threshold":)";
  struct Case {
    const char* part;
    std::string text;
  };
  const Case cases[] = {
      {kFrontier, "[1,2]"},
      {kFrontier, R"([{"alpha":"x"}])"},
      {kFrontier, "{}"},
      {kFrontier, entry + "\"x\"}]"},
      {kFrontier, R"([{"alpha":0.9,"certified":false,"method":"refused"}])"},
      {kFrontier, deep},
      {kFindings, R"({"warnings":1,"suspects":[]})"},
      {kFindings, R"({"warnings":[1],"suspects":[]})"},
      {kFindings, R"({"warnings":[],"suspects":[7]})"},
      {kFindings, R"({"warnings":[],"suspects":[{"line":"x"}]})"},
      {kFindings, "[]"},
      {kFindings, deep},
      {kFindings, deep + std::string(200000, ']')},
      {kLookLedger, "[]"},
      {kLookLedger, R"({"looks":{}})"},
      {kLookLedger, R"({"looks":[1]})"},
      {kLookLedger, deep},
      {kReferenceIds, R"({"ids":[1]})"},
      {kReferenceIds, deep},
      {kCertificates, deep},
  };
  for (const Case& c : cases) {
    fs::remove_all(folder.path("p"));
    ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
    forge(folder.path("p"), c.part, c.text);
    const auto read = read_artifact(folder.path("p"));
    const std::string what = std::string(c.part) + " " + c.text.substr(0, 100);
    ASSERT_FALSE(read.ok()) << what;
    EXPECT_EQ(read.status().code(), ErrorCode::kBadInput) << what;
    EXPECT_TRUE(read.status().message().starts_with(folder.path("p/") + c.part + ": ")) << read.status().message();
    if (c.part == std::string(kLookLedger)) {
      EXPECT_FALSE(read_look_ledger(folder.path("p")).ok()) << what;
    }
  }
  fs::remove_all(folder.path("p"));
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  forge(folder.path("p"), kFrontier, entry + "0.5}]");
  EXPECT_TRUE(read_artifact(folder.path("p")).ok());
}

// SHA256SUMS that agree with the files do not make up for a manifest that does not: its digest names the policy.
TEST(ArtifactSeal, TheManifestPinsEveryPart) {
  const TempFolder folder;
  Artifact a = small_artifact();
  for (const char* part : {kCertificates, kFindings, kFrontier, kLookLedger, kReferenceIds, kWeights}) {
    fs::remove_all(folder.path("p"));
    ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
    const std::string manifest = slurp(folder.path("p/") + kManifest), text = slurp(folder.path("p/") + part);
    std::string other = text + " ";
    if (part == std::string(kWeights)) other = text, other.back() ^= 1;  // its own header knows its size
    forge(folder.path("p"), part, other);
    forge(folder.path("p"), kManifest, manifest);
    auto read = read_artifact(folder.path("p"));
    ASSERT_FALSE(read.ok()) << part;
    EXPECT_TRUE(contains(read.status().message(), std::string("/") + part + ": not the part that the manifest"));

    folder.write(std::string("p/") + part, text);
    Json without = Json::parse(manifest);
    without["parts"].erase(part);
    forge(folder.path("p"), kManifest, without.dump(1) + "\n");
    read = read_artifact(folder.path("p"));
    ASSERT_FALSE(read.ok()) << part;
    EXPECT_TRUE(contains(read.status().message(), part));

    forge(folder.path("p"), kManifest, manifest);
    EXPECT_TRUE(read_artifact(folder.path("p")).ok()) << part;
  }
}

TEST(ArtifactSeal, MessagesNameAPathOnce) {
  const TempFolder folder;
  Artifact a = small_artifact();
  a.policy.stages[0].softmax.b[0] = std::numeric_limits<float>::infinity();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  std::string message = read_artifact(folder.path("p")).status().message();
  EXPECT_TRUE(message.starts_with(folder.path("p/weights.safetensors: stages.0.softmax.b"))) << message;
  a = small_artifact();
  a.policy.stages[0].label_frequency.pop_back();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  message = read_artifact(folder.path("p")).status().message();
  EXPECT_TRUE(message.starts_with(folder.path("p/weights.safetensors"))) << message;
  EXPECT_EQ(message.find(folder.root(), 1), std::string::npos) << message;
}

TEST(ArtifactSeal, CertificatesNameSplitAndSeed) {
  const TempFolder folder;
  Artifact a = small_artifact();
  a.policy.certificates[0].unit_rows = 7;
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  const Json j = Json::parse(slurp(folder.path("p/") + kCertificates));
  EXPECT_EQ(j["seed"], 1);
  EXPECT_EQ(j["split"]["kind"], "rows");
  const auto read = read_artifact(folder.path("p"));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->policy.certificates[0].unit_rows, 7);
}

// The fuzzer's seeds (tests/fuzz/corpus) are worth little once the format has moved on.
TEST(ArtifactSeal, FuzzSeedsAreStillArtifacts) {
  const char* source = std::getenv("TRACER_TEST_SOURCE");
  if (source == nullptr) GTEST_SKIP() << "TRACER_TEST_SOURCE does not name the source tree";
  const fs::path corpus = fs::path(source) / "tests/fuzz/corpus/fuzz_artifact";
  for (const char* name : {"policy", "no_stage", "second", "trees"}) {
    const std::string all = slurp(corpus / name);
    const size_t first = all.find('\xff'), second = all.find('\xff', first + 1);
    ASSERT_NE(second, std::string::npos) << name;
    const std::string bytes = all.substr(second + 1);
    const auto weights = io::SafetensorsFile::from_memory(bytes, "weights");
    ASSERT_TRUE(weights.ok()) << name;
    const auto a = parse_artifact(all.substr(0, first), all.substr(first + 1, second - first - 1), *weights);
    EXPECT_TRUE(a.ok()) << name << ": " << a.status().message();
  }
  EXPECT_TRUE(parse_frontier(slurp(corpus / "frontier"), "frontier").ok());
  EXPECT_TRUE(parse_findings(slurp(corpus / "explain"), "explain").ok());
  EXPECT_TRUE(parse_look_ledger(slurp(corpus / "ledger"), "ledger").ok());
  EXPECT_TRUE(parse_reference_ids(slurp(corpus / "references"), "references").ok());
}

TEST(ArtifactFolder, OnlyAPolicyAndNothingElseIsReplaced) {
  const TempFolder folder;
  Artifact a = small_artifact();
  // A folder of another program with a manifest of its own.
  fs::create_directory(folder.path("other"));
  folder.write("other/manifest.json", R"({"name":"an extension","manifest_version":3})");
  Status s = write_artifact(folder.path("other"), a);
  EXPECT_EQ(s.code(), ErrorCode::kBadInput);
  EXPECT_TRUE(contains(s.message(), "not a policy's"));
  folder.write("other/manifest.json", std::string(200000, '['));
  EXPECT_FALSE(check_replaceable(folder.path("other")).ok());
  // A policy to which its owner has added.
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  for (const char* name : {"notes.txt", ".hidden"}) {
    folder.write(std::string("p/") + name, "mine");
    s = write_artifact(folder.path("p"), a);
    EXPECT_EQ(s.code(), ErrorCode::kBadInput) << name;
    EXPECT_TRUE(contains(s.message(), name));
    EXPECT_EQ(slurp(folder.path("p/") + name), "mine");
    fs::remove(folder.path("p/") + name);
  }
  fs::remove(folder.path("p/ledger.json"));
  fs::create_directories(folder.path("p/ledger.json/below"));
  EXPECT_FALSE(check_replaceable(folder.path("p")).ok());
  fs::remove_all(folder.path("p/ledger.json"));
  EXPECT_TRUE(write_artifact(folder.path("p"), a).ok());
  fs::create_directory(folder.path("empty"));
  EXPECT_TRUE(write_artifact(folder.path("empty"), a).ok());
}

TEST(ArtifactFolder, PathsThatCannotBeAreRefused) {
  const TempFolder folder;
  folder.write("file", "x");
  fs::create_symlink("nowhere", folder.path("dangling"));
  EXPECT_EQ(check_replaceable("").code(), ErrorCode::kBadInput);
  EXPECT_EQ(check_replaceable("/").code(), ErrorCode::kBadInput);
  EXPECT_EQ(check_replaceable("/proc").code(), ErrorCode::kBadInput);  // a mount point
  EXPECT_EQ(check_replaceable(".").code(), ErrorCode::kBadInput);
  EXPECT_EQ(check_replaceable(fs::current_path().string() + "/.").code(), ErrorCode::kBadInput);
  EXPECT_EQ(check_replaceable(folder.path("file")).code(), ErrorCode::kBadInput);
  EXPECT_EQ(check_replaceable(folder.path("dangling")).code(), ErrorCode::kBadInput);
  EXPECT_EQ(check_replaceable(folder.path("dangling/")).code(), ErrorCode::kBadInput);
  EXPECT_EQ(check_replaceable(folder.path("missing/p")).code(), ErrorCode::kIo);
  EXPECT_EQ(check_replaceable(folder.path("missing/.")).code(), ErrorCode::kIo);
  EXPECT_EQ(check_replaceable(folder.path("file/p")).code(), ErrorCode::kIo);
  EXPECT_TRUE(check_replaceable(folder.path("new")).ok());
  EXPECT_TRUE(check_replaceable(folder.path("new//")).ok());
  EXPECT_FALSE(fs::exists(folder.path("new")));
  if (::geteuid() == 0) return;  // root may write everywhere
  fs::create_directory(folder.path("sealed"));
  ::chmod(folder.path("sealed").c_str(), 0555);
  EXPECT_EQ(check_replaceable(folder.path("sealed/p")).code(), ErrorCode::kIo);
  ::chmod(folder.path("sealed").c_str(), 0755);
}

TEST(ArtifactFolder, ALinkIsFollowedAndKept) {
  const TempFolder folder;
  Artifact a = small_artifact();
  fs::create_directory(folder.path("elsewhere"));
  ASSERT_TRUE(write_artifact(folder.path("elsewhere/p"), a).ok());
  fs::create_symlink("elsewhere/p", folder.path("link"));
  a.policy.alpha = 0.99;
  for (const char* name : {"link", "link/", "link/."}) ASSERT_TRUE(write_artifact(folder.path(name), a).ok()) << name;
  EXPECT_TRUE(fs::is_symlink(folder.path("link")));
  const auto read = read_artifact(folder.path("elsewhere/p"));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->digest, a.digest);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path("elsewhere")), fs::directory_iterator()), 1);
}

TEST(ArtifactFolder, LeftoversOfDeadProcessesAreRemoved) {
  const TempFolder folder;
  Artifact a = small_artifact();
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ::waitpid(dead, nullptr, 0);
  const std::string gone = "p.new-" + std::to_string(dead), alive = "p.new-1", mine = "p.new-year";
  for (const std::string& name : {gone, alive, mine}) {
    fs::create_directory(folder.path(name));
    folder.write(name + "/manifest.json", "{}");
  }
  folder.write(gone + "/letter.txt", "not ours");
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  EXPECT_TRUE(fs::exists(folder.path(gone)));
  fs::remove(folder.path(gone + "/letter.txt"));
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  EXPECT_FALSE(fs::exists(folder.path(gone)));
  EXPECT_TRUE(fs::exists(folder.path(alive)));
  EXPECT_TRUE(fs::exists(folder.path(mine)));
}

}  // namespace
}  // namespace tracer
