// The backend that is always there.
#pragma once

#include <memory>
#include <string_view>

#include "kernels/backend.h"

namespace tracer::cpu {

// threads <= 0: all processors of this process. isa as in BackendOptions; an impossible one is ErrorCode::kDevice.
Result<std::unique_ptr<Backend>> make_cpu_backend(int threads, std::string_view isa);

}  // namespace tracer::cpu
