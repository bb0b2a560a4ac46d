// libtorch's exceptions as values.
#pragma once

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "kernels/status.h"

namespace tracer {

template <class Work>
Status guarded(const Work& work) {
  try {
    work();
    return {};
  } catch (const std::bad_alloc&) {
    return out_of_memory("embedding text");
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    if (what.find("not enough memory") != std::string::npos || what.find("out of memory") != std::string::npos)
      return out_of_memory("embedding text");
    return internal_error("libtorch: " + what);
  } catch (const std::exception& error) {
    return internal_error(std::string("libtorch: ") + error.what());
  }
}

}  // namespace tracer
