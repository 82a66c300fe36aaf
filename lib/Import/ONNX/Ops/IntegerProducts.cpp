// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of codes of 8 bits, summed in i32: exact, whatever the order. What the codes stand for is rounded to the
// codes of the result once, in the way that ONNX Runtime does it.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Products.h"
#include "Import/ONNX/Ops/Tables.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// One number for all, or one for each element along `axis` of a tensor of rank `rank`, shaped to be broadcast with it.
static FailureOr<Tensor> along(Node &node, unsigned i, StringRef role, const Tensor &like, int64_t axis) {
  FailureOr<Tensor> x = node.tensor(i, role);
  if (failed(x))
    return failure();
  if (x->rank() == 0 || (x->rank() == 1 && isConstantIntValue(x->sizes[0], 1)))
    return reshape(node.b, *x, {});
  if (x->rank() != 1 || axis < 0 || !node.graph.unify(x->sizes[0], like.sizes[axis]))
    return LogicalResult(node.badOperand(
        "input " + role + " must have one element" +
        (axis < 0 ? std::string()
                  : ", or one for each along dimension " + std::to_string(axis) + " of what it is for")));
  Sizes sizes(like.rank() - axis, node.b.getIndexAttr(1));
  sizes[0] = like.sizes[axis];
  return reshape(node.b, *x, sizes);
}

/// Codes less their zero points, as i32.
static FailureOr<Tensor> codesOf(Node &node, unsigned i, StringRef role, unsigned zero, StringRef zeroRole,
                                 int64_t axis) {
  FailureOr<Tensor> x = node.tensor(i, role);
  if (failed(x))
    return failure();
  Type type = x->numbers(), i32 = node.b.getI32Type();
  if (!type.isInteger(8))
    return LogicalResult(
        node.badOperand("input " + role + " has elements of type " + typeName(type) + "; they must be i8 or uint8"));
  if (axis < 0)
    axis += x->rank();
  if (!node.has(zero))
    return convert(node.b, *x, i32);
  FailureOr<Tensor> z = along(node, zero, zeroRole, *x, axis);
  if (failed(z))
    return failure();
  if (z->numbers() != type)
    return LogicalResult(node.badOperand("inputs " + role + " and " + zeroRole + " have element types " +
                                         typeName(type) + " and " + typeName(z->numbers()) + "; they must have one"));
  return elementwise(node.b, {*x, *z}, x->sizes, i32, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    return subtract(b, {convertHeld(b, v[0], type, i32), convertHeld(b, v[1], type, i32)});
  });
}

/// Sums as codes: sum * (scale of x * scale of w / scale of y), rounded to even, plus a zero point.
static LogicalResult setCodes(Node &node, const Tensor &sums, ArrayRef<Tensor> scales, unsigned zero) {
  FailureOr<Tensor> z = along(node, zero, "y_zero_point", sums, -1);
  if (failed(z))
    return failure();
  Type type = z->numbers(), f32 = node.b.getF32Type();
  if (!type.isInteger(8))
    return node.badOperand("input y_zero_point has elements of type " + typeName(type) + "; they must be i8 or uint8");
  SmallVector<Tensor> operands{sums, *z};
  for (const Tensor &scale : scales)
    operands.push_back(convert(node.b, scale, f32));
  return node.set(0, elementwise(node.b, operands, sums.sizes, type, [&](ImplicitLocOpBuilder &b, ValueRange v) {
                    Value factor = divide(b, {multiply(b, {v[2], v[3]}), v[4]});
                    Value number = multiply(b, {convert(b, v[0], f32), factor});
                    Value steps = math::RoundEvenOp::create(b, number);
                    return convertHeld(b, add(b, {steps, convertHeld(b, v[1], type, f32)}), f32, type);
                  }));
}

static FailureOr<Tensor> scaleAt(Node &node, unsigned i, StringRef role, const Tensor &like, int64_t axis) {
  FailureOr<Tensor> scale = along(node, i, role, like, axis);
  if (failed(scale) || failed(requireElements(node, *scale, role, Elements::Floats)))
    return failure();
  return scale;
}

static LogicalResult importMatMulInteger(Node &node) {
  FailureOr<Tensor> x = codesOf(node, 0, "A", 2, "a_zero_point", -2), y = codesOf(node, 1, "B", 3, "b_zero_point", -1);
  if (failed(x) || failed(y))
    return failure();
  FailureOr<Tensor> z = multiplyMatrices(node, *x, *y);
  return failed(z) ? failure() : node.set(0, *z);
}

static LogicalResult importQLinearMatMul(Node &node) {
  FailureOr<Tensor> x = codesOf(node, 0, "a", 2, "a_zero_point", -2), y = codesOf(node, 3, "b", 5, "b_zero_point", -1);
  if (failed(x) || failed(y))
    return failure();
  FailureOr<Tensor> z = multiplyMatrices(node, *x, *y);
  if (failed(z))
    return failure();
  FailureOr<Tensor> a = scaleAt(node, 1, "a_scale", *z, x->rank() > 1 && y->rank() > 1 ? z->rank() - 2 : -1),
                    b = scaleAt(node, 4, "b_scale", *z, y->rank() > 1 ? z->rank() - 1 : -1),
                    c = scaleAt(node, 6, "y_scale", *z, -1);
  if (failed(a) || failed(b) || failed(c))
    return failure();
  return setCodes(node, *z, {*a, *b, *c}, 7);
}

static LogicalResult importConvInteger(Node &node) {
  FailureOr<Tensor> x = codesOf(node, 0, "x", 2, "x_zero_point", 0), w = codesOf(node, 1, "w", 3, "w_zero_point", 0);
  if (failed(x) || failed(w))
    return failure();
  FailureOr<Tensor> y = convolve(node, *x, *w);
  return failed(y) ? failure() : node.set(0, *y);
}

static LogicalResult importQLinearConv(Node &node) {
  FailureOr<Tensor> x = codesOf(node, 0, "x", 2, "x_zero_point", 0), w = codesOf(node, 3, "w", 5, "w_zero_point", 0);
  if (failed(x) || failed(w))
    return failure();
  FailureOr<Tensor> y = convolve(node, *x, *w);
  if (failed(y))
    return failure();
  if (node.has(8)) {
    FailureOr<Tensor> bias = along(node, 8, "B", *y, 1);
    if (failed(bias))
      return failure();
    if (!bias->numbers().isSignlessInteger(32))
      return node.badOperand("input B has elements of type " + typeName(bias->numbers()) + "; they must be i32");
    y = elementwise(node.b, {*y, *bias}, y->sizes, y->element(), add);
  }
  FailureOr<Tensor> a = scaleAt(node, 1, "x_scale", *y, -1), b = scaleAt(node, 4, "w_scale", *y, 1),
                    c = scaleAt(node, 6, "y_scale", *y, -1);
  if (failed(a) || failed(b) || failed(c))
    return failure();
  return setCodes(node, *y, {*a, *b, *c}, 7);
}

static constexpr Operator kOperators[] = {
    {"", "MatMulInteger", importMatMulInteger, 2, 4, 1, "", true},
    {"", "QLinearMatMul", importQLinearMatMul, 8, 8, 1, "", true},
    {"", "ConvInteger", importConvInteger, 2, 4, 1, "auto_pad dilations group kernel_shape pads strides", true},
    {"", "QLinearConv", importQLinearConv, 8, 9, 1, "auto_pad dilations group kernel_shape pads strides", true},
};

ArrayRef<Operator> integerProductOperators() { return kOperators; }

} // namespace whit
