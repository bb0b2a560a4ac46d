# TRACER_TORCH=ON (encoding text) links what cmake/bootstrap.sh unpacked: tracer_torch is libtorch's CPU half. Its own
# CMake package is not used: it asks for the CUDA toolkit and for every CUDA library of torch.
option(TRACER_TORCH "Encode text with libtorch (.deps/torch); OFF: only given vectors are read" ON)

if(TRACER_TORCH)
  set(torch ${CMAKE_SOURCE_DIR}/.deps/torch)
  if(NOT EXISTS ${torch}/lib/libtorch_cpu.so)
    message(FATAL_ERROR "TRACER_TORCH=ON, but there is no libtorch in .deps/torch: run cmake/bootstrap.sh (or configure "
                        "with -DTRACER_TORCH=OFF, to build without text encoding)")
  endif()
  # libcudart and libcupti, which libtorch_cpu.so needs, are found by its own RPATH ($ORIGIN), by ld and at run time.
  add_library(tracer_torch INTERFACE)
  foreach(part torch_cpu c10)
    add_library(tracer_${part} SHARED IMPORTED)
    set_target_properties(tracer_${part} PROPERTIES
      IMPORTED_LOCATION ${torch}/lib/lib${part}.so
      IMPORTED_SONAME lib${part}.so
      # Headers of single operators alone: all of them together take minutes to compile.
      INTERFACE_COMPILE_DEFINITIONS AT_PER_OPERATOR_HEADERS
      INTERFACE_INCLUDE_DIRECTORIES ${torch}/include
      INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${torch}/include)
    target_link_libraries(tracer_torch INTERFACE tracer_${part})
  endforeach()
  message(STATUS "torch: ${torch}")
else()
  message(STATUS "torch: off (TRACER_TORCH=${TRACER_TORCH})")
endif()
