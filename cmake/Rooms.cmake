# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# How each kind of room is built. A room's own CMakeLists.txt is one line; its sources are found by looking into its
# folder (ninja looks again before each build), so a new file needs no edit anywhere.
#
#   whit_library(NAME folder... [LINK target...])   plain C++, no LLVM
#   whit_shared_library(NAME OF library...)           the objects of some of them, as one shared library
#   whit_dialects()      dialects/<Name>/*.td and *.cpp               -> WhitDialects
#   whit_passes()        passes/<Stage>/<Name>.td and *.cpp           -> WhitPasses, Passes.h, registerWhitPasses()
#   whit_lib()           lib/**.cpp but lib/Sim                       -> WhitLib, libwhit_compiler.so
#   whit_simulator()     lib/Sim/*.cpp                                -> libWhitSim.so
#   whit_tools(name...)  tools/<name>/*.cpp; those named link only the runtime
#   whit_tests()         test/<room>/**_test.cpp                      -> whit-runtime-tests, whit-compiler-tests,
#                                                                        whit-simulator-tests
#   whit_fuzzers()       test/fuzz/{runtime,compiler}/<Name>.cpp      -> whit-fuzz-<Name>

include(Kernels)
set(WHIT_COMPILER_INCLUDES
  ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/dialects ${CMAKE_SOURCE_DIR}/passes ${CMAKE_SOURCE_DIR}/lib
  ${CMAKE_BINARY_DIR}/dialects ${CMAKE_BINARY_DIR}/passes ${CMAKE_SOURCE_DIR})
set(WHIT_TABLEGEN_INCLUDES -I${CMAKE_SOURCE_DIR}/dialects -I${CMAKE_SOURCE_DIR}/passes)

function(whit_sources out)
  set(patterns)
  foreach(folder IN LISTS ARGN)
    list(APPEND patterns ${folder}/*.cpp ${folder}/*.h)
  endforeach()
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${patterns})
  list(SORT found)
  set(${out} ${found} PARENT_SCOPE)
endfunction()

function(whit_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINK")
  whit_sources(sources ${arg_UNPARSED_ARGUMENTS})
  if(NOT sources)
    set(sources ${CMAKE_SOURCE_DIR}/cmake/Empty.cpp)
  endif()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${arg_LINK})
endfunction()

# One shared library made of the objects of static ones. `MAP`: a version script that names what is visible from outside;
# without it, everything is, but for the libraries named by `HIDE`.
function(whit_shared_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "MAP" "OF;LINK;HIDE")
  list(TRANSFORM arg_OF REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
  add_library(${name} SHARED ${objects})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION})
  target_link_libraries(${name} PRIVATE ${arg_LINK})
  target_include_directories(${name} INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  if(arg_MAP)
    target_link_options(${name} PRIVATE -Wl,--version-script=${arg_MAP})
    set_target_properties(${name} PROPERTIES LINK_DEPENDS ${arg_MAP})
  endif()
  foreach(hidden IN LISTS arg_HIDE)
    target_link_options(${name} PRIVATE -Wl,--exclude-libs,lib${hidden}.a)
  endforeach()
endfunction()

# A room of the compiler: sees MLIR through the shared precompiled header.
function(whit_compiler_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
  if(NOT arg_SOURCES)
    set(arg_SOURCES ${CMAKE_SOURCE_DIR}/cmake/Empty.cpp)
  endif()
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${WHIT_COMPILER_INCLUDES})
  target_link_libraries(${name} PUBLIC ${arg_LINK} WhitMLIR)
  target_precompile_headers(${name} REUSE_FROM WhitPrecompiled)
endfunction()

# Runs mlir-tblgen when `td` or anything it includes has changed.
function(whit_tablegen td output)
  get_filename_component(folder ${output} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  file(RELATIVE_PATH shown ${CMAKE_BINARY_DIR} ${output})
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${MLIR_TABLEGEN_EXE} ${ARGN} ${WHIT_TABLEGEN_INCLUDES} -I${MLIR_INCLUDE_DIRS}
            --write-if-changed -d ${output}.d -o ${output} ${td}
    DEPENDS ${td}
    DEPFILE ${output}.d
    COMMENT "Generating ${shown}")
  set_property(GLOBAL APPEND PROPERTY WHIT_GENERATED ${output})
endfunction()

# The two halves of one <Dialect><Part>.td. `kind` is mlir-tblgen's word for it.
function(whit_dialect_part dialect part kind)
  set(td ${CMAKE_SOURCE_DIR}/dialects/${dialect}/${dialect}${part}.td)
  if(EXISTS ${td})
    set(output ${CMAKE_BINARY_DIR}/dialects/${dialect}/${dialect}${part})
    whit_tablegen(${td} ${output}.h.inc -gen-${kind}-decls)
    set_property(GLOBAL APPEND PROPERTY WHIT_GENERATED_HEADERS ${output}.h.inc)
    whit_tablegen(${td} ${output}.cpp.inc -gen-${kind}-defs)
  endif()
endfunction()

function(whit_dialects)
  file(GLOB definitions CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/dialects/*/*.td)
  file(GLOB folders CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/dialects/*)
  foreach(folder IN LISTS folders)
    get_filename_component(name ${folder} NAME)
    if(IS_DIRECTORY ${folder})
      whit_dialect_part(${name} Dialect dialect)
      whit_dialect_part(${name} Enums enum)
      whit_dialect_part(${name} Attrs attrdef)
      whit_dialect_part(${name} Types typedef)
      whit_dialect_part(${name} Interfaces op-interface)
      whit_dialect_part(${name} Ops op)
    endif()
  endforeach()
  get_property(generated GLOBAL PROPERTY WHIT_GENERATED)
  add_custom_target(WhitDialectsGenerated DEPENDS ${generated})
  whit_sources(sources ${CMAKE_SOURCE_DIR}/dialects)
  whit_compiler_library(WhitDialects SOURCES ${sources} LINK WhitEncoding)
  add_dependencies(WhitDialects WhitDialectsGenerated)
endfunction()

# One declaration header per pass file, one header that includes them all, and explicit registration calls: objects that
# register themselves would be dropped by the linker when nothing else in their archive is used.
function(whit_passes)
  set_property(GLOBAL PROPERTY WHIT_GENERATED)
  file(GLOB definitions CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/passes/*/*.td)
  list(SORT definitions)
  set(banner "// Generated from passes/*/*.td by cmake/Rooms.cmake.\n")
  set(declarations "")
  set(registrations "")
  set(calls "")
  foreach(td IN LISTS definitions)
    get_filename_component(name ${td} NAME_WE)
    get_filename_component(folder ${td} DIRECTORY)
    get_filename_component(stage ${folder} NAME)
    whit_tablegen(${td} ${CMAKE_BINARY_DIR}/passes/${stage}/${name}.tblgen.inc -gen-pass-decls -name=${stage}${name})
    # The first inclusion declares the options and create functions; a pass that defines itself needs them, a source that
    # also includes Passes.h has them already.
    string(TOUPPER ${name} upper)
    set_property(GLOBAL APPEND PROPERTY WHIT_GENERATED_HEADERS ${CMAKE_BINARY_DIR}/passes/${stage}/${name}.h.inc
                 ${CMAKE_BINARY_DIR}/passes/${stage}/${name}.tblgen.inc)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/passes/${stage}/${name}.h.inc @ONLY CONTENT "${banner}#undef GEN_PASS_DECL
#undef GEN_PASS_DECL_${upper}PASS
#ifndef WHIT_DECLARED_${stage}_${name}
#define WHIT_DECLARED_${stage}_${name}
#define GEN_PASS_DECL
#endif
#include \"${stage}/${name}.tblgen.inc\"
")
    string(APPEND declarations "#include \"${stage}/${name}.h.inc\"\n")
    string(APPEND registrations "#define GEN_PASS_REGISTRATION\n#include \"${stage}/${name}.h.inc\"\n")
    string(APPEND calls "  register${stage}${name}Passes();\n")
  endforeach()
  set(header ${CMAKE_BINARY_DIR}/passes/Passes.h)
  set(source ${CMAKE_BINARY_DIR}/passes/Register.cpp)
  set_property(GLOBAL APPEND PROPERTY WHIT_GENERATED_HEADERS ${header})
  file(CONFIGURE OUTPUT ${header} @ONLY CONTENT "${banner}#pragma once
#include \"mlir/IR/BuiltinOps.h\"
#include \"mlir/Pass/Pass.h\"
#include <memory>
namespace mlir::whit {
${declarations}/// Makes every pass of Whit known by its flag.
void registerWhitPasses();
} // namespace mlir::whit
")
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT "${banner}#include \"Passes.h\"
#include \"mlir/Pass/PassRegistry.h\"
namespace mlir::whit {
namespace {
${registrations}} // namespace
void registerWhitPasses() {
${calls}}
} // namespace mlir::whit
")
  get_property(generated GLOBAL PROPERTY WHIT_GENERATED)
  add_custom_target(WhitPassesGenerated DEPENDS ${generated})
  whit_sources(sources ${CMAKE_SOURCE_DIR}/passes)
  whit_compiler_library(WhitPasses SOURCES ${sources} ${source} LINK WhitDialects)
  add_dependencies(WhitPasses WhitPassesGenerated)
endfunction()

# The compiler is also one shared library, which all tools but whit-run link: a pass that a tool loads as a plugin finds the
# dialects there that the tool itself uses (docs/decisions/013).
function(whit_lib)
  whit_sources(sources ${CMAKE_SOURCE_DIR}/lib)
  list(FILTER sources EXCLUDE REGEX "/lib/Sim/")
  set(libraries WhitOnnxProto lldELF lldCommon nlohmann_json::nlohmann_json CLI11::CLI11)
  whit_compiler_library(WhitLib SOURCES ${sources} LINK WhitPasses WhitTrust ${libraries})
  whit_kernels_object()
  # The models of CPUs and of GPUs' kernels, which the compiler has inside.
  set(model ${CMAKE_SOURCE_DIR}/lib/CostModel/models/cpu.model)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/lib/CostModel/Models.cpp PROPERTIES OBJECT_DEPENDS ${model}
                              COMPILE_DEFINITIONS "WHIT_CPU_MODEL=\"${model}\"")
  set(model ${CMAKE_SOURCE_DIR}/lib/CostModel/models/gpu.model)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/lib/CostModel/StaticHeads.cpp PROPERTIES OBJECT_DEPENDS ${model}
                              COMPILE_DEFINITIONS "WHIT_GPU_MODEL=\"${model}\"")
  whit_shared_library(whit_compiler OF WhitLib WhitPasses WhitDialects WhitTrust WhitEncoding
                      LINK ${libraries} HIDE WhitOnnxProto lldELF lldCommon)
  target_link_libraries(whit_compiler PUBLIC $<BUILD_INTERFACE:WhitMLIR>)
  target_include_directories(whit_compiler INTERFACE "$<BUILD_INTERFACE:${WHIT_COMPILER_INCLUDES}>"
                             $<INSTALL_INTERFACE:include/whit-compiler>)
endfunction()

# The simulator of GPUs is opened by whit-run at run time, which itself stays free of LLVM (docs/decisions/021). Two functions are
# visible from outside.
function(whit_simulator)
  whit_sources(sources ${CMAKE_SOURCE_DIR}/lib/Sim)
  add_library(WhitSim SHARED ${sources})
  target_include_directories(WhitSim PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/lib)
  target_include_directories(WhitSim SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})
  # A product and a sum are rounded each, unless a kernel says fma.
  target_compile_options(WhitSim PRIVATE -fno-rtti -fvisibility=hidden -ffp-contract=off -Wno-pass-failed)
  target_link_libraries(WhitSim PRIVATE LLVM)
endfunction()

function(whit_tools)
  file(GLOB mains CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/*/main.cpp)
  foreach(main IN LISTS mains)
    get_filename_component(folder ${main} DIRECTORY)
    get_filename_component(name ${folder} NAME)
    file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
    if(name IN_LIST ARGN)
      add_executable(${name} ${sources})
      target_link_libraries(${name} PRIVATE WhitRunTool)
    elseif(WHIT_COMPILER)
      add_executable(${name} ${sources})
      target_link_libraries(${name} PRIVATE whit_compiler WhitRunTool) # replays run artifacts
      set_target_properties(${name} PROPERTIES LINK_DEPENDS_NO_SHARED ON)
      set_property(GLOBAL APPEND PROPERTY WHIT_COMPILER_TOOLS ${name})
      target_precompile_headers(${name} REUSE_FROM WhitPrecompiled)
    endif()
  endforeach()
endfunction()

# One GoogleTest program for the rooms without LLVM and one for those with it.
function(whit_test_exe name link)
  set(sources)
  foreach(room IN LISTS ARGN)
    file(GLOB_RECURSE found CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/${room}/*_test.cpp
         ${CMAKE_SOURCE_DIR}/test/${room}/*Test.cpp)
    if(room STREQUAL lib)
      list(FILTER found EXCLUDE REGEX "/test/lib/Sim/")
    endif()
    list(APPEND sources ${found})
  endforeach()
  if(sources)
    add_executable(${name} ${sources})
    target_compile_definitions(${name} PRIVATE WHIT_TEST_DIR="${CMAKE_SOURCE_DIR}/test")
    target_link_libraries(${name} PRIVATE ${link} GTest::gtest GTest::gtest_main)
    include(GoogleTest)
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST)
  endif()
endfunction()

function(whit_tests)
  find_package(GTest REQUIRED)
  whit_test_exe(whit-runtime-tests WhitRunTool include runtime)
  if(WHIT_COMPILER)
    whit_test_exe(whit-compiler-tests "WhitLib;WhitSim" dialects passes lib)
    if(TARGET whit-compiler-tests)
      target_precompile_headers(whit-compiler-tests REUSE_FROM WhitPrecompiled)
    endif()
    whit_test_exe(whit-simulator-tests "WhitSim;LLVM" lib/Sim)
    target_include_directories(whit-simulator-tests PRIVATE ${CMAKE_SOURCE_DIR}/include)
    target_include_directories(whit-simulator-tests SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})
    target_compile_options(whit-simulator-tests PRIVATE -fno-rtti)
  endif()
endfunction()

# Fuzz targets: with WHIT_FUZZ libFuzzer drives them, else they replay test/fuzz/corpus/<Name>, which is also a test.
function(whit_fuzzer room name link)
  set(target whit-fuzz-${name})
  add_executable(${target} ${CMAKE_SOURCE_DIR}/test/fuzz/${room}/${name}.cpp)
  target_link_libraries(${target} PRIVATE ${link} GTest::gtest)
  if(WHIT_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz.${name} COMMAND ${target} -runs=0 ${CMAKE_SOURCE_DIR}/test/fuzz/corpus/${name})
  else()
    target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/test/fuzz/Replay.cpp)
    add_test(NAME fuzz.${name} COMMAND ${target} ${CMAKE_SOURCE_DIR}/test/fuzz/corpus/${name})
  endif()
  if(room STREQUAL compiler)
    target_precompile_headers(${target} REUSE_FROM WhitPrecompiled)
  else()
    target_compile_definitions(${target} PRIVATE WHIT_TEST_MODEL="$<TARGET_FILE:whit-test-model>")
    add_dependencies(${target} whit-test-model)
  endif()
endfunction()

function(whit_fuzzers)
  foreach(room_and_link IN ITEMS runtime:WhitRuntime compiler:WhitLib)
    string(REPLACE ":" ";" pair ${room_and_link})
    list(GET pair 0 room)
    list(GET pair 1 link)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/fuzz/${room}/*.cpp)
    foreach(source IN LISTS sources)
      if(TARGET ${link})
        get_filename_component(name ${source} NAME_WE)
        whit_fuzzer(${room} ${name} ${link})
      endif()
    endforeach()
  endforeach()
endfunction()

# python/whit/<Name>.cpp is the native module whit._<name>, placed beside its Python files.
function(whit_python)
  find_package(Python 3.9 REQUIRED COMPONENTS Interpreter Development.Module)
  execute_process(COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir OUTPUT_STRIP_TRAILING_WHITESPACE
                  OUTPUT_VARIABLE nanobind_ROOT COMMAND_ERROR_IS_FATAL ANY)
  find_package(nanobind CONFIG REQUIRED)
  file(GLOB modules CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/python/whit/*.cpp)
  foreach(source IN LISTS modules)
    get_filename_component(name ${source} NAME_WE)
    string(TOLOWER ${name} lower)
    nanobind_add_module(_${lower} NB_STATIC ${source})
    target_link_libraries(_${lower} PRIVATE WhitRuntime)
    target_link_options(_${lower} PRIVATE -Wl,--exclude-libs,ALL)
    set_property(GLOBAL APPEND PROPERTY WHIT_PYTHON_MODULES _${lower})
    if(NOT SKBUILD) # a wheel takes it from the build folder
      set_target_properties(_${lower} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_SOURCE_DIR}/python/whit)
    endif()
  endforeach()
endfunction()
