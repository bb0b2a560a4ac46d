// Is a backend's arithmetic right here? Asked of an accelerator before it is trusted: a driver, a compiler or a device
// that is wrong shows as a wrong answer more often than as an error.
#pragma once

#include "kernels/backend.h"
#include "kernels/status.h"

namespace tracer {

// Runs every operation on small inputs whose answers are known. ErrorCode::kDevice names the first that is wrong.
// Cost: some milliseconds; on a GPU, the loading of its code too.
Status self_test(Backend& backend);

}  // namespace tracer
