// Draws, logs and the real data where it exists: what tests and bench/guarantee.cpp share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/traces.h"
#include "engine/maths/random.h"

namespace tracer::testing {

// A generator for test data: one counter, any number of draws.
class Draws {
 public:
  explicit Draws(uint64_t seed) : random_(seed ^ 0x5eedull, Stream::kRows) {}
  double uniform() { return random_.uniform(next_++); }
  double normal() { return random_.normal(next_++); }
  int64_t below(int64_t n) { return random_.below(next_++, n); }

 private:
  Random random_;
  uint64_t next_ = 0;
};

// Finishes a log whose labels are given: names in index order, texts all different.
inline Traces traces_of(std::vector<int32_t> label, int32_t classes) {
  Traces t;
  for (int32_t c = 0; c < classes; ++c) {
    std::string name = std::to_string(c);
    t.labels.push_back("label" + std::string(4 - std::min<size_t>(4, name.size()), '0') + name);
  }
  t.label = std::move(label);
  for (int64_t i = 0; i < t.rows(); ++i) {
    t.text_hash.push_back(mix64(static_cast<uint64_t>(i)));
    t.line.push_back(i + 1);
  }
  return t;
}

struct RealData {
  Traces traces;
  Matrix<float> x;
};

inline float half_to_float(uint16_t h) {
  const int exponent = (h >> 10) & 31, mantissa = h & 1023;
  const float sign = (h & 0x8000) ? -1.0f : 1.0f;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  if (exponent == 31) return mantissa != 0 ? std::nanf("") : sign * INFINITY;
  return sign * std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
}

// The value of a string field of one line of JSON; the labels of these files hold no escapes.
inline std::string field(const std::string& line, const std::string& key) {
  const size_t at = line.rfind("\"" + key + "\":");
  if (at == std::string::npos) return {};
  const size_t open = line.find('"', at + key.size() + 3), close = line.find('"', open + 1);
  return line.substr(open + 1, close - open - 1);
}

// Where the real data lies; empty when this machine has none.
inline std::string data_folder() {
  const char* folder = std::getenv("TRACER_TEST_DATA");
  return folder == nullptr ? "" : folder;
}

// name: "banking77_train", ... False when it cannot be read.
inline bool read_real(const std::string& folder, const std::string& name, RealData& out) {
  std::ifstream lines(folder + "/" + name + ".jsonl"), npy(folder + "/" + name + ".npy", std::ios::binary);
  if (!lines || !npy) return false;
  std::vector<std::string> teacher;
  for (std::string line; std::getline(lines, line);) teacher.push_back(field(line, "teacher"));
  std::map<std::string, int32_t> index;
  for (const auto& t : teacher) index[t] = 0;
  std::vector<std::string> names;
  for (auto& [label, i] : index) i = static_cast<int32_t>(names.size()), names.push_back(label);
  std::vector<int32_t> label;
  for (const auto& t : teacher) label.push_back(index[t]);
  out.traces = traces_of(std::move(label), static_cast<int32_t>(names.size()));
  out.traces.labels = names;

  const std::vector<char> bytes((std::istreambuf_iterator<char>(npy)), std::istreambuf_iterator<char>());
  if (bytes.size() < 10 || std::memcmp(bytes.data(), "\x93NUMPY", 6) != 0) return false;
  const size_t header = 10 + static_cast<uint8_t>(bytes[8]) + 256u * static_cast<uint8_t>(bytes[9]);
  const std::string text(bytes.data() + 10, header - 10);
  const auto n = static_cast<int64_t>(teacher.size());
  if (text.find("'<f2'") == std::string::npos || n == 0) return false;
  const auto d = static_cast<int64_t>((bytes.size() - header) / 2) / n;
  out.x = Matrix<float>(n, d);
  for (int64_t i = 0; i < n * d; ++i) {
    uint16_t h = 0;
    std::memcpy(&h, bytes.data() + header + 2 * i, 2);
    out.x.data()[i] = half_to_float(h);
  }
  return true;
}

}  // namespace tracer::testing
