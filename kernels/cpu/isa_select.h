// Which instruction set this processor runs, and which one was asked for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/status.h"

namespace tracer::cpu {

// Usable here, best first; portable is always the last.
std::vector<const IsaKernels*> available_isas();

// The named instruction set, or the best one for an empty name or "auto". An unknown name or one that this processor
// lacks is ErrorCode::kDevice.
Result<const IsaKernels*> select_isa(std::string_view name);

}  // namespace tracer::cpu
