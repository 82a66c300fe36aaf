// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The wire format of protocol buffers, as far as an ONNX file is cut before it is parsed: the bytes of weights stay
// where they are in the file, and only the rest, the skeleton, becomes protobuf objects. A file of 2 GB with 100 kB of
// graph is then read with the memory of 100 kB.

#pragma once

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>
#include <string>
#include <vector>

namespace whit {

/// Bytes [offset, offset + length) of the file.
struct ByteRange {
  uint64_t offset = 0, length = 0;
};

/// One field of a message.
struct WireField {
  uint32_t number = 0, type = 0;
  uint64_t value = 0; ///< of types 0 (varint)
  ByteRange payload;  ///< of types 1, 2 and 5: the content, without tag and length
  ByteRange whole;    ///< with tag and length
};

/// Reads the fields of the message that lies in `range` of `file`, one by one.
class WireReader {
public:
  WireReader(llvm::ArrayRef<uint8_t> file, ByteRange range)
      : file(file), at(range.offset), end(range.offset + range.length) {}
  /// False at the end, or when the bytes are no message; `why` then says so.
  bool next(WireField &field);
  std::string why;

private:
  bool varint(uint64_t &value);
  bool refuse(uint64_t position, const std::string &what);
  llvm::ArrayRef<uint8_t> file;
  uint64_t at, end;
};

/// A tensor in the file: its skeleton (all but the packed values) and where the values are.
struct WireTensor {
  std::string skeleton;
  ByteRange raw, floats, doubles; ///< raw_data, packed float_data, packed double_data
  bool hasRaw = false, hasFloats = false, hasDoubles = false;
};

/// A graph, cut.
struct WireGraph {
  std::string skeleton;                 ///< GraphProto without initializers
  std::vector<ByteRange> nodes;         ///< in order
  std::vector<WireTensor> initializers; ///< in order
};

/// An ONNX file, cut.
struct WireModel {
  std::string model; ///< ModelProto without graph
  WireGraph graph;
};

/// Cuts a TensorProto. False with `why` if it is none.
bool cutTensor(llvm::ArrayRef<uint8_t> file, ByteRange range, WireTensor &tensor, std::string &why);

/// Cuts a whole file. False with `why` (what is wrong, at which byte) if it is no ONNX file.
bool cutModel(llvm::ArrayRef<uint8_t> file, WireModel &model, std::string &why);

/// Cuts the graph in attribute `name` of a node. False with `why` if there is none.
bool cutAttributeGraph(llvm::ArrayRef<uint8_t> file, ByteRange node, llvm::StringRef name, WireGraph &graph,
                       std::string &why);

/// The tensor in attribute `name` of a node; false if there is none.
bool cutAttributeTensor(llvm::ArrayRef<uint8_t> file, ByteRange node, llvm::StringRef name, WireTensor &tensor);

} // namespace whit
