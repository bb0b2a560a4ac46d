// Our side of bench/topk_rival.py: loads vectors once, then answers commands, a line each, so that rivals can be timed
// in turn.   run -> seconds, queries rescanned, screened (0 or 1)    write FILE -> int32 indices, then float32 scores
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include "host/io/npy.h"
#include "kernels/backend.h"

namespace tracer {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Result<Matrix<float>> load(Backend& backend, const std::string& path) {
  Result<io::NpyReader> reader = io::NpyReader::open(path);
  if (!reader.ok()) return reader.status();
  Matrix<float> x(reader->rows(), reader->cols());
  TRACER_RETURN_IF_ERROR(reader->read_rows(0, x.rows(), x.view()));
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(x.view()));
  return x;
}

Status serve(const std::string& references, const std::string& queries, int64_t k, int threads) {
  BackendOptions options;
  options.threads = threads;
  Result<std::unique_ptr<Backend>> backend = make_backend(options);
  if (!backend.ok()) return backend.status();
  Result<Matrix<float>> r = load(**backend, references);
  if (!r.ok()) return r.status();
  Result<Matrix<float>> q = load(**backend, queries);
  if (!q.ok()) return q.status();
  const auto start = std::chrono::steady_clock::now();
  Result<std::unique_ptr<References>> prepared = (*backend)->prepare_references(std::as_const(*r).view(), {});
  if (!prepared.ok()) return prepared.status();
  std::cout << (*backend)->isa() << ' ' << (*backend)->threads() << ' ' << seconds_since(start) << std::endl;
  *r = {};
  Matrix<int32_t> index(q->rows(), k);
  Matrix<float> score(q->rows(), k);
  for (std::string word; std::cin >> word;) {
    if (word == "run") {
      TopKReport report;
      const auto begin = std::chrono::steady_clock::now();
      TRACER_RETURN_IF_ERROR(
          (*backend)->topk_cosine(std::as_const(*q).view(), **prepared, {}, {index.view(), score.view()}, {}, &report));
      std::cout << seconds_since(begin) << ' ' << report.rescanned << ' ' << report.screened << std::endl;
    } else if (word == "write") {
      std::cin >> word;
      std::ofstream out(word, std::ios::binary);
      out.write(reinterpret_cast<const char*>(index.data()), index.size() * static_cast<int64_t>(sizeof(int32_t)));
      out.write(reinterpret_cast<const char*>(score.data()), score.size() * static_cast<int64_t>(sizeof(float)));
      if (!out.flush()) return io_error(word + ": cannot write");
      std::cout << "ok" << std::endl;
    }
  }
  return {};
}

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s REFERENCES.npy QUERIES.npy K THREADS\n", argv[0]);
    return 2;
  }
  const tracer::Status status = tracer::serve(argv[1], argv[2], std::atoll(argv[3]), std::atoi(argv[4]));
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
