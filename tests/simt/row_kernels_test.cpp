// The row kernels against naive float64 oracles, on one table of edges: the source under the SIMT harness in several
// thread orders, and where there is a GPU, compiled on it.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "tests/simt/device.h"
// After the vocabulary:
#include "kernels/cuda/decision_features.cuh"
#include "kernels/cuda/normalise_rows.cuh"
#include "kernels/cuda/on_device.h"
#include "kernels/cuda/probe.h"
#if defined(TRACER_HAVE_CUDA)
#include "kernels/cuda/resources.h"
#endif
#include "kernels/matrix.h"

namespace tracer::cuda {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kPadding = -12345.0f;  // between cols and stride: must stay

struct Table {
  int64_t rows;
  int64_t cols;
  int64_t stride;
  std::vector<float> values;  // rows * stride
};

// Row r is of kind r % 6: normal, wide, all equal, ties at the top, one class removed, nearly certain.
Table make_logits(int64_t rows, int64_t cols, uint64_t seed) {
  Table t{rows, cols, cols + 3, std::vector<float>(static_cast<size_t>(rows * (cols + 3)), kPadding)};
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  for (int64_t r = 0; r < rows; ++r) {
    const std::span<float> x(t.values.data() + r * t.stride, static_cast<size_t>(cols));
    for (float& v : x) v = normal(random);
    const auto any = [&] { return static_cast<size_t>(random() % static_cast<uint64_t>(cols)); };
    switch (r % 6) {
      case 1:
        for (float& v : x) v *= 50.0f;
        break;
      case 2:
        for (float& v : x) v = 3.25f;
        break;
      case 3:
        x[any()] = x[any()] = x.back() = 9.0f;
        break;
      case 4:
        if (cols > 1) x[any()] = -kInf;
        break;
      case 5:
        x[any()] = 80.0f;
        break;
      default:
        break;
    }
  }
  return t;
}

struct Oracle {
  int32_t label;
  double top1, top2, entropy;
};

Oracle decide(std::span<const float> x) {
  Oracle o{0, 0.0, 0.0, 0.0};
  for (size_t c = 1; c < x.size(); ++c) {
    if (x[c] > x[static_cast<size_t>(o.label)]) o.label = static_cast<int32_t>(c);
  }
  const double best = x[static_cast<size_t>(o.label)];
  double sum = 0.0;
  for (const float v : x) sum += std::exp(v - best);
  for (size_t c = 0; c < x.size(); ++c) {
    const double p = std::exp(x[c] - best) / sum;
    if (static_cast<int32_t>(c) == o.label) o.top1 = p;
    if (static_cast<int32_t>(c) != o.label) o.top2 = std::max(o.top2, p);
    if (p > 0.0) o.entropy -= p * std::log(p);
  }
  o.entropy = x.size() > 1 ? o.entropy / std::log(static_cast<double>(x.size())) : 0.0;
  return o;
}

// float32 sums of at most 32 terms a lane and 5 levels of the butterfly, 37 roundings of 2^-24 = 2.3e-6 relative; the
// argument v - best (up to some hundreds, but then exp is nil: |d| * exp(d) < 0.37) and expf add 3 more. Entropy adds
// two such sums, divided by ln K >= 0.69 with values up to ln 1024 = 7.
constexpr double kProbabilityTolerance = 4e-6;
constexpr double kEntropyTolerance = 1e-5;

void expect_near(double value, double expected, double tolerance, const std::string& what) {
  EXPECT_TRUE(std::abs(value - expected) <= tolerance) << what << ": " << value << ", expected " << expected;
}

void expect_decisions(const Table& t, std::span<const RowDecision> out) {
  for (int64_t r = 0; r < t.rows; ++r) {
    const Oracle o = decide({t.values.data() + r * t.stride, static_cast<size_t>(t.cols)});
    const RowDecision& d = out[static_cast<size_t>(r)];
    const std::string row = "row " + std::to_string(r);
    EXPECT_EQ(d.label, o.label) << row;
    expect_near(d.top1, o.top1, kProbabilityTolerance, row + " top1");
    expect_near(d.top2, o.top2, kProbabilityTolerance, row + " top2");
    expect_near(d.entropy, o.entropy, kEntropyTolerance, row + " entropy");
  }
}

// Row r is of kind r % 4: normal, tiny, zero, large.
Table make_rows(int64_t rows, int64_t cols, uint64_t seed) {
  Table t = make_logits(rows, cols, seed);
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  constexpr float kScale[] = {1.0f, 1e-38f, 0.0f, 1e37f};
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) t.values[static_cast<size_t>(r * t.stride + c)] = normal(random) * kScale[r % 4];
  }
  return t;
}

// float64 sum and scale, one rounding to float32: 2^-24 of a value of at most 1; the sum's own error is far below.
constexpr double kNormaliseTolerance = 1.2e-7;

void expect_normalised(const Table& t, std::span<const float> out) {
  for (int64_t r = 0; r < t.rows; ++r) {
    const size_t first = static_cast<size_t>(r * t.stride);
    double sum = 0.0;
    for (size_t c = 0; c < static_cast<size_t>(t.cols); ++c) {
      sum += static_cast<double>(t.values[first + c]) * t.values[first + c];
    }
    const double length = std::sqrt(sum);
    for (size_t c = 0; c < static_cast<size_t>(t.stride); ++c) {
      const std::string what = "row " + std::to_string(r) + " column " + std::to_string(c);
      if (c >= static_cast<size_t>(t.cols) || length == 0.0) {
        EXPECT_EQ(out[first + c], t.values[first + c]) << what;
      } else {
        expect_near(out[first + c], t.values[first + c] / length, kNormaliseTolerance, what);
      }
    }
  }
}

constexpr int64_t kCols[] = {1, 2, 31, 32, 33, 77, 150, 1024};
constexpr int64_t kRows[] = {0, 1, 7, 100};

uint64_t seed(int64_t rows, int64_t cols) { return static_cast<uint64_t>(cols * 1000 + rows); }

class SimtRowKernels : public ::testing::TestWithParam<std::tuple<int64_t, int64_t>> {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer cannot follow the harness's fibers; they all run on one thread anyway";
#endif
  }
  int64_t cols() const { return std::get<0>(GetParam()); }
  int64_t rows() const { return std::get<1>(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Edges, SimtRowKernels,
                         ::testing::Combine(::testing::ValuesIn(kCols), ::testing::ValuesIn(kRows)),
                         [](const ::testing::TestParamInfo<std::tuple<int64_t, int64_t>>& edge) {
                           return "K" + std::to_string(std::get<0>(edge.param)) + "rows" +
                                  std::to_string(std::get<1>(edge.param));
                         });

TEST_P(SimtRowKernels, DecisionFeatures) {
  const Table t = make_logits(rows(), cols(), seed(rows(), cols()));
  for (const simt::Order order : simt::kOrders) {
    SCOPED_TRACE("order " + std::to_string(order));
    device::Buffer<float> logits("logits", t.values);
    device::Buffer<RowDecision> out("out", t.rows);
    const int threads = order == 0 ? 128 : 64;
    const int64_t rows_per_block = threads / device::kWarp;
    const simt::Report report = simt::launch((t.rows + rows_per_block - 1) / rows_per_block, threads, order, [&] {
      decision_features_kernel(logits.global(), t.rows, t.cols, t.stride, out.global());
    });
    EXPECT_TRUE(report.ok()) << report.text();
    EXPECT_TRUE(out.all_written());
    expect_decisions(t, out.values());
  }
}

TEST_P(SimtRowKernels, NormaliseRows) {
  const Table t = make_rows(rows(), cols(), seed(rows(), cols()));
  std::vector<float> first;
  for (const simt::Order order : simt::kOrders) {
    SCOPED_TRACE("order " + std::to_string(order));
    device::Buffer<float> data("data", t.values);
    // Fewer blocks than rows in some orders: then a block takes several rows, and its shared memory is used again.
    const int64_t blocks = order == 0 ? t.rows : std::min<int64_t>(t.rows, 3);
    const simt::Report report = simt::launch(blocks, kNormaliseThreads, order,
                                             [&] { normalise_rows_kernel(data.global(), t.rows, t.cols, t.stride); });
    EXPECT_TRUE(report.ok()) << report.text();
    expect_normalised(t, data.values());
    if (order == 0) first = data.values();
    EXPECT_EQ(data.values(), first) << "the bytes depend on the order";
  }
}

// The whole table in one test: where there is no GPU, one visible skip says why.
class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    const Probe found = probe();
    if (!found.usable) GTEST_SKIP() << found.detail;
  }
};

TEST_F(Gpu, DecisionFeatures) {
  for (const int64_t cols : kCols) {
    for (const int64_t rows : kRows) {
      SCOPED_TRACE("K " + std::to_string(cols) + ", rows " + std::to_string(rows));
      const Table t = make_logits(rows, cols, seed(rows, cols));
      std::vector<RowDecision> out(static_cast<size_t>(t.rows));
      const Status status = decision_features_on_device({t.values.data(), t.rows, t.cols, t.stride}, out);
      ASSERT_TRUE(status.ok()) << status.message();
      expect_decisions(t, out);
    }
  }
}

TEST_F(Gpu, NormaliseRows) {
  for (const int64_t cols : kCols) {
    for (const int64_t rows : kRows) {
      SCOPED_TRACE("columns " + std::to_string(cols) + ", rows " + std::to_string(rows));
      const Table t = make_rows(rows, cols, seed(rows, cols));
      std::vector<float> data = t.values;
      const Status status = normalise_rows_on_device({data.data(), t.rows, t.cols, t.stride});
      ASSERT_TRUE(status.ok()) << status.message();
      expect_normalised(t, data);
    }
  }
}

#if defined(TRACER_HAVE_CUDA)

TEST_F(Gpu, OutOfMemoryLeavesTheDeviceUsable) {
  {
    const Result<Stream> stream = Stream::create();
    ASSERT_TRUE(stream.ok()) << stream.status().message();
    const Result<DeviceBuffer> buffer = DeviceBuffer::allocate(int64_t{1} << 50, *stream);
    ASSERT_FALSE(buffer.ok());
    EXPECT_EQ(buffer.status().code(), ErrorCode::kDevice);
    EXPECT_NE(buffer.status().message().find("out of device memory"), std::string::npos) << buffer.status().message();
  }
  const Probe after = probe();
  EXPECT_TRUE(after.usable) << after.detail;
}

TEST_F(Gpu, EventsTimeAStream) {
  const Result<Stream> stream = Stream::create();
  Result<Event> start = Event::create();
  Result<Event> end = Event::create();
  ASSERT_TRUE(stream.ok() && start.ok() && end.ok());
  ASSERT_TRUE(start->record(*stream).ok());
  ASSERT_TRUE(end->record(*stream).ok());
  const Result<float> milliseconds = end->milliseconds_since(*start);
  ASSERT_TRUE(milliseconds.ok()) << milliseconds.status().message();
  EXPECT_GE(*milliseconds, 0.0f);
}

#endif

TEST(GpuProbe, SaysWhatItFound) { EXPECT_FALSE(probe().detail.empty()); }

}  // namespace
}  // namespace tracer::cuda
