// Several trace files with their vectors as one log, for benches that draw their own splits.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/traces.h"
#include "host/io/npy.h"
#include "host/io/traces.h"

namespace tracer {

struct PooledLog {
  Traces traces;  // labels over all files; text_hash and line as well, no ids, groups or times
  Matrix<float> x;
};

// FOLDER/NAME.jsonl and FOLDER/NAME.npy of every name, one after the other.
inline Result<PooledLog> read_pooled_log(const std::string& folder, const std::vector<std::string>& names) {
  std::vector<Traces> parts;
  std::vector<io::NpyReader> vectors;
  PooledLog log;
  int64_t rows = 0;
  for (const std::string& name : names) {
    auto file = io::read_traces(folder + "/" + name + ".jsonl", {});
    if (!file.ok()) return file.status();
    auto npy = io::NpyReader::open(folder + "/" + name + ".npy");
    if (!npy.ok()) return npy.status();
    if (file->bad > 0 || npy->rows() != file->positions) return bad_input(name + ": vectors and traces differ");
    rows += npy->rows();
    log.traces.labels.insert(log.traces.labels.end(), file->traces.labels.begin(), file->traces.labels.end());
    parts.push_back(std::move(file->traces));
    vectors.push_back(std::move(npy).value());
  }
  auto& labels = log.traces.labels;
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  log.x = Matrix<float>(rows, vectors[0].cols());
  int64_t at = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    for (int64_t r = 0; r < parts[i].rows(); ++r) {
      const std::string& name = parts[i].labels[parts[i].label[r]];
      log.traces.label.push_back(
          static_cast<int32_t>(std::lower_bound(labels.begin(), labels.end(), name) - labels.begin()));
      log.traces.text_hash.push_back(parts[i].text_hash[r]);
      log.traces.line.push_back(at + r + 1);
    }
    TRACER_RETURN_IF_ERROR(vectors[i].read_rows(0, vectors[i].rows(), log.x.view().rows_from(at, vectors[i].rows())));
    at += vectors[i].rows();
  }
  return log;
}

// The rows of `log` in this order.
inline PooledLog take_rows(const PooledLog& log, const std::vector<int32_t>& rows) {
  PooledLog out;
  out.traces.labels = log.traces.labels;
  out.x = Matrix<float>(static_cast<int64_t>(rows.size()), log.x.cols());
  for (size_t i = 0; i < rows.size(); ++i) {
    out.traces.label.push_back(log.traces.label[rows[i]]);
    out.traces.text_hash.push_back(log.traces.text_hash[rows[i]]);
    out.traces.line.push_back(static_cast<int64_t>(i) + 1);
    std::copy_n(log.x.row(rows[i]), log.x.cols(), out.x.row(static_cast<int64_t>(i)));
  }
  return out;
}

}  // namespace tracer
