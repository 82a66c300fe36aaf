# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# What `cmake --install build --prefix P` puts where. Components:
#
#   runtime    include/whit/, libwhit_runtime.so, whit-run, CMake and pkg-config files: all that a compiled model needs
#   compiler   libwhit_compiler.so, the tools, and headers and .td files for those who write passes (include/whit-compiler/)
#   python     what a wheel holds beside its Python files; only `pip install` asks for it
#
# examples/pass-plugin and examples/c-runtime are built against the result by test/package.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(whit_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Whit)

install(DIRECTORY include/whit DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT runtime)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
install(TARGETS whit_runtime EXPORT WhitRuntimeTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT runtime)
install(TARGETS whit-run RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
set_target_properties(whit_runtime PROPERTIES EXPORT_NAME runtime)
install(EXPORT WhitRuntimeTargets NAMESPACE Whit:: DESTINATION ${whit_cmake_dir} COMPONENT runtime)

configure_package_config_file(cmake/package/WhitConfig.cmake.in ${CMAKE_BINARY_DIR}/package/WhitConfig.cmake
                              INSTALL_DESTINATION ${whit_cmake_dir})
# Before 1.0 every minor version may change what others build against.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/WhitConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/WhitConfig.cmake ${CMAKE_BINARY_DIR}/package/WhitConfigVersion.cmake
        DESTINATION ${whit_cmake_dir} COMPONENT runtime)
configure_file(cmake/package/whit-runtime.pc.in ${CMAKE_BINARY_DIR}/package/whit-runtime.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/whit-runtime.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT runtime)

if(WHIT_COMPILER)
  # Tools find the compiler relative to themselves, and LLVM where it was when they were linked.
  file(RELATIVE_PATH whit_bin_to_lib /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
  get_property(whit_compiler_tools GLOBAL PROPERTY WHIT_COMPILER_TOOLS)
  set_target_properties(${whit_compiler_tools} PROPERTIES INSTALL_RPATH "$ORIGIN/${whit_bin_to_lib};$ORIGIN/../lib"
                        INSTALL_RPATH_USE_LINK_PATH ON)
  set_target_properties(whit_compiler PROPERTIES EXPORT_NAME compiler INSTALL_RPATH_USE_LINK_PATH ON)
  set_target_properties(WhitSim PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS WhitSim LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT compiler)
  install(TARGETS whit_compiler EXPORT WhitCompilerTargets
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT compiler NAMELINK_COMPONENT compiler)
  install(TARGETS ${whit_compiler_tools} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT compiler)
  install(EXPORT WhitCompilerTargets NAMESPACE Whit:: DESTINATION ${whit_cmake_dir} COMPONENT compiler)
  set(whit_pass_headers ${CMAKE_INSTALL_INCLUDEDIR}/whit-compiler)
  # The build folder may hold what was generated for files that are gone: only what is listed is installed.
  get_property(whit_generated_headers GLOBAL PROPERTY WHIT_GENERATED_HEADERS)
  foreach(header IN LISTS whit_generated_headers)
    file(RELATIVE_PATH relative ${CMAKE_BINARY_DIR} ${header})
    string(REGEX REPLACE "^[^/]*/(.*)$" "\\1" relative ${relative}) # without its room
    get_filename_component(folder ${whit_pass_headers}/${relative} DIRECTORY)
    install(FILES ${header} DESTINATION ${folder} COMPONENT compiler)
  endforeach()
  install(DIRECTORY dialects/ DESTINATION ${whit_pass_headers} COMPONENT compiler FILES_MATCHING PATTERN "*.h" PATTERN "*.td")
  install(DIRECTORY runtime/encoding DESTINATION ${whit_pass_headers}/runtime COMPONENT compiler FILES_MATCHING PATTERN "*.h")
  install(FILES passes/Pipeline.h lib/Register.h DESTINATION ${whit_pass_headers} COMPONENT compiler)
endif()

if(WHIT_PYTHON)
  get_property(whit_python_modules GLOBAL PROPERTY WHIT_PYTHON_MODULES)
  install(TARGETS ${whit_python_modules} LIBRARY DESTINATION whit COMPONENT python EXCLUDE_FROM_ALL)
  install(TARGETS whit-run ${whit_compiler_tools} RUNTIME DESTINATION whit/bin COMPONENT python EXCLUDE_FROM_ALL)
  if(WHIT_COMPILER)
    # A wheel holds no links: the library goes by the one name that the tools ask for.
    install(FILES $<TARGET_FILE:whit_compiler> DESTINATION whit/lib COMPONENT python EXCLUDE_FROM_ALL)
  endif()
  add_custom_target(wheel DEPENDS ${whit_python_modules} whit-run ${whit_compiler_tools})
endif()
