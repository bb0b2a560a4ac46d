#include "engine/torch/tile_product.h"

#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string_view>
#include <utility>

#include "engine/torch/row_math.h"
#include "kernels/cpu/tiles.h"

namespace tracer {

bool tiles_multiply(Precision precision) {
  const char* named = std::getenv("TRACER_ISA");
  const std::string_view isa = named == nullptr ? "" : named;
  if (!isa.empty() && isa != "auto" && isa != "avx512_amx") return false;
  return tiles_may_be_used(precision == Precision::kBfloat16 ? TileProducts::kBfloat16 : TileProducts::kInt8);
}

bool tile_products_available(Precision precision) {
  __builtin_cpu_init();
  // The files that are compiled for AVX-512 are compiled for all of these.
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return false;
  if (precision == Precision::kInt8) return tiles_multiply(precision) || __builtin_cpu_supports("avx512vnni");
  return precision == Precision::kBfloat16 && __builtin_cpu_supports("avx512bf16") && tiles_multiply(precision);
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
      row_math::to_bfloat16(x + i * stride, cols, half_.data() + block_product::row_place(i, 0, 2 * cols) / 2,
                            block_product::kLineStride);
      continue;
    }
    row_math::rotate(x + i * stride, cols, rotated_.data());
    step_[static_cast<size_t>(i)] = row_math::to_int8(
        rotated_.data(), cols, quarter_.data() + block_product::row_place(i, 0, cols), block_product::kLineStride);
  }
}

TileProduct::TileProduct(HostMatrix<const float> w, std::vector<float> bias, Precision precision)
    : out_(w.rows), in_(w.cols), precision_(precision), bias_(std::move(bias)) {
  const int64_t bytes = precision == Precision::kBfloat16 ? 2 * in_ : in_;  // of an output
  packed_.resize(static_cast<size_t>(out_ * bytes));
  const auto put = [&](int64_t o, const void* row) {  // a tile's line holds four bytes of each output
    for (int64_t b = 0; b < bytes; b += 4)
      std::memcpy(packed_.data() + block_product::place(o, b, bytes), static_cast<const uint8_t*>(row) + b, 4);
  };
  if (precision == Precision::kBfloat16) {
    std::vector<uint16_t> row(static_cast<size_t>(in_));
    for (int64_t o = 0; o < out_; ++o) {
      row_math::to_bfloat16(w.row(o), in_, row.data());
      put(o, row.data());
    }
    return;
  }
  step_.resize(static_cast<size_t>(out_));
  if (!tiles_multiply(precision)) shift_.resize(static_cast<size_t>(out_));
  std::vector<int8_t> row(static_cast<size_t>(in_));
  std::vector<float> rotated(row.size());
  for (int64_t o = 0; o < out_; ++o) {
    row_math::rotate(w.row(o), in_, rotated.data());
    step_[static_cast<size_t>(o)] = row_math::to_int8(rotated.data(), in_, row.data());
    put(o, row.data());
    if (!shift_.empty()) shift_[static_cast<size_t>(o)] = -128 * std::accumulate(row.begin(), row.end(), 0);
  }
}

block_product::Product TileProduct::product(const TileRows& x, block_product::Activation activation) const {
  block_product::Product p;
  p.rows = x.rows_;
  p.bytes = static_cast<int64_t>(packed_.size()) / out_;
  p.outputs = out_;
  p.x = precision_ == Precision::kBfloat16 ? static_cast<const void*>(x.half_.data()) : x.quarter_.data();
  p.weights = packed_.data();
  p.bias = bias_.data();
  p.activation = activation;
  return p;
}

void TileProduct::multiply(const TileRows& x, block_product::Activation activation, float* y, int64_t stride) const {
  block_product::Product p = product(x, activation);
  p.y = y;
  p.stride = stride;
  if (precision_ == Precision::kBfloat16)
    block_product::bfloat16_to_float(p);
  else if (shift_.empty())
    block_product::int8_by_tiles(p, x.step_.data(), step_.data());
  else
    block_product::int8_by_vnni(p, x.step_.data(), step_.data(), shift_.data());
}

void TileProduct::multiply(const TileRows& x, block_product::Activation activation, TileRows& y) const {
  if (precision_ == Precision::kBfloat16) {
    block_product::Product p = product(x, activation);
    p.stride = out_;
    block_product::bfloat16_to_bfloat16(p, y.half_.data());
    y.rows_ = x.rows_, y.cols_ = out_;
    return;
  }
  y.whole_.resize(static_cast<size_t>(x.rows_ * out_));
  multiply(x, activation, y.whole_.data(), out_);
  y.set(y.whole_.data(), x.rows_, out_, out_);
}

TileSession::TileSession(bool tiles) : tiles_(tiles) {
  if (tiles_) block_product::enter_tiles(before_);
}

TileSession::~TileSession() {
  if (tiles_) block_product::leave_tiles(before_);
}

}  // namespace tracer
