// Our side of bench/probabilities_rival.py: reads rows and weights once, then answers commands, a line each, so that
// rivals can be timed in turn. Files are raw float32, row-major.
//   run -> wall seconds, processor seconds       write FILE -> the probabilities of the last run
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "bench/processor_time.h"
#include "kernels/backend.h"

namespace tracer {
namespace {

Status read(std::ifstream& in, Matrix<float>& to) {
  in.read(reinterpret_cast<char*>(to.data()), to.size() * static_cast<int64_t>(sizeof(float)));
  return in ? Status() : io_error("a file of numbers is too short");
}

// X: n x d; weights: d x C, then C biases.
Status serve(const std::string& rows_path, const std::string& weights_path, int64_t n, int64_t d, int64_t classes,
             int threads) {
  BackendOptions options;
  options.threads = threads;
  TRACER_ASSIGN_OR_RETURN(const auto backend, make_backend(options));
  Matrix<float> x(n, d), w(d, classes), b(1, classes), out(n, classes);
  std::ifstream rows(rows_path, std::ios::binary), weights(weights_path, std::ios::binary);
  TRACER_RETURN_IF_ERROR(read(rows, x));
  TRACER_RETURN_IF_ERROR(read(weights, w));
  TRACER_RETURN_IF_ERROR(read(weights, b));
  TRACER_ASSIGN_OR_RETURN(const auto head,
                          backend->prepare_head(std::as_const(w).view(), {b.data(), static_cast<size_t>(classes)}));
  std::cout << backend->name() << ' ' << backend->isa() << ' ' << backend->threads() << std::endl;
  for (std::string word; std::cin >> word;) {
    if (word == "run") {
      const auto start = std::chrono::steady_clock::now();
      const double processor = bench::processor_seconds();
      TRACER_RETURN_IF_ERROR(backend->head_probabilities(std::as_const(x).view(), *head, out.view()));
      const double used = bench::processor_seconds() - processor;
      std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << ' ' << used
                << std::endl;
    } else if (word == "write") {
      std::cin >> word;
      std::ofstream file(word, std::ios::binary);
      file.write(reinterpret_cast<const char*>(out.data()), out.size() * static_cast<int64_t>(sizeof(float)));
      if (!file.flush()) return io_error(word + ": cannot write");
      std::cout << "ok" << std::endl;
    }
  }
  return {};
}

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) {
  if (argc != 7) {
    std::cerr << "usage: rival_probabilities ROWS WEIGHTS N D CLASSES THREADS (see bench/probabilities_rival.py)\n";
    return 2;
  }
  const tracer::Status status = tracer::serve(argv[1], argv[2], std::atoll(argv[3]), std::atoll(argv[4]),
                                              std::atoll(argv[5]), std::atoi(argv[6]));
  if (!status.ok()) std::cerr << status.message() << '\n';
  return status.ok() ? 0 : 1;
}
