// What only a GPU can show. Where there is none, each test skips and says why.
#include "tests/kernels/support.h"
#if defined(TRACER_HAVE_CUDA)
#include "kernels/cuda/resources.h"
#endif

namespace tracer {
namespace {

class Cuda : public testing::Test {
 protected:
  void SetUp() override {
    const BackendInfo cuda = list_backends()[0];
    if (!cuda.usable) GTEST_SKIP() << cuda.detail;
  }
};

// The table of tests runs on the device too: none of it may have been left out.
TEST_F(Cuda, IsAmongTheBackendsUnderTest) {
  const std::vector<std::string> names = test::backends();
  EXPECT_NE(std::find(names.begin(), names.end(), "cuda"), names.end());
}

TEST_F(Cuda, SaysWhatItIs) {
  const std::unique_ptr<Backend> backend = test::make("cuda", 2);
  ASSERT_NE(backend, nullptr);
  EXPECT_EQ(backend->isa().substr(0, 3), "sm_");
  EXPECT_GE(backend->threads(), 1);
}

#if defined(TRACER_HAVE_CUDA)
TEST_F(Cuda, OutOfMemoryLeavesTheProcessUsable) {
  {
    const Result<cuda::Stream> stream = cuda::Stream::create();
    ASSERT_TRUE(stream.ok()) << stream.status().message();
    const Result<cuda::DeviceBuffer> buffer = cuda::DeviceBuffer::allocate(int64_t{1} << 50, *stream);
    ASSERT_FALSE(buffer.ok());
    EXPECT_EQ(buffer.status().code(), ErrorCode::kDevice);
    EXPECT_NE(buffer.status().message().find("out of device memory"), std::string::npos) << buffer.status().message();
  }
  const std::unique_ptr<Backend> backend = test::make("cuda", 2);  // passes its self-test again
  ASSERT_NE(backend, nullptr);
}
#endif

}  // namespace
}  // namespace tracer
