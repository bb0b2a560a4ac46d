// No header with inline functions may be included here but those of internal linkage: the linker might keep this file's
// AVX-512 copies of them for the whole module.
#include "engine/torch/block_product.h"

#include "engine/torch/row_vector.h"
#include "kernels/cpu/isa_tile_registers.h"

namespace tracer::block_product {
namespace {

constexpr int64_t kRows = 32;  // of a block: two tiles of rows by two of outputs
constexpr int64_t kPanelVectors = kPanelOutputs / kLanes;
constexpr int64_t kVnniRows = 8;  // with kPanelVectors, what fits the registers

struct alignas(64) Sums {
  int32_t sum[kRows][kPanelOutputs];
};

// x (0.5 + z P(z^2)), z = x within +-4.3: least largest error of x Phi(x) there.
inline V gelu(V x) {
  const V z = larger(smaller(x, splat(4.3f)), splat(-4.3f));
  const V s = _mm512_mul_ps(z, z);
  constexpr float kTerms[] = {-1.956522245e-12f, 2.199574425e-10f, -1.111127701e-08f, 3.361774251e-07f,
                              -6.872867672e-06f, 1.017895243e-04f, -1.140823585e-03f, 9.880341853e-03f,
                              -6.639655599e-02f, 3.989093318e-01f};
  V p = splat(kTerms[0]);
  for (int k = 1; k < 10; ++k) p = _mm512_fmadd_ps(p, s, splat(kTerms[k]));
  return _mm512_mul_ps(x, _mm512_fmadd_ps(z, p, splat(0.5f)));
}

// x (1 + tanh(u)) / 2 = x / (1 + exp(-2 u))
inline V gelu_tanh(V x) {
  const V cube = _mm512_mul_ps(_mm512_mul_ps(x, x), x);
  const V u = _mm512_mul_ps(splat(0.79788456f), _mm512_fmadd_ps(splat(0.044715f), cube, x));
  const V e = exponential(smaller(_mm512_mul_ps(u, splat(-2)), splat(87)));
  return _mm512_div_ps(x, _mm512_add_ps(splat(1), e));
}

inline V relu(V x) { return larger(x, _mm512_setzero_ps()); }
inline V identity(V x) { return x; }

// What a row of a block's sums becomes: outputs o and on of row i.
template <V (*F)(V)>
struct FloatsToFloats {
  const Product& p;
  void operator()(const int32_t* sums, int64_t i, int64_t o) const {
    for (int64_t v = 0; v < kPanelOutputs; v += kLanes) {
      const V sum = load(reinterpret_cast<const float*>(sums + v));
      store(p.y + i * p.stride + o + v, F(_mm512_add_ps(sum, load(p.bias + o + v))));
    }
  }
};

template <V (*F)(V)>
struct FloatsToBfloat16 {
  const Product& p;
  uint16_t* y;
  void operator()(const int32_t* sums, int64_t i, int64_t o) const {
    uint16_t* line = y + row_place(i, 2 * o, 2 * p.outputs) / 2;
    for (int64_t v = 0; v < kPanelOutputs; v += kLanes) {
      const V sum = load(reinterpret_cast<const float*>(sums + v));
      store_bfloat16(line + v, F(_mm512_add_ps(sum, load(p.bias + o + v))));
    }
  }
};

template <V (*F)(V)>
struct IntegersToFloats {
  const Product& p;
  const float* row_step;
  const float* output_step;
  void operator()(const int32_t* sums, int64_t i, int64_t o) const {
    const V row = splat(row_step[i]);
    for (int64_t v = 0; v < kPanelOutputs; v += kLanes) {
      const V sum = _mm512_maskz_cvtepi32_ps(kAll, _mm512_loadu_si512(sums + v));
      const V x = _mm512_fmadd_ps(sum, _mm512_mul_ps(row, load(output_step + o + v)), load(p.bias + o + v));
      store(p.y + i * p.stride + o + v, F(x));
    }
  }
};

// A block of sums whose rows are finished a few at a time while the next block's products run: in source order, since
// sums must reach memory before vectors can read them.
template <class Finish>
class Waiting {
 public:
  explicit Waiting(const Finish& finish) : finish_(finish) {}
  void set(const Sums& sums, int64_t row, int64_t rows, int64_t output) {
    sums_ = &sums, row_ = row, rows_ = rows, output_ = output, done_ = 0;
  }
  void finish_some(int64_t rows) {
    const int64_t to = done_ + rows < rows_ ? done_ + rows : rows_;
    for (; done_ < to; ++done_) finish_(sums_->sum[done_], row_ + done_, output_);
  }
  void finish_all() { finish_some(rows_); }

 private:
  const Finish& finish_;
  const Sums* sums_ = nullptr;
  int64_t row_ = 0, rows_ = 0, output_ = 0, done_ = 0;
};

enum class Element { kBfloat16, kInt8 };

template <Element E, class Finish>
void by_tiles(const Product& p, const Finish& finish) {
  const int64_t steps = p.bytes / kStepBytes, share = (kRows + steps - 1) / steps;
  const auto* x = static_cast<const uint8_t*>(p.x);
  Sums sums[2];
  int turn = 0;
  Waiting<Finish> waiting(finish);
  for (int64_t o = 0; o < p.outputs; o += kPanelOutputs) {
    for (int64_t i = 0; i < p.rows; i += kRows) {
      const uint8_t* w = static_cast<const uint8_t*>(p.weights) + o * p.bytes;
      const uint8_t* x0 = x + i * p.bytes;
      const bool whole = i + kBlockOfRows < p.rows;  // else the second half is computed, and left
      const uint8_t* x1 = whole ? x0 + kBlockOfRows * p.bytes : x0;
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      for (int64_t s = 0; s < steps; ++s) {
        _tile_loadd(4, x0 + s * kLineStride, kStepBytes);
        _tile_loadd(6, w, 64);
        _tile_loadd(7, w + 16 * kStepBytes, 64);
        _tile_loadd(5, x1 + s * kLineStride, kStepBytes);
        if constexpr (E == Element::kBfloat16) {
          _tile_dpbf16ps(0, 4, 6);
          _tile_dpbf16ps(1, 4, 7);
          _tile_dpbf16ps(2, 5, 6);
          _tile_dpbf16ps(3, 5, 7);
        } else {
          _tile_dpbssd(0, 4, 6);
          _tile_dpbssd(1, 4, 7);
          _tile_dpbssd(2, 5, 6);
          _tile_dpbssd(3, 5, 7);
        }
        w += kPanelOutputs * kStepBytes;
        waiting.finish_some(share);
      }
      waiting.finish_all();
      Sums& out = sums[turn];
      _tile_stored(0, out.sum[0], sizeof out.sum[0]);
      _tile_stored(1, out.sum[0] + kLanes, sizeof out.sum[0]);
      _tile_stored(2, out.sum[kBlockOfRows], sizeof out.sum[0]);
      _tile_stored(3, out.sum[kBlockOfRows] + kLanes, sizeof out.sum[0]);
      waiting.set(out, i, whole ? kRows : kBlockOfRows, o);
      turn = 1 - turn;
    }
  }
  waiting.finish_all();
}

template <class Finish>
void by_vnni(const Product& p, const int32_t* shift, const Finish& finish) {
  const auto* x = static_cast<const uint8_t*>(p.x);
  const int64_t lines = p.bytes / kStepBytes * 16;  // of 4 inputs
  alignas(64) int32_t out[kPanelOutputs];
  for (int64_t o = 0; o < p.outputs; o += kPanelOutputs) {
    const uint8_t* panel = static_cast<const uint8_t*>(p.weights) + o * p.bytes;
    for (int64_t i = 0; i < p.rows; i += kVnniRows) {
      __m512i sum[kVnniRows][kPanelVectors];
      for (auto& row : sum)
        for (int64_t v = 0; v < kPanelVectors; ++v) row[v] = _mm512_loadu_si512(shift + o + v * kLanes);
      for (int64_t line = 0; line < lines; ++line) {
        const uint8_t* w = panel + line / 16 * kPanelOutputs * kStepBytes + line % 16 * 64;
        __m512i right[kPanelVectors];
        for (int64_t v = 0; v < kPanelVectors; ++v) right[v] = _mm512_loadu_si512(w + v * 16 * kStepBytes);
        for (int64_t r = 0; r < kVnniRows; ++r) {
          int32_t four;
          __builtin_memcpy(&four, x + row_place(i + r, line * 4, p.bytes), 4);
          const __m512i left = _mm512_set1_epi32(four ^ static_cast<int32_t>(0x80808080u));
          for (int64_t v = 0; v < kPanelVectors; ++v) sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], left, right[v]);
        }
      }
      for (int64_t r = 0; r < kVnniRows; ++r) {
        for (int64_t v = 0; v < kPanelVectors; ++v) _mm512_storeu_si512(out + v * kLanes, sum[r][v]);
        finish(out, i + r, o);
      }
    }
  }
}

// run.template operator()<F>() for the function of an activation.
template <class Run>
void with_activation(Activation activation, const Run& run) {
  switch (activation) {
    case Activation::kNone:
      return run.template operator()<identity>();
    case Activation::kGelu:
      return run.template operator()<gelu>();
    case Activation::kGeluTanh:
      return run.template operator()<gelu_tanh>();
    case Activation::kRelu:
      return run.template operator()<relu>();
  }
}

}  // namespace

void bfloat16_to_float(const Product& p) {
  with_activation(p.activation, [&]<V (*F)(V)>() { by_tiles<Element::kBfloat16>(p, FloatsToFloats<F>{p}); });
}

void bfloat16_to_bfloat16(const Product& p, uint16_t* y) {
  with_activation(p.activation, [&]<V (*F)(V)>() { by_tiles<Element::kBfloat16>(p, FloatsToBfloat16<F>{p, y}); });
}

void int8_by_tiles(const Product& p, const float* row_step, const float* output_step) {
  with_activation(p.activation, [&]<V (*F)(V)>() {
    by_tiles<Element::kInt8>(p, IntegersToFloats<F>{p, row_step, output_step});
  });
}

void int8_by_vnni(const Product& p, const float* row_step, const float* output_step, const int32_t* shift) {
  with_activation(p.activation, [&]<V (*F)(V)>() { by_vnni(p, shift, IntegersToFloats<F>{p, row_step, output_step}); });
}

void enter_tiles(TileConfiguration& before) { enter_all_tiles(before); }
void leave_tiles(const TileConfiguration& before) { leave_all_tiles(before); }

}  // namespace tracer::block_product
