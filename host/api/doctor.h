// What this machine offers, and what is missing.
#pragma once

#include "host/api/device.h"
#include "host/api/document.h"

namespace tracer {

struct Diagnosis {
  bool usable = false;  // the device asked for can be opened
  Document document;
};

// Never fails: what cannot be had is part of the answer, with the reason.
Diagnosis diagnose(const DeviceOptions& options);

}  // namespace tracer
