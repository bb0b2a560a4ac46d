#include "kernels/self_test.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace tracer {

namespace {

constexpr int64_t kWide = 33;  // one more than a warp is wide
constexpr float kInf = std::numeric_limits<float>::infinity();

// Also false for NaN.
bool near(double value, double expected) { return std::abs(value - expected) <= 1e-5; }

Status verdict(bool right, const char* what) {
  return right ? Status() : device_error(std::string("self-test failed: ") + what + " differs from the known answer");
}

Status test_rows(Backend& backend) {
  Matrix<float> x(2, 200);  // row 1 stays 0
  x(0, 0) = 3.0f;
  x(0, 199) = 4.0f;
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(x.view()));
  bool right = true;
  for (int64_t j = 0; j < x.cols(); ++j) {
    right = right && near(x(0, j), j == 0 ? 0.6 : j == 199 ? 0.8 : 0.0) && x(1, j) == 0.0f;
  }
  TRACER_RETURN_IF_ERROR(verdict(right, "normalise_rows"));

  const std::vector<int64_t> index = {1, 0, 1};
  Matrix<float> picked(3, 200);
  TRACER_RETURN_IF_ERROR(backend.gather_rows(x.view(), index, picked.view()));
  right = picked(0, 199) == 0.0f && picked(1, 199) == x(0, 199) && picked(2, 0) == 0.0f;
  return verdict(right, "gather_rows");
}

// (1, 1, ..., 1; 2, 2, ...) times a matrix of ones: k and 2 k, exact in any order.
Status test_layers(Backend& backend) {
  constexpr int64_t kInner = 401;
  Matrix<float> a(2, kInner), b(kInner, kWide), c(2, kWide), pre(2, kWide);
  Matrix<BFloat16> a16(2, kInner), b16(kInner, kWide);
  for (int64_t k = 0; k < kInner; ++k) {
    a(0, k) = 1.0f;
    a(1, k) = -2.0f;
    for (int64_t j = 0; j < kWide; ++j) b(k, j) = 1.0f;
  }
  for (int64_t i = 0; i < a.size(); ++i) a16.data()[i] = to_bfloat16(a.data()[i]);
  for (int64_t i = 0; i < b.size(); ++i) b16.data()[i] = to_bfloat16(b.data()[i]);
  std::vector<float> bias(kWide, 0.5f), sums(kWide);
  const Epilogue epilogue{bias, Activation::kRelu, pre.view()};
  const auto right = [&] {
    bool all = true;
    for (int64_t j = 0; j < kWide; ++j) {
      all = all && c(0, j) == 401.5f && c(1, j) == 0.0f && pre(0, j) == 401.5f && pre(1, j) == -801.5f;
    }
    return all;
  };
  TRACER_RETURN_IF_ERROR(backend.gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), epilogue, c.view()));
  TRACER_RETURN_IF_ERROR(verdict(right(), "gemm"));
  TRACER_RETURN_IF_ERROR(backend.gemm(Trans::kNo, Trans::kNo, a16.view(), b16.view(), epilogue, c.view()));
  TRACER_RETURN_IF_ERROR(verdict(right(), "gemm of bfloat16"));
  TRACER_RETURN_IF_ERROR(
      backend.gemm_backward(Trans::kNo, Trans::kNo, a.view(), b.view(), Activation::kRelu, pre.view(), c.view()));
  bool good = true;
  for (int64_t j = 0; j < kWide; ++j) good = good && c(0, j) == 401.0f && c(1, j) == 0.0f;
  TRACER_RETURN_IF_ERROR(verdict(good, "gemm_backward"));
  TRACER_RETURN_IF_ERROR(backend.column_sums(b.view(), sums));
  for (const float s : sums) good = good && s == 401.0f;
  return verdict(good, "column_sums");
}

// References e_0 .. e_4 and e_0 again; the query has a tie, which goes to the lower index.
Status test_search(Backend& backend) {
  Matrix<float> r(6, 40), q(1, 40);
  for (int64_t i = 0; i < 6; ++i) r(i, i % 5) = 1.0f;
  q(0, 0) = 0.6f;
  q(0, 3) = 0.8f;
  const std::vector<int32_t> label = {2, 9, 9, 2, 9, 1}, group = {0, 0, 0, 7, 0, 0}, q_group = {7};
  Result<std::unique_ptr<References>> references = backend.prepare_references(r.view(), {group, label});
  if (!references.ok()) return references.status();
  Matrix<int32_t> index(1, 3);
  Matrix<float> similarity(1, 3);
  std::vector<NeighbourSummary> summary(1);
  TRACER_RETURN_IF_ERROR(backend.topk_cosine(HostMatrix<const float>(q.view()), **references, {},
                                             {index.view(), similarity.view()}, summary, nullptr));
  bool right = index(0, 0) == 3 && index(0, 1) == 0 && index(0, 2) == 5 && similarity(0, 0) == 0.8f &&
               similarity(0, 1) == 0.6f && similarity(0, 2) == 0.6f && summary[0].vote == 2 &&
               near(summary[0].vote_share, 2.0 / 3) && near(summary[0].mean_distance_10, 1.0 / 3);
  TRACER_RETURN_IF_ERROR(backend.topk_cosine(HostMatrix<const float>(q.view()), **references, q_group,
                                             {index.view(), similarity.view()}, {}, nullptr));
  right = right && index(0, 0) == 0 && index(0, 1) == 5 && index(0, 2) == 1;
  return verdict(right, "topk_cosine");
}

// A head over kWide classes that knows two of them, with 1:3; then one neighbour that votes for the rarer one.
Status test_decisions(Backend& backend) {
  Matrix<float> x(1, 2), w(2, kWide), p(1, kWide);
  x(0, 0) = 1.0f;
  w(0, 32) = std::log(3.0f);
  std::vector<float> b(kWide, -1e5f);
  b[4] = b[32] = 0.0f;
  TRACER_ASSIGN_OR_RETURN(const auto head, backend.prepare_head(w.view(), b));
  TRACER_RETURN_IF_ERROR(backend.head_probabilities(HostMatrix<const float>(x.view()), *head, p.view()));
  bool right = near(p(0, 4), 0.25) && near(p(0, 32), 0.75) && p(0, 3) == 0.0f;
  TRACER_RETURN_IF_ERROR(verdict(right, "head_probabilities"));

  Matrix<int32_t> neighbour(1, 2);
  Matrix<float> similarity(1, 2);
  neighbour(0, 1) = -1;
  similarity(0, 0) = 0.9f;
  const std::vector<int32_t> labels = {4};
  std::vector<DecisionFeatures> out(1);
  const NeighbourVote vote{neighbour.view(), similarity.view(), labels, 0.5f, 1.0f};
  TRACER_RETURN_IF_ERROR(backend.decision_features_from(HostMatrix<const float>(p.view()), vote, out));
  const double rest = 0.375;  // of class 32; class 4 has 0.625
  const double entropy = -(rest * std::log(rest) + (1 - rest) * std::log(1 - rest)) / std::log(33.0);
  right = out[0].label == 4 && near(out[0].top1, 0.625) && near(out[0].top2, rest) && near(out[0].entropy, entropy) &&
          near(out[0].softmax_p, 0.25) && near(out[0].vote_p, 1.0) && out[0].vote_share == 1.0f &&
          near(out[0].nearest, 0.9) && near(out[0].mean_distance_10, 0.1);
  TRACER_RETURN_IF_ERROR(verdict(right, "decision_features_from"));
  Matrix<float> given(1, 3);
  given(0, 1) = given(0, 2) = 0.5f;
  const std::vector<int32_t> one = {1};
  TRACER_RETURN_IF_ERROR(
      backend.decision_features_from(given.view(), {neighbour.view(), similarity.view(), one, 0.0f, 1.0f}, out));
  right = out[0].label == 1 && out[0].top1 == 0.5f && out[0].top2 == 0.5f && out[0].vote_share == 1.0f;
  return verdict(right, "decision_features_from of a tie");
}

// Zero weights: every class of C has probability 1 / C, the loss is ln C.
Status test_training(Backend& backend) {
  constexpr int64_t kRows = 6, kClasses = 3;
  Matrix<float> x(kRows, 2), w(2, 2 * kClasses), grad_w(2, 2 * kClasses), held(kRows, kClasses);
  Matrix<uint8_t> seen(2, kClasses);
  for (int64_t i = 0; i < seen.size(); ++i) seen.data()[i] = 1;
  std::vector<int32_t> label = {0, 1, 2, 0, 1, 2}, fold = {0, 0, 0, 1, 1, 1}, held_out = {-1, 1};
  for (int64_t i = 0; i < kRows; ++i) x(i, 0) = label[static_cast<size_t>(i)] == 0 ? 1.0f : 0.0f;
  const std::vector<float> b(2 * kClasses, 0.0f);
  const std::vector<uint8_t> active = {1, 1};
  std::vector<double> loss(2);
  std::vector<float> grad_b(2 * kClasses);
  TRACER_RETURN_IF_ERROR(backend.wide_softmax({x.view(), label, kClasses, fold, held_out, seen.view()}, w.view(), b,
                                              active, loss, grad_w.view(), grad_b, held.view()));
  bool right = near(loss[0], std::log(3.0)) && near(loss[1], std::log(3.0));
  for (int64_t m = 0; m < 2; ++m) {  // a third of the rows has x = 1, and of them all have class 0
    right = right && near(grad_w(0, m * kClasses), -2.0 / 9) && near(grad_w(0, m * kClasses + 1), 1.0 / 9) &&
            grad_w(1, m * kClasses) == 0.0f && near(grad_b[static_cast<size_t>(m * kClasses)], 0.0);
  }
  right = right && near(held(3, 0), 1.0 / 3) && near(held(5, 2), 1.0 / 3);
  return verdict(right, "wide_softmax");
}

Status test_groups(Backend& backend) {
  Matrix<float> x(5, 1), centroid(3, 1);
  const float values[] = {0.0f, 2.0f, 9.0f, 11.0f, 1.0f};
  std::copy(values, values + 5, x.data());
  centroid(0, 0) = 0.0f;
  centroid(1, 0) = 10.0f;
  centroid(2, 0) = 100.0f;
  std::vector<int32_t> label(5);
  std::vector<float> distance2(5);
  std::vector<int64_t> count(3);
  TRACER_RETURN_IF_ERROR(backend.kmeans_assign(x.view(), centroid.view(), label, distance2));
  bool right = label == std::vector<int32_t>{0, 0, 1, 1, 0} && distance2[1] == 4.0f && distance2[3] == 1.0f;
  TRACER_RETURN_IF_ERROR(verdict(right, "kmeans_assign"));
  TRACER_RETURN_IF_ERROR(backend.kmeans_update(x.view(), label, centroid.view(), count));
  right = centroid(0, 0) == 1.0f && centroid(1, 0) == 10.0f && centroid(2, 0) == 100.0f &&
          count == std::vector<int64_t>{3, 2, 0};
  TRACER_RETURN_IF_ERROR(verdict(right, "kmeans_update"));

  // By score: agree, agree | disagree, agree (a tie) | agree; then an empty segment. One disagreement is allowed from
  // four rows on; under the second alpha none ever is.
  const std::vector<float> score = {0.5f, 0.9f, 0.1f, 0.8f, 0.5f};
  const std::vector<uint8_t> agree = {0, 1, 1, 1, 1};
  const std::vector<int64_t> begin = {0, 5, 5};
  Matrix<int32_t> allowed(2, 6);
  for (int64_t r = 4; r < 6; ++r) allowed(0, r) = 1;
  Matrix<ParityPoint> points(2, 2);
  TRACER_RETURN_IF_ERROR(backend.parity_sweep({score, agree, begin, allowed.view()}, points.view()));
  right = points(0, 0).handled == 5 && points(0, 0).disagree == 1 && points(0, 0).score_next == -kInf &&
          points(0, 1).handled == 2 && points(0, 1).disagree == 0 && points(0, 1).score_next == 0.5f &&
          points(1, 0).handled == 0 && points(1, 1).score_next == kInf;
  return verdict(right, "parity_sweep");
}

}  // namespace

Status self_test(Backend& backend) {
  for (const auto test : {test_rows, test_layers, test_search, test_decisions, test_training, test_groups}) {
    TRACER_RETURN_IF_ERROR(test(backend));
  }
  return {};
}

}  // namespace tracer
