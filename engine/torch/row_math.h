// What lies between the matrix products of a transformer, on rows of float32, for processors with AVX-512. Compiled for
// them alone: call nothing here unless tile_products_available() (tile_product.h). All lengths are multiples of 16
// unless said otherwise. A row's result depends on that row alone.
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
// out = round(x / step), of -127 .. 127; returns the step, max |x| / 127. A row of zeros: step 1.
float to_int8(const float* x, int64_t n, int8_t* out);
// out = sums * row_step * steps, element by element
void from_int32(const int32_t* sums, float row_step, const float* steps, int64_t n, float* out);

// Floats of scratch that attend() wants.
int64_t attention_scratch(int64_t length, int64_t size);
// Softmax attention of one sequence. qkv: length rows of query, key and value, each heads * size long; out: length rows
// of heads * size. length: any.
void attend(const float* qkv, int64_t length, int64_t heads, int64_t size, float* scratch, float* out);

}  // namespace tracer::row_math
