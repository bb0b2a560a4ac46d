#include "host/io/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "tests/host/io_test_util.h"

namespace tracer::io {
namespace {

using namespace std::string_literals;

// A file by hand: the oracle for the reader, independent of our writer.
std::string st(std::string header, const std::string& data, bool pad = true) {
  if (pad) header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t n = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &n, 8);
  return out + header + data;
}

std::string refusal(std::string_view bytes) {
  Result<SafetensorsFile> r = SafetensorsFile::from_memory(bytes, "w.st");
  if (r.ok()) return "no error";
  EXPECT_EQ(r.status().code(), ErrorCode::kBadInput);
  return r.status().message();
}

SafetensorsWriter sample(bool reversed) {
  static const std::vector<float> f = {1, 2, 3, 4, 5, 6};
  static const std::vector<double> d = {0.5};
  static const std::vector<int32_t> i = {-1, 7, 9};
  static const std::vector<int64_t> l = {int64_t{1} << 40, 2};
  static const std::vector<uint8_t> u = {1, 2, 3};
  SafetensorsWriter w;
  std::vector<std::function<void()>> adds = {
      [&] {
        w.add<float>("weights", {2, 3}, f);
      },
      [&] { w.add<double>("alpha", {}, d); },
      [&] { w.add<int32_t>("counts", {3}, i); },
      [&] {
        w.add<int64_t>("big", {2, 1}, l);
      },
      [&] { w.add<uint8_t>("a/bytes \"\u00e9\"", {3}, u); },
      [&] {
        w.add<float>("none", {0, 5}, std::span<const float>());
      },
      [&] { w.set_metadata("format", "x"); },
      [&] { w.set_metadata("b", "\n"); },
  };
  if (reversed) std::reverse(adds.begin(), adds.end());
  for (auto& add : adds) add();
  return w;
}

TEST(Safetensors, RoundTripWhateverTheOrder) {
  TempFolder folder;
  Result<std::string> bytes = sample(false).serialize();
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  EXPECT_EQ(*bytes, *sample(true).serialize());
  folder.write("w", *bytes);
  Result<SafetensorsFile> file = SafetensorsFile::open(folder.path("w"));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->tensors().size(), 6u);
  EXPECT_EQ(file->metadata(), (std::map<std::string, std::string>{{"b", "\n"}, {"format", "x"}}));
  EXPECT_EQ(file->bytes(), *bytes);
  Result<HostMatrix<const float>> w = file->matrix<float>("weights", 2, 3);
  ASSERT_TRUE(w.ok());
  EXPECT_EQ((*w)(1, 2), 6);
  for (const auto& [name, view] : file->tensors()) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.data.data()) % static_cast<size_t>(tensor_type_bytes(view.type)), 0u);
  }
  EXPECT_EQ((*file->values<double>("alpha", {}))[0], 0.5);
  EXPECT_EQ((*file->values<int32_t>("counts", {-1}))[2], 9);
  EXPECT_EQ((*file->values<int64_t>("big", {2, 1}))[0], int64_t{1} << 40);
  EXPECT_EQ((*file->values<uint8_t>("a/bytes \"\u00e9\"", {3}))[1], 2);
  EXPECT_EQ(file->matrix<float>("none")->rows, 0);
  EXPECT_TRUE(file->has("none"));
  EXPECT_FALSE(file->has("None"));
}

TEST(Safetensors, ExpectedAndFound) {
  const std::string bytes = *sample(false).serialize();
  Result<SafetensorsFile> file = SafetensorsFile::from_memory(bytes, "w.st");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->matrix<float>("weights", 3, -1).status().message(),
            "w.st: tensor \"weights\": expected F32 of shape [3, any], found F32 of shape [2, 3]");
  EXPECT_EQ(file->values<double>("weights", {2, 3}).status().message(),
            "w.st: tensor \"weights\": expected F64 of shape [2, 3], found F32 of shape [2, 3]");
  EXPECT_EQ(file->values<float>("weights", {6}).status().message(),
            "w.st: tensor \"weights\": expected F32 of shape [6], found F32 of shape [2, 3]");
  EXPECT_EQ(file->values<float>("bias", {2}).status().message(),
            "w.st: tensor \"bias\": expected F32 of shape [2], found none of that name");
}

TEST(Safetensors, EmptyAndUnaligned) {
  const std::string empty = *SafetensorsWriter().serialize();
  EXPECT_EQ(empty, "\x08\0\0\0\0\0\0\0{}      "s);
  EXPECT_EQ(refusal(empty), "no error");
  const std::string shifted = "x" + *sample(false).serialize();
  Result<SafetensorsFile> file = SafetensorsFile::from_memory(std::string_view(shifted).substr(1), "w.st");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file->values<float>("weights", {2, 3}))[5], 6);
}

TEST(Safetensors, WriterRefusesWhatItCannotKeep) {
  const std::vector<float> f = {1, 2};
  const std::function<void(SafetensorsWriter&)> cases[] = {
      [&](SafetensorsWriter& w) { w.add<float>("", {2}, f); },
      [&](SafetensorsWriter& w) { w.add<float>("__metadata__", {2}, f); },
      [&](SafetensorsWriter& w) { w.add<float>("\xff", {2}, f); },
      [&](SafetensorsWriter& w) { w.add<float>("a", {3}, f); },
      [&](SafetensorsWriter& w) { w.add<float>("a", {-2}, f); },
      [&](SafetensorsWriter& w) {
        w.add<float>("a", {int64_t{1} << 62, 2}, f);
      },
      [&](SafetensorsWriter& w) { w.add<float>("a", {2}, f), w.add<float>("a", {2}, f); },
      [&](SafetensorsWriter& w) { w.set_metadata("k", "\xff"); },
  };
  for (const auto& add : cases) {
    SafetensorsWriter w;
    add(w);
    EXPECT_EQ(w.serialize().status().code(), ErrorCode::kInternal) << &add - cases;
  }
}

TEST(Safetensors, Refused) {
  const std::string data(8, 'd');
  auto tensor = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return "{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
  };
  const std::string good = tensor("F32", "[2]", "[0,8]");
  const std::string t8 = "{\"t\":";
  const struct {
    std::string bytes, reason;
  } cases[] = {
      {"", "expected at least 8 bytes, found 0"},
      {"1234567", "expected at least 8 bytes, found 7"},
      {"\x09\0\0\0\0\0\0\0{}      "s, "a header of 9 bytes; expected at most 8"},
      {std::string(8, '\xff') + "{}", "a header of 18446744073709551615 bytes"},
      {st("", ""), "the header is not a JSON object"},
      {st("[]", ""), "the header is not a JSON object"},
      {st("{\"a\":", ""), "the header is not a JSON object"},
      {st("{} {}", ""), "the header is not a JSON object"},
      {st("{\"t\":1}", data), "tensor \"t\": expected an object"},
      {st("{\"t\":{}}", data), "expected dtype, shape and data_offsets"},
      {st(t8 + tensor("F8_E4M3", "[8]", "[0,8]") + "}", data),
       "dtype \"F8_E4M3\"; expected F64, I64, F32, I32, F16, BF16 or U8"},
      {st(t8 + tensor("F32", "[3]", "[0,8]") + "}", data), "F32 of shape [3] needs 12 bytes, data_offsets span 8"},
      {st(t8 + tensor("F32", "[-2]", "[0,8]") + "}", data), "shape: expected sizes"},
      {st(t8 + tensor("F32", "[2.0]", "[0,8]") + "}", data), "shape: expected sizes"},
      {st(t8 + tensor("F32", "2", "[0,8]") + "}", data), "shape: expected an array"},
      {st(t8 + tensor("F32", "[4611686018427387904,2]", "[0,8]") + "}", data), "overflows"},
      {st(t8 + tensor("F32", "[9223372036854775807,9223372036854775807,0]", "[0,8]") + "}", data), "overflows"},
      {st(t8 + tensor("F32", "[2]", "[8,0]") + "}", data), "data from byte 8 to 0; the file has 8 bytes of data"},
      {st(t8 + tensor("F32", "[2]", "[0,9]") + "}", data), "data from byte 0 to 9; the file has 8"},
      {st(t8 + tensor("F32", "[2]", "[-8,0]") + "}", data), "data_offsets: expected two sizes"},
      {st(t8 + tensor("F32", "[2]", "[0]") + "}", data), "data_offsets: expected two sizes"},
      {st(t8 + tensor("F32", "[2]", "[0,18446744073709551615]") + "}", data), "to 18446744073709551615"},
      {st("{\"t\":" + good + ",\"t\":" + good + "}", data), "tensor \"t\": there twice"},
      {st("{\"t\":" + good + ",\"u\":" + good + "}", data), "overlapping"},
      {st(t8 + tensor("F32", "[1]", "[4,8]") + "}", data), "leaving a hole"},
      {st(t8 + good + "}", data + "x"), "expected 8 bytes of data, found 9"},
      {st("{}", data), "expected 0 bytes of data, found 8"},
      {st("{\"t\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", data),
       "\"dtype\" twice"},
      {st("{\"t\":{\"dtype\":\"F32\",\"x\":0,\"shape\":[2],\"data_offsets\":[0,8]}}", data), "key \"x\""},
      {st("{\"a\":" + tensor("U8", "[4]", "[0,4]") + ",\"b\":" + tensor("U8", "[2]", "[3,5]") +
              ",\"c\":" + tensor("U8", "[3]", "[5,8]") + "}",
          data),
       "overlapping"},
      {st("{\"u\":" + tensor("U8", "[1]", "[0,1]") + ",\"f\":" + tensor("F32", "[1]", "[1,5]") + "}", "12345"),
       "not aligned to its element"},
      {st(t8 + good + "} ", data, false), "not aligned to its element"},
      {st("{\"__metadata__\":{\"a\":1},\"t\":" + good + "}", data), "__metadata__: expected one object of strings"},
      {st("{\"__metadata__\":[],\"t\":" + good + "}", data), "__metadata__: expected one object of strings"},
      {st("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"},\"t\":" + good + "}", data), "key \"a\" twice"},
      {st("{\"\xff\":" + good + "}", data), "the header is not a JSON object"},
  };
  for (const auto& c : cases) {
    const std::string message = refusal(c.bytes);
    EXPECT_TRUE(message.starts_with("w.st: ")) << message;
    EXPECT_TRUE(contains(message, c.reason)) << c.bytes.substr(8);
  }
  EXPECT_EQ(refusal(st(t8 + good + "}", data)), "no error");
  EXPECT_EQ(refusal(st("{\"t\":" + good + ",\"u\":" + tensor("F32", "[0]", "[8,8]") +
                           ",\"v\":" + tensor("U8", "[0]", "[0,0]") + "}",
                       data)),
            "no error")
      << "empty tensors";
}

TEST(Safetensors, OpenFailures) {
  TempFolder folder;
  EXPECT_EQ(SafetensorsFile::open(folder.path("absent")).status().code(), ErrorCode::kIo);
  EXPECT_EQ(SafetensorsFile::open(folder.write("empty", "")).status().code(), ErrorCode::kBadInput);
  EXPECT_EQ(SafetensorsFile::open("/dev/null").status().code(), ErrorCode::kIo);
}

TEST(Safetensors, FlipAndTruncateEveryByte) {
  const std::string whole = *sample(false).serialize();
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_NE(refusal(std::string_view(whole).substr(0, n)), "no error") << n;
  EXPECT_NE(refusal(whole + '\0'), "no error");
  uint64_t header_bytes;
  std::memcpy(&header_bytes, whole.data(), 8);
  for (size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      Result<SafetensorsFile> file = SafetensorsFile::from_memory(bytes, "w.st");
      if (!file.ok()) continue;
      // Whatever is accepted lies within the data and covers it: sizes add up (a name, a type of the same width, an
      // element or metadata changed).
      EXPECT_GE(i, 8u) << "the length field";
      size_t total = 0;
      for (const auto& [name, view] : file->tensors()) {
        total += view.data.size();
        for (std::byte b : view.data) (void)b;
      }
      EXPECT_EQ(total, whole.size() - 8 - header_bytes) << i;
    }
  }
}

}  // namespace
}  // namespace tracer::io
