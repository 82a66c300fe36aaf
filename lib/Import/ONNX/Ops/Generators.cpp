// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensors that follow from sizes: the windows of signal processing, and diagonals.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Tables.h"
#include "Import/Semantics/Loops.h"

#include <cmath>
#include <numbers>

using namespace mlir;

namespace whit {

using namespace semantics;

/// The type that an attribute names; `byDefault` if it is absent.
static FailureOr<Type> typeAttribute(Node &node, StringRef name, Type byDefault) {
  if (!node.hasAttribute(name))
    return byDefault;
  FailureOr<int64_t> number = node.integer(name);
  if (failed(number))
    return failure();
  Type type = valueType(node.b.getContext(), *number);
  if (!type)
    return LogicalResult(node.report(code::NoType, "attribute '" + name + "' is " + Twine(*number) +
                                                       ", an element type that is not supported"));
  return type;
}

/// a0 - a1 cos(2 pi i / n) + a2 cos(4 pi i / n)
static LogicalResult importWindow(Node &node, double a0, double a1, double a2) {
  FailureOr<SmallVector<int64_t>> size = node.integers(0, "size");
  FailureOr<int64_t> periodic = node.integer("periodic", 1);
  FailureOr<Type> type = typeAttribute(node, "output_datatype", node.b.getF32Type());
  if (failed(size) || failed(periodic) || failed(type))
    return failure();
  if (size->size() != 1 || (*size)[0] < 1 || (*size)[0] > kMaxConstantIntegers)
    return node.badOperand("input size must be one number from 1 to " + Twine(kMaxConstantIntegers));
  auto element = dyn_cast<FloatType>(*type);
  if (!element)
    return node.unsupported("attribute 'output_datatype' is no float; only floats are supported");
  int64_t count = (*size)[0];
  double n = double(std::max<int64_t>(*periodic ? count : count - 1, 1));
  SmallVector<Attribute> numbers;
  for (int64_t i = 0; i < count; ++i) {
    double angle = 2 * std::numbers::pi * double(i) / n;
    numbers.push_back(node.b.getFloatAttr(element, a0 - a1 * std::cos(angle) + a2 * std::cos(2 * angle)));
  }
  Value window = arith::ConstantOp::create(
      node.b, DenseElementsAttr::get(RankedTensorType::get(count, element), ArrayRef<Attribute>(numbers)));
  return node.set(0, {window, {node.b.getIndexAttr(count)}});
}
static LogicalResult importHannWindow(Node &node) { return importWindow(node, 0.5, 0.5, 0); }
static LogicalResult importHammingWindow(Node &node) { return importWindow(node, 25.0 / 46, 21.0 / 46, 0); }
static LogicalResult importBlackmanWindow(Node &node) { return importWindow(node, 0.42, 0.5, 0.08); }

/// 1 on the k-th diagonal, else 0.
static LogicalResult importEyeLike(Node &node) {
  GraphValue &x = node.input(0);
  FailureOr<int64_t> k = node.integer("k", 0);
  FailureOr<Type> type = typeAttribute(node, "dtype", x.element);
  if (failed(k) || failed(type))
    return failure();
  if (x.rank() != 2 || !*type)
    return node.badOperand("input has rank " + Twine(x.rank()) + "; it must have rank 2, and elements of a known type");
  return node.set(0, computed(node.b, x.sizes, *type, [&](ImplicitLocOpBuilder &b, ValueRange loops) -> Value {
                    Value column = plus(b, loops[0], indexConstant(b, *k));
                    Value isOn = compare(b, Compare::Equal, column, loops[1]);
                    return arith::SelectOp::create(b, isOn, constant(b, held(*type), 1), constant(b, held(*type), 0));
                  }));
}

static constexpr Operator kOperators[] = {
    {"", "HannWindow", importHannWindow, 1, 1, 1, "output_datatype periodic"},
    {"", "HammingWindow", importHammingWindow, 1, 1, 1, "output_datatype periodic"},
    {"", "BlackmanWindow", importBlackmanWindow, 1, 1, 1, "output_datatype periodic"},
    {"", "EyeLike", importEyeLike, 1, 1, 1, "dtype k", true},
};

ArrayRef<Operator> generatorOperators() { return kOperators; }

} // namespace whit
