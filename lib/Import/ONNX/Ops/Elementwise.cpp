// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elementwise operators on data; arithmetic on what is known while importing is folded before (KnownValues.h).

#include "Import/ONNX/Node.h"

using namespace mlir;

namespace whit {

using namespace semantics;

static LogicalResult binary(Node &node, Body body) {
  FailureOr<Tensor> x = node.tensor(0, "A"), y = node.tensor(1, "B");
  if (failed(x) || failed(y))
    return failure();
  if (x->element() != y->element())
    return node.badOperand("inputs A and B have different element types; they must have one");
  if (x->element().isInteger(1))
    return node.badOperand("inputs A and B are bool; arithmetic needs numbers");
  FailureOr<Sizes> sizes = node.broadcast({*x, *y});
  if (failed(sizes))
    return failure();
  return node.set(0, elementwise(node.b, {*x, *y}, *sizes, x->element(), body));
}

static LogicalResult unary(Node &node, Body body, bool floatOnly = true) {
  FailureOr<Tensor> x = node.tensor(0, "X");
  if (failed(x))
    return failure();
  if (floatOnly && !isa<FloatType>(x->element()))
    return node.badOperand("input X has integer elements; they must be floats");
  return node.set(0, elementwise(node.b, *x, x->sizes, x->element(), body));
}

static LogicalResult importAdd(Node &node) { return binary(node, add); }
static LogicalResult importSub(Node &node) { return binary(node, subtract); }
static LogicalResult importMul(Node &node) { return binary(node, multiply); }
static LogicalResult importDiv(Node &node) { return binary(node, divide); }
static LogicalResult importSigmoid(Node &node) { return unary(node, sigmoid); }
static LogicalResult importExp(Node &node) { return unary(node, exponential); }
static LogicalResult importTanh(Node &node) { return unary(node, tangensHyperbolicus); }
static LogicalResult importSqrt(Node &node) { return unary(node, squareRoot); }
static LogicalResult importNeg(Node &node) { return unary(node, negate, /*floatOnly=*/false); }

static LogicalResult importCast(Node &node) {
  FailureOr<int64_t> to = node.integer("to");
  if (failed(to) || failed(node.requireOnly("saturate", {1})))
    return failure();
  const OnnxType *type = onnxType(*to);
  Type element = valueType(node.b.getContext(), *to);
  if (!element)
    return type ? node.report(code::NoType,
                              Twine("attribute 'to' is ") + type->name + ", an element type that is not supported")
                : node.badAttribute("attribute 'to' is " + Twine(*to) + ", which is no element type");
  FailureOr<Tensor> tensor = node.tensor(0, "input");
  if (failed(tensor))
    return failure();
  return node.set(0, convert(node.b, *tensor, element));
}

static constexpr Operator kOperators[] = {
    {"", "Add", importAdd, 2, 2, 1, ""},   {"", "Sub", importSub, 2, 2, 1, ""},
    {"", "Mul", importMul, 2, 2, 1, ""},   {"", "Div", importDiv, 2, 2, 1, ""},
    {"", "Neg", importNeg, 1, 1, 1, ""},   {"", "Sigmoid", importSigmoid, 1, 1, 1, ""},
    {"", "Exp", importExp, 1, 1, 1, ""},   {"", "Tanh", importTanh, 1, 1, 1, ""},
    {"", "Sqrt", importSqrt, 1, 1, 1, ""}, {"", "Cast", importCast, 1, 1, 1, "to saturate"},
};

ArrayRef<Operator> elementwiseOperators() { return kOperators; }

} // namespace whit
