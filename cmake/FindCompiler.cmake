# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# What only the compiler needs: MLIR, LLVM and lld 22, protobuf for ONNX files, and the precompiled header.

find_package(MLIR 22.1 REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/mlir)
find_package(LLD REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/lld)
find_package(Protobuf REQUIRED)

# How every source that sees MLIR is compiled, and what it links: the two shared libraries, never their static parts.
add_library(WhitMLIR INTERFACE)
target_include_directories(WhitMLIR SYSTEM INTERFACE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
target_compile_options(WhitMLIR INTERFACE -fno-rtti)
target_link_libraries(WhitMLIR INTERFACE MLIR LLVM)

# The ONNX schema (1.12, from libonnx-dev). Fields of newer files that it lacks are kept as unknown fields.
find_file(WHIT_ONNX_PROTO onnx/onnx.proto REQUIRED)
set(whit_proto_dir ${CMAKE_BINARY_DIR}/proto)
file(MAKE_DIRECTORY ${whit_proto_dir})
get_filename_component(whit_proto_source ${WHIT_ONNX_PROTO} DIRECTORY)
add_custom_command(
  OUTPUT ${whit_proto_dir}/onnx.pb.cc ${whit_proto_dir}/onnx.pb.h
  COMMAND ${Protobuf_PROTOC_EXECUTABLE} --proto_path=${whit_proto_source} --cpp_out=${whit_proto_dir} onnx.proto
  DEPENDS ${WHIT_ONNX_PROTO}
  COMMENT "Generating the ONNX reader")
add_library(WhitOnnxProto STATIC ${whit_proto_dir}/onnx.pb.cc ${whit_proto_dir}/onnx.pb.h)
target_include_directories(WhitOnnxProto SYSTEM PUBLIC ${whit_proto_dir} ${Protobuf_INCLUDE_DIRS})
target_compile_options(WhitOnnxProto PRIVATE -w)
target_link_libraries(WhitOnnxProto PUBLIC ${Protobuf_LIBRARIES} Threads::Threads)

# One precompiled header for all rooms of the compiler; without it each source parses 10 to 30 seconds of MLIR headers.


add_library(WhitPrecompiled OBJECT ${CMAKE_SOURCE_DIR}/cmake/Empty.cpp)
target_link_libraries(WhitPrecompiled PRIVATE WhitMLIR)
target_precompile_headers(WhitPrecompiled PRIVATE ${CMAKE_SOURCE_DIR}/cmake/Precompiled.h)
# Not through ccache: to it, a header with another comment is the same header, while clang insists on the very file.
set_target_properties(WhitPrecompiled PROPERTIES CXX_COMPILER_LAUNCHER "")
