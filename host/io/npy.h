// NumPy .npy files of vectors: one row a trace.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "host/io/file.h"
#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer::io {

enum class NpyType { kF16, kF32, kF64 };

// Reads a 2-D, C-order, little-endian float16/32/64 array, format version 1.0, 2.0 or 3.0, rows at a time.
// Thread-safe once opened (positioned reads). Memory: up to 1 MiB a call.
class NpyReader {
 public:
  // kIo when the file cannot be opened. kBadInput, naming the file and the reason, for everything that is not such an
  // array: magic, version, header, dtype, byte order, Fortran order, dimensions, no rows, no columns, and a size on
  // disk other than the header's (expected and found bytes).
  static Result<NpyReader> open(const std::string& path);
  // As open, over bytes that must outlive the reader; `name` stands for the path in messages.
  static Result<NpyReader> from_memory(std::string_view bytes, std::string name);
  ~NpyReader();
  NpyReader(NpyReader&&) noexcept;
  NpyReader& operator=(NpyReader&&) noexcept;

  int64_t rows() const;
  int64_t cols() const;
  NpyType dtype() const;
  const std::string& name() const;

  // Rows first .. first+count-1 into `out` (count x cols, any stride), as float32 (float64 is rounded to nearest).
  // kBadInput names row and column of a NaN or infinity (also a float64 too large for float32), or a row that is all
  // zeros (it has no direction). kIo when reading fails or the file shrank. kInternal when the range or shape is wrong.
  // `out` is unspecified after an error. Several threads may read at once.
  Status read_rows(int64_t first, int64_t count, HostMatrix<float> out) const;

 private:
  struct State;
  explicit NpyReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Rows of float32 as they come, their number not known before: version 1.0, C order, atomically (see AtomicFile).
class NpyWriter {
 public:
  // kIo when the file cannot be created.
  static Result<NpyWriter> create(const std::string& path, int64_t cols);
  // Appends dense rows of `cols` columns. Nothing is at the path before commit().
  Status write(HostMatrix<const float> rows);
  Status commit();
  int64_t rows() const { return rows_; }

 private:
  NpyWriter(AtomicFile file, int64_t cols) : file_(std::move(file)), cols_(cols) {}
  AtomicFile file_;
  int64_t cols_;
  int64_t rows_ = 0;
};

}  // namespace tracer::io
