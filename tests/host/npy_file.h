// Vectors as a .npy file, for the tests of host/.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "host/io/npy.h"

namespace tracer::io {

// Fails the test if the file cannot be written. Rows must be dense.
inline void write_npy(const std::string& path, HostMatrix<const float> rows) {
  auto writer = NpyWriter::create(path, rows.cols);
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  ASSERT_TRUE(writer->write(rows).ok());
  const Status written = writer->commit();
  ASSERT_TRUE(written.ok()) << written.message();
}

}  // namespace tracer::io
