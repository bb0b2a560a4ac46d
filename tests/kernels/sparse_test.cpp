// A sparse matrix times a dense one, against a naive float64 product.
#include "tests/kernels/support.h"

namespace tracer {
namespace {

using test::near;
using test::Padded;

class Sparse : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(Sparse);

struct Entries {
  std::vector<int64_t> begin{0};
  std::vector<int32_t> index;
  std::vector<float> weight;
  SparseRows view() const { return {begin, index, weight}; }
};

// Row i holds i % 50 entries, rows of b repeated among them.
Entries entries(int64_t rows, int64_t columns, uint64_t seed) {
  Entries e;
  std::mt19937_64 random(seed);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; columns > 0 && j < i % 50; ++j) {
      e.index.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(columns)));
      e.weight.push_back(std::uniform_real_distribution<float>(-1, 1)(random));
    }
    e.begin.push_back(static_cast<int64_t>(e.index.size()));
  }
  return e;
}

TEST_P(Sparse, Product) {
  for (const int64_t rows : {0, 1, 63, 64, 65, 331}) {
    for (const int64_t columns : {1, 7, 500}) {
      for (const int64_t cols : {0, 1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 77, 79, 80, 81, 150, 163}) {
        SCOPED_TRACE(testing::Message() << rows << " rows, " << columns << " columns, " << cols << " wide");
        const Entries a = entries(rows, columns, 5);
        const Matrix<float> b = test::uniform(columns, cols, 6);
        Padded<float> out(rows, cols, 7.0f);
        ASSERT_OK(backend->sparse_product(a.view(), b.view(), out.view()));
        for (int64_t i = 0; i < rows; ++i) {
          for (int64_t c = 0; c < cols; ++c) {
            double expected = 0, size = 0;
            for (int64_t e = a.begin[static_cast<size_t>(i)]; e < a.begin[static_cast<size_t>(i) + 1]; ++e) {
              const double term = double{a.weight[static_cast<size_t>(e)]} * b(a.index[static_cast<size_t>(e)], c);
              expected += term;
              size += std::fabs(term);
            }
            // At most 49 terms: two roundings each.
            ASSERT_TRUE(near(out.view()(i, c), expected, 100 * 6e-8 * size));
          }
        }
        ASSERT_TRUE(out.guards_intact());
      }
    }
  }
}

TEST_P(Sparse, SameBytesForAnyNumberOfThreadsAndColumns) {
  const Entries a = entries(400, 90, 8);
  const Matrix<float> b = test::uniform(90, 77, 9);
  Matrix<float> whole(400, 77), other(400, 77), part(400, 20);
  ASSERT_OK(backend->sparse_product(a.view(), b.view(), whole.view()));
  for (const int threads : {1, 3}) {
    const auto more = test::make(GetParam(), threads);
    ASSERT_OK(more->sparse_product(a.view(), b.view(), other.view()));
    ASSERT_EQ(std::memcmp(whole.data(), other.data(), sizeof(float) * 400 * 77), 0);
  }
  ASSERT_OK(backend->sparse_product(a.view(), {b.data() + 50, 90, 20, 77}, part.view()));
  for (int64_t i = 0; i < 400; ++i) ASSERT_EQ(std::memcmp(part.row(i), whole.row(i) + 50, sizeof(float) * 20), 0);
}

TEST_P(Sparse, ShapesThatDoNotFitAreAnError) {
  const Entries a = entries(5, 4, 1);
  const Matrix<float> b = test::uniform(4, 3, 1);
  Matrix<float> fewer(4, 3), narrower(5, 2), out(5, 3);
  EXPECT_EQ(backend->sparse_product(a.view(), b.view(), fewer.view()).code(), ErrorCode::kInternal);
  EXPECT_EQ(backend->sparse_product(a.view(), b.view(), narrower.view()).code(), ErrorCode::kInternal);
  Entries descending = a;
  std::swap(descending.begin[2], descending.begin[4]);
  EXPECT_EQ(backend->sparse_product(descending.view(), b.view(), out.view()).code(), ErrorCode::kInternal);
  Entries beyond = a;
  beyond.begin.back() += 1;
  EXPECT_EQ(backend->sparse_product(beyond.view(), b.view(), out.view()).code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace tracer
