#include "kernels/cpu/gemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace tracer::cpu {
namespace {

// Rows of A packed by one task: 96 x 384 floats stay in the second-level cache while the panels of B pass by.
constexpr int64_t kRowBlock = 96;
// Columns of B packed at once: bounds the copy at 64 MB when the inner size is kKBlock.
constexpr int64_t kPackedFloats = int64_t{16} << 20;

// gemm_block over the runs of panels that are used.
void multiply_used(const IsaKernels& isa, int64_t rows, int64_t cols, int64_t kc, const float* a, const float* b,
                   const uint8_t* used, float* c, int64_t ldc, bool accumulate) {
  if (used == nullptr) {
    isa.gemm_block(rows, cols, kc, a, b, c, ldc, accumulate);
    return;
  }
  const int64_t panels = ceil_div(cols, isa.nr);
  for (int64_t first = 0; first < panels;) {
    int64_t last = first;
    while (last < panels && used[last] != 0) ++last;
    if (last > first) {
      const int64_t j = first * isa.nr;
      isa.gemm_block(rows, std::min(cols, last * isa.nr) - j, kc, a, b + j * kc, c + j, ldc, accumulate);
    }
    first = last + 1;
  }
}

}  // namespace

int64_t packed_b_size(const IsaKernels& isa, int64_t k, int64_t n) { return k * round_up(n, isa.nr); }

void pack_b(const Context& context, Trans tb, HostMatrix<const float> b, int64_t k, int64_t n, float* out) {
  const IsaKernels& isa = *context.isa;
  const int64_t padded = round_up(n, isa.nr);
  const int64_t chunk = 8 * isa.nr;
  const int64_t chunks = ceil_div(n, chunk);
  run(*context.pool, ceil_div(k, kKBlock) * chunks, [&](int64_t i, int) {
    const int64_t k0 = i / chunks * kKBlock;
    const int64_t n0 = i % chunks * chunk;
    const int64_t kc = std::min(kKBlock, k - k0);
    const bool interleaved = tb == Trans::kYes;
    const float* from = interleaved ? b.data + n0 * b.stride + k0 : b.data + k0 * b.stride + n0;
    isa.pack_b(interleaved, from, b.stride, std::min(chunk, n - n0), kc, out + k0 * padded + n0 * kc);
  });
}

void place_b_row(const IsaKernels& isa, const float* row, int64_t k, int64_t inner, int64_t n, float* packed) {
  const int64_t padded = round_up(n, isa.nr);
  const int64_t k0 = k / kKBlock * kKBlock;
  const int64_t kc = std::min(kKBlock, inner - k0);
  float* out = packed + k0 * padded + (k - k0) * isa.nr;
  for (int64_t j = 0; j < padded; j += isa.nr, out += kc * isa.nr) {
    std::memcpy(out, row + j, static_cast<size_t>(isa.nr) * sizeof(float));
  }
}

void pack_a_rows(const IsaKernels& isa, Trans ta, HostMatrix<const float> a, int64_t first, int64_t count, int64_t k,
                 float* out) {
  const int64_t padded = round_up(count, isa.mr);
  for (int64_t k0 = 0; k0 < k; k0 += kKBlock) {
    const bool interleaved = ta == Trans::kNo;
    const float* from = interleaved ? a.data + first * a.stride + k0 : a.data + k0 * a.stride + first;
    isa.pack_a(interleaved, from, a.stride, count, std::min(kKBlock, k - k0), out + k0 * padded);
  }
}

void multiply_packed(const IsaKernels& isa, int64_t count, int64_t n, int64_t k, const float* packed_a,
                     const float* packed_b, const uint8_t* used, float* c, int64_t ldc) {
  const int64_t padded_rows = round_up(count, isa.mr);
  const int64_t padded_cols = round_up(n, isa.nr);
  for (int64_t k0 = 0; k0 < k; k0 += kKBlock) {
    multiply_used(isa, count, n, std::min(kKBlock, k - k0), packed_a + k0 * padded_rows, packed_b + k0 * padded_cols,
                  used, c, ldc, k0 > 0);
  }
}

void gemm_packed(const Context& context, Trans ta, HostMatrix<const float> a, int64_t k, const float* packed_b,
                 const uint8_t* used, const OutputStage& stage, HostMatrix<float> c) {
  const IsaKernels& isa = *context.isa;
  const int threads = context.pool->threads();
  const int64_t row_blocks = ceil_div(c.rows, kRowBlock);
  const int64_t panels = ceil_div(c.cols, isa.nr);
  // Few row blocks: cut the columns too, so that every thread has work. Where the cuts lie does not change a byte.
  const int64_t wanted = threads == 1 ? 1 : ceil_div(int64_t{4} * threads, row_blocks);
  const int64_t panels_each = ceil_div(panels, std::clamp<int64_t>(wanted, 1, panels));
  const int64_t col_blocks = ceil_div(panels, panels_each);
  const int64_t padded = panels * isa.nr;
  const int64_t pack_floats = kRowBlock * std::min(kKBlock, k);
  const Scratch scratch = context.scratch->take(pack_floats * threads);
  run(*context.pool, row_blocks * col_blocks, [&](int64_t i, int worker) {
    const int64_t r0 = i / col_blocks * kRowBlock;
    const int64_t c0 = i % col_blocks * panels_each * isa.nr;
    const int64_t rows = std::min(kRowBlock, c.rows - r0);
    const int64_t cols = std::min(panels_each * isa.nr, c.cols - c0);
    float* packed_a = scratch.data() + worker * pack_floats;
    float* out = c.row(r0) + c0;
    // A tile whose first block is skipped must still start from 0.
    for (int64_t r = 0; used != nullptr && r < rows; ++r) std::fill_n(out + r * c.stride, cols, 0.0f);
    for (int64_t k0 = 0; k0 < k; k0 += kKBlock) {
      const int64_t kc = std::min(kKBlock, k - k0);
      const uint8_t* used_here = used == nullptr ? nullptr : used + k0 / kKBlock * panels + c0 / isa.nr;
      const bool interleaved = ta == Trans::kNo;
      const float* from = interleaved ? a.data + r0 * a.stride + k0 : a.data + k0 * a.stride + r0;
      isa.pack_a(interleaved, from, a.stride, rows, kc, packed_a);
      multiply_used(isa, rows, cols, kc, packed_a, packed_b + k0 * padded + c0 * kc, used_here, out, c.stride,
                    used != nullptr || k0 > 0);
    }
    finish_block(isa, stage, r0, c0, rows, cols, c);
  });
}

namespace {

Status multiply(const Context& context, Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b,
                const OutputStage& stage, HostMatrix<float> c) {
  const int64_t m = ta == Trans::kNo ? a.rows : a.cols;
  const int64_t k = ta == Trans::kNo ? a.cols : a.rows;
  const int64_t kb = tb == Trans::kNo ? b.rows : b.cols;
  const int64_t n = tb == Trans::kNo ? b.cols : b.rows;
  if (k != kb || c.rows != m || c.cols != n) return internal_error("gemm: shapes of a, b and c do not fit");
  if (m == 0 || n == 0) return {};
  const IsaKernels& isa = *context.isa;
  if (k == 0) {
    for (int64_t i = 0; i < m; ++i) std::fill_n(c.row(i), n, 0.0f);
    finish_block(isa, stage, 0, 0, m, n, c);
    return {};
  }
  const int64_t width = std::max(isa.nr, kPackedFloats / k / isa.nr * isa.nr);
  const Scratch packed = context.scratch->take(packed_b_size(isa, k, std::min(width, n)));
  for (int64_t n0 = 0; n0 < n; n0 += width) {
    const int64_t cols = std::min(width, n - n0);
    HostMatrix<const float> part = b;
    part.data += tb == Trans::kNo ? n0 : n0 * b.stride;
    pack_b(context, tb, part, k, cols, packed.data());
    gemm_packed(context, ta, a, k, packed.data(), nullptr, stage.columns(n0, cols), {c.data + n0, m, cols, c.stride});
  }
  return {};
}

// The operand in float32, in scratch memory.
HostMatrix<const float> expand(const Context& context, HostMatrix<const BFloat16> x, Scratch& scratch) {
  scratch = context.scratch->take(x.rows * x.cols);
  const HostMatrix<float> out(scratch.data(), x.rows, x.cols);
  run(*context.pool, ceil_div(x.rows, kRowBlock), [&](int64_t block, int) {
    for (int64_t i = block * kRowBlock; i < std::min(x.rows, (block + 1) * kRowBlock); ++i) {
      for (int64_t j = 0; j < x.cols; ++j) out(i, j) = to_float(x(i, j));
    }
  });
  return out;
}

}  // namespace

Status gemm(const Context& context, Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b,
            const Epilogue& epilogue, HostMatrix<float> c) {
  if (!epilogue.bias.empty() && static_cast<int64_t>(epilogue.bias.size()) != c.cols) {
    return internal_error("gemm: bias must have c.cols values");
  }
  if (epilogue.pre.data != nullptr && (epilogue.pre.rows != c.rows || epilogue.pre.cols != c.cols)) {
    return internal_error("gemm: pre must have the shape of c");
  }
  return multiply(context, ta, tb, a, b, {epilogue.bias, epilogue.activation, epilogue.pre, {}}, c);
}

Status gemm(const Context& context, Trans ta, Trans tb, HostMatrix<const BFloat16> a, HostMatrix<const BFloat16> b,
            const Epilogue& epilogue, HostMatrix<float> c) {
  Scratch wide_a, wide_b;
  return gemm(context, ta, tb, expand(context, a, wide_a), expand(context, b, wide_b), epilogue, c);
}

Status gemm_backward(const Context& context, Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b,
                     Activation activation, HostMatrix<const float> pre, HostMatrix<float> c) {
  if (activation != Activation::kNone && (pre.rows != c.rows || pre.cols != c.cols)) {
    return internal_error("gemm_backward: pre must have the shape of c");
  }
  if (activation == Activation::kNone) pre = {};
  return multiply(context, ta, tb, a, b, {{}, activation, {}, pre}, c);
}

}  // namespace tracer::cpu
