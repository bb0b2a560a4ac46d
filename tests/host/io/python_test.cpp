// Files exchanged with the real NumPy and safetensors packages. TRACER_TEST_PYTHON names an interpreter that has both.
#include <gtest/gtest.h>

#include <cstdlib>

#include "host/io/npy.h"
#include "host/io/safetensors.h"
#include "tests/host/io_test_util.h"
#include "tests/host/npy_file.h"

namespace tracer::io {
namespace {

const char* python() { return std::getenv("TRACER_TEST_PYTHON"); }

// Runs a script in `folder`; its exit status.
int run(const TempFolder& folder, const std::string& script) {
  folder.write("script.py", script);
  const std::string command = "cd '" + folder.root() + "' && '" + python() + "' script.py > output.txt 2>&1";
  const int status = std::system(command.c_str());
  if (status != 0) ADD_FAILURE() << slurp(folder.path("output.txt"));
  return status;
}

#define SKIP_WITHOUT_PYTHON() \
  if (python() == nullptr) GTEST_SKIP() << "TRACER_TEST_PYTHON does not name a Python with numpy and safetensors"

TEST(Python, WeReadWhatNumPyWrites) {
  SKIP_WITHOUT_PYTHON();
  TempFolder folder;
  ASSERT_EQ(run(folder, R"(
import numpy as np
from numpy.lib import format as f
x = (np.arange(1, 1001 * 7 + 1, dtype=np.float64).reshape(1001, 7) % 64) / 8 + 0.125
for t in ('f2', 'f4', 'f8'):
    np.save(f'{t}.npy', x.astype('<' + t))
    for v in ((1, 0), (2, 0), (3, 0)):
        with open(f'{t}_{v[0]}.npy', 'wb') as o: f.write_array(o, x.astype('<' + t), version=v)
np.save('fortran.npy', np.asfortranarray(x)); np.save('big.npy', x.astype('>f4')); np.save('int.npy', x.astype('i4'))
np.save('flat.npy', x[0]); np.save('view.npy', x[::2, 1:4])
)"),
            0);
  for (const char* t : {"f2", "f4", "f8"}) {
    for (const char* suffix : {"", "_1", "_2", "_3"}) {
      Result<NpyReader> r = NpyReader::open(folder.path(std::string(t) + suffix + ".npy"));
      ASSERT_TRUE(r.ok()) << r.status().message();
      ASSERT_EQ(r->rows(), 1001);
      ASSERT_EQ(r->cols(), 7);
      Matrix<float> m(1001, 7);
      ASSERT_TRUE(r->read_rows(0, 1001, m.view()).ok());
      for (int64_t i = 0; i < m.size(); ++i) ASSERT_EQ(m.data()[i], static_cast<float>((i + 1) % 64) / 8 + 0.125f);
    }
  }
  EXPECT_TRUE(NpyReader::open(folder.path("view.npy")).ok());
  EXPECT_TRUE(contains(NpyReader::open(folder.path("fortran.npy")).status().message(), "Fortran"));
  EXPECT_TRUE(contains(NpyReader::open(folder.path("big.npy")).status().message(), "big-endian"));
  EXPECT_TRUE(contains(NpyReader::open(folder.path("int.npy")).status().message(), "<i4"));
  EXPECT_TRUE(contains(NpyReader::open(folder.path("flat.npy")).status().message(), "(7,)"));
}

TEST(Python, NumPyReadsWhatWeWrite) {
  SKIP_WITHOUT_PYTHON();
  TempFolder folder;
  Matrix<float> m(33, 5);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(i) / 7 + 1;
  write_npy(folder.path("a.npy"), std::as_const(m).view());
  EXPECT_EQ(run(folder, R"(
import numpy as np
x = (np.arange(33 * 5, dtype=np.float32) / np.float32(7) + np.float32(1)).reshape(33, 5)
a = np.load('a.npy')
assert a.dtype == np.float32 and (a == x).all()
np.save('c.npy', x)
assert open('a.npy', 'rb').read() == open('c.npy', 'rb').read()
)"),
            0);
}

TEST(Python, Safetensors) {
  SKIP_WITHOUT_PYTHON();
  TempFolder folder;
  const std::vector<float> f = {1, 2, 3, 4, 5, 6};
  const std::vector<double> d = {0.5, 0.25};
  const std::vector<int32_t> i = {-1, 7, 9};
  const std::vector<int64_t> l = {int64_t{1} << 40};
  const std::vector<uint8_t> u = {1, 2, 3};
  SafetensorsWriter w;
  w.add<float>("f", {2, 3}, f);
  w.add<double>("d", {2}, d);
  w.add<int32_t>("i", {3}, i);
  w.add<int64_t>("l", {}, l);
  w.add<uint8_t>("u", {3, 1}, u);
  w.set_metadata("who", "tracer");
  folder.write("ours.safetensors", *w.serialize());
  ASSERT_EQ(run(folder, R"(
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
t = load_file('ours.safetensors')
assert sorted(t) == ['d', 'f', 'i', 'l', 'u']
assert t['f'].dtype == np.float32 and (t['f'] == np.arange(1, 7).reshape(2, 3)).all()
assert t['d'].dtype == np.float64 and t['d'].tolist() == [0.5, 0.25]
assert t['i'].dtype == np.int32 and t['i'].tolist() == [-1, 7, 9]
assert t['l'].dtype == np.int64 and t['l'].shape == () and int(t['l']) == 1 << 40
assert t['u'].dtype == np.uint8 and t['u'].tolist() == [[1], [2], [3]]
with safe_open('ours.safetensors', 'np') as s: assert s.metadata() == {'who': 'tracer'}
save_file(t, 'theirs.safetensors', metadata={'who': 'numpy'})
)"),
            0);
  Result<SafetensorsFile> file = SafetensorsFile::open(folder.path("theirs.safetensors"));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->metadata().at("who"), "numpy");
  EXPECT_EQ((*file->matrix<float>("f", 2, 3))(1, 2), 6);
  EXPECT_EQ((*file->values<double>("d", {2}))[1], 0.25);
  EXPECT_EQ((*file->values<int32_t>("i", {3}))[1], 7);
  EXPECT_EQ((*file->values<int64_t>("l", {}))[0], int64_t{1} << 40);
  EXPECT_EQ((*file->values<uint8_t>("u", {3, 1}))[2], 3);
}

}  // namespace
}  // namespace tracer::io
