// Our side of bench/tokenizer.py: reads texts (a JSON array of strings) once, then answers commands, a line each, on
// one thread.
//   run -> wall and processor seconds of all texts     write FILE -> their ids: a count and as many, 32 bits each
#include <chrono>
#include <fstream>
#include <iostream>

#include "bench/processor_time.h"
#include "host/encoder/encoder_folder.h"
#include "host/io/file.h"
#include "host/io/json_fields.h"

namespace tracer {
namespace {

Status serve(const std::string& model, const std::string& path) {
  auto folder = read_encoder_folder(model);
  if (!folder.ok()) return folder.status();
  auto text = io::read_file(path, int64_t{1} << 30);
  if (!text.ok()) return text.status();
  auto json = parse_json(*text, path);
  if (!json.ok()) return json.status();
  const auto texts = json->get<std::vector<std::string>>();
  std::vector<std::vector<int32_t>> ids(texts.size());
  for (std::string word; std::cin >> word;) {
    if (word == "run") {
      for (std::vector<int32_t>& row : ids) row = {};  // a list of its own for each text, as the rival makes
      const auto start = std::chrono::steady_clock::now();
      const double processor = bench::processor_seconds();
      for (size_t i = 0; i < texts.size(); ++i) folder->tokenizer.encode(texts[i], folder->max_tokens, ids[i]);
      const double used = bench::processor_seconds() - processor;
      std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << ' ' << used
                << std::endl;
      continue;
    }
    std::cin >> word;
    std::ofstream file(word, std::ios::binary);
    for (const std::vector<int32_t>& row : ids) {
      const auto count = static_cast<int32_t>(row.size());
      file.write(reinterpret_cast<const char*>(&count), sizeof count);
      file.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(row.size() * sizeof row[0]));
    }
    if (!file.flush()) return io_error(word + ": cannot write");
    std::cout << "ok" << std::endl;
  }
  return {};
}

}  // namespace
}  // namespace tracer

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: rival_tokenizer MODEL TEXTS\n";
    return 2;
  }
  const tracer::Status status = tracer::serve(argv[1], argv[2]);
  if (!status.ok()) std::cerr << status.message() << '\n';
  return status.ok() ? 0 : 1;
}
