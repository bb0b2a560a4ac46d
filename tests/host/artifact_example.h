// A small artifact, and damage that its digests do not show.
#pragma once

#include <filesystem>
#include <string>

#include "engine/policy/acceptor.h"
#include "engine/policy/text_stage.h"
#include "host/artifact/artifact.h"
#include "host/artifact/names.h"
#include "host/io/sha256.h"
#include "tests/host/io_test_util.h"

namespace tracer {

inline constexpr int64_t kDim = 4, kClasses = 3, kLearnRows = 5;

inline Artifact small_artifact() {
  Artifact a;
  Policy& p = a.policy;
  p.labels = {"card", "loan \"x\"", "ünï"};
  p.dimension = kDim;
  p.alpha = 0.9;
  p.delta = 0.05;
  Stage s;
  s.softmax.w = Matrix<float>(kDim, kClasses);
  for (int64_t i = 0; i < s.softmax.w.size(); ++i) s.softmax.w.data()[i] = static_cast<float>(i) * 0.25f - 1;
  s.softmax.b = {0.5f, -0.25f, -1e4f};
  s.softmax.cost = 100;
  s.neighbours.references = Matrix<float>(kLearnRows, kDim);
  for (int64_t i = 0; i < kLearnRows; ++i) s.neighbours.references(i, i % kDim) = 1;
  s.neighbours.label = {0, 1, 2, 1, 0};
  s.neighbours.row = {1, 3, 5, 7, 9};
  s.neighbours.sharpness = 8;
  s.kernel.vote = Matrix<float>(kLearnRows, kClasses);
  for (int64_t i = 0; i < s.kernel.vote.size(); ++i) s.kernel.vote.data()[i] = 0.5f - static_cast<float>(i) * 0.125f;
  s.kernel.prior = {0.4f, 0.4f, 0.2f};
  s.kernel.k = 4;
  s.kernel.temperature = 12;
  s.kernel_weight = 0.3f;
  s.vote_weight = 0.25f;
  s.label_frequency = {0.4, 0.4, 0.2};
  s.acceptor.mean.assign(kAcceptorFeatures, 0.125);
  s.acceptor.scale.assign(kAcceptorFeatures, 2.0);
  s.acceptor.coef.assign(kAcceptorFeatures + 1, -0.5);
  s.gate.global_limit = 0.7;
  s.gate.label_limit = {0.7, 0.6, 0.7};
  p.stages.push_back(std::move(s));
  Certificate c;
  c.alpha = 0.9, c.delta = 0.05, c.certified = true, c.method = Method::kL2d, c.unit = ProofUnit::kRows;
  c.threshold = 0.1 + 0.2;  // not a short decimal
  c.n_learn = 5, c.n_certify = 100, c.n_units = 100, c.n_handled = 80, c.n_agree = 79, c.tested = 3;
  c.unseen_handled = 70, c.unseen_agree = 69;
  c.labels = {{0, 50, 40, 40}, {1, 50, 40, 39}};
  p.certificates.push_back(c);
  Certificate r;
  r.alpha = 0.99, r.delta = 0.05, r.method = Method::kRefused, r.unit = ProofUnit::kRows, r.reason = "too few",
  r.n_certify = 100;
  r.estimate = {0.95, 299, 1234};
  p.certificates.push_back(r);
  a.provenance = {"traces.jsonl", std::string(64, 'a'), 12, "traces.npy", {}};
  a.run = {{"seed", 1}, {"split", {{"kind", "rows"}}}};
  a.frontier = Json::array({frontier_entry(c), frontier_entry(r)});
  a.findings = {{"warnings", {"rows repeat"}},
                {"suspects", {{{"row", 0}, {"line", 1}, {"score", 0.75}, {"surrogate", "card"}, {"teacher", "ünï"}}}}};
  a.look_ledger = {{"looks", Json::array()}};
  a.reference_ids = {"a", "b", "c", "d", "e"};
  return a;
}

// The same with everything that version 4 brought: two networks, and thresholds by label.
inline Artifact artifact_of_version_4() {
  Artifact a = small_artifact();
  Stage& s = a.policy.stages[0];
  const auto filled = [](int64_t rows, int64_t cols) {
    Matrix<float> m(rows, cols);
    for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = 0.25f - static_cast<float>(i) * 0.125f;
    return m;
  };
  s.added.push_back({MemberKind::kPrototype, {}, filled(kDim, kClasses), {0.5f, 0.25f, -1e4f}, 0.125f, {}});
  s.added.push_back({MemberKind::kMlp2, {}, filled(2, kClasses), {0.125f, 0.25f, -1e4f}, 0.3f, {}});
  s.added[1].hidden.push_back({filled(kDim, 3), {1, 2, 3}});
  s.added[1].hidden.push_back({filled(3, 2), {4, 5}});
  const auto features = static_cast<size_t>(acceptor_feature_count(2));
  s.acceptor.mean.assign(features, 0.125), s.acceptor.scale.assign(features, 2.0);
  s.acceptor.coef.assign(features + 1, -0.5);
  s.acceptor.label_offset = {0.5, -0.25, 0};
  a.policy.certificates[0].method = Method::kL2dLabel;
  return a;
}

// The small one with trees, as version 4 has them.
inline Artifact artifact_with_trees() {
  Artifact a = small_artifact();
  Stage& s = a.policy.stages[0];
  AddedMember member;
  member.kind = MemberKind::kGbt, member.weight = 0.25f, member.b = {0, 0, -1e4f};
  member.trees = {
      {0, 3, 4}, {3, -1, -1, -1, -1}, {0.25f, 1.5f, -0.5f, 0.125f, -0.75f}, {1, 0, 0, 0, 0}, {2, 0, 0, 0, 0}};
  s.added.push_back(std::move(member));
  const auto features = static_cast<size_t>(acceptor_feature_count(1));
  s.acceptor.mean.assign(features, 0.125), s.acceptor.scale.assign(features, 2.0);
  s.acceptor.coef.assign(features + 1, -0.5);
  return a;
}

// The same with the text stage that version 5 brought.
inline Artifact artifact_of_version_5() {
  Artifact a = small_artifact();
  TextStage t;
  t.w = Matrix<float>(kNgramBuckets, kClasses);
  for (int64_t i = 0; i < t.w.size(); ++i) t.w.data()[i] = static_cast<float>(i % 7) * 0.25f - 0.5f;
  t.b = {0.5f, -0.25f, -1e4f};
  t.cost = 30;
  t.words.assign(static_cast<size_t>(kWordSlots / 64), 0x8000000000000001ull);
  t.most_unseen = 0.25;
  t.label_frequency = {0.4, 0.4, 0.2};
  t.acceptor.mean.assign(kTextFeatures, 0.125);
  t.acceptor.scale.assign(kTextFeatures, 2.0);
  t.acceptor.coef.assign(kTextFeatures + 1, -0.5);
  a.policy.text = std::move(t);
  Certificate& c = a.policy.certificates[0];
  c.text_threshold = 0.1 + 0.7, c.text_handled = 50, c.text_agree = 49;
  a.frontier[0] = frontier_entry(c);
  return a;
}

// The same with the second surrogate that version 6 brought; the text stage, too, where asked for.
inline Artifact artifact_of_version_6(bool text) {
  Artifact a = text ? artifact_of_version_5() : small_artifact();
  Stage second = std::move(artifact_of_version_4().policy.stages[0]);
  second.softmax.b = {-0.5f, 0.125f, 2.0f};
  second.neighbours.row = {1, 3, 5, 7, 8};
  a.policy.stages[0].residual = std::make_unique<Stage>(std::move(second));
  a.policy.stages[0].residual_below = 0.1 + 0.6;
  a.policy.certificates[0].method = Method::kRsb;
  a.frontier[0] = frontier_entry(a.policy.certificates[0]);
  return a;
}

// Any of them with the gate that version 7 brought.
inline Artifact with_gate_of_version_7(Artifact a) {
  for (Stage* s = &a.policy.stages[0]; s != nullptr; s = s->residual.get()) {
    s->gate.density = 1;
    s->gate.confidence = 0.1;
    s->gate.reference_distance = {0.125f, 0.25f, 0.1f, 0.0f, 2.0f};
  }
  return a;
}

// Writes the part into the policy's folder and then the manifest and SHA256SUMS that go with it, as a forger would.
inline void forge(const std::string& folder, const std::string& part, const std::string& bytes) {
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder + "/" + name, std::ios::binary) << text;
  };
  write(part, bytes);
  Json manifest = Json::parse(io::slurp(folder + "/" + kManifest));
  std::string sums;
  for (const char* name : {kCertificates, kFindings, kFrontier, kLookLedger, kReferenceIds, kWeights}) {
    const std::string text = io::slurp(folder + "/" + name);
    manifest["parts"][name] = {{"sha256", io::sha256_hex(text)}, {"bytes", text.size()}};
    sums += io::sha256_hex(text) + "  " + name + "\n";
  }
  if (part != kManifest) write(kManifest, manifest.dump(1) + "\n");
  write(kSums, sums + io::sha256_hex(io::slurp(folder + "/" + kManifest)) + "  " + kManifest + "\n");
}

}  // namespace tracer
