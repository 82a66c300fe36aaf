// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions of elements that transformers seldom use: trigonometric and hyperbolic ones, activations, and those of bits.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

using namespace mlir;

namespace whit {

using namespace semantics;

static LogicalResult unary(Node &node, Body body) {
  auto x = operandsOf(node, {"X"}, Elements::Floats);
  if (failed(x))
    return failure();
  return setElementwise(node, *x, [&](ImplicitLocOpBuilder &b, ValueRange v) { return inF32(b, v, body); });
}

template <typename Op> static LogicalResult function(Node &node) {
  return unary(node, [](ImplicitLocOpBuilder &b, ValueRange v) -> Value { return Op::create(b, v[0]); });
}

static Value number(ImplicitLocOpBuilder &b, Value like, double value) { return constant(b, like.getType(), value); }

/// `yes` where x > bound, else `no`.
static Value whereGreater(ImplicitLocOpBuilder &b, Value x, double bound, Value yes, Value no) {
  return arith::SelectOp::create(b, compare(b, Compare::Greater, x, number(b, x, bound)), yes, no);
}

// ------------------------------------------------------------------------------------------------ activations

/// max(0, x) + min(0, alpha * (exp(x / alpha) - 1))
static LogicalResult importCelu(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 1);
  if (failed(alpha))
    return failure();
  if (*alpha == 0)
    return node.badAttribute("attribute 'alpha' is 0; it must not be");
  return unary(node, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Value zero = number(b, v[0], 0), scale = number(b, v[0], *alpha);
    Value grown = math::ExpM1Op::create(b, arith::DivFOp::create(b, minimum(b, v[0], zero), scale));
    return add(b, {maximum(b, v[0], zero), minimum(b, multiply(b, {scale, grown}), zero)});
  });
}

static LogicalResult importSelu(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 1.67326319217681884765625),
                    gamma = node.number("gamma", 1.05070102214813232421875);
  if (failed(alpha) || failed(gamma))
    return failure();
  return unary(node, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Value below = math::ExpM1Op::create(b, minimum(b, v[0], number(b, v[0], 0)));
    Value either = whereGreater(b, v[0], 0, v[0], multiply(b, {number(b, v[0], *alpha), below}));
    return multiply(b, {number(b, v[0], *gamma), either});
  });
}

static LogicalResult importThresholdedRelu(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 1);
  return failed(alpha) ? failure() : unary(node, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    return whereGreater(b, v[0], *alpha, v[0], number(b, v[0], 0));
  });
}

static LogicalResult importSoftsign(Node &node) {
  return unary(node, [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    return arith::DivFOp::create(b, v[0], add(b, {number(b, v[0], 1), absolute(b, v[0])}));
  });
}

/// x * tanh(log(1 + exp(x)))
static LogicalResult importMish(Node &node) {
  return unary(node, [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    // max(x, 0) + log1p(exp(-|x|)), which does not overflow.
    Value rest = math::Log1pOp::create(b, math::ExpOp::create(b, negate(b, absolute(b, v[0]))));
    Value soft = add(b, {maximum(b, v[0], number(b, v[0], 0)), rest});
    return multiply(b, {v[0], math::TanhOp::create(b, soft)});
  });
}

/// x + bias below -lambd, x - bias above lambd, else 0.
static LogicalResult importShrink(Node &node) {
  FailureOr<double> lambd = node.number("lambd", 0.5), bias = node.number("bias", 0);
  auto x = operandsOf(node, {"input"}, Elements::Numbers);
  if (failed(lambd) || failed(bias) || failed(x))
    return failure();
  if (!isa<FloatType>((*x)[0].element()))
    return node.unsupported("input has integers; only floats are supported", "Cast it to float before");
  return unary(node, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Value zero = number(b, v[0], 0), shift = number(b, v[0], *bias);
    Value isLow = compare(b, Compare::Less, v[0], number(b, v[0], -*lambd));
    Value high = whereGreater(b, v[0], *lambd, subtract(b, {v[0], shift}), zero);
    return arith::SelectOp::create(b, isLow, add(b, {v[0], shift}), high);
  });
}

/// x where it is not negative, else slope * x. The slope has x's rank or is broadcast to it.
static LogicalResult importPRelu(Node &node) {
  auto operands = operandsOf(node, {"X", "slope"}, Elements::Numbers);
  if (failed(operands))
    return failure();
  Sign sign = signOfType((*operands)[0].numbers());
  return setElementwise(node, *operands, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    return inF32(b, v, [&](ImplicitLocOpBuilder &at, ValueRange w) -> Value {
      Value isLow = compare(at, Compare::Less, w[0], constant(at, w[0].getType(), 0), sign);
      return arith::SelectOp::create(at, isLow, multiply(at, {w[0], w[1]}), w[0]);
    });
  });
}

/// In inference, its input; nothing is dropped, which the mask says.
static LogicalResult importDropout(Node &node) {
  GraphValue &x = node.input(0);
  if (node.has(2)) {
    FailureOr<SmallVector<int64_t>> training = node.integers(2, "training_mode");
    if (failed(training))
      return failure();
    bool isNothing = false;
    if (node.has(1))
      if (auto ratio = node.input(1).elements; ratio && ratio->size() == 1)
        if (auto number = dyn_cast<FloatAttr>(dyn_cast<Attribute>((*ratio)[0])))
          isNothing = number.getValue().isZero();
    if (training->size() != 1)
      return node.badOperand("input training_mode must be a scalar");
    if ((*training)[0] && !isNothing)
      return node.unsupported("input training_mode is true; elements would be dropped at random",
                              "export the model for inference");
  }
  if (node.wants(1)) {
    if (!x.element)
      return node.unsupported("input data has elements of a type that is not supported");
    if (failed(node.set(1, splat(node.b, x.sizes, node.b.getBoolAttr(true)))))
      return failure();
  }
  return node.setValue(0, x);
}

static LogicalResult importIsInf(Node &node) {
  FailureOr<int64_t> negative = node.integer("detect_negative", 1), positive = node.integer("detect_positive", 1);
  auto x = operandsOf(node, {"X"}, Elements::Floats);
  if (failed(negative) || failed(positive) || failed(x))
    return failure();
  double infinity = std::numeric_limits<double>::infinity();
  return setElementwise(node, *x, node.b.getI1Type(), [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Value low = constant(b, b.getI1Type(), 0), high = low;
    if (*negative)
      low = compare(b, Compare::Equal, v[0], number(b, v[0], -infinity));
    if (*positive)
      high = compare(b, Compare::Equal, v[0], number(b, v[0], infinity));
    return arith::OrIOp::create(b, low, high);
  });
}

// ------------------------------------------------------------------------------------------------ bits

/// Both operands, integers of one type.
static FailureOr<SmallVector<Tensor>> integersOf(Node &node, ArrayRef<StringRef> roles) {
  auto operands = operandsOf(node, roles, Elements::Numbers);
  if (succeeded(operands) && isa<FloatType>((*operands)[0].element()))
    return LogicalResult(node.badOperand("input " + roles[0] + " has floats; it must have integers"));
  return operands;
}

template <typename Op> static LogicalResult importBits(Node &node) {
  auto operands = integersOf(node, {"A", "B"});
  return failed(operands) ? failure()
                          : setElementwise(node, *operands, [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                              return Op::create(b, v[0], v[1]);
                            });
}

static LogicalResult importBitwiseNot(Node &node) {
  auto x = integersOf(node, {"X"});
  return failed(x) ? failure() : setElementwise(node, *x, [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    return arith::XOrIOp::create(b, v[0], constant(b, v[0].getType(), -1));
  });
}

/// By as many bits as the type has, or more, nothing is left.
static LogicalResult importBitShift(Node &node) {
  FailureOr<std::string> direction = node.text("direction", "");
  auto operands = integersOf(node, {"X", "Y"});
  if (failed(direction) || failed(operands))
    return failure();
  if (*direction != "LEFT" && *direction != "RIGHT")
    return node.badAttribute("attribute 'direction' is '" + shown(*direction) + "'; it must be LEFT or RIGHT");
  bool isSigned = signOfType((*operands)[0].numbers()) == Sign::Signed;
  return setElementwise(node, *operands, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Type type = v[0].getType();
    Value width = constant(b, type, type.getIntOrFloatBitWidth()),
          most = constant(b, type, type.getIntOrFloatBitWidth() - 1);
    Value isAll = compare(b, Compare::GreaterOrEqual, v[1], width, Sign::Unsigned);
    Value by = arith::MinUIOp::create(b, v[1], most), zero = constant(b, type, 0);
    if (*direction == "LEFT")
      return arith::SelectOp::create(b, isAll, zero, arith::ShLIOp::create(b, v[0], by));
    if (isSigned)
      return arith::ShRSIOp::create(b, v[0], by);
    return arith::SelectOp::create(b, isAll, zero, arith::ShRUIOp::create(b, v[0], by));
  });
}

static constexpr Operator kOperators[] = {
    {"", "Acos", function<math::AcosOp>, 1, 1, 1, ""},
    {"", "Acosh", function<math::AcoshOp>, 1, 1, 1, ""},
    {"", "Asin", function<math::AsinOp>, 1, 1, 1, ""},
    {"", "Asinh", function<math::AsinhOp>, 1, 1, 1, ""},
    {"", "Atan", function<math::AtanOp>, 1, 1, 1, ""},
    {"", "Atanh", function<math::AtanhOp>, 1, 1, 1, ""},
    {"", "Cosh", function<math::CoshOp>, 1, 1, 1, ""},
    {"", "Sinh", function<math::SinhOp>, 1, 1, 1, ""},
    {"", "Tan", function<math::TanOp>, 1, 1, 1, ""},
    {"", "Celu", importCelu, 1, 1, 1, "alpha"},
    {"", "Selu", importSelu, 1, 1, 1, "alpha gamma"},
    {"", "ThresholdedRelu", importThresholdedRelu, 1, 1, 1, "alpha"},
    {"", "Softsign", importSoftsign, 1, 1, 1, ""},
    {"", "Mish", importMish, 1, 1, 1, ""},
    {"", "Shrink", importShrink, 1, 1, 1, "lambd bias"},
    {"", "PRelu", importPRelu, 2, 2, 1, "", true},
    {"", "Dropout", importDropout, 1, 3, 2, "ratio seed"},
    {"", "IsInf", importIsInf, 1, 1, 1, "detect_negative detect_positive"},
    {"", "BitwiseAnd", importBits<arith::AndIOp>, 2, 2, 1, "", true},
    {"", "BitwiseOr", importBits<arith::OrIOp>, 2, 2, 1, "", true},
    {"", "BitwiseXor", importBits<arith::XOrIOp>, 2, 2, 1, "", true},
    {"", "BitwiseNot", importBitwiseNot, 1, 1, 1, "", true},
    {"", "BitShift", importBitShift, 2, 2, 1, "direction", true},
};

ArrayRef<Operator> functionOperators() { return kOperators; }

} // namespace whit
