# Debian's libutf8proc-dev has no CMake configuration.
find_path(TRACER_UTF8PROC_INCLUDE utf8proc.h REQUIRED)
find_library(TRACER_UTF8PROC_LIBRARY utf8proc REQUIRED)
mark_as_advanced(TRACER_UTF8PROC_INCLUDE TRACER_UTF8PROC_LIBRARY)
if(NOT TARGET utf8proc::utf8proc)
  add_library(utf8proc::utf8proc UNKNOWN IMPORTED GLOBAL)
  set_target_properties(utf8proc::utf8proc PROPERTIES IMPORTED_LOCATION "${TRACER_UTF8PROC_LIBRARY}"
                                                      INTERFACE_INCLUDE_DIRECTORIES "${TRACER_UTF8PROC_INCLUDE}")
endif()
