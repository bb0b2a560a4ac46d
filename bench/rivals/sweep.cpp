// Our side of bench/sweep_rival.py: reads scores (raw float32) and flags (raw bytes) once, candidates one after the
// other, then answers commands, a line each, so that rivals can be timed in turn.
//   critical -> wall and processor seconds of the table of critical values     run -> those of the sweep
//   write FILE -> for each candidate and alpha: int64 handled, int64 disagree
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "bench/processor_time.h"
#include "engine/maths/binomial.h"
#include "kernels/backend.h"

namespace tracer {
namespace {

template <class F>
void timed(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  const double processor = bench::processor_seconds();
  f();
  const double used = bench::processor_seconds() - processor;
  std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << ' ' << used
            << std::endl;
}

template <class T>
bool read(const std::string& path, std::vector<T>& to) {
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(to.data()), static_cast<int64_t>(to.size() * sizeof(T)));
  return static_cast<bool>(in);
}

Status serve(const std::string& folder, int64_t rows, int64_t candidates, const std::vector<double>& alphas,
             double delta, int threads) {
  BackendOptions options;
  options.threads = threads;
  Result<std::unique_ptr<Backend>> backend = make_backend(options);
  if (!backend.ok()) return backend.status();
  std::vector<float> score(static_cast<size_t>(rows * candidates));
  std::vector<uint8_t> agree(score.size());
  if (!read(folder + "/score", score) || !read(folder + "/agree", agree)) return io_error(folder + ": too short");
  std::vector<int64_t> begin;
  for (int64_t c = 0; c <= candidates; ++c) begin.push_back(c * rows);
  Matrix<int32_t> allowed(static_cast<int64_t>(alphas.size()), rows + 1);
  const auto critical = [&](int64_t a) {
    const std::vector<int64_t> values = critical_values(rows, 1 - alphas[static_cast<size_t>(a)], delta);
    for (int64_t r = 0; r <= rows; ++r) allowed(a, r) = static_cast<int32_t>(values[static_cast<size_t>(r)]);
  };
  Matrix<ParityPoint> out(candidates, allowed.rows());
  std::cout << (*backend)->name() << ' ' << (*backend)->isa() << ' ' << (*backend)->threads() << std::endl;
  for (std::string word; std::cin >> word;) {
    Status status;
    if (word == "critical") {
      timed([&] { parallel_for(**backend, allowed.rows(), critical); });
    } else if (word == "run") {
      timed([&] {
        status = (*backend)->parity_sweep({score, agree, begin, std::as_const(allowed).view()}, out.view());
      });
    } else if (word == "write") {
      std::cin >> word;
      std::ofstream file(word, std::ios::binary);
      for (int64_t i = 0; i < out.size(); ++i) {
        file.write(reinterpret_cast<const char*>(&out.data()[i].handled), sizeof(int64_t));
        file.write(reinterpret_cast<const char*>(&out.data()[i].disagree), sizeof(int64_t));
      }
      if (!file.flush()) return io_error(word + ": cannot write");
      std::cout << "ok" << std::endl;
    }
    TRACER_RETURN_IF_ERROR(status);
  }
  return {};
}

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) {
  if (argc < 7) {
    std::cerr << "usage: rival_sweep FOLDER ROWS CANDIDATES THREADS DELTA ALPHA... (see bench/sweep_rival.py)\n";
    return 2;
  }
  std::vector<double> alphas;
  for (int i = 6; i < argc; ++i) alphas.push_back(std::atof(argv[i]));
  const tracer::Status status =
      tracer::serve(argv[1], std::atoll(argv[2]), std::atoll(argv[3]), alphas, std::atof(argv[5]), std::atoi(argv[4]));
  if (!status.ok()) std::cerr << status.message() << '\n';
  return status.ok() ? 0 : 1;
}
