// Our side of bench/features_rival.py: reads rows and weights once, then answers commands, a line each, so that rivals
// can be timed in turn. Files are raw float32, row-major.
//   run f32|bf16 -> wall seconds, processor seconds       write FILE -> DecisionFeatures of the last run, as they are
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "bench/processor_time.h"
#include "kernels/backend.h"

namespace tracer {
namespace {

Status read(std::ifstream& in, float* to, int64_t count) {
  in.read(reinterpret_cast<char*>(to), count * static_cast<int64_t>(sizeof(float)));
  return in ? Status() : io_error("a file of numbers is too short");
}

// X: n x d; weights: for each member d x C, then C biases.
Status serve(const std::string& rows_path, const std::string& weights_path, int64_t n, int64_t d, int64_t classes,
             int64_t members, int threads) {
  BackendOptions options;
  options.threads = threads;
  Result<std::unique_ptr<Backend>> backend = make_backend(options);
  if (!backend.ok()) return backend.status();
  Matrix<float> x(n, d);
  std::ifstream rows(rows_path, std::ios::binary), weights(weights_path, std::ios::binary);
  TRACER_RETURN_IF_ERROR(read(rows, x.data(), x.size()));
  std::vector<Matrix<float>> w, b;
  std::vector<LinearMember> member;
  for (int64_t m = 0; m < members; ++m) {
    w.emplace_back(d, classes), b.emplace_back(1, classes);
    TRACER_RETURN_IF_ERROR(read(weights, w.back().data(), w.back().size()));
    TRACER_RETURN_IF_ERROR(read(weights, b.back().data(), b.back().size()));
  }
  for (size_t m = 0; m < w.size(); ++m) {
    member.push_back({w[m].view(), {b[m].data(), static_cast<size_t>(classes)}, 1.0f / static_cast<float>(members)});
  }
  Result<std::unique_ptr<LinearHead>> wide = (*backend)->prepare_head(member, Storage::kFloat32);
  Result<std::unique_ptr<LinearHead>> narrow = (*backend)->prepare_head(member, Storage::kBFloat16);
  if (!wide.ok()) return wide.status();
  if (!narrow.ok()) return narrow.status();
  std::cout << (*backend)->name() << ' ' << (*backend)->isa() << ' ' << (*backend)->threads() << std::endl;
  std::vector<DecisionFeatures> out(static_cast<size_t>(n));
  for (std::string word; std::cin >> word;) {
    if (word == "run") {
      std::cin >> word;
      const auto start = std::chrono::steady_clock::now();
      const double processor = bench::processor_seconds();
      TRACER_RETURN_IF_ERROR((*backend)->decision_features(std::as_const(x).view(), word == "bf16" ? **narrow : **wide,
                                                           {}, nullptr, {out}));
      const double used = bench::processor_seconds() - processor;
      std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << ' ' << used
                << std::endl;
    } else if (word == "write") {
      std::cin >> word;
      std::ofstream file(word, std::ios::binary);
      file.write(reinterpret_cast<const char*>(out.data()),
                 static_cast<int64_t>(out.size() * sizeof(DecisionFeatures)));
      if (!file.flush()) return io_error(word + ": cannot write");
      std::cout << "ok" << std::endl;
    }
  }
  return {};
}

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) {
  if (argc != 8) {
    std::cerr << "usage: rival_features ROWS WEIGHTS N D CLASSES MEMBERS THREADS (see bench/features_rival.py)\n";
    return 2;
  }
  const tracer::Status status = tracer::serve(argv[1], argv[2], std::atoll(argv[3]), std::atoll(argv[4]),
                                              std::atoll(argv[5]), std::atoll(argv[6]), std::atoi(argv[7]));
  if (!status.ok()) std::cerr << status.message() << '\n';
  return status.ok() ? 0 : 1;
}
