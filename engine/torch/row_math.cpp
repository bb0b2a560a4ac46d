// No header with inline functions may be included here but row_vector.h: the linker might keep this file's AVX-512
// copies of them for the whole module.
#include "engine/torch/row_math.h"

#include "engine/torch/row_vector.h"

namespace tracer::row_math {
namespace {

// Blocks of F vectors of 16 through a Hadamard matrix: lane l of a block's vectors is a point of F dimensions.
template <int F>
inline void rotate(const float* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += F * kLanes) {
    V v[F];
    for (int f = 0; f < F; ++f) v[f] = load(x + i + f * kLanes);
    for (int half = 1; half < F; half *= 2)
      for (int f = 0; f < F; ++f)
        if ((f & half) == 0) {
          const V a = v[f], b = v[f + half];
          v[f] = _mm512_add_ps(a, b);
          v[f + half] = _mm512_sub_ps(a, b);
        }
    for (int f = 0; f < F; ++f) store(out + i + f * kLanes, _mm512_mul_ps(v[f], splat(F == 8 ? 0.35355339f : 0.5f)));
  }
}

}  // namespace

void add_norm(const float* add, const float* scale, const float* shift, float epsilon, int64_t n, float* x) {
  V sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += kLanes) {
    const V v = _mm512_add_ps(load(x + i), load(add + i));
    store(x + i, v);
    sum = _mm512_add_ps(sum, v);
  }
  const float count = static_cast<float>(n);
  const V mean = splat(across<plus>(sum) / count);
  V square = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += kLanes) {
    const V d = _mm512_sub_ps(load(x + i), mean);
    square = _mm512_fmadd_ps(d, d, square);
  }
  const V variance = splat(across<plus>(square) / count + epsilon);
  const V factor = _mm512_div_ps(splat(1), _mm512_maskz_sqrt_ps(kAll, variance));
  for (int64_t i = 0; i < n; i += kLanes) {
    const V d = _mm512_mul_ps(_mm512_sub_ps(load(x + i), mean), factor);
    store(x + i, _mm512_fmadd_ps(d, load(scale + i), load(shift + i)));
  }
}

void to_bfloat16(const float* x, int64_t n, uint16_t* out, int64_t line_stride) {
  for (int64_t i = 0; i < n; i += 2 * kLanes, out += line_stride / 2) {
    store_bfloat16(out, load(x + i));
    store_bfloat16(out + kLanes, load(x + i + kLanes));
  }
}

void rotate(const float* x, int64_t n, float* out) {
  if (n % (8 * kLanes) == 0)
    rotate<8>(x, n, out);
  else
    rotate<4>(x, n, out);
}

float to_int8(const float* x, int64_t n, int8_t* out, int64_t line_stride) {
  V largest = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += kLanes) largest = larger(largest, _mm512_abs_ps(load(x + i)));
  const float most = across<larger>(largest);
  if (!(most > 0)) {
    for (int64_t i = 0; i < n; i += 4 * kLanes, out += line_stride) _mm512_storeu_si512(out, _mm512_setzero_si512());
    return 1;
  }
  const V per_step = splat(127 / most);
  for (int64_t i = 0; i < n; i += 4 * kLanes, out += line_stride) {
    for (int64_t v = 0; v < 4 * kLanes; v += kLanes) {
      const __m512i whole = _mm512_maskz_cvtps_epi32(kAll, _mm512_mul_ps(load(x + i + v), per_step));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + v), _mm512_maskz_cvtsepi32_epi8(kAll, whole));
    }
  }
  return most / 127;
}

namespace {

constexpr int64_t kQueries = 4;  // side by side, so that a product need not wait for the one before

inline int64_t padded(int64_t length) { return (length + kLanes - 1) / kLanes * kLanes; }

// Weights exp(score - largest) in place, zeros behind `length`; returns 1 / their sum.
inline float softmax_weights(int64_t length, float* score) {
  const __mmask16 last = static_cast<__mmask16>(0xffffu >> (padded(length) - length));
  const int64_t whole = padded(length) - kLanes;
  V most = _mm512_mask_mov_ps(splat(-__builtin_inff()), last, load(score + whole));
  for (int64_t j = 0; j < whole; j += kLanes) most = larger(most, load(score + j));
  const V largest = splat(across<larger>(most));
  V sum = _mm512_setzero_ps();
  for (int64_t j = 0; j <= whole; j += kLanes) {
    V e = exponential(_mm512_sub_ps(load(score + j), largest));
    if (j == whole) e = _mm512_maskz_mov_ps(last, e);
    store(score + j, e);
    sum = _mm512_add_ps(sum, e);
  }
  return 1 / across<plus>(sum);
}

// keys[d * padded(length) + j] = scale * key[j * stride + d], 0 behind `length`.
inline void transpose_keys(const float* key, int64_t length, int64_t stride, int64_t size, float scale, float* keys) {
  const int64_t width = padded(length);
  for (int64_t j = 0; j < width; j += kLanes) {
    for (int64_t d = 0; d < size; d += kLanes) {
      V column[kLanes];
      if (j + kLanes <= length) {
        load_columns(key + j * stride + d, stride, column);
      } else {
        alignas(64) float last[kLanes * kLanes] = {};
        for (int64_t r = 0; r < length - j; ++r) store(last + r * kLanes, load(key + (j + r) * stride + d));
        load_columns(last, kLanes, column);
      }
      for (int64_t c = 0; c < kLanes; ++c) store(keys + (d + c) * width + j, _mm512_mul_ps(column[c], splat(scale)));
    }
  }
}

}  // namespace

int64_t attention_scratch(int64_t length, int64_t size) { return padded(length) * (size + kQueries); }

void attend(const float* qkv, int64_t length, int64_t heads, int64_t size, float* scratch, float* out) {
  const int64_t hidden = heads * size, stride = 3 * hidden, width = padded(length);
  float* keys = scratch;  // size x width, transposed
  float* scores = scratch + size * width;
  const float scale = 1 / __builtin_sqrtf(static_cast<float>(size));
  for (int64_t h = 0; h < heads; ++h) {
    const float* query = qkv + h * size;
    const float* key = query + hidden;
    const float* value = key + hidden;
    transpose_keys(key, length, stride, size, scale, keys);
    for (int64_t first = 0; first < length; first += kQueries) {
      const float* q[kQueries];  // rows beyond the last one repeat it and are not stored
      for (int64_t r = 0; r < kQueries; ++r) q[r] = query + (first + r < length ? first + r : length - 1) * stride;
      for (int64_t j = 0; j < width; j += kLanes) {
        V sum[kQueries] = {};
        for (int64_t d = 0; d < size; ++d) {
          const V k = load(keys + d * width + j);
          for (int64_t r = 0; r < kQueries; ++r) sum[r] = _mm512_fmadd_ps(splat(q[r][d]), k, sum[r]);
        }
        for (int64_t r = 0; r < kQueries; ++r) store(scores + r * width + j, sum[r]);
      }
      float per_sum[kQueries];
      for (int64_t r = 0; r < kQueries; ++r) per_sum[r] = softmax_weights(length, scores + r * width);
      for (int64_t d = 0; d < size; d += kLanes) {
        V sum[kQueries] = {};
        for (int64_t j = 0; j < length; ++j) {
          const V v = load(value + j * stride + d);
          for (int64_t r = 0; r < kQueries; ++r) sum[r] = _mm512_fmadd_ps(splat(scores[r * width + j]), v, sum[r]);
        }
        for (int64_t r = 0; r < kQueries && first + r < length; ++r)
          store(out + (first + r) * hidden + h * size + d, _mm512_mul_ps(sum[r], splat(per_sum[r])));
      }
    }
  }
}

}  // namespace tracer::row_math
