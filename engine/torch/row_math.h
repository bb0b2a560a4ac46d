// What lies between the matrix products of a transformer, on rows of float32, for processors with AVX-512. Compiled for
// them alone: call nothing here unless tile_products_available() says so (tile_product.h). All lengths are multiples of
// 16 unless said otherwise. A row's result depends on that row alone.
#pragma once

#include <cstdint>

namespace tracer::row_math {

// x += bias
void add_bias(const float* bias, int64_t n, float* x);
// x = f(x + bias); GELU by the normal distribution (absolute error below 1e-6), by its tanh formula; ReLU.
void bias_gelu(const float* bias, int64_t n, float* x);
void bias_gelu_tanh(const float* bias, int64_t n, float* x);
void bias_relu(const float* bias, int64_t n, float* x);

// x = scale * (s - mean(s)) / sqrt(variance(s) + epsilon) + shift, where s = x + add + bias. bias may be null.
void add_norm(const float* add, const float* bias, const float* scale, const float* shift, float epsilon, int64_t n,
              float* x);

// Rounds to the nearest bfloat16.
void to_bfloat16(const float* x, int64_t n, uint16_t* out);
// An orthogonal map that spreads a number among 8 (4 where n is no multiple of 128) that lie 16 apart: n a multiple of
// 64. The same on both sides of a product, it leaves the product as it is, and takes a row's few large numbers, which
// would make its steps coarse, apart. Source of the method: Ashkboos et al. 2024, "QuaRot", arXiv:2404.00456.
void rotate(const float* x, int64_t n, float* out);
// out = round(x / step), of -127 .. 127; returns the step, max |x| / 127. A row of zeros: step 1.
float to_int8(const float* x, int64_t n, int8_t* out);
// The product of `rows` rows of n numbers, one after the other, with a panel of 64 outputs (tile_product.cpp has its
// layout), for processors without tiles (VNNI). shift: 64 numbers, -128 times the sum of an output's weights, since the
// instruction wants its left side without a sign. out: rows x 64, exact.
void multiply_int8(const int8_t* x, int64_t rows, int64_t n, const int8_t* panel, const int32_t* shift, int32_t* out);
// out = sums * row_step * steps, element by element
void from_int32(const int32_t* sums, float row_step, const float* steps, int64_t n, float* out);

// Floats of scratch that attend() wants.
int64_t attention_scratch(int64_t length, int64_t size);
// Softmax attention of one sequence. qkv: length rows of query, key and value, each heads * size long; out: length rows
// of heads * size. length: any.
void attend(const float* qkv, int64_t length, int64_t heads, int64_t size, float* scratch, float* out);

}  // namespace tracer::row_math
