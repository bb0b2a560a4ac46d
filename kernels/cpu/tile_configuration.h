// How a thread's AMX tile registers are divided, as the processor writes it down.
#pragma once

#include <cstdint>

namespace tracer {

struct alignas(64) TileConfiguration {
  uint8_t bytes[64];
};

}  // namespace tracer
