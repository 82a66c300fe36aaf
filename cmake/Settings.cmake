# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Settings that hold in every room.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON) # a build folder works wherever it is mounted

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()
# LLVM is packaged without assertions, and some of its classes change size with NDEBUG, so NDEBUG is always defined.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g -DNDEBUG")

# One position-independent form of every object: a precompiled header is only valid for objects of its own form.
add_compile_options(-fPIC -Wall -Wextra -Wno-unused-parameter
                    -Wno-deprecated-declarations) # inside libstdc++ 12, when it sorts
if(WHIT_WERROR)
  add_compile_options(-Werror)
endif()
if(WHIT_SANITIZE)
  # LLVM is built without run-time type information, which the checks of virtual tables and of function types need.
  add_compile_options(-fsanitize=${WHIT_SANITIZE} -fno-sanitize=vptr,function -fno-sanitize-recover=all -fno-omit-frame-pointer
                      -gline-tables-only)
  add_link_options(-fsanitize=${WHIT_SANITIZE})
endif()
if(WHIT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Without the time stamp, ccache can tell that two precompiled headers are the same.
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
  find_program(WHIT_LLD NAMES ld.lld-22 ld.lld HINTS /usr/lib/llvm-22/bin)
  if(WHIT_LLD)
    add_link_options(--ld-path=${WHIT_LLD})
  endif()
endif()

find_program(WHIT_CCACHE ccache)
if(WHIT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
                                  ${WHIT_CCACHE})
endif()

find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
