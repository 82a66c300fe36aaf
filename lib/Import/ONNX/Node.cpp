// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Inputs, attributes and outputs of a node, with one form of message for each thing that can be wrong with them.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"

#include <cmath>

using namespace mlir;

namespace whit {

using semantics::Sizes;
using semantics::Tensor;

Node::Node(Graph &graph, const ::onnx::NodeProto &proto, size_t index, ByteRange bytes, ImplicitLocOpBuilder &b)
    : graph(graph), b(b), proto(proto), index(index), bytes(bytes) {}

/// Every node is called something: by its name, its first output or its place.
static std::string calledName(const ::onnx::NodeProto &proto, size_t index) {
  if (!proto.name().empty())
    return proto.name();
  if (proto.output_size() && !proto.output(0).empty())
    return proto.output(0);
  return "node " + std::to_string(index);
}

std::string Node::opName() const {
  return proto.domain().empty() || proto.domain() == "ai.onnx" ? proto.op_type()
                                                               : proto.domain() + "." + proto.op_type();
}

LogicalResult Node::report(DiagnosticCode code, const Twine &message, const Twine &help) {
  graph.diagnostics.add({code, Severity::Error, "", {calledName(proto, index)}, opName(), message.str(), help.str()});
  return failure();
}

GraphValue &Node::input(unsigned i) { return *graph.find(proto.input(i)); }

FailureOr<Tensor> Node::tensor(unsigned i, StringRef role) {
  if (!has(i))
    return badOperand("input " + Twine(i) + " (" + role + ") is missing");
  std::string why;
  FailureOr<Tensor> result = graph.materialize(input(i), b, why);
  if (failed(result))
    return unsupported("input '" + shown(proto.input(i)) + "' (" + role + ") " + why);
  if (result->meaning && !row->takesHeld)
    return report(code::NoType,
                  "input '" + shown(proto.input(i)) + "' (" + role + ") has elements of type " +
                      typeName(result->numbers()) + ", which this operator does not take",
                  "Cast it to a signed integer of more bits before");
  return result;
}

FailureOr<Tensor> Node::f32(unsigned i, StringRef role) {
  FailureOr<Tensor> result = tensor(i, role);
  if (succeeded(result) && !result->element().isF32()) {
    return report(code::NoType,
                  "input '" + shown(proto.input(i)) + "' (" + role + ") has elements of type " +
                      typeName(result->numbers()) + "; only f32 is supported",
                  "export the model with float activations");
  }
  return result;
}

FailureOr<std::shared_ptr<const StoredTensor>> Node::stored(unsigned i, StringRef role) {
  if (!has(i))
    return badOperand("input " + Twine(i) + " (" + role + ") is missing");
  GraphValue &value = input(i);
  if (!value.stored)
    return unsupported("input '" + shown(proto.input(i)) + "' (" + role +
                           ") is computed; it must be a constant of the model",
                       "fold constants before or during the export");
  return value.stored;
}

FailureOr<SmallVector<int64_t>> Node::integers(unsigned i, StringRef role) {
  if (!has(i))
    return badOperand("input " + Twine(i) + " (" + role + ") is missing");
  GraphValue &value = input(i);
  if (value.elements) {
    SmallVector<int64_t> result;
    for (OpFoldResult element : *value.elements)
      if (std::optional<int64_t> constant = getConstantIntValue(element))
        result.push_back(*constant);
    if (result.size() == value.elements->size())
      return result;
  }
  return unsupported("input '" + shown(proto.input(i)) + "' (" + role +
                     ") is not known before the model runs; it must be a constant");
}

FailureOr<Sizes> Node::sizes(unsigned i, StringRef role) {
  if (!has(i))
    return badOperand("input " + Twine(i) + " (" + role + ") is missing");
  GraphValue &value = input(i);
  if (!value.element || !value.element.isInteger() || value.rank() > 1)
    return badOperand("input '" + shown(proto.input(i)) + "' (" + role + ") must have integers in one dimension");
  if (value.elements)
    return *value.elements;
  return unsupported("input '" + shown(proto.input(i)) + "' (" + role +
                     ") is computed from data; it must be made of constants and sizes of inputs");
}

std::string shownSize(const Graph &graph, OpFoldResult size) {
  Attribute name = graph.nameOf(size);
  if (auto symbol = dyn_cast_or_null<StringAttr>(name))
    return "'" + shown(symbol.getValue()) + "'";
  return name ? std::to_string(cast<IntegerAttr>(name).getInt()) : std::string("a computed size");
}

FailureOr<Sizes> Node::broadcast(ArrayRef<Tensor> operands) {
  SmallVector<Tensor> list(operands);
  while (true) {
    std::pair<OpFoldResult, OpFoldResult> clash;
    std::string why;
    std::optional<Sizes> sizes = semantics::broadcast(list, [&](OpFoldResult x, OpFoldResult y, int64_t dim) {
      clash = {x, y};
      why = shownSize(graph, x) + " and " + shownSize(graph, y) + " meet in dimension " + std::to_string(dim) +
            "; they must be equal, or one of them 1";
    });
    if (sizes)
      return *sizes;
    auto [x, y] = clash;
    if (!graph.unify(x, y)) {
      if (getConstantIntValue(x) && getConstantIntValue(y))
        return badOperand(why);
      return unsupported(
          why, "if they are always equal, export the model with one name for both, or fix them with --dim NAME=N");
    }
    // Equal from now on; each round replaces one value, so this ends.
    if (!isa_and_nonnull<StringAttr>(graph.nameOf(x)))
      std::swap(x, y);
    for (Tensor &operand : list)
      for (OpFoldResult &size : operand.sizes)
        if (semantics::sameSize(size, y))
          size = x;
  }
}

LogicalResult Node::requireDim(unsigned i, StringRef role, int64_t dim, int64_t size) {
  GraphValue &value = input(i);
  OpFoldResult found = value.sizes[dim];
  if (graph.bind(found, size))
    return success();
  std::optional<int64_t> constant = getConstantIntValue(found);
  return badOperand("input '" + shown(proto.input(i)) + "' (" + role + ") has " +
                    (constant ? "size " + std::to_string(*constant) : std::string("a symbolic size")) +
                    " in dimension " + Twine(dim) + "; it must be " + Twine(size));
}

// ------------------------------------------------------------------------------------------------ attributes

const ::onnx::AttributeProto *Node::find(StringRef name) const {
  for (const auto &attribute : proto.attribute())
    if (attribute.name() == name)
      return &attribute;
  return nullptr;
}

FailureOr<int64_t> Node::integer(StringRef name, std::optional<int64_t> byDefault) {
  const auto *attribute = find(name);
  if (!attribute) {
    if (byDefault)
      return *byDefault;
    return badAttribute("attribute '" + name + "' is missing");
  }
  if (attribute->type() != ::onnx::AttributeProto::INT)
    return badAttribute("attribute '" + name + "' must be an integer");
  return attribute->i();
}

FailureOr<double> Node::number(StringRef name, double byDefault) {
  const auto *attribute = find(name);
  if (!attribute)
    return byDefault;
  if (attribute->type() != ::onnx::AttributeProto::FLOAT || !std::isfinite(attribute->f()))
    return badAttribute("attribute '" + name + "' must be a finite float");
  return double(attribute->f());
}

FailureOr<std::string> Node::text(StringRef name, StringRef byDefault) {
  const auto *attribute = find(name);
  if (!attribute)
    return byDefault.str();
  if (attribute->type() != ::onnx::AttributeProto::STRING)
    return badAttribute("attribute '" + name + "' must be a string");
  return attribute->s();
}

FailureOr<SmallVector<int64_t>> Node::integerList(StringRef name) {
  const auto *attribute = find(name);
  if (!attribute)
    return badAttribute("attribute '" + name + "' is missing");
  if (attribute->type() != ::onnx::AttributeProto::INTS)
    return badAttribute("attribute '" + name + "' must be a list of integers");
  return SmallVector<int64_t>(attribute->ints().begin(), attribute->ints().end());
}

FailureOr<std::shared_ptr<const StoredTensor>> Node::tensorAttribute(StringRef name) {
  const auto *attribute = find(name);
  WireTensor wire;
  if (!attribute || attribute->type() != ::onnx::AttributeProto::TENSOR ||
      !cutAttributeTensor(graph.source.bytes, bytes, name, wire))
    return badAttribute("attribute '" + name + "' must be a tensor");
  std::shared_ptr<const StoredTensor> tensor =
      readTensor(wire, proto.output(0), graph.source.file, graph.files, graph.diagnostics);
  if (!tensor)
    return failure();
  return tensor;
}

LogicalResult Node::requireOnly(StringRef name, ArrayRef<int64_t> allowed) {
  if (!hasAttribute(name))
    return success();
  FailureOr<int64_t> value = integer(name);
  if (failed(value))
    return failure();
  if (llvm::is_contained(allowed, *value))
    return success();
  return unsupported("attribute '" + name + "' is " + Twine(*value) + "; only " + Twine(allowed.front()) +
                     " is supported");
}

// ------------------------------------------------------------------------------------------------ outputs

LogicalResult Node::set(unsigned i, const Tensor &tensor) {
  GraphValue value;
  value.element = tensor.numbers();
  value.sizes = tensor.sizes;
  value.value = tensor.value;
  return setValue(i, std::move(value));
}

LogicalResult Node::setElements(unsigned i, Sizes elements, bool isScalar, Type element) {
  GraphValue value;
  value.element = element;
  if (!isScalar)
    value.sizes.push_back(b.getIndexAttr(elements.size()));
  value.elements = std::move(elements);
  return setValue(i, std::move(value));
}

LogicalResult Node::setValue(unsigned i, GraphValue value) {
  if (!wants(i))
    return success();
  return graph.define(proto.output(i), std::move(value), *this);
}

} // namespace whit
