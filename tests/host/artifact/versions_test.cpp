// What versions 3 to 7 of the artifact brought: it is read back, damaged it is refused, and so it is where an older
// version is claimed.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "host/artifact/artifact.h"
#include "host/artifact/names.h"
#include "host/io/file.h"
#include "tests/host/artifact_example.h"
#include "tests/host/io_test_util.h"

namespace tracer {
namespace {

namespace fs = std::filesystem;
using io::slurp;
using io::TempFolder;

// One place of one part written otherwise, and what the refusal says of it.
struct Rewrite {
  bool in_manifest;
  const char *from, *to, *expected;
};

// The policy at that path, rewritten in one place after the other.
void expect_refused(const std::string& policy, const std::vector<Rewrite>& cases) {
  const std::string manifest = slurp(policy + "/" + kManifest), certificates = slurp(policy + "/" + kCertificates);
  const auto weights = io::SafetensorsFile::open(policy + "/" + kWeights);
  ASSERT_TRUE(weights.ok());
  for (const Rewrite& c : cases) {
    std::string text = c.in_manifest ? manifest : certificates;
    const size_t at = text.find(c.from);
    ASSERT_NE(at, std::string::npos) << c.from;
    text.replace(at, std::string(c.from).size(), c.to);
    const auto r =
        c.in_manifest ? parse_artifact(text, certificates, *weights) : parse_artifact(manifest, text, *weights);
    ASSERT_FALSE(r.ok()) << c.to;
    EXPECT_TRUE(io::contains(r.status().message(), c.expected)) << c.to << ": " << r.status().message();
  }
}

// What is read and written again is what was written.
void expect_same_bytes(const std::string& policy, const std::string& again) {
  for (const std::string part : {kManifest, kWeights, kCertificates})
    EXPECT_EQ(slurp(policy + "/" + part), slurp(again + "/" + part)) << part;
}

TEST(Artifact, DeferredLabelsAreReadBackAndNeedTheirVersion) {
  const TempFolder folder;
  Artifact a = small_artifact();
  ASSERT_TRUE(write_artifact(folder.path("old"), a).ok());
  EXPECT_TRUE(io::contains(slurp(folder.path("old/") + kManifest), "\"format_version\": 2"));  // older readers take it
  a.policy.never = {0, 2};
  a.policy.label_floor = 0.9;
  a.policy.certificates[0].floored = {{1, 20, 17}, {2, 0, 0}};
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  const auto b = read_artifact(folder.path("p"));
  ASSERT_TRUE(b.ok()) << b.status().message();
  EXPECT_EQ(b->policy.never, a.policy.never);
  EXPECT_EQ(b->policy.label_floor, 0.9);
  const auto& floored = b->policy.certificates[0].floored;
  ASSERT_EQ(floored.size(), 2u);
  EXPECT_EQ(floored[0].label, 1);
  EXPECT_EQ(floored[0].handled, 20);
  EXPECT_EQ(floored[0].agree, 17);
  EXPECT_EQ(floored[1].label, 2);
  const std::vector<Rewrite> cases = {
      {true, "\"format_version\": 3", "\"format_version\": 2", "\"never\": expected format version 3, found 2"},
      {true, "\"format_version\": 3", "\"format_version\": 8", "expected format version 2 to 7, found 8"},
      {true, "\"never\": [\n  \"card\"", "\"never\": [\n  \"cart\"",
       "manifest.json: never: expected labels of the policy, found \"cart\""},
      {true, "\"never\": [\n  \"card\"", "\"never\": [\n  7", "manifest.json: never: expected strings"},
      {true, "\"never\": [\n  \"card\"", "\"never\": [\n  \"ünï\"", "never: expected distinct labels"},
      {true, "\"label_floor\": 0.9", "\"label_floor\": 2", "manifest.json: \"label_floor\""},
      {true, "\"label_floor\": 0.9", "\"label_floor\": 0", "expected a label floor in manifest.json, found none"},
      {false, "\"n_agree\": 17", "\"n_agree\": 21", "certificate.json: below_label_floor: \"n_agree\""},
      {false, "\"index\": 2", "\"index\": 3", "certificate.json: below_label_floor: \"index\""},
      {false, "\"index\": 2", "\"index\": 1", "expected ascending labels, found 1 after 1"},
      {false, "\"below_label_floor\": [", "\"below_label_floor\": 1, \"x\": [", "below_label_floor"},
  };
  expect_refused(folder.path("p"), cases);
}

TEST(Artifact, NetworksAndThresholdsByLabelAreReadBackAndNeedTheirVersion) {
  const TempFolder folder;
  Artifact a = artifact_of_version_4();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  auto b = read_artifact(folder.path("p"));
  ASSERT_TRUE(b.ok()) << b.status().message();
  const Stage &s = a.policy.stages[0], &t = b->policy.stages[0];
  const auto same = [](const Matrix<float>& x, const Matrix<float>& y) {
    return x.rows() == y.rows() && x.cols() == y.cols() && std::equal(x.data(), x.data() + x.size(), y.data());
  };
  ASSERT_EQ(t.added.size(), 2u);
  for (size_t m = 0; m < 2; ++m) {
    EXPECT_EQ(t.added[m].kind, s.added[m].kind);
    EXPECT_EQ(t.added[m].weight, s.added[m].weight);
    EXPECT_EQ(t.added[m].b, s.added[m].b);
    EXPECT_TRUE(same(t.added[m].w, s.added[m].w));
    ASSERT_EQ(t.added[m].hidden.size(), s.added[m].hidden.size());
    for (size_t l = 0; l < s.added[m].hidden.size(); ++l) {
      EXPECT_TRUE(same(t.added[m].hidden[l].w, s.added[m].hidden[l].w));
      EXPECT_EQ(t.added[m].hidden[l].b, s.added[m].hidden[l].b);
    }
  }
  EXPECT_EQ(t.acceptor.coef, s.acceptor.coef);
  EXPECT_EQ(t.acceptor.label_offset, s.acceptor.label_offset);
  EXPECT_EQ(t.kernel_weight, s.kernel_weight);
  EXPECT_EQ(b->policy.certificates[0].method, Method::kL2dLabel);
  ASSERT_TRUE(write_artifact(folder.path("q"), *b).ok());
  expect_same_bytes(folder.path("p"), folder.path("q"));

  const std::vector<Rewrite> cases = {
      {true, "\"format_version\": 4", "\"format_version\": 3", "at most one kernel member, found \"prototype\""},
      {true, "\"kind\": \"prototype\"", "\"kind\": \"mlp2\"", "\"hidden\": expected 2 layers of a mlp2, found 0"},
      {true, "\"kind\": \"mlp2\"", "\"kind\": \"prototype\"", "found \"prototype\""},
      {true, "\"kind\": \"mlp2\"", "\"kind\": \"forest\"", "prototype, mlp, mlp2 and gbt, found \"forest\""},
      {true, "\"activation\": \"relu\"", "\"activation\": \"tanh\"", "expected \"relu\", found \"tanh\""},
      {true, "      3,\n", "      4,\n", "mlp2.hidden.0.w"},
      {true, "      3,\n", "      0,\n", "expected whole numbers from 1"},
      {true, "      3,\n", "      1e300,\n", "expected whole numbers from 1"},
      {true, "\"family\": \"l2d_label\"", "\"family\": \"rsb\"", "expected \"l2d_label\", found \"rsb\""},
  };
  expect_refused(folder.path("p"), cases);
  const std::string weights_bytes = slurp(folder.path("p/") + kWeights);
  for (size_t at = 0; at < weights_bytes.size(); at += 7) {
    std::string flipped = weights_bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 4);
    std::ofstream(folder.path("p/") + kWeights, std::ios::binary) << flipped;
    ASSERT_FALSE(read_artifact(folder.path("p")).ok()) << at;
  }
}

TEST(Artifact, TreesAreReadBackAndChecked) {
  const TempFolder folder;
  Artifact a = artifact_with_trees();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  auto b = read_artifact(folder.path("p"));
  ASSERT_TRUE(b.ok()) << b.status().message();
  ASSERT_EQ(b->policy.stages[0].added.size(), 1u);
  const AddedMember &s = a.policy.stages[0].added[0], &t = b->policy.stages[0].added[0];
  EXPECT_EQ(t.kind, MemberKind::kGbt);
  EXPECT_EQ(t.weight, s.weight);
  EXPECT_EQ(t.b, s.b);
  EXPECT_EQ(t.trees.root, s.trees.root);
  EXPECT_EQ(t.trees.feature, s.trees.feature);
  EXPECT_EQ(t.trees.value, s.trees.value);
  EXPECT_EQ(t.trees.left, s.trees.left);
  EXPECT_EQ(t.trees.right, s.trees.right);
  expect_refused(folder.path("p"), {{true, "\"trees\": 3", "\"trees\": 4", "gbt.trees.root"},
                                    {true, "\"trees\": 3", "\"trees\": -3", "\"trees\""},
                                    {true, "\"nodes\": 5", "\"nodes\": 6", "gbt.trees.feature"},
                                    {true, "\"nodes\": 5", "\"nodes\": 1e300", "\"nodes\""},
                                    {true, "\"format_version\": 4", "\"format_version\": 2", "found \"gbt\""}});
  // Trees that would not end, in a policy whose digests are right.
  using Change = void (*)(Trees&);
  for (const Change change :
       {Change([](Trees& trees) { trees.left[0] = 0; }), Change([](Trees& trees) { trees.feature[0] = 4; }),
        Change([](Trees& trees) { trees.right[0] = 4; })}) {
    Artifact wrong = artifact_with_trees();
    change(wrong.policy.stages[0].added[0].trees);
    ASSERT_TRUE(write_artifact(folder.path("wrong"), wrong).ok());
    const auto read = read_artifact(folder.path("wrong"));
    ASSERT_FALSE(read.ok());
    EXPECT_TRUE(io::contains(read.status().message(), "gbt.trees: expected ")) << read.status().message();
  }
}

TEST(Artifact, ASecondSurrogateIsReadBackAndNeedsItsVersion) {
  for (const bool text : {false, true}) {
    const TempFolder folder;
    Artifact a = artifact_of_version_6(text);
    ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
    auto b = read_artifact(folder.path("p"));
    ASSERT_TRUE(b.ok()) << b.status().message();
    EXPECT_EQ(b->policy.text.has_value(), text);
    ASSERT_EQ(b->policy.stages.size(), 1u);
    const Stage& t = b->policy.stages[0];
    ASSERT_TRUE(t.residual);
    EXPECT_EQ(t.residual_below, 0.1 + 0.6);  // to the last bit
    EXPECT_EQ(t.softmax.b, a.policy.stages[0].softmax.b);
    EXPECT_EQ(t.residual->softmax.b, a.policy.stages[0].residual->softmax.b);
    EXPECT_EQ(t.residual->neighbours.row, (std::vector<int64_t>{1, 3, 5, 7, 8}));
    EXPECT_EQ(t.residual->acceptor.label_offset, a.policy.stages[0].residual->acceptor.label_offset);
    ASSERT_EQ(t.residual->added.size(), 2u);
    EXPECT_TRUE(t.added.empty());
    EXPECT_EQ(b->policy.certificates[0].method, Method::kRsb);
    ASSERT_TRUE(write_artifact(folder.path("q"), *b).ok());
    expect_same_bytes(folder.path("p"), folder.path("q"));
    const std::string runs = text ? "3" : "2", encoder = text ? "1" : "0";
    const std::string earlier = "\"format_version\": " + std::string(text ? "5" : "4"), second = "\"residual_below\"",
                      too_many = "this version runs " + std::string(text ? "2" : "at most 1") + ", found " + runs;
    const std::vector<Rewrite> cases = {
        {true, "\"format_version\": 6", earlier.c_str(), too_many.c_str()},
        {true, "\"residual_below\": 0.7", "\"residual_below\": 0.0", "expected a score between 0 and 1"},
        {true, "\"residual_below\": 0.7", "\"residual_below\": 1.0", "expected a score between 0 and 1"},
        {true, "\"residual_below\": 0.7", "\"residual_below\": -3", "residual_below"},
        {true, "\"residual_below\"", "\"other\"", "residual_below"},
        {true, "\"stages\": [", "\"stages\": [7,", "this version runs "},
        {true, "\"kind\": \"mlp2\"", "\"kind\": \"forest\"", "prototype, mlp, mlp2 and gbt, found \"forest\""},
    };
    expect_refused(folder.path("p"), cases);
    const std::string whole = slurp(folder.path("p/") + kWeights);
    for (size_t at = 0; at < whole.size(); at += text ? 40009 : 11) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ 4);
      std::ofstream(folder.path("p/") + kWeights, std::ios::binary) << flipped;
      ASSERT_FALSE(read_artifact(folder.path("p")).ok()) << at;
    }
  }
}

TEST(Artifact, TheGatesReferencesAreReadBackAndNeedTheirVersion) {
  for (const bool text : {false, true})
    for (const bool residual : {false, true}) {
      const TempFolder folder;
      Artifact a = with_gate_of_version_7(residual ? artifact_of_version_6(text)
                                          : text   ? artifact_of_version_5()
                                                   : artifact_of_version_4());
      ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
      auto b = read_artifact(folder.path("p"));
      ASSERT_TRUE(b.ok()) << b.status().message();
      ASSERT_EQ(b->policy.stages[0].residual != nullptr, residual);
      for (const Stage* s = &b->policy.stages[0]; s != nullptr; s = s->residual.get()) {
        EXPECT_EQ(s->gate.density, 1);
        EXPECT_EQ(s->gate.confidence, 0.1);
        EXPECT_EQ(s->gate.reference_distance, a.policy.stages[0].gate.reference_distance);
        EXPECT_EQ(s->gate.global_limit, 0.7);
      }
      ASSERT_TRUE(write_artifact(folder.path("q"), *b).ok());
      expect_same_bytes(folder.path("p"), folder.path("q"));
      const std::string runs = std::to_string(1 + text) + " or " + std::to_string(2 + text);
      const std::string none = "this version runs " + runs + ", found";
      const std::vector<Rewrite> cases = {
          {true, "\"confidence\": 0.1", "\"confidence\": -0.1", "gate: \"confidence\""},
          {true, "\"density\": 1.0", "\"density\": 1e9", "gate: \"density\""},
          {true, "\"density\": 1.0", "\"density\": null", "gate: \"density\""},
          {true, "\"density\"", "\"dense\"", "gate: expected the field \"density\""},
          {true, "\"gate\": {", "\"gate\": 1, \"x\": {", "\"gate\""},
          {true, "\"stages\": [", "\"stages\": [7, 7, 7,", none.c_str()},
      };
      expect_refused(folder.path("p"), cases);
      a.policy.stages[0].gate.reference_distance.pop_back();
      ASSERT_TRUE(write_artifact(folder.path("short"), a).ok());
      EXPECT_TRUE(io::contains(read_artifact(folder.path("short")).status().message(), "gate.reference_distance"));
      a.policy.stages[0].gate.reference_distance.push_back(std::numeric_limits<float>::quiet_NaN());
      ASSERT_TRUE(write_artifact(folder.path("nan"), a).ok());
      EXPECT_TRUE(io::contains(read_artifact(folder.path("nan")).status().message(), "gate.reference_distance"));
    }
}

TEST(Artifact, DescriptionsAreReadBackWhateverTheVersion) {
  const TempFolder folder;
  Artifact a = small_artifact();
  a.descriptions = {Matrix<float>(2, kDim), {2, 0}};
  a.descriptions.x(1, 3) = 0.5f;
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  EXPECT_TRUE(io::contains(slurp(folder.path("p/") + kManifest), "\"format_version\": 2"));  // they decide nothing
  auto b = read_artifact(folder.path("p"));
  ASSERT_TRUE(b.ok()) << b.status().message();
  EXPECT_EQ(b->descriptions.label, a.descriptions.label);
  ASSERT_EQ(b->descriptions.x.size(), 2 * kDim);
  EXPECT_EQ(b->descriptions.x(1, 3), 0.5f);
  ASSERT_TRUE(write_artifact(folder.path("q"), *b).ok());
  expect_same_bytes(folder.path("p"), folder.path("q"));
  const auto refused = [&](const char* part) {
    ASSERT_TRUE(write_artifact(folder.path("bad"), a).ok());
    const auto r = read_artifact(folder.path("bad"));
    ASSERT_FALSE(r.ok());
    EXPECT_TRUE(io::contains(r.status().message(), part)) << r.status().message();
  };
  a.descriptions.x(0, 0) = std::numeric_limits<float>::quiet_NaN();
  refused(kDescriptionsX);
  a.descriptions.x = Matrix<float>(3, kDim);
  refused(kDescriptionsX);
  a.descriptions.x = Matrix<float>(2, kDim + 1);
  refused(kDescriptionsX);
  for (const int32_t label : {-1, static_cast<int32_t>(kClasses)}) {
    a.descriptions = {Matrix<float>(2, kDim), {0, label}};
    refused(kDescriptionsLabel);
  }
}

TEST(Artifact, ATextStageIsReadBackAndNeedsItsVersion) {
  const TempFolder folder;
  Artifact a = artifact_of_version_5();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  const auto b = read_artifact(folder.path("p"));
  ASSERT_TRUE(b.ok()) << b.status().message();
  ASSERT_TRUE(b->policy.text);
  const TextStage &s = *a.policy.text, &t = *b->policy.text;
  EXPECT_TRUE(std::equal(s.w.data(), s.w.data() + s.w.size(), t.w.data()));
  EXPECT_EQ(t.b, s.b);
  EXPECT_EQ(t.cost, s.cost);
  EXPECT_EQ(t.words, s.words);
  EXPECT_EQ(t.most_unseen, s.most_unseen);
  EXPECT_EQ(t.label_frequency, s.label_frequency);
  EXPECT_EQ(t.acceptor.coef, s.acceptor.coef);
  ASSERT_EQ(b->policy.stages.size(), 1u);
  EXPECT_EQ(b->policy.stages[0].softmax.b, a.policy.stages[0].softmax.b);
  EXPECT_EQ(b->policy.certificates[0].text_threshold, 0.1 + 0.7);  // to the last bit
  EXPECT_EQ(b->policy.certificates[0].text_handled, 50);
  EXPECT_EQ(b->policy.certificates[0].text_agree, 49);
  EXPECT_EQ(b->policy.certificates[1].text_threshold, 1);
  const std::vector<Rewrite> cases = {
      {true, "\"format_version\": 5", "\"format_version\": 4", "encoders: this version runs 1, found 2"},
      {true, "\"kind\": \"ngrams\"", "\"kind\": \"words\"", "for the text stage, found"},
      {true, "\"dimension\": 8192", "\"dimension\": 4096", "for the text stage, found"},
      {true, "\"encoder\": 0", "\"encoder\": 1", "\"encoder\": expected 0 of the text stage, found 1"},
      {true, "\"encoder\": 1", "\"encoder\": 0", "\"encoder\": expected 1, found 0"},
      {true, "\"most_unseen\": 0.25", "\"most_unseen\": 1.5", "most_unseen"},
      {true, "\"cost\": 30", "\"cost\": -1", "cost"},
      {true, "\"kind\": \"softmax\"", "\"kind\": \"kernel\"", "one softmax member of the text stage, found \"kernel\""},
      {true, "\"stages\": [", "\"stages\": [7,", "this version runs 2, found 3"},
      {true, "\"encoders\": [", "\"encoders\": [7,", "this version runs 2, found 3"},
      {false, "\"text_stage\"", "\"other_stage\"", "where the policy has a text stage"},
      {false, "\"n_agree\": 49", "\"n_agree\": 51", "certificate.json: text_stage: \"n_agree\""},
      {false, "\"n_handled\": 50", "\"n_handled\": 81", "certificate.json: text_stage: \"n_handled\""},
      {false, "\"threshold\": 0.7999999999999999", "\"threshold\": 7", "certificate.json: text_stage: \"threshold\""},
  };
  expect_refused(folder.path("p"), cases);
  // Tensors that are not numbers, or of another size.
  a.policy.text->w(17, 1) = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(write_artifact(folder.path("nan"), a).ok());
  EXPECT_TRUE(io::contains(read_artifact(folder.path("nan")).status().message(), "ngrams.w"));
  a = artifact_of_version_5();
  a.policy.text->words.pop_back();
  ASSERT_TRUE(write_artifact(folder.path("words"), a).ok());
  EXPECT_TRUE(io::contains(read_artifact(folder.path("words")).status().message(), "ngrams.words"));
  a = artifact_of_version_5();
  a.policy.text->b.assign(kClasses, -1e4f);
  ASSERT_TRUE(write_artifact(folder.path("none"), a).ok());
  EXPECT_TRUE(io::contains(read_artifact(folder.path("none")).status().message(), "a label that is not removed"));
}

TEST(Artifact, EveryDamageOfACascadeIsRefused) {
  const TempFolder folder;
  Artifact a = artifact_of_version_5();
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  for (const auto& entry : fs::directory_iterator(folder.path("p"))) {
    const std::string path = entry.path(), good = slurp(path);
    for (size_t i = 0; i < good.size(); i += 1 + good.size() / 60) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 0x41);
      ASSERT_TRUE(io::write_file_atomic(path, bad).ok());
      EXPECT_FALSE(read_artifact(folder.path("p")).ok()) << path << " byte " << i;
      ASSERT_TRUE(io::write_file_atomic(path, good.substr(0, i)).ok());
      EXPECT_FALSE(read_artifact(folder.path("p")).ok()) << path << " cut to " << i;
    }
    ASSERT_TRUE(io::write_file_atomic(path, good).ok());
  }
  EXPECT_TRUE(read_artifact(folder.path("p")).ok());
}

}  // namespace
}  // namespace tracer
