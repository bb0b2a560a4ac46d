#include "kernels/cuda/cublas.h"

#include <cublas_v2.h>
#include <dlfcn.h>

#include <climits>
#include <cstdlib>
#include <string>
#include <utility>

#include "kernels/cuda/check.h"

namespace tracer::cuda {

namespace {

// Fixed, so that the choice of an algorithm does not depend on what else the device holds.
constexpr int64_t kWorkspaceBytes = 32 << 20;

struct Library {
  decltype(&cublasCreate_v2) create = nullptr;
  decltype(&cublasDestroy_v2) destroy = nullptr;
  decltype(&cublasSetStream_v2) set_stream = nullptr;
  decltype(&cublasSetWorkspace_v2) set_workspace = nullptr;
  decltype(&cublasSetMathMode) set_math_mode = nullptr;
  // Spelled out: the header overloads its name in C++.
  cublasStatus_t (*gemm_ex)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void*,
                            const void*, cudaDataType, int, const void*, cudaDataType, int, const void*, void*,
                            cudaDataType, int, cublasComputeType_t, cublasGemmAlgo_t) = nullptr;
  std::string error;
};

template <class F>
void find(void* library, const char* name, F& function, std::string& error) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (function == nullptr) error = std::string("libcublas has no ") + name;
}

Library load() {
  Library l;
  const char* chosen = std::getenv("TRACER_CUBLAS");  // a path, where the linker does not look
  const char* name = chosen != nullptr && *chosen != '\0' ? chosen : "libcublas.so." TRACER_CUDA_MAJOR;
  void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    l.error = std::string(name) + " was not found";
    return l;
  }
  find(library, "cublasCreate_v2", l.create, l.error);
  find(library, "cublasDestroy_v2", l.destroy, l.error);
  find(library, "cublasSetStream_v2", l.set_stream, l.error);
  find(library, "cublasSetWorkspace_v2", l.set_workspace, l.error);
  find(library, "cublasSetMathMode", l.set_math_mode, l.error);
  find(library, "cublasGemmEx", l.gemm_ex, l.error);
  return l;
}

const Library& library() {
  static const Library loaded = load();
  return loaded;
}

Status checked(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return {};
  cudaGetLastError();
  return device_error(std::string(what) + ": cuBLAS status " + std::to_string(static_cast<int>(status)));
}

}  // namespace

struct Cublas::Handle {
  cublasHandle_t blas = nullptr;
  void* workspace = nullptr;
  ~Handle() {
    if (blas != nullptr) library().destroy(blas);
    if (workspace != nullptr) cudaFree(workspace);
  }

  // Row-major c = op(a) op(b) is column-major c' = op(b)' op(a)'.
  Status gemm(cudaDataType type, Trans ta, Trans tb, int64_t m, int64_t n, int64_t k, const void* a, int64_t lda,
              const void* b, int64_t ldb, bool accumulate, float* c, int64_t ldc, const Stream& stream) {
    for (const int64_t size : {m, n, k, lda, ldb, ldc}) {
      if (size > INT_MAX) return internal_error("cublas: a dimension beyond 2^31");
    }
    if (m == 0 || n == 0) return {};
    if (k == 0) {  // which cuBLAS calls a bad leading dimension
      if (accumulate) return {};
      const size_t width = static_cast<size_t>(n) * sizeof(float), pitch = static_cast<size_t>(ldc) * sizeof(float);
      return check(cudaMemset2DAsync(c, pitch, 0, width, static_cast<size_t>(m), stream.get()), "cudaMemset2DAsync");
    }
    TRACER_RETURN_IF_ERROR(checked(library().set_stream(blas, stream.get()), "cublasSetStream"));
    // Setting the stream puts the default workspace back.
    TRACER_RETURN_IF_ERROR(checked(library().set_workspace(blas, workspace, kWorkspaceBytes), "cublasSetWorkspace"));
    const float one = 1.0f;
    const float beta = accumulate ? 1.0f : 0.0f;
    const auto op = [](Trans t) { return t == Trans::kYes ? CUBLAS_OP_T : CUBLAS_OP_N; };
    return checked(
        library().gemm_ex(blas, op(tb), op(ta), static_cast<int>(n), static_cast<int>(m), static_cast<int>(k), &one, b,
                          type, static_cast<int>(ldb), a, type, static_cast<int>(lda), &beta, c, CUDA_R_32F,
                          static_cast<int>(ldc), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx");
  }
};

Cublas::Cublas(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
Cublas::Cublas(Cublas&&) noexcept = default;
Cublas& Cublas::operator=(Cublas&&) noexcept = default;
Cublas::~Cublas() = default;

Result<Cublas> Cublas::open() {
  if (!library().error.empty()) return device_error(library().error);
  auto handle = std::make_unique<Handle>();
  TRACER_RETURN_IF_ERROR(checked(library().create(&handle->blas), "cublasCreate"));
  TRACER_RETURN_IF_ERROR(check(cudaMalloc(&handle->workspace, kWorkspaceBytes), "cudaMalloc"));
  // No TF32, and no reduction in a lower precision than the accumulator's.
  const auto mode = static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
  TRACER_RETURN_IF_ERROR(checked(library().set_math_mode(handle->blas, mode), "cublasSetMathMode"));
  return Cublas(std::move(handle));
}

Status Cublas::gemm(Trans ta, Trans tb, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                    int64_t ldb, bool accumulate, float* c, int64_t ldc, const Stream& stream) {
  return handle_->gemm(CUDA_R_32F, ta, tb, m, n, k, a, lda, b, ldb, accumulate, c, ldc, stream);
}

Status Cublas::gemm(Trans ta, Trans tb, int64_t m, int64_t n, int64_t k, const BFloat16* a, int64_t lda,
                    const BFloat16* b, int64_t ldb, bool accumulate, float* c, int64_t ldc, const Stream& stream) {
  return handle_->gemm(CUDA_R_16BF, ta, tb, m, n, k, a, lda, b, ldb, accumulate, c, ldc, stream);
}

}  // namespace tracer::cuda
