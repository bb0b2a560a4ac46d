#include "engine/torch/tile_product.h"

#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cmath>

#include "engine/torch/row_math.h"

namespace tracer {
namespace {

namespace blas = at::native::cpublas;

}  // namespace

bool tile_products_available() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16") && blas::could_pack(at::kBFloat16) &&
         blas::could_pack(at::kChar);
}

TileRows::TileRows(Precision precision, int64_t most_rows, int64_t most_cols) : precision_(precision) {
  const auto size = static_cast<size_t>(most_rows * most_cols);
  if (precision == Precision::kBfloat16) {
    half_.resize(size);
  } else {
    quarter_.resize(size);
    step_.resize(static_cast<size_t>(most_rows));
  }
}

void TileRows::set(const float* x, int64_t rows, int64_t cols, int64_t stride) {
  rows_ = rows, cols_ = cols;
  for (int64_t i = 0; i < rows; ++i) {
    if (precision_ == Precision::kBfloat16)
      row_math::to_bfloat16(x + i * stride, cols, half_.data() + i * cols);
    else
      step_[static_cast<size_t>(i)] = row_math::to_int8(x + i * stride, cols, quarter_.data() + i * cols);
  }
}

// The layout the tile unit wants of its right side: panels of 64 outputs; in a panel, 2 (bfloat16) or 4 (int8)
// consecutive inputs of an output lie side by side.
TileProduct::TileProduct(HostMatrix<const float> w, Precision precision)
    : out_(w.rows), in_(w.cols), precision_(precision) {
  const int64_t group = precision == Precision::kBfloat16 ? 2 : 4;
  const auto place = [&](int64_t o, int64_t i) {
    const int64_t panel = o / kTileOutputs;
    return static_cast<size_t>(panel * kTileOutputs * in_ + i / group * group * kTileOutputs +
                               o % kTileOutputs * group + i % group);
  };
  const auto size = static_cast<size_t>(out_ * in_);
  if (precision == Precision::kBfloat16) {
    half_.resize(size);
    std::vector<uint16_t> row(static_cast<size_t>(in_));
    for (int64_t o = 0; o < out_; ++o) {
      row_math::to_bfloat16(w.row(o), in_, row.data());
      for (int64_t i = 0; i < in_; ++i) half_[place(o, i)] = row[static_cast<size_t>(i)];
    }
    return;
  }
  quarter_.resize(size);
  step_.resize(static_cast<size_t>(out_));
  std::vector<int8_t> row(static_cast<size_t>(in_));
  for (int64_t o = 0; o < out_; ++o) {
    step_[static_cast<size_t>(o)] = row_math::to_int8(w.row(o), in_, row.data());
    for (int64_t i = 0; i < in_; ++i) quarter_[place(o, i)] = row[static_cast<size_t>(i)];
  }
}

void TileProduct::multiply(const TileRows& x, int32_t* scratch, float* y, int64_t stride) const {
  for (int64_t o = 0; o < out_; o += kTileOutputs) {
    if (precision_ == Precision::kBfloat16) {
      blas::brgemm(x.rows_, kTileOutputs, in_, in_, kTileOutputs, stride, /*add_C=*/false,
                   reinterpret_cast<const at::BFloat16*>(x.half_.data()),
                   reinterpret_cast<const at::BFloat16*>(half_.data() + o * in_), y + o);
      continue;
    }
    blas::brgemm(x.rows_, kTileOutputs, in_, in_, kTileOutputs, kTileOutputs, /*add_C=*/false,
                 static_cast<const signed char*>(x.quarter_.data()),
                 static_cast<const signed char*>(quarter_.data() + o * in_), scratch);
    for (int64_t i = 0; i < x.rows_; ++i)
      row_math::from_int32(scratch + i * kTileOutputs, x.step_[static_cast<size_t>(i)], step_.data() + o, kTileOutputs,
                           y + i * stride + o);
  }
}

void release_tiles() { blas::brgemm_release(); }

}  // namespace tracer
