#include "host/io/npy.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <vector>

#include "host/io/file.h"
#include "host/io/half.h"
#include "host/io/npy_header.h"

namespace tracer::io {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are used as they lie in the file");

constexpr int64_t kChunkBytes = int64_t{1} << 20;

int64_t element_bytes(NpyType type) { return type == NpyType::kF16 ? 2 : type == NpyType::kF32 ? 4 : 8; }

Result<NpyType> dtype_of(const NpyHeader& h) {
  if (h.descr == "<f2") return NpyType::kF16;
  if (h.descr == "<f4") return NpyType::kF32;
  if (h.descr == "<f8") return NpyType::kF64;
  // Only printable text goes into a message.
  std::string shown;
  for (char c : h.descr.substr(0, 32)) shown += c >= ' ' && c <= '~' ? c : '?';
  return bad_input((h.descr[0] == '>' ? "big-endian dtype " : "dtype ") + shown + "; expected <f2, <f4 or <f8");
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "(";
  for (size_t i = 0; i < shape.size(); ++i) out += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return out + (shape.size() == 1 ? ",)" : ")");
}

template <class From>
void convert(const char* from, float* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    From v;
    std::memcpy(&v, from + i * int64_t{sizeof(From)}, sizeof v);
    if constexpr (std::is_same_v<From, uint16_t>) {
      to[i] = half_to_float(v);
    } else {
      to[i] = static_cast<float>(v);  // a float64 beyond float32 becomes infinity, which the caller refuses
    }
  }
}

// What is wrong with a row, without its number; "" when it is sound. Integer tests, so that the loop vectorises and
// holds whatever the compiler assumes about NaN.
std::string row_problem(const float* row, int64_t cols) {
  uint32_t any = 0;
  uint32_t special = 0;
  for (int64_t c = 0; c < cols; ++c) {
    const uint32_t magnitude = std::bit_cast<uint32_t>(row[c]) & 0x7fffffffu;
    any |= magnitude;
    special |= static_cast<uint32_t>(magnitude >= 0x7f800000u);
  }
  if (special != 0) {
    int64_t c = 0;
    while ((std::bit_cast<uint32_t>(row[c]) & 0x7fffffffu) < 0x7f800000u) ++c;
    const bool nan = (std::bit_cast<uint32_t>(row[c]) & 0x7fffffffu) > 0x7f800000u;
    return std::string(nan ? "NaN" : "infinity (in float32)") + " in column " + std::to_string(c);
  }
  return any == 0 ? "all zeros" : "";
}

}  // namespace

struct NpyReader::State {
  std::string name;
  UniqueFd fd;              // either this
  std::string_view memory;  // or this
  bool in_memory = false;
  int64_t file_bytes = 0;
  NpyType type = NpyType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t data_at = 0;

  Status bad(const std::string& what) const { return bad_input(name + ": " + what); }

  // Exactly n bytes at `offset`.
  Status read_at(int64_t offset, char* to, int64_t n) const {
    if (in_memory) {
      if (offset + n > file_bytes) return bad("the file shrank while it was read");
      std::memcpy(to, memory.data() + offset, static_cast<size_t>(n));
      return {};
    }
    while (n > 0) {
      const ssize_t got = ::pread(fd.get(), to, static_cast<size_t>(n), offset);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno_error(name, "cannot read", errno);
      if (got == 0) return io_error(name + ": the file shrank while it was read");
      to += got;
      offset += got;
      n -= got;
    }
    return {};
  }

  Status read_header() {
    std::string head(static_cast<size_t>(std::min(file_bytes, kNpyPreambleBytes)), '\0');
    TRACER_RETURN_IF_ERROR(read_at(0, head.data(), static_cast<int64_t>(head.size())));
    Result<NpyPreamble> preamble = parse_npy_preamble(head);
    if (!preamble.ok()) return bad(preamble.status().message());
    data_at = preamble->dictionary_at + preamble->dictionary_bytes;
    if (data_at > file_bytes) {
      return bad("truncated in the .npy header: expected " + std::to_string(data_at) + " bytes, found " +
                 std::to_string(file_bytes));
    }
    std::string text(static_cast<size_t>(preamble->dictionary_bytes), '\0');
    TRACER_RETURN_IF_ERROR(read_at(preamble->dictionary_at, text.data(), preamble->dictionary_bytes));
    Result<NpyHeader> header = parse_npy_dictionary(text);
    if (!header.ok()) return bad(header.status().message());
    Result<NpyType> dtype = dtype_of(*header);
    if (!dtype.ok()) return bad(dtype.status().message());
    type = *dtype;
    if (header->shape.size() != 2) {
      return bad("an array of shape " + shape_text(header->shape) + "; expected two dimensions, rows and columns");
    }
    rows = header->shape[0];
    cols = header->shape[1];
    if (rows == 0) return bad("no rows: shape " + shape_text(header->shape));
    if (cols == 0) return bad("no columns: shape " + shape_text(header->shape));
    if (header->fortran_order) return bad("Fortran (column-major) order; expected C order");
    // Products are compared by division: a header may claim any size.
    const int64_t largest = std::numeric_limits<int64_t>::max() - data_at;
    if (rows > largest / element_bytes(type) / cols) {
      return bad("shape " + shape_text(header->shape) + " is larger than any file");
    }
    const int64_t expected = rows * cols * element_bytes(type), found = file_bytes - data_at;
    if (found == expected) return {};
    return bad((found < expected ? "truncated: " : "bytes after the data: ") + std::string("shape ") +
               shape_text(header->shape) + " needs " + std::to_string(expected) + " bytes of data, found " +
               std::to_string(found));
  }

  void convert_row(const char* from, float* to) const {
    switch (type) {
      case NpyType::kF16:
        return convert<uint16_t>(from, to, cols);
      case NpyType::kF32:
        std::memcpy(to, from, static_cast<size_t>(cols) * sizeof(float));
        return;
      case NpyType::kF64:
        return convert<double>(from, to, cols);
    }
  }
};

NpyReader::NpyReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
NpyReader::~NpyReader() = default;
NpyReader::NpyReader(NpyReader&&) noexcept = default;
NpyReader& NpyReader::operator=(NpyReader&&) noexcept = default;

Result<NpyReader> NpyReader::open(const std::string& path) {
  Result<UniqueFd> fd = open_for_reading(path);
  if (!fd.ok()) return fd.status();
  struct stat st;
  if (::fstat(fd->get(), &st) != 0) return errno_error(path, "cannot stat", errno);
  if (!S_ISREG(st.st_mode)) return io_error(path + ": not a regular file; vectors are read at random positions");
  auto state = std::make_unique<State>();
  state->name = path;
  state->fd = std::move(*fd);
  state->file_bytes = st.st_size;
  TRACER_RETURN_IF_ERROR(state->read_header());
  return NpyReader(std::move(state));
}

Result<NpyReader> NpyReader::from_memory(std::string_view bytes, std::string name) {
  auto state = std::make_unique<State>();
  state->name = std::move(name);
  state->memory = bytes;
  state->in_memory = true;
  state->file_bytes = static_cast<int64_t>(bytes.size());
  TRACER_RETURN_IF_ERROR(state->read_header());
  return NpyReader(std::move(state));
}

int64_t NpyReader::rows() const { return state_->rows; }
int64_t NpyReader::cols() const { return state_->cols; }
NpyType NpyReader::dtype() const { return state_->type; }
const std::string& NpyReader::name() const { return state_->name; }

Status NpyReader::read_rows(int64_t first, int64_t count, HostMatrix<float> out) const {
  const State& s = *state_;
  if (first < 0 || count < 0 || first > s.rows || count > s.rows - first || out.rows != count || out.cols != s.cols) {
    return internal_error(s.name + ": read_rows: rows or shape out of range");
  }
  const int64_t row_bytes = s.cols * element_bytes(s.type);
  const int64_t step = std::max<int64_t>(1, kChunkBytes / row_bytes);
  const bool as_they_are = s.type == NpyType::kF32 && out.stride == out.cols;
  std::vector<char> chunk(static_cast<size_t>(as_they_are ? 0 : std::min(step, count) * row_bytes));
  for (int64_t done = 0; done < count; done += step) {
    const int64_t n = std::min(step, count - done);
    char* to = as_they_are ? reinterpret_cast<char*>(out.row(done)) : chunk.data();
    TRACER_RETURN_IF_ERROR(s.read_at(s.data_at + (first + done) * row_bytes, to, n * row_bytes));
    for (int64_t r = 0; r < n; ++r) {
      float* row = out.row(done + r);
      if (!as_they_are) s.convert_row(chunk.data() + r * row_bytes, row);
      std::string problem = row_problem(row, s.cols);
      if (!problem.empty()) return s.bad("row " + std::to_string(first + done + r) + ": " + problem);
    }
  }
  return {};
}

Result<NpyWriter> NpyWriter::create(const std::string& path, int64_t cols) {
  Result<AtomicFile> file = AtomicFile::create(path);
  if (!file.ok()) return file.status();
  // As long as the final header: padding makes both 128 bytes, whatever the number of rows.
  TRACER_RETURN_IF_ERROR(file->write(make_npy_header("<f4", 0, cols)));
  return NpyWriter(std::move(file).value(), cols);
}

Status NpyWriter::write(HostMatrix<const float> rows) {
  if (rows.cols != cols_ || rows.stride != cols_) return internal_error("npy writer: rows of another shape");
  rows_ += rows.rows;
  return file_.write(
      {reinterpret_cast<const char*>(rows.data), static_cast<size_t>(rows.rows * cols_) * sizeof(float)});
}

Status NpyWriter::commit() {
  TRACER_RETURN_IF_ERROR(file_.write_at(0, make_npy_header("<f4", rows_, cols_)));
  return file_.commit();
}

}  // namespace tracer::io
