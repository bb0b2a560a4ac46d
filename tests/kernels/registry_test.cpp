#include <cstdio>
#include <cstdlib>
#include <optional>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

// Sets an environment variable for one test.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value, 1);
  }
  ~Environment() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(Registry, SaysWhichInstructionSetsTheseTestsRunOn) {
  std::string names;
  for (const std::string& isa : test::isas()) names += " " + isa;
  std::printf("[          ] instruction sets under test:%s\n", names.c_str());
  EXPECT_EQ(test::isas().back(), "portable");
#if defined(__x86_64__)
  // What the processor has must be among what ran.
  const auto ran = [&](const std::string& isa) { return names.find(" " + isa) != std::string::npos; };
  EXPECT_EQ(ran("avx512"), static_cast<bool>(__builtin_cpu_supports("avx512f")));
  EXPECT_EQ(ran("avx2"), __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
#endif
}

TEST(Registry, ListsTheCpuAsUsableAndEveryReason) {
  const std::vector<BackendInfo> all = list_backends();
  for (const BackendInfo& info : all) EXPECT_FALSE(info.detail.empty()) << info.name;
  ASSERT_EQ(all.size(), 2u);  // in order of preference
  EXPECT_EQ(all[0].name, "cuda");
  EXPECT_EQ(all[1].name, "cpu");
  EXPECT_TRUE(all[1].usable);
  std::printf("[          ] cuda: %s\n", all[0].detail.c_str());
}

bool have_cuda() { return list_backends()[0].usable; }

TEST(Registry, AutoPrefersATrustedGpu) {
  if (!have_cuda()) GTEST_SKIP() << list_backends()[0].detail;
  const Environment device("TRACER_DEVICE", ""), isa("TRACER_ISA", "");
  Result<std::unique_ptr<Backend>> made = make_backend({});
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_EQ(made.value()->name(), "cuda");
}

TEST(Registry, AutoPicksTheBestInstructionSet) {
  if (have_cuda()) GTEST_SKIP() << "a GPU comes first here";
  const Environment device("TRACER_DEVICE", ""), isa("TRACER_ISA", "");
  Result<std::unique_ptr<Backend>> made = make_backend({});
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_EQ(made.value()->name(), "cpu");
  EXPECT_EQ(made.value()->isa(), test::isas().front());
  EXPECT_GE(made.value()->threads(), 1);
}

TEST(Registry, TheEnvironmentDecidesWhatTheOptionsLeaveOpen) {
  const Environment device("TRACER_DEVICE", "cpu"), isa("TRACER_ISA", "portable");
  Result<std::unique_ptr<Backend>> made = make_backend({});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made.value()->isa(), "portable");
  BackendOptions options;
  options.isa = test::isas().front();
  made = make_backend(options);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made.value()->isa(), test::isas().front());
}

TEST(Registry, ImpossibleChoicesSayWhy) {
  std::vector<std::string> names = {"cuda:99", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"};
  if (!have_cuda()) names.insert(names.end(), {"cuda", "cuda:0", "cuda:1"});
  for (const std::string& name : names) {
    BackendOptions options;
    options.device = name;
    const Result<std::unique_ptr<Backend>> made = make_backend(options);
    ASSERT_FALSE(made.ok()) << name;
    EXPECT_EQ(made.status().code(), ErrorCode::kDevice);
    EXPECT_NE(made.status().message().find(name), std::string::npos) << made.status().message();
  }
  for (const char* name : {"avx9000", "AVX2"}) {
    BackendOptions options;
    options.isa = name;
    const Result<std::unique_ptr<Backend>> made = make_backend(options);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.status().code(), ErrorCode::kDevice);
    EXPECT_NE(made.status().message().find("available: "), std::string::npos) << made.status().message();
  }
  const Environment device("TRACER_DEVICE", "cuda:99");
  const Result<std::unique_ptr<Backend>> made = make_backend({});
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.status().message().find("TRACER_DEVICE"), std::string::npos);
  BackendOptions cpu;
  cpu.device = "cpu";
  EXPECT_TRUE(make_backend(cpu).ok());
}

TEST(Registry, ThreadsAreCounted) {
  BackendOptions options;
  options.device = "cpu";
  options.threads = 3;
  EXPECT_EQ(make_backend(options).value()->threads(), 3);
  options.threads = -1;
  const Result<std::unique_ptr<Backend>> made = make_backend(options);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), ErrorCode::kBadInput);
}

}  // namespace
}  // namespace tracer
