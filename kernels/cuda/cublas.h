// cuBLAS, opened when it is first wanted: the program starts, and computes with its own kernels, where it is absent.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/backend.h"
#include "kernels/cuda/resources.h"
#include "kernels/status.h"

namespace tracer::cuda {

// A handle of the current device. Move-only; for one thread at a time.
class Cublas {
 public:
  // ErrorCode::kDevice where the library is absent, too old or fails.
  static Result<Cublas> open();
  Cublas(Cublas&&) noexcept;
  Cublas& operator=(Cublas&&) noexcept;
  ~Cublas();

  // c (m x n, row stride ldc) = op(a) * op(b) on device memory, added to c when accumulate; all row-major. Products are
  // of float32 or bfloat16 operands, accumulated in float32 (never TF32). Same shapes, same device: same bytes.
  Status gemm(Trans ta, Trans tb, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
              int64_t ldb, bool accumulate, float* c, int64_t ldc, const Stream& stream);
  Status gemm(Trans ta, Trans tb, int64_t m, int64_t n, int64_t k, const BFloat16* a, int64_t lda, const BFloat16* b,
              int64_t ldb, bool accumulate, float* c, int64_t ldc, const Stream& stream);

 private:
  struct Handle;
  explicit Cublas(std::unique_ptr<Handle> handle);
  std::unique_ptr<Handle> handle_;
};

}  // namespace tracer::cuda
