#include "host/io/safetensors.h"

#include <fcntl.h>
#include <simdjson.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>

#include "host/io/file.h"
#include "host/io/safetensors_type.h"

namespace tracer::io {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are used as they lie in the file");

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own implementation
constexpr std::string_view kMetadata = "__metadata__";

// A mapping of a whole file. Move-only.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* at, size_t size) : at_(at), size_(size) {}
  ~Mapping() {
    if (at_ != nullptr) ::munmap(at_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::string_view bytes() const { return {static_cast<const char*>(at_), size_}; }
  void set(void* at, size_t size) { at_ = at, size_ = size; }

 private:
  void* at_ = nullptr;
  size_t size_ = 0;
};

// Names come from a file: only printable text goes into a message, and not too much of it.
std::string shown(std::string_view name) {
  std::string out = "\"";
  for (char c : name.substr(0, 64)) out += static_cast<unsigned char>(c) >= ' ' && c != 127 ? c : '?';
  return out + (name.size() > 64 ? "...\"" : "\"");
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    out += (i == 0 ? "" : ", ") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
  }
  return out + "]";
}

}  // namespace

struct SafetensorsFile::State {
  std::string name;
  Mapping mapping;
  std::unique_ptr<std::max_align_t[]> copy;  // of a misaligned buffer
  std::string_view bytes;
  std::map<std::string, TensorView> tensors;
  std::map<std::string, std::string> metadata;

  Status bad(const std::string& what) const { return bad_input(name + ": " + what); }

  Status parse() {
    if (bytes.size() < 8) {
      return bad("not a safetensors file: expected at least 8 bytes, found " + std::to_string(bytes.size()));
    }
    uint64_t header_bytes;
    std::memcpy(&header_bytes, bytes.data(), 8);
    if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - 8) {
      return bad("a header of " + std::to_string(header_bytes) + " bytes; expected at most " +
                 std::to_string(std::min<uint64_t>(kMaxHeaderBytes, bytes.size() - 8)));
    }
    const std::string_view header = bytes.substr(8, header_bytes);
    const std::string_view data = bytes.substr(8 + header_bytes);
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    // The parser copies the header: it needs padding after its input.
    if (parser.parse(header.data(), header.size(), /*realloc_if_needed=*/true).get(object) != simdjson::SUCCESS) {
      return bad("the header is not a JSON object");
    }
    for (auto field : object) {
      if (field.key == kMetadata) {
        TRACER_RETURN_IF_ERROR(parse_metadata(field.value));
      } else {
        TRACER_RETURN_IF_ERROR(parse_tensor(field.key, field.value, data));
      }
    }
    return check_layout(data);
  }

  Status parse_metadata(simdjson::dom::element value) {
    simdjson::dom::object object;
    if (!metadata.empty() || value.get(object) != simdjson::SUCCESS) {
      return bad("__metadata__: expected one object of strings");
    }
    for (auto field : object) {
      std::string_view text;
      if (field.value.get(text) != simdjson::SUCCESS) return bad("__metadata__: expected one object of strings");
      if (!metadata.emplace(field.key, text).second) return bad("__metadata__: key " + shown(field.key) + " twice");
    }
    return {};
  }

  Status parse_tensor(std::string_view key, simdjson::dom::element value, std::string_view data) {
    const std::string who = "tensor " + shown(key) + ": ";
    simdjson::dom::object object;
    if (value.get(object) != simdjson::SUCCESS) return bad(who + "expected an object");
    TensorView view;
    uint64_t offsets[2] = {0, 0};
    int seen = 0;
    for (auto field : object) {
      int bit = 0;
      if (field.key == "dtype") {
        bit = 1;
        std::string_view text;
        if (field.value.get(text) != simdjson::SUCCESS) return bad(who + "dtype is not a string");
        const std::optional<TensorType> type = tensor_type_named(text);
        if (!type) return bad(who + "dtype " + shown(text) + "; expected F64, I64, F32, I32, F16, BF16 or U8");
        view.type = *type;
      } else if (field.key == "shape") {
        bit = 2;
        TRACER_RETURN_IF_ERROR(parse_shape(who, field.value, view.shape));
      } else if (field.key == "data_offsets") {
        bit = 4;
        simdjson::dom::array array;
        if (field.value.get(array) != simdjson::SUCCESS || array.size() != 2 ||
            array.at(0).get(offsets[0]) != simdjson::SUCCESS || array.at(1).get(offsets[1]) != simdjson::SUCCESS) {
          return bad(who + "data_offsets: expected two sizes");
        }
      }
      if (bit == 0) return bad(who + "key " + shown(field.key) + "; expected dtype, shape and data_offsets");
      if ((seen & bit) != 0) return bad(who + "key " + shown(field.key) + " twice");
      seen |= bit;
    }
    if (seen != 7) return bad(who + "expected dtype, shape and data_offsets");
    if (offsets[0] > offsets[1] || offsets[1] > data.size()) {
      return bad(who + "data from byte " + std::to_string(offsets[0]) + " to " + std::to_string(offsets[1]) +
                 "; the file has " + std::to_string(data.size()) + " bytes of data");
    }
    int64_t expected = 0;
    if (!bytes_of(view.type, view.shape, expected)) return bad(who + "shape " + shape_text(view.shape) + " overflows");
    const uint64_t found = offsets[1] - offsets[0];
    if (found != static_cast<uint64_t>(expected)) {
      return bad(who + std::string(tensor_type_name(view.type)) + " of shape " + shape_text(view.shape) + " needs " +
                 std::to_string(expected) + " bytes, data_offsets span " + std::to_string(found));
    }
    view.data = std::as_bytes(std::span(data.substr(offsets[0], found)));
    if (reinterpret_cast<uintptr_t>(view.data.data()) % static_cast<uint64_t>(tensor_type_bytes(view.type)) != 0) {
      return bad(who + "data at byte " + std::to_string(view.data.data() - as_bytes_begin()) +
                 " of the file, not aligned to its element");
    }
    if (!tensors.emplace(key, std::move(view)).second) return bad(who + "there twice");
    return {};
  }

  const std::byte* as_bytes_begin() const { return reinterpret_cast<const std::byte*>(bytes.data()); }

  Status parse_shape(const std::string& who, simdjson::dom::element value, std::vector<int64_t>& shape) const {
    simdjson::dom::array array;
    if (value.get(array) != simdjson::SUCCESS || array.size() > 32) {
      return bad(who + "shape: expected an array of at most 32 sizes");
    }
    for (auto element : array) {
      int64_t size;
      if (element.get(size) != simdjson::SUCCESS || size < 0) return bad(who + "shape: expected sizes");
      shape.push_back(size);
    }
    return {};
  }

  // Every byte of data belongs to exactly one tensor.
  Status check_layout(std::string_view data) const {
    std::vector<std::pair<std::span<const std::byte>, const std::string*>> order;
    for (const auto& [key, view] : tensors) order.emplace_back(view.data, &key);
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return std::pair(a.first.data(), a.first.size()) < std::pair(b.first.data(), b.first.size());
    });
    const auto* base = reinterpret_cast<const std::byte*>(data.data());
    int64_t at = 0;
    for (const auto& [span, key] : order) {
      const int64_t begin = span.data() - base;
      if (begin != at) {
        return bad("tensor " + shown(*key) + ": data from byte " + std::to_string(begin) +
                   (begin < at ? ", overlapping" : ", leaving a hole after") + " the tensor that ends at byte " +
                   std::to_string(at));
      }
      at += static_cast<int64_t>(span.size());
    }
    if (at == static_cast<int64_t>(data.size())) return {};
    return bad("expected " + std::to_string(at) + " bytes of data, found " + std::to_string(data.size()));
  }
};

SafetensorsFile::SafetensorsFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  Result<UniqueFd> fd = open_for_reading(path);
  if (!fd.ok()) return fd.status();
  struct stat st;
  if (::fstat(fd->get(), &st) != 0) return errno_error(path, "cannot stat", errno);
  if (!S_ISREG(st.st_mode)) return io_error(path + ": not a regular file");
  auto state = std::make_unique<State>();
  state->name = path;
  if (st.st_size > 0) {
    const auto size = static_cast<size_t>(st.st_size);
    void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd->get(), 0);
    if (at == MAP_FAILED) return errno_error(path, "cannot map", errno);
    state->mapping.set(at, size);
    state->bytes = state->mapping.bytes();
  }
  TRACER_RETURN_IF_ERROR(state->parse());
  return SafetensorsFile(std::move(state));
}

Result<SafetensorsFile> SafetensorsFile::from_memory(std::string_view bytes, std::string name) {
  auto state = std::make_unique<State>();
  state->name = std::move(name);
  state->bytes = bytes;
  if (reinterpret_cast<uintptr_t>(bytes.data()) % 8 != 0) {
    state->copy = std::make_unique<std::max_align_t[]>(bytes.size() / sizeof(std::max_align_t) + 1);
    std::memcpy(state->copy.get(), bytes.data(), bytes.size());
    state->bytes = {reinterpret_cast<const char*>(state->copy.get()), bytes.size()};
  }
  TRACER_RETURN_IF_ERROR(state->parse());
  return SafetensorsFile(std::move(state));
}

const std::map<std::string, TensorView>& SafetensorsFile::tensors() const { return state_->tensors; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return state_->metadata; }
std::string_view SafetensorsFile::bytes() const { return state_->bytes; }

Result<TensorView> SafetensorsFile::find(const std::string& name, TensorType type,
                                         const std::vector<int64_t>& shape) const {
  const std::string expected =
      "tensor " + shown(name) + ": expected " + std::string(tensor_type_name(type)) + " of shape " + shape_text(shape);
  const auto found = tensors().find(name);
  if (found == tensors().end()) return state_->bad(expected + ", found none of that name");
  const TensorView& view = found->second;
  bool same = view.type == type && view.shape.size() == shape.size();
  for (size_t i = 0; same && i < shape.size(); ++i) same = shape[i] < 0 || shape[i] == view.shape[i];
  if (!same) {
    return state_->bad(expected + ", found " + std::string(tensor_type_name(view.type)) + " of shape " +
                       shape_text(view.shape));
  }
  return view;
}

}  // namespace tracer::io
