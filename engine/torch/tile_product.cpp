#include "engine/torch/tile_product.h"

#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/torch/row_math.h"

namespace tracer {
namespace {

namespace blas = at::native::cpublas;

bool has_tiles(Precision precision) {
  return blas::could_pack(precision == Precision::kBfloat16 ? at::kBFloat16 : at::kChar);
}

}  // namespace

bool tile_products_available(Precision precision) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return false;
  if (precision == Precision::kInt8) return has_tiles(precision) || __builtin_cpu_supports("avx512vnni");
  return precision == Precision::kBfloat16 && __builtin_cpu_supports("avx512bf16") && has_tiles(precision);
}

TileRows::TileRows(Precision precision, int64_t most_rows, int64_t most_cols) : precision_(precision) {
  const auto size = static_cast<size_t>(most_rows * most_cols);
  if (precision == Precision::kBfloat16) {
    half_.resize(size);
  } else {
    quarter_.resize(size);
    step_.resize(static_cast<size_t>(most_rows));
    rotated_.resize(static_cast<size_t>(most_cols));
  }
}

void TileRows::set(const float* x, int64_t rows, int64_t cols, int64_t stride) {
  rows_ = rows, cols_ = cols;
  for (int64_t i = 0; i < rows; ++i) {
    if (precision_ == Precision::kBfloat16) {
      row_math::to_bfloat16(x + i * stride, cols, half_.data() + i * cols);
      continue;
    }
    row_math::rotate(x + i * stride, cols, rotated_.data());
    step_[static_cast<size_t>(i)] = row_math::to_int8(rotated_.data(), cols, quarter_.data() + i * cols);
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
  if (!has_tiles(precision)) shift_.resize(static_cast<size_t>(out_));
  std::vector<int8_t> row(static_cast<size_t>(in_));
  std::vector<float> rotated(row.size());
  for (int64_t o = 0; o < out_; ++o) {
    row_math::rotate(w.row(o), in_, rotated.data());
    step_[static_cast<size_t>(o)] = row_math::to_int8(rotated.data(), in_, row.data());
    for (int64_t i = 0; i < in_; ++i) quarter_[place(o, i)] = row[static_cast<size_t>(i)];
    if (!shift_.empty()) shift_[static_cast<size_t>(o)] = -128 * std::accumulate(row.begin(), row.end(), 0);
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
    if (shift_.empty())
      blas::brgemm(x.rows_, kTileOutputs, in_, in_, kTileOutputs, kTileOutputs, /*add_C=*/false,
                   static_cast<const signed char*>(x.quarter_.data()),
                   static_cast<const signed char*>(quarter_.data() + o * in_), scratch);
    else
      row_math::multiply_int8(x.quarter_.data(), x.rows_, in_, quarter_.data() + o * in_, shift_.data() + o, scratch);
    for (int64_t i = 0; i < x.rows_; ++i)
      row_math::from_int32(scratch + i * kTileOutputs, x.step_[static_cast<size_t>(i)], step_.data() + o, kTileOutputs,
                           y + i * stride + o);
  }
}

void release_tiles() { blas::brgemm_release(); }

}  // namespace tracer
