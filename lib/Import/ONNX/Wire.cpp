// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Cutting an ONNX file. Numbers of fields are those of onnx.proto, which never change.

#include "Import/ONNX/Wire.h"

#include "llvm/ADT/StringRef.h"

using namespace whit;
using llvm::ArrayRef;

namespace {
enum WireType : uint32_t { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };
namespace model_field {
constexpr uint32_t Graph = 7;
}
namespace graph_field {
constexpr uint32_t Node = 1, Initializer = 5;
}
namespace node_field {
constexpr uint32_t Attribute = 5;
}
namespace attribute_field {
constexpr uint32_t Name = 1, Tensor = 5, Graph = 6;
}
namespace tensor_field {
constexpr uint32_t FloatData = 4, RawData = 9, DoubleData = 10;
}
} // namespace

bool WireReader::refuse(uint64_t position, const std::string &what) {
  why = what + " at byte " + std::to_string(position);
  return false;
}

bool WireReader::varint(uint64_t &value) {
  value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (at == end)
      return false;
    uint8_t byte = file[at++];
    value |= uint64_t(byte & 0x7f) << shift;
    if (!(byte & 0x80))
      return true;
  }
  return false;
}

bool WireReader::next(WireField &field) {
  if (at == end)
    return false;
  uint64_t begin = at, tag;
  if (!varint(tag))
    return refuse(begin, "a field's tag is cut off");
  field = {};
  field.number = uint32_t(tag >> 3);
  field.type = uint32_t(tag & 7);
  if (tag >> 32 || !field.number)
    return refuse(begin, "a field has no valid number");
  uint64_t length = 0;
  switch (field.type) {
  case Varint:
    if (!varint(field.value))
      return refuse(begin, "a number is cut off");
    break;
  case Fixed64:
    length = 8;
    break;
  case Fixed32:
    length = 4;
    break;
  case Bytes:
    if (!varint(length))
      return refuse(begin, "a length is cut off");
    break;
  default:
    return refuse(begin, "a field has wire type " + std::to_string(field.type) + ", which ONNX does not use,");
  }
  if (length > end - at)
    return refuse(begin, "field " + std::to_string(field.number) + " needs " + std::to_string(length) + " bytes, " +
                             std::to_string(end - at) + " are left,");
  field.payload = {at, length};
  at += length;
  field.whole = {begin, at - begin};
  return true;
}

static void append(std::string &out, ArrayRef<uint8_t> file, ByteRange range) {
  out.append(reinterpret_cast<const char *>(file.data()) + range.offset, range.length);
}

bool whit::cutTensor(ArrayRef<uint8_t> file, ByteRange range, WireTensor &tensor, std::string &why) {
  WireReader reader(file, range);
  WireField field;
  auto take = [&](bool &has, ByteRange &place) {
    if (has)
      reader.why = "a tensor has its values twice, the second time at byte " + std::to_string(field.whole.offset);
    has = true;
    place = field.payload;
    return reader.why.empty();
  };
  while (reader.next(field)) {
    bool isBytes = field.type == Bytes, ok = true;
    if (field.number == tensor_field::RawData && isBytes)
      ok = take(tensor.hasRaw, tensor.raw);
    else if (field.number == tensor_field::FloatData && isBytes)
      ok = take(tensor.hasFloats, tensor.floats);
    else if (field.number == tensor_field::DoubleData && isBytes)
      ok = take(tensor.hasDoubles, tensor.doubles);
    else
      append(tensor.skeleton, file, field.whole);
    if (!ok)
      break;
  }
  why = reader.why;
  return why.empty();
}

static bool cutGraph(ArrayRef<uint8_t> file, ByteRange range, WireGraph &graph, std::string &why) {
  WireReader reader(file, range);
  WireField field;
  while (reader.next(field)) {
    if (field.number == graph_field::Initializer && field.type == Bytes) {
      if (!cutTensor(file, field.payload, graph.initializers.emplace_back(), why))
        return false;
      continue;
    }
    if (field.number == graph_field::Node && field.type == Bytes)
      graph.nodes.push_back(field.payload);
    append(graph.skeleton, file, field.whole);
  }
  why = reader.why;
  return why.empty();
}

bool whit::cutModel(ArrayRef<uint8_t> file, WireModel &model, std::string &why) {
  WireReader reader(file, {0, file.size()});
  WireField field;
  bool hasGraph = false;
  ByteRange graph;
  while (reader.next(field)) {
    if (field.number != model_field::Graph || field.type != Bytes) {
      append(model.model, file, field.whole);
      continue;
    }
    if (hasGraph) {
      why = "a second graph at byte " + std::to_string(field.whole.offset) + "; a model has one";
      return false;
    }
    hasGraph = true;
    graph = field.payload;
  }
  if (!reader.why.empty()) {
    why = reader.why;
    return false;
  }
  if (!hasGraph) {
    why = "no graph in " + std::to_string(file.size()) + " bytes";
    return false;
  }
  return cutGraph(file, graph, model.graph, why);
}

/// The payload of field `number` of the attribute `name`; empty if there is none.
static ByteRange findAttribute(ArrayRef<uint8_t> file, ByteRange node, llvm::StringRef name, uint32_t number) {
  WireReader reader(file, node);
  WireField field;
  while (reader.next(field)) {
    if (field.number != node_field::Attribute || field.type != Bytes)
      continue;
    WireReader attribute(file, field.payload);
    WireField part;
    ByteRange found;
    bool named = false;
    while (attribute.next(part)) {
      if (part.number == attribute_field::Name && part.type == Bytes)
        named = llvm::StringRef(reinterpret_cast<const char *>(file.data()) + part.payload.offset,
                                part.payload.length) == name;
      else if (part.number == number && part.type == Bytes)
        found = part.payload;
    }
    if (named && found.length)
      return found;
  }
  return {};
}

bool whit::cutAttributeGraph(ArrayRef<uint8_t> file, ByteRange node, llvm::StringRef name, WireGraph &graph,
                             std::string &why) {
  ByteRange found = findAttribute(file, node, name, attribute_field::Graph);
  if (found.length)
    return cutGraph(file, found, graph, why);
  why = "attribute '" + name.str() + "' has no graph";
  return false;
}

bool whit::cutAttributeTensor(ArrayRef<uint8_t> file, ByteRange node, llvm::StringRef name, WireTensor &tensor) {
  ByteRange found = findAttribute(file, node, name, attribute_field::Tensor);
  std::string why;
  return found.length && cutTensor(file, found, tensor, why);
}
