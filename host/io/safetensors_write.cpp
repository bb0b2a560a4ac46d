#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "host/io/safetensors.h"
#include "host/io/safetensors_type.h"

namespace tracer::io {
namespace {

bool is_utf8(std::string_view s) { return simdjson::validate_utf8(s.data(), s.size()); }

std::string json_string(const std::string& s) { return nlohmann::json(s).dump(); }

}  // namespace

std::string_view tensor_type_name(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return "F32";
    case TensorType::kF64:
      return "F64";
    case TensorType::kI32:
      return "I32";
    case TensorType::kI64:
      return "I64";
    case TensorType::kU8:
      return "U8";
    case TensorType::kF16:
      return "F16";
    case TensorType::kBF16:
      return "BF16";
  }
  return "?";
}

int64_t tensor_type_bytes(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kI32:
      return 4;
    case TensorType::kF64:
    case TensorType::kI64:
      return 8;
    case TensorType::kF16:
    case TensorType::kBF16:
      return 2;
    case TensorType::kU8:
      return 1;
  }
  return 1;
}

std::optional<TensorType> tensor_type_named(std::string_view name) {
  for (TensorType t : {TensorType::kF32, TensorType::kF64, TensorType::kI32, TensorType::kI64, TensorType::kU8,
                       TensorType::kF16, TensorType::kBF16}) {
    if (name == tensor_type_name(t)) return t;
  }
  return {};
}

bool bytes_of(TensorType type, const std::vector<int64_t>& shape, int64_t& bytes) {
  bytes = tensor_type_bytes(type);
  for (int64_t n : shape) {
    if (n < 0 || (n > 0 && bytes > std::numeric_limits<int64_t>::max() / n)) return false;
    bytes *= n;
  }
  return true;
}

void SafetensorsWriter::add_bytes(std::string name, TensorType type, std::vector<int64_t> shape,
                                  std::span<const std::byte> data) {
  entries_.push_back({type, std::move(shape), data, std::move(name)});
}

void SafetensorsWriter::set_metadata(std::string key, std::string value) {
  metadata_[std::move(key)] = std::move(value);
}

// Length field and JSON; `order` becomes the order of the data.
Result<std::string> SafetensorsWriter::header(std::vector<const Entry*>& order) const {
  order.clear();
  for (const Entry& e : entries_) order.push_back(&e);
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->name < b->name; });
  for (size_t i = 0; i < order.size(); ++i) {
    const Entry& e = *order[i];
    const std::string who = "safetensors: tensor \"" + e.name + "\": ";
    if (e.name.empty() || e.name == "__metadata__" || !is_utf8(e.name))
      return internal_error(who + "not a usable name");
    if (i > 0 && order[i - 1]->name == e.name) return internal_error(who + "added twice");
    int64_t bytes;
    if (!bytes_of(e.type, e.shape, bytes) || static_cast<uint64_t>(bytes) != e.data.size()) {
      return internal_error(who + "shape and data disagree");
    }
  }
  std::stable_sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
    return tensor_type_bytes(a->type) > tensor_type_bytes(b->type);
  });

  std::string json = "{";
  if (!metadata_.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata_) {
      if (!is_utf8(key) || !is_utf8(value)) return internal_error("safetensors: metadata that is not UTF-8");
      if (json.back() != '{') json += ',';
      json += json_string(key) + ':' + json_string(value);
    }
    json += '}';
  }
  size_t at = 0;
  for (const Entry* e : order) {
    if (json.size() > 1) json += ',';
    json += json_string(e->name) + ":{\"dtype\":\"" + std::string(tensor_type_name(e->type)) + "\",\"shape\":[";
    for (size_t i = 0; i < e->shape.size(); ++i) {
      if (i > 0) json += ',';
      json += std::to_string(e->shape[i]);
    }
    json += "],\"data_offsets\":[" + std::to_string(at) + ',' + std::to_string(at + e->data.size()) + "]}";
    at += e->data.size();
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');
  const uint64_t length = json.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + json;
}

Result<std::string> SafetensorsWriter::serialize() const {
  std::vector<const Entry*> order;
  Result<std::string> out = header(order);
  if (!out.ok()) return out;
  for (const Entry* e : order) out->append(reinterpret_cast<const char*>(e->data.data()), e->data.size());
  return out;
}

}  // namespace tracer::io
