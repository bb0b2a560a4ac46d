// Decision features beside libtorch's own operations (addmm, softmax, topk, entropy), in turns, in one run; float32 and
// bfloat16 storage. Usage: bench_torch_features [THREADS [ROUNDS]]. Medians of processor time over threads.
//
// "of the bound": of what the machine's measured rates of matrix products and of reading allow. The bound is the slower
// of libtorch's product of the rows with the weights of all members, alone and of operands in the storage type, and of
// reading the rows in float32 once from memory; the former is measured in every round.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace tracer {
namespace {

constexpr int64_t kRows = 10003, kDimension = 384;

Matrix<float> random_matrix(int64_t rows, int64_t cols, uint32_t seed, float scale) {
  Matrix<float> m(rows, cols);
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> dist(-scale, scale);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = dist(rng);
  return m;
}

at::Tensor tensor(Matrix<float>& m) { return at::from_blob(m.data(), {m.rows(), m.cols()}, at::kFloat); }

double processor_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

// Seconds to read a byte, over all threads.
double read_seconds() {
  const at::Tensor large = at::ones({int64_t{1} << 26}, at::kFloat);
  double best = 1e30;
  for (int i = 0; i < 5; ++i) {
    const double start = processor_seconds();
    (void)large.sum();
    best = std::min(best, processor_seconds() - start);
  }
  return best / static_cast<double>(large.nbytes());
}

struct Theirs {
  at::Tensor best, label, entropy;
};

Theirs features(const at::Tensor& x, const std::vector<at::Tensor>& w) {
  at::Tensor p;
  for (const at::Tensor& m : w) {
    const at::Tensor s = at::softmax(at::mm(x, m).to(at::kFloat), 1);
    p = p.defined() ? p + s : s;
  }
  if (w.size() > 1) p = p / static_cast<double>(w.size());
  const auto [best, label] = at::topk(p, 2, 1);
  const double classes = static_cast<double>(p.size(1));
  return {best, label, at::special_entr(p).sum(1) / std::log(classes)};
}

int run(Backend& backend, int64_t classes, int64_t members, Storage storage, int rounds, double read) {
  const bool narrow = storage == Storage::kBFloat16;
  Matrix<float> x = random_matrix(kRows, kDimension, 1, 0.09f);
  std::vector<Matrix<float>> w;
  std::vector<LinearMember> member;
  std::vector<at::Tensor> tw;
  const std::vector<float> b(static_cast<size_t>(classes), 0.0f);
  for (int64_t m = 0; m < members; ++m) {
    w.push_back(random_matrix(kDimension, classes, static_cast<uint32_t>(m + 2), 3.0f));
  }
  for (auto& m : w) {
    member.push_back({m.view(), b, 1.0f / static_cast<float>(members)});
    tw.push_back(narrow ? tensor(m).to(at::kBFloat16) : tensor(m));
  }
  // Rows arrive in float32 on both sides.
  const at::Tensor tx = tensor(x);
  const auto theirs = [&] { return features(narrow ? tx.to(at::kBFloat16) : tx, tw); };
  const auto head = backend.prepare_head(member, storage);
  if (!head.ok()) return 1;
  std::vector<DecisionFeatures> out(kRows);
  const auto ours = [&] { return backend.decision_features(std::as_const(x).view(), **head, {}, nullptr, {out}); };
  if (!ours().ok()) return 1;
  const Theirs expected = theirs();
  double worst = 0;
  for (int64_t i = 0; i < kRows; ++i) {
    const DecisionFeatures& f = out[static_cast<size_t>(i)];
    worst = std::max(worst, std::fabs(static_cast<double>(f.top1) - expected.best[i][0].item<double>()));
    worst = std::max(worst, std::fabs(static_cast<double>(f.entropy) - expected.entropy[i].item<double>()));
  }
  // libtorch rounds bfloat16 logits to 8 bits: there only the gist can agree.
  if (!(worst < (narrow ? 5e-2 : 1e-4))) {
    std::fprintf(stderr, "the features differ by %g\n", worst);
    return 1;
  }
  const at::Tensor rows = narrow ? tx.to(at::kBFloat16) : tx, all = at::cat(tw, 1);
  const double reading = read * static_cast<double>(tx.nbytes());
  std::vector<double> mine, other, ratio, bound;
  for (int i = 0; i < rounds; ++i) {
    const double start = processor_seconds();
    theirs();
    const double middle = processor_seconds();
    (void)ours();
    const double end = processor_seconds();
    (void)at::mm(rows, all);
    bound.push_back(std::max(processor_seconds() - end, reading) / (end - middle));
    other.push_back(middle - start);
    mine.push_back(end - middle);
    ratio.push_back(other.back() / mine.back());
  }
  const double per_thread = static_cast<double>(kRows) * backend.threads();
  std::printf(
      "%5ld classes, %ld member(s), %s: %10.0f rows/s, %.0f %% of the bound, libtorch %10.0f (%.2f x), largest "
      "difference %.1e\n",
      static_cast<long>(classes), static_cast<long>(members), narrow ? "bfloat16" : "float32 ",
      per_thread / median(mine), 100 * median(bound), per_thread / median(other), median(ratio), worst);
  return 0;
}

int main_with(int threads, int rounds) {
  BackendOptions options;
  options.threads = threads;
  const auto backend = make_backend(options);
  if (!backend.ok()) {
    std::fprintf(stderr, "%s\n", backend.status().message().c_str());
    return 1;
  }
  at::set_num_threads((*backend)->threads());
  std::printf("%s/%s/%d threads beside libtorch, %d threads\n", std::string((*backend)->name()).c_str(),
              std::string((*backend)->isa()).c_str(), (*backend)->threads(), at::get_num_threads());
  const double read = read_seconds();
  std::printf("reading: %.1f GB a processor second\n", 1e-9 / read);
  for (const Storage storage : {Storage::kFloat32, Storage::kBFloat16}) {
    for (const int64_t classes : {77, 1000}) {
      for (const int64_t members : {1, 3}) {
        if (run(**backend, classes, members, storage, rounds, read) != 0) return 1;
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) {
  return tracer::main_with(argc > 1 ? std::atoi(argv[1]) : 0, argc > 2 ? std::atoi(argv[2]) : 15);
}
