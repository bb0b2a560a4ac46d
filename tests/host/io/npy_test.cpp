#include "host/io/npy.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "host/io/half.h"
#include "host/io/npy_header.h"
#include "tests/host/io_test_util.h"
#include "tests/host/npy_file.h"

namespace tracer::io {
namespace {

using namespace std::string_literals;

// A file by hand, of any version: the oracle for the reader, independent of our writer.
std::string npy(const std::string& dictionary, const std::string& data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  const size_t n = dictionary.size();
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) out += static_cast<char>(n >> (8 * i) & 0xff);
  return out + dictionary + data;
}

std::string dict(const std::string& descr, const std::string& shape, const std::string& order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }  \n";
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::string refusal(const std::string& bytes) {
  Result<NpyReader> r = NpyReader::from_memory(bytes, "v.npy");
  if (!r.ok()) {
    EXPECT_EQ(r.status().code(), ErrorCode::kBadInput);
    return r.status().message();
  }
  Matrix<float> m(r->rows(), r->cols());
  const Status status = r->read_rows(0, r->rows(), m.view());
  return status.ok() ? "no error" : status.message();
}

TEST(Npy, DtypesAndVersions) {
  for (int version : {1, 2, 3}) {
    const struct {
      NpyType type;
      std::string bytes;
    } cases[] = {
        {NpyType::kF16, npy(dict("<f2", "(2, 2)"), raw<uint16_t>({0x3c00, 0xc000, 0x3555, 0x0001}), version)},
        {NpyType::kF32, npy(dict("<f4", "(2, 2)"), raw<float>({1, -2, 0x1.554p-2f, 0x1p-24f}), version)},
        {NpyType::kF64, npy(dict("<f8", "(2, 2)"), raw<double>({1, -2, 0x1.554p-2, 0x1p-24}), version)},
    };
    for (const auto& c : cases) {
      Result<NpyReader> r = NpyReader::from_memory(c.bytes, "v.npy");
      ASSERT_TRUE(r.ok()) << r.status().message();
      EXPECT_EQ(r->dtype(), c.type);
      EXPECT_EQ(r->rows(), 2);
      EXPECT_EQ(r->cols(), 2);
      Matrix<float> m(2, 2);
      ASSERT_TRUE(r->read_rows(0, 2, m.view()).ok());
      EXPECT_EQ(m(0, 0), 1.0f);
      EXPECT_EQ(m(0, 1), -2.0f);
      EXPECT_EQ(m(1, 0), 0x1.554p-2f);
      EXPECT_EQ(m(1, 1), 0x1p-24f);
    }
  }
}

TEST(Npy, HeaderSpellings) {
  const std::string data = raw<float>({1, 2});
  for (const char* d : {"{'shape': (1, 2), 'fortran_order': False, 'descr': '<f4'}",
                        "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(1,2,)}",
                        "{'descr': '<f4', 'fortran_order': False, 'shape': (1L, 2L), }\n",
                        "  {'descr':'<f4','fortran_order':False,'shape':(1,2)}\t "}) {
    EXPECT_EQ(refusal(npy(d, data)), "no error") << d;
  }
  for (const char* d :
       {"", "{", "{}", "x", "{'descr': '<f4', 'fortran_order': False}", "{'descr': '<f4', 'shape': (1,2)}",
        "{'fortran_order': False, 'shape': (1,2)}", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,2), 'x': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,2)}",
        "{'descr': '', 'fortran_order': False, 'shape': (1,2)}", "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,-2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,2} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,2)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,99999999999999999999)}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (1,2)}"}) {
    EXPECT_TRUE(contains(refusal(npy(d, data)), "v.npy: the .npy header is not a dictionary")) << d;
  }
}

TEST(Npy, RefusedByName) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::string four = raw<float>({1, 2, 3, 4});
  const struct {
    std::string bytes, reason;
  } cases[] = {
      {"", "not a .npy file"},
      {"PK\x03\x04 an .npz file", "not a .npy file"},
      {"\x93NUMPY", "truncated in the .npy header"},
      {"\x93NUMPY\x01\0\x10"s, "truncated in the .npy header"},
      {"\x93NUMPY\x01\0\x10\0{'descr"s, "truncated in the .npy header: expected 26 bytes, found 17"},
      {"\x93NUMPY\x04\0\0\0\0\0"s, "format version 4.0; expected 1.0, 2.0 or 3.0"},
      {"\x93NUMPY\x01\x07\0\0\0\0"s, "format version 1.7"},
      {"\x93NUMPY\x02\0\xff\xff\xff\x7f"s, "a .npy header of 2147483647 bytes; expected at most 1048576"},
      {npy(dict("<f4", "(2, 2)"), four.substr(0, 15)), "truncated: shape (2, 2) needs 16 bytes of data, found 15"},
      {npy(dict("<f4", "(2, 2)"), four + "x"), "bytes after the data: shape (2, 2) needs 16 bytes of data, found 17"},
      {npy(dict("<f4", "(2, 2)", "True"), four), "Fortran (column-major) order; expected C order"},
      {npy(dict(">f4", "(2, 2)"), four), "big-endian dtype >f4; expected <f2, <f4 or <f8"},
      {npy(dict("<i8", "(1, 2)"), four), "dtype <i8; expected"},
      {npy(dict("|O", "(1, 2)"), four), "dtype |O; expected"},
      {npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }", four), "a structured dtype"},
      {npy(dict("<f4", "(4,)"), four), "shape (4,); expected two dimensions"},
      {npy(dict("<f4", "()"), four), "shape (); expected two dimensions"},
      {npy(dict("<f4", "(2, 2, 1)"), four), "shape (2, 2, 1); expected two dimensions"},
      {npy(dict("<f4", "(0, 2)"), ""), "no rows: shape (0, 2)"},
      {npy(dict("<f4", "(2, 0)"), ""), "no columns: shape (2, 0)"},
      {npy(dict("<f4", "(4611686018427387904, 4)"), four), "larger than any file"},
      {npy(dict("<f4", "(9223372036854775807, 1)"), four), "larger than any file"},
      {npy(dict("<f4", "(2, 2)"), raw<float>({1, 2, 3, nan})), "row 1: NaN in column 1"},
      {npy(dict("<f4", "(2, 2)"), raw<float>({1, -inf, nan, 4})), "row 0: infinity (in float32) in column 1"},
      {npy(dict("<f2", "(1, 2)"), raw<uint16_t>({0x3c00, 0x7c00})), "row 0: infinity (in float32) in column 1"},
      {npy(dict("<f2", "(1, 2)"), raw<uint16_t>({0xfe01, 0x7c00})), "row 0: NaN in column 0"},
      {npy(dict("<f8", "(1, 2)"), raw<double>({1, 1e39})), "row 0: infinity (in float32) in column 1"},
      {npy(dict("<f4", "(2, 2)"), raw<float>({1, 2, 0, -0.0f})), "row 1: all zeros"},
      {npy(dict("<f8", "(1, 2)"), raw<double>({0, 1e-60})), "row 0: all zeros"},
  };
  for (const auto& c : cases) {
    const std::string message = refusal(c.bytes);
    EXPECT_TRUE(message.starts_with("v.npy: ")) << message;
    EXPECT_TRUE(contains(message, c.reason));
  }
}

// Every half, against arithmetic on its fields in double precision.
TEST(Half, EveryValue) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const int exponent = static_cast<int>(h >> 10 & 31), fraction = static_cast<int>(h & 1023);
    const double sign = h & 0x8000 ? -1 : 1;
    const float got = half_to_float(static_cast<uint16_t>(h));
    if (exponent == 31 && fraction != 0) {
      EXPECT_TRUE(std::isnan(got)) << h;
      continue;
    }
    const double expected = exponent == 31  ? sign * std::numeric_limits<double>::infinity()
                            : exponent == 0 ? sign * std::ldexp(fraction, -24)
                                            : sign * std::ldexp(1024 + fraction, exponent - 25);
    ASSERT_EQ(got, expected) << h;
    ASSERT_EQ(std::signbit(got), h >= 0x8000) << h;
  }
}

TEST(Npy, WriteThenReadInParts) {
  TempFolder folder;
  const std::string path = folder.path("v.npy");
  for (int64_t rows : {1, 2, 683, 5000}) {
    for (int64_t cols : {1, 7, 384}) {
      Matrix<float> m(rows, cols);
      for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>((i * 37 % 2048) - 1024) / 64 + 0x1p-7f;
      for (bool half : {false, true}) {
        std::vector<uint16_t> bits;  // of halves from 1 up
        for (int64_t i = 0; i < m.size(); ++i) bits.push_back(static_cast<uint16_t>(0x3c00 + i * 37 % 4096));
        if (half) {
          const std::string shape = "(" + std::to_string(rows) + ", " + std::to_string(cols) + ")";
          folder.write("v.npy", npy(dict("<f2", shape), raw(bits)));
        } else {
          write_npy(path, std::as_const(m).view());
        }
        Result<NpyReader> r = NpyReader::open(path);
        ASSERT_TRUE(r.ok()) << r.status().message();
        ASSERT_EQ(r->dtype(), half ? NpyType::kF16 : NpyType::kF32);
        ASSERT_EQ(r->rows(), rows);
        ASSERT_EQ(r->cols(), cols);
        Matrix<float> back(rows, cols + 3);  // a stride wider than the row
        const int64_t first = rows / 3;
        ASSERT_TRUE(r->read_rows(first, rows - first, {back.row(first), rows - first, cols, cols + 3}).ok());
        ASSERT_TRUE(r->read_rows(0, first, {back.data(), first, cols, cols + 3}).ok());
        for (int64_t i = 0; i < rows; ++i) {
          for (int64_t j = 0; j < cols; ++j) {
            const float expected = half ? half_to_float(bits[static_cast<size_t>(i * cols + j)]) : m(i, j);
            ASSERT_EQ(back(i, j), expected) << i << " " << j;
          }
          ASSERT_EQ(back(i, cols), 0) << "beyond the row";
        }
        EXPECT_EQ(r->read_rows(0, rows + 1, {back.data(), rows + 1, cols, cols}).code(), ErrorCode::kInternal);
        EXPECT_EQ(r->read_rows(-1, 1, {back.data(), 1, cols, cols}).code(), ErrorCode::kInternal);
        EXPECT_EQ(r->read_rows(0, 1, {back.data(), 1, cols + 1, cols + 1}).code(), ErrorCode::kInternal);
      }
    }
  }
}

TEST(Npy, HeaderIsAlignedAsNumPyWritesIt) {
  const std::string header = make_npy_header("<f4", 10003, 384);
  EXPECT_EQ(header.size() % 64, 0u);
  EXPECT_EQ(header.substr(0, 10), "\x93NUMPY\x01\0\x76\0"s);
  EXPECT_EQ(header.substr(10, 60), "{'descr': '<f4', 'fortran_order': False, 'shape': (10003, 38");
  EXPECT_EQ(header.back(), '\n');
}

TEST(Npy, FileThatShrinksOrIsNoFile) {
  TempFolder folder;
  const std::string path = folder.write("v.npy", npy(dict("<f4", "(2, 2)"), raw<float>({1, 2, 3, 4})));
  Result<NpyReader> r = NpyReader::open(path);
  ASSERT_TRUE(r.ok());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  Matrix<float> m(2, 2);
  EXPECT_TRUE(contains(r->read_rows(0, 2, m.view()).message(), "shrank"));
  EXPECT_EQ(NpyReader::open(folder.path("absent")).status().code(), ErrorCode::kIo);
  EXPECT_TRUE(contains(NpyReader::open("/dev/null").status().message(), "not a regular file"));
}

TEST(Npy, FlipAndTruncateEveryByte) {
  const std::string whole = npy(dict("<f4", "(3, 2)"), raw<float>({1, 2, 3, 4, 5, 6}));
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_NE(refusal(std::string(whole, 0, n)), "no error") << n;
  }
  const size_t data_at = whole.size() - 24;
  for (size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      Result<NpyReader> r = NpyReader::from_memory(bytes, "v.npy");
      if (!r.ok()) continue;
      // What is still accepted has the same number of bytes of elements: the data, or the shape's or dtype's spelling,
      // or blanks changed.
      const int64_t size = r->dtype() == NpyType::kF16 ? 2 : r->dtype() == NpyType::kF32 ? 4 : 8;
      EXPECT_EQ(r->rows() * r->cols() * size, 24) << i;
      Matrix<float> m(r->rows(), r->cols());
      const Status status = r->read_rows(0, r->rows(), m.view());
      if (i < data_at && status.ok() && r->dtype() == NpyType::kF32) {
        EXPECT_EQ(m.data()[0], 1.0f) << i;
      }
    }
  }
}

}  // namespace
}  // namespace tracer::io
