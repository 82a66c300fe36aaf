// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Comparisons, bools, and what they choose.

#include "Import/ONNX/Ops/Elementwise.h"

using namespace mlir;

namespace whit {

using namespace semantics;

template <Compare how> static LogicalResult importCompare(Node &node) {
  bool ofOrder = how != Compare::Equal;
  auto operands = operandsOf(node, {"A", "B"}, ofOrder ? Elements::Numbers : Elements::Any);
  if (failed(operands))
    return failure();
  Sign sign = signOfType((*operands)[0].numbers());
  return setElementwise(node, *operands, node.b.getI1Type(),
                        [&](ImplicitLocOpBuilder &b, ValueRange v) { return compare(b, how, v[0], v[1], sign); });
}

template <typename Op> static LogicalResult importLogic(Node &node) {
  auto operands = operandsOf(node, {"A", "B"}, Elements::Bools);
  if (failed(operands))
    return failure();
  return setElementwise(node, *operands,
                        [](ImplicitLocOpBuilder &b, ValueRange v) -> Value { return Op::create(b, v[0], v[1]); });
}

static LogicalResult importNot(Node &node) {
  auto x = operandsOf(node, {"X"}, Elements::Bools);
  if (failed(x))
    return failure();
  return setElementwise(node, *x, [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    return arith::XOrIOp::create(b, v[0], constant(b, v[0].getType(), 1));
  });
}

static LogicalResult importIsNaN(Node &node) {
  auto x = operandsOf(node, {"X"}, Elements::Floats);
  if (failed(x))
    return failure();
  return setElementwise(node, *x, node.b.getI1Type(),
                        [](ImplicitLocOpBuilder &b, ValueRange v) { return isNaN(b, v[0]); });
}

static LogicalResult importWhere(Node &node) {
  FailureOr<Tensor> condition = node.tensor(0, "condition"), x = node.tensor(1, "X"), y = node.tensor(2, "Y");
  if (failed(condition) || failed(x) || failed(y) ||
      failed(requireElements(node, *condition, "condition", Elements::Bools)))
    return failure();
  if (x->numbers() != y->numbers())
    return node.badOperand("inputs X and Y have element types " + typeName(x->numbers()) + " and " +
                           typeName(y->numbers()) + "; they must have one");
  return setElementwise(node, {*condition, *x, *y}, x->numbers(), [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    return arith::SelectOp::create(b, v[0], v[1], v[2]);
  });
}

static constexpr Operator kOperators[] = {
    {"", "Equal", importCompare<Compare::Equal>, 2, 2, 1, "", true},
    {"", "Less", importCompare<Compare::Less>, 2, 2, 1, "", true},
    {"", "LessOrEqual", importCompare<Compare::LessOrEqual>, 2, 2, 1, "", true},
    {"", "Greater", importCompare<Compare::Greater>, 2, 2, 1, "", true},
    {"", "GreaterOrEqual", importCompare<Compare::GreaterOrEqual>, 2, 2, 1, "", true},
    {"", "And", importLogic<arith::AndIOp>, 2, 2, 1, ""},
    {"", "Or", importLogic<arith::OrIOp>, 2, 2, 1, ""},
    {"", "Xor", importLogic<arith::XOrIOp>, 2, 2, 1, ""},
    {"", "Not", importNot, 1, 1, 1, ""},
    {"", "IsNaN", importIsNaN, 1, 1, 1, ""},
    {"", "Where", importWhere, 3, 3, 1, "", true},
};

ArrayRef<Operator> logicOperators() { return kOperators; }

} // namespace whit
