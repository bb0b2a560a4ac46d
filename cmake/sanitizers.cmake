# -DTRACER_SANITIZE=address,undefined or =thread instruments everything of ours.
set(TRACER_SANITIZE "" CACHE STRING "Value of -fsanitize=, empty for none")
option(TRACER_FUZZ "Build the libFuzzer targets of tests/fuzz (clang)" OFF)
if(TRACER_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${TRACER_SANITIZE}>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=all> -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TRACER_SANITIZE})
endif()
if(TRACER_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "TRACER_FUZZ needs clang: cmake --preset fuzz")
  endif()
  # Coverage feedback in the code under test; the fuzz targets alone link libFuzzer's main.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
