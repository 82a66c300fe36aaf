# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# What every library of exported kernels carries (whit-compile --export-kernels): runtime/kernels/ and the codecs, linked with all that they
# need of the C++ library to one object, of which the exporter's linker keeps what is used. The compiler has it inside
# (lib/Emit/ExportCode.cpp). Plain x86-64 without sanitizers: it runs in other people's processes.

function(whit_kernels_object)
  whit_sources(sources ${CMAKE_SOURCE_DIR}/runtime/kernels ${CMAKE_SOURCE_DIR}/runtime/encoding)
  add_library(WhitKernels OBJECT ${sources})
  target_include_directories(WhitKernels PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR})
  target_compile_options(WhitKernels PRIVATE -fno-sanitize=all -fvisibility=hidden -fvisibility-inlines-hidden -ffunction-sections
                                             -fdata-sections)
  set(object ${CMAKE_BINARY_DIR}/runtime/kernels.o)
  separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS}")
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CMAKE_CXX_COMPILER} ${flags} $<$<BOOL:${WHIT_LLD}>:--ld-path=${WHIT_LLD}> -r -nostdlib -o ${object}
            $<TARGET_OBJECTS:WhitKernels> -Wl,-Bstatic -lstdc++ -lgcc_eh -lgcc
    DEPENDS WhitKernels $<TARGET_OBJECTS:WhitKernels>
    COMMAND_EXPAND_LISTS VERBATIM
    COMMENT "Linking runtime/kernels.o")
  # Files that the exporter writes as they are.
  file(GLOB written CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/lib/Emit/Exported/*)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/lib/Emit/ExportCode.cpp PROPERTIES OBJECT_DEPENDS ${object}
                              COMPILE_DEFINITIONS "WHIT_KERNELS_OBJECT=\"${object}\"")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/lib/Emit/ExportFiles.cpp PROPERTIES OBJECT_DEPENDS "${written}"
                              COMPILE_DEFINITIONS "WHIT_EXPORTED_FILES=\"${CMAKE_SOURCE_DIR}/lib/Emit/Exported\"")
endfunction()
