// No header with inline functions may be included here but the intrinsics: the linker might keep this file's AVX-512
// copies of them for the whole module.
#include "engine/torch/row_math.h"

#include <immintrin.h>

namespace tracer::row_math {
namespace {

constexpr int64_t kLanes = 16;
using V = __m512;

// GCC 12 takes the undefined lanes inside the unmasked intrinsics for a mistake of ours (GCC bug 105593): all lanes are
// asked for by a mask instead, which costs nothing.
constexpr __mmask16 kAll = 0xffff;
inline V larger(V a, V b) { return _mm512_maskz_max_ps(kAll, a, b); }
inline V smaller(V a, V b) { return _mm512_maskz_min_ps(kAll, a, b); }

inline V plus(V a, V b) { return _mm512_add_ps(a, b); }

// All lanes of v by F, in one.
template <V (*F)(V, V)>
inline float across(V v) {
  v = F(v, _mm512_maskz_shuffle_f32x4(kAll, v, v, 0x4e));
  v = F(v, _mm512_maskz_shuffle_f32x4(kAll, v, v, 0xb1));
  v = F(v, _mm512_maskz_permute_ps(kAll, v, 0x4e));
  return _mm512_cvtss_f32(F(v, _mm512_maskz_permute_ps(kAll, v, 0xb1)));
}

inline V splat(float v) { return _mm512_set1_ps(v); }
inline V load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, V v) { _mm512_storeu_ps(p, v); }

// Relative error below 3e-7: the power of two apart, a polynomial on [-ln 2 / 2, ln 2 / 2].
inline V exponential(V x) {
  x = larger(x, splat(-87));
  const V n = _mm512_maskz_roundscale_ps(kAll, _mm512_mul_ps(x, splat(1.44269504089f)), _MM_FROUND_TO_NEAREST_INT);
  V r = _mm512_fnmadd_ps(n, splat(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, splat(-2.12194440e-4f), r);
  V p = splat(1.0f / 720);
  p = _mm512_fmadd_ps(p, r, splat(1.0f / 120));
  p = _mm512_fmadd_ps(p, r, splat(1.0f / 24));
  p = _mm512_fmadd_ps(p, r, splat(1.0f / 6));
  p = _mm512_fmadd_ps(p, r, splat(0.5f));
  p = _mm512_fmadd_ps(p, r, splat(1));
  p = _mm512_fmadd_ps(p, r, splat(1));
  return _mm512_maskz_scalef_ps(kAll, p, n);
}

// x Phi(x), with erf by Abramowitz and Stegun 7.1.26.
inline V gelu(V x) {
  const V z = _mm512_mul_ps(_mm512_abs_ps(x), splat(0.70710678f));
  const V t = _mm512_div_ps(splat(1), _mm512_fmadd_ps(z, splat(0.3275911f), splat(1)));
  V p = splat(1.061405429f);
  p = _mm512_fmadd_ps(p, t, splat(-1.453152027f));
  p = _mm512_fmadd_ps(p, t, splat(1.421413741f));
  p = _mm512_fmadd_ps(p, t, splat(-0.284496736f));
  p = _mm512_fmadd_ps(p, t, splat(0.254829592f));
  p = _mm512_mul_ps(_mm512_mul_ps(p, t), exponential(_mm512_mul_ps(_mm512_mul_ps(z, z), splat(-1))));
  const V tail = _mm512_mul_ps(p, splat(0.5f));  // Phi(-|x|)
  const __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
  return _mm512_mul_ps(x, _mm512_mask_sub_ps(tail, positive, splat(1), tail));
}

// x (1 + tanh(u)) / 2 = x / (1 + exp(-2 u))
inline V gelu_tanh(V x) {
  const V cube = _mm512_mul_ps(_mm512_mul_ps(x, x), x);
  const V u = _mm512_mul_ps(splat(0.79788456f), _mm512_fmadd_ps(splat(0.044715f), cube, x));
  const V e = exponential(smaller(_mm512_mul_ps(u, splat(-2)), splat(87)));
  return _mm512_div_ps(x, _mm512_add_ps(splat(1), e));
}

inline V relu(V x) { return larger(x, _mm512_setzero_ps()); }

template <V (*F)(V)>
inline void bias_map(const float* bias, int64_t n, float* x) {
  for (int64_t i = 0; i < n; i += kLanes) store(x + i, F(_mm512_add_ps(load(x + i), load(bias + i))));
}

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

constexpr int64_t kProductRows = 4;   // sums of so many rows fit the registers beside
constexpr int64_t kPanelVectors = 4;  // a panel of 64 outputs

}  // namespace

void add_bias(const float* bias, int64_t n, float* x) {
  for (int64_t i = 0; i < n; i += kLanes) store(x + i, _mm512_add_ps(load(x + i), load(bias + i)));
}
void bias_gelu(const float* bias, int64_t n, float* x) { bias_map<gelu>(bias, n, x); }
void bias_gelu_tanh(const float* bias, int64_t n, float* x) { bias_map<gelu_tanh>(bias, n, x); }
void bias_relu(const float* bias, int64_t n, float* x) { bias_map<relu>(bias, n, x); }

void add_norm(const float* add, const float* bias, const float* scale, const float* shift, float epsilon, int64_t n,
              float* x) {
  V sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += kLanes) {
    V v = _mm512_add_ps(load(x + i), load(add + i));
    if (bias != nullptr) v = _mm512_add_ps(v, load(bias + i));
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

void to_bfloat16(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; i += kLanes)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), (__m256i)_mm512_cvtneps_pbh(load(x + i)));
}

void rotate(const float* x, int64_t n, float* out) {
  if (n % (8 * kLanes) == 0)
    rotate<8>(x, n, out);
  else
    rotate<4>(x, n, out);
}

float to_int8(const float* x, int64_t n, int8_t* out) {
  V largest = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += kLanes) largest = larger(largest, _mm512_abs_ps(load(x + i)));
  const float most = across<larger>(largest);
  if (!(most > 0)) {
    for (int64_t i = 0; i < n; ++i) out[i] = 0;
    return 1;
  }
  const V per_step = splat(127 / most);
  for (int64_t i = 0; i < n; i += kLanes) {
    const __m512i whole = _mm512_maskz_cvtps_epi32(kAll, _mm512_mul_ps(load(x + i), per_step));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm512_maskz_cvtsepi32_epi8(kAll, whole));
  }
  return most / 127;
}

void multiply_int8(const int8_t* x, int64_t rows, int64_t n, const int8_t* panel, const int32_t* shift, int32_t* out) {
  for (int64_t first = 0; first < rows; first += kProductRows) {
    const int64_t count = rows - first < kProductRows ? rows - first : kProductRows;
    __m512i sum[kProductRows][kPanelVectors];
    for (auto& row : sum)
      for (int64_t v = 0; v < kPanelVectors; ++v) row[v] = _mm512_loadu_si512(shift + v * kLanes);
    for (int64_t i = 0; i < n; i += 4) {
      __m512i right[kPanelVectors];
      for (int64_t v = 0; v < kPanelVectors; ++v)
        right[v] = _mm512_loadu_si512(panel + (i * kPanelVectors + v * 4) * kLanes);
      for (int64_t r = 0; r < kProductRows; ++r) {  // rows beyond the last one repeat it and are not stored
        int32_t four;
        __builtin_memcpy(&four, x + (first + (r < count ? r : count - 1)) * n + i, 4);
        const __m512i left = _mm512_set1_epi32(four ^ static_cast<int32_t>(0x80808080u));
        for (int64_t v = 0; v < kPanelVectors; ++v) sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], left, right[v]);
      }
    }
    for (int64_t r = 0; r < count; ++r)
      for (int64_t v = 0; v < kPanelVectors; ++v)
        _mm512_storeu_si512(out + (first + r) * kPanelVectors * kLanes + v * kLanes, sum[r][v]);
  }
}

void from_int32(const int32_t* sums, float row_step, const float* steps, int64_t n, float* out) {
  const V step = splat(row_step);
  for (int64_t i = 0; i < n; i += kLanes) {
    const V sum = _mm512_maskz_cvtepi32_ps(kAll, _mm512_loadu_si512(sums + i));
    store(out + i, _mm512_mul_ps(sum, _mm512_mul_ps(step, load(steps + i))));
  }
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
    for (int64_t d = 0; d < size; ++d)
      for (int64_t j = length; j < width; ++j) keys[d * width + j] = 0;
    for (int64_t j = 0; j < length; ++j)
      for (int64_t d = 0; d < size; ++d) keys[d * width + j] = key[j * stride + d] * scale;
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
