// Our side of bench/encoder.py: reads texts (a JSON array of strings) once, then answers commands, a line each, so that
// rivals can be timed in turn. Each run has an encoder of its own, opened before the clock starts: one that has seen
// the texts would remember them.
//   run PRECISION -> wall and processor seconds     write PRECISION FILE -> its vectors, raw float32
// The first line out: tokens of all distinct texts, dimension, threads.
#include "host/encoder/encoder.h"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include "bench/processor_time.h"
#include "host/encoder/encoder_folder.h"
#include "host/io/file.h"
#include "host/io/json_fields.h"
#include "kernels/device_name.h"

namespace tracer {
namespace {

class Bench {
 public:
  Bench(std::string folder, std::vector<std::string> texts, int threads)
      : folder_(std::move(folder)), texts_(std::move(texts)), threads_(threads) {}

  Status describe() const {
    auto folder = read_encoder_folder(folder_);
    if (!folder.ok()) return folder.status();
    int64_t tokens = 0;
    std::vector<int32_t> ids;
    for (const std::string& text : std::set<std::string>(texts_.begin(), texts_.end())) {
      ids.clear();
      folder->tokenizer.encode(text, folder->max_tokens, ids);
      tokens += static_cast<int64_t>(ids.size());
    }
    std::cout << tokens << ' ' << folder->shape.hidden << ' ' << threads_ << std::endl;
    return {};
  }

  Status run(const std::string& precision) {
    const auto parsed = parse_precision(precision);
    if (!parsed) return bad_input("precision: expected " + std::string(kPrecisions) + ", found " + precision);
    auto encoder = open_encoder(folder_, *parsed, {threads_, chosen_device("auto")});
    if (!encoder.ok()) return encoder.status();
    TextSource& text = *encoder->text;
    Matrix<float>& out = vectors_[precision];
    if (out.rows() == 0) out = Matrix<float>(static_cast<int64_t>(texts_.size()), encoder->identity.dimension);
    const auto start = std::chrono::steady_clock::now();
    const double processor = bench::processor_seconds();
    for (int64_t first = 0; first < out.rows(); first += TextEncoder::kGroup) {
      const int64_t count = std::min(out.rows() - first, TextEncoder::kGroup);
      TRACER_RETURN_IF_ERROR(
          text.encode({texts_.data() + first, static_cast<size_t>(count)}, out.view().rows_from(first, count)));
    }
    const double used = bench::processor_seconds() - processor;
    std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << ' ' << used
              << std::endl;
    return {};
  }

  Status write(const std::string& precision, const std::string& path) {
    const Matrix<float>& out = vectors_[precision];
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(out.data()), out.size() * static_cast<int64_t>(sizeof(float)));
    if (!file.flush()) return io_error(path + ": cannot write");
    std::cout << "ok" << std::endl;
    return {};
  }

 private:
  std::string folder_;
  std::vector<std::string> texts_;
  int threads_;
  std::map<std::string, Matrix<float>> vectors_;
};

Status serve(const std::string& folder, const std::string& path, int threads) {
  auto text = io::read_file(path, int64_t{1} << 30);
  if (!text.ok()) return text.status();
  auto json = parse_json(*text, path);
  if (!json.ok()) return json.status();
  Bench bench(folder, json->get<std::vector<std::string>>(), threads);
  TRACER_RETURN_IF_ERROR(bench.describe());
  for (std::string word, precision, file; std::cin >> word >> precision;) {
    if (word == "run") {
      TRACER_RETURN_IF_ERROR(bench.run(precision));
    } else {
      std::cin >> file;
      TRACER_RETURN_IF_ERROR(bench.write(precision, file));
    }
  }
  return {};
}

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: rival_encoder MODEL TEXTS THREADS\n";
    return 2;
  }
  const tracer::Status status = tracer::serve(argv[1], argv[2], std::atoi(argv[3]));
  if (!status.ok()) std::cerr << status.message() << '\n';
  return status.ok() ? 0 : 1;
}
