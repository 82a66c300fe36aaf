// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions of numbers, element by element.

#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/Semantics/SmallFloats.h"

#include "Whit/Whit.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace whit {

using namespace semantics;

// ------------------------------------------------------------------------------------------------ operands

std::string typeName(Type type) {
  if (type.isUnsignedInteger() || (type.isInteger() && type.getIntOrFloatBitWidth() < 8))
    return type.isInteger(1)
               ? "bool"
               : (type.isUnsignedInteger() ? "uint" : "int") + std::to_string(type.getIntOrFloatBitWidth());
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

LogicalResult requireElements(Node &node, const Tensor &x, StringRef role, Elements allowed) {
  Type type = x.numbers();
  bool isFloat = isa<FloatType>(type), isBool = type.isInteger(1);
  StringRef needed;
  if (isSmallFloat(type))
    needed = "floats of 16 bits or more; Cast them before";
  else if (type.getIntOrFloatBitWidth() < 8 && !isBool)
    needed = "of 8 bits or more; Cast them before";
  else if (allowed == Elements::Floats && !isFloat)
    needed = "floats";
  else if (allowed == Elements::Numbers && isBool)
    needed = "numbers";
  else if (allowed == Elements::Bools && !isBool)
    needed = "bools";
  if (needed.empty())
    return success();
  return node.badOperand("input " + role + " has elements of type " + typeName(type) + "; they must be " + needed);
}

FailureOr<SmallVector<Tensor>> operandsOf(Node &node, ArrayRef<StringRef> roles, Elements allowed) {
  SmallVector<Tensor> operands;
  for (auto [i, role] : llvm::enumerate(roles)) {
    FailureOr<Tensor> x = node.tensor(i, role);
    if (failed(x) || failed(requireElements(node, *x, role, allowed)))
      return failure();
    if (i && x->numbers() != operands[0].numbers())
      return LogicalResult(node.badOperand("inputs " + roles[0] + " and " + role + " have element types " +
                                           typeName(operands[0].numbers()) + " and " + typeName(x->numbers()) +
                                           "; they must have one"));
    operands.push_back(*x);
  }
  return operands;
}

LogicalResult setElementwise(Node &node, ArrayRef<Tensor> operands, Type element, Body body) {
  FailureOr<Sizes> sizes = node.broadcast(operands);
  return failed(sizes) ? failure() : node.set(0, elementwise(node.b, operands, *sizes, element, body));
}

LogicalResult setElementwise(Node &node, ArrayRef<Tensor> operands, Body body) {
  return setElementwise(node, operands, operands[0].numbers(), body);
}

Value inF32(ImplicitLocOpBuilder &b, ValueRange v, Body body) {
  Type type = v[0].getType();
  if (!isa<FloatType>(type) || type.getIntOrFloatBitWidth() >= 32)
    return body(b, v);
  SmallVector<Value> wide;
  for (Value x : v)
    wide.push_back(isa<FloatType>(x.getType()) ? convert(b, x, b.getF32Type()) : x);
  return convert(b, body(b, wide), type);
}

// ------------------------------------------------------------------------------------------------ one operand

static LogicalResult unary(Node &node, Elements allowed, Body body) {
  auto x = operandsOf(node, {"X"}, allowed);
  if (failed(x))
    return failure();
  return setElementwise(node, *x, [&](ImplicitLocOpBuilder &b, ValueRange v) { return inF32(b, v, body); });
}

template <typename Op> static LogicalResult function(Node &node) {
  return unary(node, Elements::Floats,
               [](ImplicitLocOpBuilder &b, ValueRange v) -> Value { return Op::create(b, v[0]); });
}

static LogicalResult importAbs(Node &node) {
  bool isUnsigned = node.input(0).element && node.input(0).element.isUnsignedInteger();
  return unary(node, Elements::Numbers,
               [&](ImplicitLocOpBuilder &b, ValueRange v) { return isUnsigned ? v[0] : absolute(b, v[0]); });
}

static LogicalResult importSign(Node &node) {
  bool isUnsigned = node.input(0).element && node.input(0).element.isUnsignedInteger();
  return unary(node, Elements::Numbers, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    return isUnsigned ? minimum(b, v[0], constant(b, v[0].getType(), 1), Sign::Unsigned) : signOf(b, v[0]);
  });
}

template <Value (*body)(ImplicitLocOpBuilder &, ValueRange), Elements allowed = Elements::Floats>
static LogicalResult bodyOf(Node &node) {
  return unary(node, allowed, body);
}

static LogicalResult importReciprocal(Node &node) {
  return unary(node, Elements::Floats, [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    return arith::DivFOp::create(b, constant(b, v[0].getType(), 1), v[0]);
  });
}

static LogicalResult importRelu(Node &node) {
  return unary(node, Elements::Numbers,
               [](ImplicitLocOpBuilder &b, ValueRange v) { return maximum(b, v[0], constant(b, v[0].getType(), 0)); });
}

static LogicalResult importSoftplus(Node &node) {
  // max(x, 0) + log1p(exp(-|x|)), which does not overflow.
  return unary(node, Elements::Floats, [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Value distance = arith::NegFOp::create(b, absolute(b, v[0]));
    Value rest = math::LogOp::create(
        b, arith::AddFOp::create(b, constant(b, v[0].getType(), 1), math::ExpOp::create(b, distance)));
    return arith::AddFOp::create(b, maximum(b, v[0], constant(b, v[0].getType(), 0)), rest);
  });
}

static LogicalResult importLeakyRelu(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 0.01);
  if (failed(alpha))
    return failure();
  return unary(node, Elements::Floats, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Type type = v[0].getType();
    Value scaled = arith::MulFOp::create(b, v[0], constant(b, type, *alpha));
    return arith::SelectOp::create(b, compare(b, Compare::Less, v[0], constant(b, type, 0)), scaled, v[0]);
  });
}

static LogicalResult importElu(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 1);
  if (failed(alpha))
    return failure();
  return unary(node, Elements::Floats, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Type type = v[0].getType();
    Value power = arith::SubFOp::create(b, math::ExpOp::create(b, v[0]), constant(b, type, 1));
    Value scaled = arith::MulFOp::create(b, power, constant(b, type, *alpha));
    return arith::SelectOp::create(b, compare(b, Compare::Less, v[0], constant(b, type, 0)), scaled, v[0]);
  });
}

/// x * clamp(alpha * x + beta, 0, 1) and the clamp alone.
static LogicalResult hardSigmoid(Node &node, double alpha, double beta, bool timesX) {
  return unary(node, Elements::Floats, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Type type = v[0].getType();
    Value line =
        arith::AddFOp::create(b, arith::MulFOp::create(b, v[0], constant(b, type, alpha)), constant(b, type, beta));
    Value share = minimum(b, maximum(b, line, constant(b, type, 0)), constant(b, type, 1));
    return timesX ? Value(arith::MulFOp::create(b, v[0], share)) : share;
  });
}
static LogicalResult importHardSigmoid(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 0.2), beta = node.number("beta", 0.5);
  return failed(alpha) || failed(beta) ? failure() : hardSigmoid(node, *alpha, *beta, false);
}
static LogicalResult importHardSwish(Node &node) { return hardSigmoid(node, 1.0 / 6, 0.5, true); }

static LogicalResult importSwish(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 1);
  if (failed(alpha))
    return failure();
  return unary(node, Elements::Floats, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Value scaled = *alpha == 1 ? v[0] : Value(arith::MulFOp::create(b, v[0], constant(b, v[0].getType(), *alpha)));
    return arith::MulFOp::create(b, v[0], sigmoid(b, scaled));
  });
}

static LogicalResult importGelu(Node &node) {
  FailureOr<std::string> form = node.text("approximate", "none");
  if (failed(form))
    return failure();
  if (*form != "none" && *form != "tanh")
    return node.badAttribute("attribute 'approximate' is '" + shown(*form) + "'; it must be none or tanh");
  auto x = operandsOf(node, {"X"}, Elements::Floats);
  if (failed(x))
    return failure();
  if ((*x)[0].element().isF64())
    return node.unsupported("input X has elements of type f64; at most f32 is supported");
  bool byTanh = *form == "tanh";
  return setElementwise(node, *x, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    return inF32(b, v, [&](ImplicitLocOpBuilder &at, ValueRange w) -> Value {
      return mlir::whit::GeluOp::create(at, w[0].getType(), w[0], byTanh);
    });
  });
}

// ------------------------------------------------------------------------------------------------ several operands

/// The number that a value is everywhere, if it is a constant.
static std::optional<double> numberOf(Value value) {
  FloatAttr attribute;
  if (matchPattern(value, m_Constant(&attribute)))
    return attribute.getValueAsDouble();
  return std::nullopt;
}

template <Value (*body)(ImplicitLocOpBuilder &, ValueRange)> static LogicalResult importBinary(Node &node) {
  auto operands = operandsOf(node, {"A", "B"}, Elements::Numbers);
  if (failed(operands))
    return failure();
  return setElementwise(node, *operands, [](ImplicitLocOpBuilder &b, ValueRange v) { return inF32(b, v, body); });
}

static LogicalResult importDiv(Node &node) {
  auto operands = operandsOf(node, {"A", "B"}, Elements::Numbers);
  if (failed(operands))
    return failure();
  Sign sign = signOfType((*operands)[0].numbers());
  return setElementwise(node, *operands, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    return inF32(b, v, [&](ImplicitLocOpBuilder &at, ValueRange w) {
      return isa<FloatType>(w[0].getType()) ? divide(at, w) : divideIntegers(at, w[0], w[1], sign);
    });
  });
}

static LogicalResult importPow(Node &node) {
  FailureOr<Tensor> x = node.tensor(0, "X"), y = node.tensor(1, "Y");
  if (failed(x) || failed(y) || failed(requireElements(node, *x, "X", Elements::Numbers)) ||
      failed(requireElements(node, *y, "Y", Elements::Numbers)))
    return failure();
  Type type = x->numbers(), ofExponent = y->numbers();
  return setElementwise(node, {*x, *y}, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    bool asFloats = isa<FloatType>(type) || isa<FloatType>(ofExponent);
    Type wide = !asFloats ? type : type.isF64() ? type : Type(b.getF32Type());
    Value base = convertHeld(b, v[0], type, wide), exponent = convertHeld(b, v[1], ofExponent, wide);
    std::optional<double> number = numberOf(v[1]);
    Value result = number == 2.0   ? multiply(b, {base, base})
                   : number == 3.0 ? multiply(b, {multiply(b, {base, base}), base})
                   : number == 1.0 ? base
                                   : power(b, base, exponent);
    return convertHeld(b, result, wide, type);
  });
}

static LogicalResult importClip(Node &node) {
  if (node.hasAttribute("min") || node.hasAttribute("max"))
    return node.unsupported("the bounds are attributes, as before opset 11; they must be inputs",
                            "convert the model to opset 13 or newer");
  FailureOr<Tensor> x = node.tensor(0, "input");
  if (failed(x) || failed(requireElements(node, *x, "input", Elements::Numbers)))
    return failure();
  Tensor result = *x;
  for (auto [i, role] : {std::pair(1u, "min"), {2u, "max"}}) {
    if (!node.has(i))
      continue;
    FailureOr<Tensor> bound = node.tensor(i, role);
    if (failed(bound))
      return failure();
    if (bound->numbers() != x->numbers())
      return node.badOperand(Twine("input ") + role + " has elements of type " + typeName(bound->numbers()) +
                             "; they must be of type " + typeName(x->numbers()) + ", as those of input");
    if (llvm::any_of(bound->sizes, [](OpFoldResult size) { return !isConstantIntValue(size, 1); }))
      return node.badOperand(Twine("input ") + role + " must be a scalar");
    auto combine = i == 1 ? maximum : minimum;
    Tensor scalar = reshape(node.b, *bound, {});
    result = elementwise(node.b, {result, scalar}, x->sizes, x->numbers(), [&](ImplicitLocOpBuilder &b, ValueRange v) {
      return combine(b, v[0], v[1], signOfType(x->numbers()));
    });
  }
  return node.set(0, result);
}

/// One result from any number of operands, two at a time.
template <typename Combine> static LogicalResult fold(Node &node, Elements allowed, Combine combine) {
  SmallVector<std::string> names;
  for (int i = 0; i < node.proto.input_size(); ++i)
    names.push_back("data_" + std::to_string(i));
  auto operands = operandsOf(node, SmallVector<StringRef>(names.begin(), names.end()), allowed);
  if (failed(operands))
    return failure();
  return setElementwise(node, *operands, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    return inF32(b, v, [&](ImplicitLocOpBuilder &at, ValueRange w) { return combine(at, w); });
  });
}

static Value total(ImplicitLocOpBuilder &b, ValueRange v) {
  Value sum = v[0];
  for (Value x : v.drop_front())
    sum = add(b, {sum, x});
  return sum;
}
static LogicalResult importSum(Node &node) { return fold(node, Elements::Floats, total); }
static LogicalResult importMean(Node &node) {
  return fold(node, Elements::Floats, [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    return arith::DivFOp::create(b, total(b, v), constant(b, v[0].getType(), v.size()));
  });
}

template <Value (*choose)(ImplicitLocOpBuilder &, Value, Value, Sign)> static LogicalResult importExtreme(Node &node) {
  return fold(node, Elements::Numbers, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    Value result = v[0];
    for (Value x : v.drop_front())
      result = choose(b, result, x, signOfType(node.input(0).element));
    return result;
  });
}

static LogicalResult importMod(Node &node) {
  FailureOr<int64_t> fmod = node.integer("fmod", 0);
  auto operands = operandsOf(node, {"A", "B"}, Elements::Numbers);
  if (failed(fmod) || failed(operands))
    return failure();
  bool isFloat = isa<FloatType>((*operands)[0].element());
  Sign sign = signOfType((*operands)[0].numbers());
  return setElementwise(node, *operands, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    return inF32(b, v, [&](ImplicitLocOpBuilder &at, ValueRange w) -> Value {
      Type type = w[0].getType();
      if (isFloat) {
        Value rest = arith::RemFOp::create(at, w[0], w[1]), zero = constant(at, type, 0);
        if (*fmod)
          return rest;
        Value isOther =
            arith::XOrIOp::create(at, compare(at, Compare::Less, rest, zero), compare(at, Compare::Less, w[1], zero));
        Value isOff = arith::AndIOp::create(at, isOther, compare(at, Compare::NotEqual, rest, zero));
        return arith::SelectOp::create(at, isOff, add(at, {rest, w[1]}), rest);
      }
      Value rest = subtract(at, {w[0], multiply(at, {divideIntegers(at, w[0], w[1], sign), w[1]})});
      if (*fmod || sign == Sign::Unsigned)
        return rest;
      // The sign of the divisor.
      Value zero = constant(at, type, 0);
      Value differs = compare(at, Compare::Less, arith::XOrIOp::create(at, rest, w[1]), zero);
      Value isOff = arith::AndIOp::create(at, differs, compare(at, Compare::NotEqual, rest, zero));
      return arith::SelectOp::create(at, isOff, add(at, {rest, w[1]}), rest);
    });
  });
}

static constexpr Operator kOperators[] = {
    {"", "Add", importBinary<add>, 2, 2, 1, "", true},
    {"", "Sub", importBinary<subtract>, 2, 2, 1, "", true},
    {"", "Mul", importBinary<multiply>, 2, 2, 1, "", true},
    {"", "Div", importDiv, 2, 2, 1, "", true},
    {"", "Neg", bodyOf<negate, Elements::Numbers>, 1, 1, 1, ""},
    {"", "Exp", bodyOf<exponential>, 1, 1, 1, ""},
    {"", "Tanh", bodyOf<tangensHyperbolicus>, 1, 1, 1, ""},
    {"", "Sqrt", bodyOf<squareRoot>, 1, 1, 1, ""},
    {"", "Sigmoid", bodyOf<sigmoid>, 1, 1, 1, ""},
    {"", "Abs", importAbs, 1, 1, 1, "", true},
    {"", "Sign", importSign, 1, 1, 1, "", true},
    {"", "Log", function<math::LogOp>, 1, 1, 1, ""},
    {"", "Sin", function<math::SinOp>, 1, 1, 1, ""},
    {"", "Cos", function<math::CosOp>, 1, 1, 1, ""},
    {"", "Erf", function<math::ErfOp>, 1, 1, 1, ""},
    {"", "Floor", function<math::FloorOp>, 1, 1, 1, ""},
    {"", "Ceil", function<math::CeilOp>, 1, 1, 1, ""},
    {"", "Round", function<math::RoundEvenOp>, 1, 1, 1, ""},
    {"", "Reciprocal", importReciprocal, 1, 1, 1, ""},
    {"", "Relu", importRelu, 1, 1, 1, ""},
    {"", "Softplus", importSoftplus, 1, 1, 1, ""},
    {"", "LeakyRelu", importLeakyRelu, 1, 1, 1, "alpha"},
    {"", "Elu", importElu, 1, 1, 1, "alpha"},
    {"", "HardSigmoid", importHardSigmoid, 1, 1, 1, "alpha beta"},
    {"", "HardSwish", importHardSwish, 1, 1, 1, ""},
    {"", "Swish", importSwish, 1, 1, 1, "alpha"},
    {"", "Gelu", importGelu, 1, 1, 1, "approximate"},
    {"", "Pow", importPow, 2, 2, 1, "", true},
    {"", "Clip", importClip, 1, 3, 1, "min max", true},
    {"", "Sum", importSum, 1, 64, 1, ""},
    {"", "Mean", importMean, 1, 64, 1, ""},
    {"", "Max", importExtreme<maximum>, 1, 64, 1, "", true},
    {"", "Min", importExtreme<minimum>, 1, 64, 1, "", true},
    {"", "Mod", importMod, 2, 2, 1, "fmod", true},
};

ArrayRef<Operator> arithmeticOperators() { return kOperators; }

} // namespace whit
