// The safetensors format (huggingface/safetensors): 8 bytes little-endian header length, a JSON header, raw data.
// Nothing in it is code. Types: F64, I64, F32, I32, F16, BF16, U8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer::io {

enum class TensorType { kF32, kF64, kI32, kI64, kU8, kF16, kBF16 };

// "F32" and so on, as the format spells it; and bytes an element.
std::string_view tensor_type_name(TensorType type);
int64_t tensor_type_bytes(TensorType type);

template <class T>
constexpr TensorType tensor_type_of() {
  if constexpr (std::is_same_v<T, float>)
    return TensorType::kF32;
  else if constexpr (std::is_same_v<T, double>)
    return TensorType::kF64;
  else if constexpr (std::is_same_v<T, int32_t>)
    return TensorType::kI32;
  else if constexpr (std::is_same_v<T, int64_t>)
    return TensorType::kI64;
  else {
    static_assert(std::is_same_v<T, uint8_t>, "no such tensor type");
    return TensorType::kU8;
  }
}

// Collects tensors, then writes them. Same tensors, same bytes, whatever the order of add(): data and header are in
// order of element size (largest first), then name, so that every tensor is aligned to its element without holes
// (which readers of the format refuse). Data begins at a multiple of 8 bytes in the file.
class SafetensorsWriter {
 public:
  // Keeps a reference: `data` must live until write(). Row-major; data.size() must be the product of shape.
  template <class T>
  void add(std::string name, std::vector<int64_t> shape, std::span<const T> data) {
    add_bytes(std::move(name), tensor_type_of<T>(), std::move(shape), std::as_bytes(data));
  }
  template <class T>
  void add(std::string name, const Matrix<T>& m) {
    add<T>(std::move(name), {m.rows(), m.cols()}, {m.data(), static_cast<size_t>(m.size())});
  }
  void add_bytes(std::string name, TensorType type, std::vector<int64_t> shape, std::span<const std::byte> data);
  // An entry of the optional "__metadata__" map.
  void set_metadata(std::string key, std::string value);

  // The file's bytes; or kInternal when a name repeats, is empty, "__metadata__" or not UTF-8, or a shape and its data
  // disagree.
  Result<std::string> serialize() const;

 private:
  struct Entry {
    TensorType type;
    std::vector<int64_t> shape;
    std::span<const std::byte> data;
    std::string name;
  };
  Result<std::string> header(std::vector<const Entry*>& order) const;
  std::vector<Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

struct TensorView {
  TensorType type = TensorType::kU8;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // aligned to its element
};

// A file mapped into memory, every offset checked on opening. Read-only and thread-safe; views live as long as the
// object. A file that is truncated by someone else while mapped raises SIGBUS when touched, as with any mapping:
// artifacts are renamed into place, never rewritten.
class SafetensorsFile {
 public:
  // kIo when the file cannot be opened or mapped. kBadInput, with what was expected and what was found: header length
  // out of bounds (at most 100 MB), bad JSON, a repeated name, an unknown dtype, a shape whose size overflows, offsets
  // that leave a hole, overlap, leave the file or disagree with the shape, misaligned data, bytes after the last
  // tensor.
  static Result<SafetensorsFile> open(const std::string& path);
  // Parses bytes that must outlive the object; `name` stands for the path in messages. A misaligned buffer is copied.
  static Result<SafetensorsFile> from_memory(std::string_view bytes, std::string name);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;

  const std::map<std::string, TensorView>& tensors() const;
  const std::map<std::string, std::string>& metadata() const;
  // The whole file, for its digest.
  std::string_view bytes() const;

  bool has(const std::string& name) const { return tensors().count(name) != 0; }

  // The tensor of that name, type and shape, or kBadInput with what was expected and what was found. In `shape`, -1
  // stands for any size.
  template <class T>
  Result<std::span<const T>> values(const std::string& name, const std::vector<int64_t>& shape) const {
    Result<TensorView> v = find(name, tensor_type_of<T>(), shape);
    if (!v.ok()) return v.status();
    return std::span<const T>(reinterpret_cast<const T*>(v->data.data()), v->data.size() / sizeof(T));
  }
  template <class T>
  Result<HostMatrix<const T>> matrix(const std::string& name, int64_t rows = -1, int64_t cols = -1) const {
    Result<TensorView> v = find(name, tensor_type_of<T>(), {rows, cols});
    if (!v.ok()) return v.status();
    return HostMatrix<const T>(reinterpret_cast<const T*>(v->data.data()), v->shape[0], v->shape[1]);
  }

 private:
  struct State;
  explicit SafetensorsFile(std::unique_ptr<State> state);
  Result<TensorView> find(const std::string& name, TensorType type, const std::vector<int64_t>& shape) const;
  std::unique_ptr<State> state_;
};

}  // namespace tracer::io
