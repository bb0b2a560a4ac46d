// The artifact: what is written is read back, and nothing damaged is accepted.
#include "host/artifact/artifact.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "host/artifact/names.h"
#include "host/io/file.h"
#include "tests/host/artifact_example.h"
#include "tests/host/io_test_util.h"

namespace tracer {
namespace {

namespace fs = std::filesystem;
using io::slurp;
using io::TempFolder;

TEST(Artifact, ReadsBackWhatWasWritten) {
  const TempFolder folder;
  Artifact a = small_artifact();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  const auto b = read_artifact(folder.path("p"));
  ASSERT_TRUE(b.ok()) << b.status().message();
  EXPECT_EQ(b->digest, a.digest);
  EXPECT_EQ(b->policy.labels, a.policy.labels);
  EXPECT_EQ(b->policy.dimension, kDim);
  ASSERT_EQ(b->policy.stages.size(), 1u);
  const Stage &s = a.policy.stages[0], &t = b->policy.stages[0];
  EXPECT_TRUE(std::equal(s.softmax.w.data(), s.softmax.w.data() + s.softmax.w.size(), t.softmax.w.data()));
  EXPECT_EQ(t.softmax.b, s.softmax.b);
  EXPECT_EQ(t.neighbours.label, s.neighbours.label);
  EXPECT_EQ(t.neighbours.row, s.neighbours.row);
  EXPECT_EQ(t.neighbours.sharpness, s.neighbours.sharpness);
  EXPECT_EQ(t.vote_weight, s.vote_weight);
  EXPECT_EQ(t.kernel_weight, s.kernel_weight);
  EXPECT_EQ(t.kernel.k, s.kernel.k);
  EXPECT_EQ(t.kernel.temperature, s.kernel.temperature);
  EXPECT_EQ(t.kernel.prior, s.kernel.prior);
  ASSERT_EQ(t.kernel.vote.rows(), kLearnRows);
  EXPECT_TRUE(std::equal(s.kernel.vote.data(), s.kernel.vote.data() + s.kernel.vote.size(), t.kernel.vote.data()));
  EXPECT_EQ(t.acceptor.coef, s.acceptor.coef);
  EXPECT_EQ(t.gate.global_limit, s.gate.global_limit);
  EXPECT_EQ(t.gate.label_limit, s.gate.label_limit);
  ASSERT_EQ(b->policy.certificates.size(), 2u);
  EXPECT_EQ(b->policy.certificates[0].threshold, 0.1 + 0.2);  // to the last bit
  EXPECT_EQ(b->policy.certificates[0].labels.size(), 2u);
  EXPECT_EQ(b->policy.certificates[1].estimate.traces_missing, 1234);
  EXPECT_EQ(b->reference_ids, a.reference_ids);
}

TEST(Artifact, SameArtifactSameBytes) {
  const TempFolder folder;
  Artifact a = small_artifact(), b = small_artifact();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  ASSERT_TRUE(write_artifact(folder.path("q/"), b).ok());
  for (const auto& entry : fs::directory_iterator(folder.path("p")))
    EXPECT_EQ(slurp(entry.path()), slurp(folder.path("q/") + entry.path().filename().string())) << entry.path();
}

TEST(Artifact, ReplacesAnEarlierOneWholeAndLeavesNothingBeside) {
  const TempFolder folder;
  Artifact a = small_artifact();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  a.policy.alpha = 0.99;
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  const auto b = read_artifact(folder.path("p"));
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(b->policy.alpha, 0.99);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.root()), fs::directory_iterator()), 1);
}

TEST(Artifact, NeverReplacesSomethingElse) {
  const TempFolder folder;
  fs::create_directory(folder.path("home"));
  folder.write("home/letter.txt", "dear");
  folder.write("file", "x");
  Artifact a = small_artifact();
  for (const char* name : {"home", "file"}) {
    const Status s = write_artifact(folder.path(name), a);
    EXPECT_EQ(s.code(), ErrorCode::kBadInput) << name;
  }
  EXPECT_EQ(slurp(folder.path("home/letter.txt")), "dear");
  EXPECT_EQ(slurp(folder.path("file")), "x");
  const Status s = write_artifact(folder.path("file/below"), a);
  EXPECT_EQ(s.code(), ErrorCode::kIo);
}

TEST(Artifact, EveryFlippedByteIsRefused) {
  const TempFolder folder;
  Artifact a = small_artifact();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  for (const auto& entry : fs::directory_iterator(folder.path("p"))) {
    const std::string path = entry.path(), good = slurp(path);
    for (size_t i = 0; i < good.size(); i += 7) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 0x41);
      ASSERT_TRUE(io::write_file_atomic(path, bad).ok());
      const auto read = read_artifact(folder.path("p"));
      ASSERT_FALSE(read.ok()) << path << " byte " << i;
      EXPECT_EQ(read.status().code(), ErrorCode::kBadInput);
    }
    ASSERT_TRUE(io::write_file_atomic(path, good).ok());
  }
  EXPECT_TRUE(read_artifact(folder.path("p")).ok());
}

TEST(Artifact, EveryTruncationIsRefused) {
  const TempFolder folder;
  Artifact a = small_artifact();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  for (const auto& entry : fs::directory_iterator(folder.path("p"))) {
    const std::string path = entry.path(), good = slurp(path);
    for (size_t keep = 0; keep < good.size(); keep += 1 + good.size() / 40) {
      ASSERT_TRUE(io::write_file_atomic(path, good.substr(0, keep)).ok());
      EXPECT_FALSE(read_artifact(folder.path("p")).ok()) << path << " cut to " << keep;
    }
    ASSERT_TRUE(io::write_file_atomic(path, good).ok());
  }
}

TEST(Artifact, AMissingPartIsNamed) {
  for (const char* name :
       {kManifest, kCertificates, kWeights, kFrontier, kFindings, kLookLedger, kReferenceIds, kSums}) {
    const TempFolder folder;
    Artifact a = small_artifact();
    ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
    fs::remove(folder.path("p/") + name);
    const auto read = read_artifact(folder.path("p"));
    ASSERT_FALSE(read.ok()) << name;
    EXPECT_TRUE(io::contains(read.status().message(), name));
  }
}

// Damage that digests cannot show, because whoever made it wrote matching ones.
TEST(Artifact, WellSealedNonsenseIsRefusedWithExpectedAndFound) {
  const TempFolder folder;
  Artifact a = small_artifact();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  const std::string manifest = slurp(folder.path("p/") + kManifest),
                    certificates = slurp(folder.path("p/") + kCertificates);
  const auto weights = io::SafetensorsFile::open(folder.path("p/") + kWeights);
  ASSERT_TRUE(weights.ok());
  ASSERT_TRUE(parse_artifact(manifest, certificates, *weights).ok());
  const auto edited = [](std::string text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  struct Case {
    const char *from, *to, *expected;
  };
  const Case cases[] = {
      {"\"format_version\": 2", "\"format_version\": 1", "expected format version 2 to 7, found 1"},
      {"\"format\": \"tracer-policy\"", "\"format\": \"other\"", "found \"other\""},
      {"\"dimension\": 4", "\"dimension\": 5", "encoders: \"dimension\": expected 5 as of the policy, found 4"},
      {"\"weight\": 0.25", "\"weight\": 0.5", "expected weights that sum to 1"},
      {"\"dimension\": 4", "\"dimension\": -4", "dimension"},
      {"\"dimension\": 4", "\"dimension\": 4.5", "dimension"},
      {"\"dimension\": 4", "\"dimension\": 18446744073709551615", "dimension"},
      {"\"kind\": \"softmax\"", "\"kind\": \"oracle\"", "oracle"},
      {"\"kind\": \"softmax\"", "\"kind\": \"neighbours\"", "\"k\""},
      {"\"card\",", "\"card\", \"extra\",", "softmax.w"},
      {"\"card\",", "7,", "expected strings"},
      {"\"k\": 15", "\"k\": 65", "k"},
      {"\"k\": 15", "\"k\": 0", "k"},
      {"\"k\": 4", "\"k\": 65", "k"},
      {"\"k\": 4", "\"k\": 0", "expected 1 to 64"},
      {"\"temperature\": 12", "\"temperature\": -1", "temperature"},
      {"\"kind\": \"kernel\"", "\"kind\": \"softmax\"", "at most one kernel member, found \"softmax\""},
      {"\"alpha\": 0.9", "\"alpha\": \"0.9\"", "alpha"},
      {"\"alpha\": 0.9", "\"alpha\": 1e999", "manifest.json"},
      {"\"stages\": [", "\"stages\": [7,", "at most 1, found 2"},
  };
  for (const Case& c : cases) {
    const auto r = parse_artifact(edited(manifest, c.from, c.to), certificates, *weights);
    ASSERT_FALSE(r.ok()) << c.to;
    EXPECT_TRUE(io::contains(r.status().message(), c.expected)) << c.to;
  }
  const Case certificate_cases[] = {
      {"\"n_agree\": 79", "\"n_agree\": 81", "n_agree"},
      {"\"n_handled\": 80", "\"n_handled\": 101", "n_handled"},
      {"\"threshold\": 0.30000000000000004", "\"threshold\": null", "threshold"},
      {"\"threshold\": 0.30000000000000004", "\"threshold\": 1.5", "threshold"},
      {"\"index\": 1", "\"index\": 3", "index"},
      {"\"certified\": true", "\"certified\": 1", "certified"},
  };
  for (const Case& c : certificate_cases) {
    const auto r = parse_artifact(manifest, edited(certificates, c.from, c.to), *weights);
    ASSERT_FALSE(r.ok()) << c.to;
    EXPECT_TRUE(io::contains(r.status().message(), c.expected)) << c.to;
  }
  EXPECT_FALSE(parse_artifact(std::string(100000, '['), certificates, *weights).ok());
}

TEST(Artifact, APolicyThatCouldNotBeLearnedIsStillWritten) {
  const TempFolder folder;
  Artifact a = small_artifact();
  a.policy.stages.clear();
  a.policy.certificates.erase(a.policy.certificates.begin());
  a.reference_ids.clear();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  const auto b = read_artifact(folder.path("p"));
  ASSERT_TRUE(b.ok()) << b.status().message();
  EXPECT_TRUE(b->policy.stages.empty());
  EXPECT_FALSE(b->policy.certificates[0].certified);
}

}  // namespace
}  // namespace tracer
