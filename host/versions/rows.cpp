#include "host/versions/rows.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/maths/random.h"
#include "host/io/json_fields.h"
#include "host/io/safetensors.h"
#include "host/io/sha256.h"
#include "host/io/text_hash.h"

namespace tracer {
namespace {

constexpr char kFormat[] = "tracer-rows";

template <class To, class From>
std::span<const To> as(const std::vector<From>& v) {
  static_assert(sizeof(To) == sizeof(From));
  return {reinterpret_cast<const To*>(v.data()), v.size()};
}

Result<std::vector<std::string>> parse_labels(const std::map<std::string, std::string>& metadata,
                                              const std::string& path) {
  const auto format = metadata.find("format"), labels = metadata.find("labels");
  if (format == metadata.end() || format->second != kFormat || labels == metadata.end())
    return bad_input(path + ": expected rows kept by `tracer update`, found another file");
  TRACER_ASSIGN_OR_RETURN(auto json, parse_json(labels->second, path + ": labels"));
  std::vector<std::string> names;
  if (!json.is_array()) return bad_input(path + ": labels: expected an array, found " + json.type_name());
  for (const auto& name : json) {
    if (!name.is_string()) return bad_input(path + ": labels: expected strings, found " + name.type_name());
    names.push_back(name.get<std::string>());
  }
  if (!std::is_sorted(names.begin(), names.end())) return bad_input(path + ": labels: expected them sorted");
  return names;
}

}  // namespace

uint64_t KeptRows::content(int64_t row) const {
  return label[row] < 0 ? mix64(text[row]) : mix64(text[row]) ^ io::xxh64(labels[label[row]]);
}

Result<std::string> rows_bytes(const KeptRows& rows) {
  const int64_t n = rows.rows();
  io::SafetensorsWriter writer;
  writer.add("vectors", rows.x);
  writer.add<int32_t>("label", {n}, rows.label);
  writer.add<int64_t>("text", {n}, as<int64_t>(rows.text));
  writer.add<int64_t>("name", {n}, as<int64_t>(rows.name));
  writer.add<uint8_t>("provenance", {n}, as<uint8_t>(rows.provenance));
  writer.set_metadata("format", kFormat);
  writer.set_metadata("labels", nlohmann::ordered_json(rows.labels).dump());
  return writer.serialize();
}

Result<KeptRows> read_rows(const std::string& path, const std::string& sha256) {
  TRACER_ASSIGN_OR_RETURN(auto file, io::SafetensorsFile::open(path));
  if (const std::string found = io::sha256_hex(file.bytes()); found != sha256)
    return bad_input(path + ": damaged: expected sha256 " + sha256 + ", found " + found);
  TRACER_ASSIGN_OR_RETURN(auto labels, parse_labels(file.metadata(), path));
  KeptRows rows;
  rows.labels = std::move(labels);
  TRACER_ASSIGN_OR_RETURN(auto x, file.matrix<float>("vectors"));
  const int64_t n = x.rows;
  auto label = file.values<int32_t>("label", {n});
  auto text = file.values<int64_t>("text", {n});
  auto name = file.values<int64_t>("name", {n});
  auto provenance = file.values<uint8_t>("provenance", {n});
  for (const Status& s : {label.status(), text.status(), name.status(), provenance.status()})
    if (!s.ok()) return s;
  rows.x = Matrix<float>(n, x.cols);
  std::copy_n(x.data, n * x.cols, rows.x.data());
  rows.label.assign(label->begin(), label->end());
  for (int64_t i = 0; i < n; ++i) {
    rows.text.push_back(static_cast<uint64_t>((*text)[i]));
    rows.name.push_back(static_cast<uint64_t>((*name)[i]));
    const uint8_t p = (*provenance)[i];
    if (p > static_cast<uint8_t>(io::RowOrigin::kAudit))
      return bad_input(path + ": provenance: expected 0 to 2, found " + std::to_string(p));
    rows.provenance.push_back(static_cast<io::RowOrigin>(p));
    const bool may_lack = rows.provenance.back() == io::RowOrigin::kAudit;
    if (rows.label[i] < (may_lack ? -1 : 0) || rows.label[i] >= static_cast<int32_t>(rows.labels.size()))
      return bad_input(path + ": label: expected one of " + std::to_string(rows.labels.size()) + ", found " +
                       std::to_string(rows.label[i]));
  }
  return rows;
}

}  // namespace tracer
