# generated/tracer_version.h, for targets that link tracer_version. Written again at each build, but only when it
# changed: a new commit recompiles the files that include it and nothing else.
set(version_command ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DOUTPUT=${CMAKE_BINARY_DIR}/generated/tracer_version.h
    -DVERSION=${PROJECT_VERSION} "-DCUDA_ARCHS=${TRACER_CUDA_ARCHS_TEXT}" -P ${CMAKE_SOURCE_DIR}/cmake/write_version.cmake)
execute_process(COMMAND ${version_command} COMMAND_ERROR_IS_FATAL ANY)
add_custom_target(tracer_write_version COMMAND ${version_command} VERBATIM
                  BYPRODUCTS ${CMAKE_BINARY_DIR}/generated/tracer_version.h COMMENT "")
add_library(tracer_version INTERFACE)
target_include_directories(tracer_version INTERFACE ${CMAKE_BINARY_DIR}/generated)
add_dependencies(tracer_version tracer_write_version)
