// The rows kept for learning beside a policy: vectors, labels and where they came from, never text. One file for each
// time rows were taken in. Format: docs/updating.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/io/traces.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer {

struct KeptRows {
  std::vector<std::string> labels;        // of these rows, sorted
  std::vector<int32_t> label;             // n: index into labels; -1: an audit row without a usable answer
  std::vector<uint64_t> text;             // n: hash of the normalised text
  std::vector<uint64_t> name;             // n: names the row for ever; 0 for rows of the original log
  std::vector<io::RowOrigin> provenance;  // n
  Matrix<float> x;                        // n x d

  int64_t rows() const { return static_cast<int64_t>(label.size()); }
  // What a name must always stand for: text and answer.
  uint64_t content(int64_t row) const;
};

// The bytes of the file, for write_file_atomic and its digest.
Result<std::string> rows_bytes(const KeptRows& rows);
// kBadInput when the digest is not `sha256` or anything in it is not as rows_bytes writes it.
Result<KeptRows> read_rows(const std::string& path, const std::string& sha256);

}  // namespace tracer
