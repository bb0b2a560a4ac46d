// What lies between the matrix products of a transformer, on rows of float32, for processors with AVX-512. Compiled for
// them alone: call nothing here unless tile_products_available() says so (tile_product.h). All lengths are multiples of
// 16 unless said otherwise. A row's result depends on that row alone.
#pragma once

#include <cstdint>

namespace tracer::row_math {

// x = scale * (s - mean(s)) / sqrt(variance(s) + epsilon) + shift, where s = x + add.
void add_norm(const float* add, const float* scale, const float* shift, float epsilon, int64_t n, float* x);

// Rounds to the nearest bfloat16: n a multiple of 32. Lines of 64 bytes lie line_stride bytes apart.
void to_bfloat16(const float* x, int64_t n, uint16_t* out, int64_t line_stride = 64);
// An orthogonal map that spreads a number among 8 (4 where n is no multiple of 128) that lie 16 apart: n a multiple of
// 64. The same on both sides of a product, it leaves the product as it is, and takes a row's few large numbers, which
// would make its steps coarse, apart. Source of the method: Ashkboos et al. 2024, "QuaRot", arXiv:2404.00456.
void rotate(const float* x, int64_t n, float* out);
// out = round(x / step), of -127 .. 127; returns the step, max |x| / 127. A row of zeros: step 1.
// n a multiple of 64; lines as above.
float to_int8(const float* x, int64_t n, int8_t* out, int64_t line_stride = 64);
// Floats of scratch that attend() wants.
int64_t attention_scratch(int64_t length, int64_t size);
// Softmax attention of one sequence. qkv: length rows of query, key and value, each heads * size long; out: length rows
// of heads * size. length: any.
void attend(const float* qkv, int64_t length, int64_t heads, int64_t size, float* scratch, float* out);

}  // namespace tracer::row_math
