# `cmake --install BUILD --prefix DIR`: the program, the library with its headers and CMake package, and, where text is
# embedded, the module of libtorch, libtorch itself and the default encoder. Every path inside is relative to the files
# themselves, so the tree may be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The library: host/api and all that it needs, in one shared object that shows the names of namespace tracer alone.
add_library(tracer_library SHARED ${CMAKE_BINARY_DIR}/generated/tracer_library.cpp)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/tracer_library.cpp CONTENT "// libtracer.so is made of libraries\n")
set_target_properties(tracer_library PROPERTIES
  OUTPUT_NAME tracer EXPORT_NAME tracer LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/library.map)
target_link_libraries(tracer_library PRIVATE
  -Wl,--whole-archive $<TARGET_FILE:tracer_host> -Wl,--no-whole-archive tracer_host tracer_cuda)
target_link_options(tracer_library PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/library.map)
add_dependencies(tracer_library tracer_host)
target_include_directories(tracer_library INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(tracer_library INTERFACE cxx_std_20)

install(TARGETS tracer RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS tracer_library EXPORT tracer LIBRARY DESTINATION lib)
install(CODE "set(source \"${CMAKE_SOURCE_DIR}\")
set(include \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}/tracer\")"
)
install(SCRIPT ${CMAKE_SOURCE_DIR}/cmake/install_headers.cmake)
install(EXPORT tracer NAMESPACE tracer:: DESTINATION lib/cmake/tracer FILE tracer-config.cmake)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/tracer-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/tracer-config-version.cmake DESTINATION lib/cmake/tracer)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION share/doc/tracer)
if(TRACER_TORCH)
  set_target_properties(tracer_transformer PROPERTIES INSTALL_RPATH "$ORIGIN/torch")
  install(TARGETS tracer_transformer LIBRARY DESTINATION lib/tracer)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/.deps/torch/lib/ DESTINATION lib/tracer/torch)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/.deps/models/ DESTINATION share/tracer/models)
endif()
