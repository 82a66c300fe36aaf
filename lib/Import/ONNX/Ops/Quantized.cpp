// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators of ONNX Runtime that take codes of 8 bits, with a scale and a zero point each, and give such: what they mean is what their
// namesakes make of the numbers, rounded once. Means are of integer sums.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Tables.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
/// Codes, their scale and their zero point, the latter two as tensors of rank 0.
struct Coded {
  std::optional<Tensor> codes;
  Tensor scale;
  std::optional<Tensor> zero;
};
} // namespace

static FailureOr<Tensor> one(Node &node, unsigned i, StringRef role) {
  FailureOr<Tensor> x = node.tensor(i, role);
  if (failed(x))
    return failure();
  if (x->rank() != 0 && (x->rank() != 1 || !isConstantIntValue(x->sizes[0], 1)))
    return LogicalResult(node.badOperand("input " + role + " must be one number"));
  return reshape(node.b, *x, {});
}

/// Inputs `codes` (-1: those of an output, which has none), and the scale and zero point that stand at `scale`.
static FailureOr<Coded> codedAt(Node &node, int codes, unsigned scale, const std::string &role) {
  Coded result;
  FailureOr<Tensor> s = one(node, scale, role + "_scale");
  if (failed(s) || failed(requireElements(node, *s, role + "_scale", Elements::Floats)))
    return failure();
  result.scale = convert(node.b, *s, node.b.getF32Type());
  if (codes >= 0) {
    FailureOr<Tensor> x = node.tensor(codes, role);
    if (failed(x))
      return failure();
    if (!x->numbers().isInteger(8))
      return LogicalResult(node.badOperand("input " + role + " has elements of type " + typeName(x->numbers()) +
                                           "; they must be i8 or uint8"));
    result.codes = *x;
  }
  if (!node.has(scale + 1))
    return result;
  FailureOr<Tensor> z = one(node, scale + 1, role + "_zero_point");
  if (failed(z))
    return failure();
  Type type = result.codes ? result.codes->numbers() : z->numbers();
  if (z->numbers() != type || !type.isInteger(8))
    return LogicalResult(node.badOperand("input " + role + "_zero_point has elements of type " +
                                         typeName(z->numbers()) + "; they must be those of the codes, i8 or uint8"));
  result.zero = *z;
  return result;
}

namespace {
/// The elements of several Coded in one elementwise operation.
class Numbers {
public:
  /// Adds what `x` needs to the operands; a number that names it from then on.
  size_t add(const Coded &x) {
    Place place{x, operands.size()};
    if (x.codes)
      operands.push_back(*x.codes);
    operands.push_back(x.scale);
    if (x.zero)
      operands.push_back(*x.zero);
    places.push_back(place);
    return places.size() - 1;
  }
  Value scale(ValueRange v, size_t i) const { return v[places[i].first + places[i].x.codes.has_value()]; }
  /// As f32; 0 if there is none.
  Value zero(ImplicitLocOpBuilder &b, ValueRange v, size_t i) const {
    const Coded &x = places[i].x;
    if (!x.zero)
      return constant(b, b.getF32Type(), 0);
    return convertHeld(b, v[places[i].first + x.codes.has_value() + 1], x.zero->numbers(), b.getF32Type());
  }
  /// What the code stands for.
  Value number(ImplicitLocOpBuilder &b, ValueRange v, size_t i) const {
    Value code = convertHeld(b, v[places[i].first], places[i].x.codes->numbers(), b.getF32Type());
    return multiply(b, {subtract(b, {code, zero(b, v, i)}), scale(v, i)});
  }
  SmallVector<Tensor> operands;

private:
  struct Place {
    Coded x;
    size_t first;
  };
  std::vector<Place> places;
};
} // namespace

static Type typeOf(const Coded &y, const Coded &like) { return y.zero ? y.zero->numbers() : like.codes->numbers(); }

/// A number as a code: number / scale, rounded to even, plus the zero point, kept within the codes.
static Value toCode(ImplicitLocOpBuilder &b, Value steps, Value zero, Type type) {
  return convertHeld(b, semantics::add(b, {math::RoundEvenOp::create(b, steps), zero}), b.getF32Type(), type);
}

static LogicalResult importBinary(Node &node, Body body) {
  FailureOr<Coded> a = codedAt(node, 0, 1, "A"), c = codedAt(node, 3, 4, "B"), y = codedAt(node, -1, 6, "C");
  if (failed(a) || failed(c) || failed(y))
    return failure();
  FailureOr<Sizes> sizes = node.broadcast({*a->codes, *c->codes});
  if (failed(sizes))
    return failure();
  Numbers numbers;
  size_t first = numbers.add(*a), second = numbers.add(*c), result = numbers.add(*y);
  Type type = typeOf(*y, *a);
  return node.set(0, elementwise(node.b, numbers.operands, *sizes, type, [&](ImplicitLocOpBuilder &b, ValueRange v) {
                    Value operands[] = {numbers.number(b, v, first), numbers.number(b, v, second)};
                    Value steps = divide(b, {body(b, operands), numbers.scale(v, result)});
                    return toCode(b, steps, numbers.zero(b, v, result), type);
                  }));
}

static LogicalResult importQLinearAdd(Node &node) { return importBinary(node, semantics::add); }
static LogicalResult importQLinearMul(Node &node) { return importBinary(node, multiply); }

static LogicalResult importUnary(Node &node, Body body) {
  FailureOr<Coded> x = codedAt(node, 0, 1, "X"), y = codedAt(node, -1, 3, "Y");
  if (failed(x) || failed(y))
    return failure();
  Numbers numbers;
  size_t first = numbers.add(*x), result = numbers.add(*y);
  Type type = typeOf(*y, *x);
  return node.set(
      0, elementwise(node.b, numbers.operands, x->codes->sizes, type, [&](ImplicitLocOpBuilder &b, ValueRange v) {
        Value number = body(b, numbers.number(b, v, first));
        Value steps = divide(b, {number, numbers.scale(v, result)});
        return toCode(b, steps, numbers.zero(b, v, result), type);
      }));
}

static LogicalResult importQLinearSigmoid(Node &node) { return importUnary(node, sigmoid); }

static LogicalResult importQLinearLeakyRelu(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 0.01);
  if (failed(alpha))
    return failure();
  return importUnary(node, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Value zero = constant(b, b.getF32Type(), 0), isBelow = compare(b, Compare::Less, v[0], zero);
    return arith::SelectOp::create(b, isBelow, multiply(b, {v[0], constant(b, b.getF32Type(), *alpha)}), v[0]);
  });
}

/// (sum - count * zero point) * (scale of x / (scale of y * count)), rounded as always.
static LogicalResult importQLinearGlobalAveragePool(Node &node) {
  FailureOr<Coded> x = codedAt(node, 0, 1, "X"), y = codedAt(node, -1, 3, "Y");
  if (failed(x) || failed(y) || failed(node.requireOnly("channels_last", {0})))
    return failure();
  if (x->codes->rank() < 3)
    return node.badOperand("input X has rank " + Twine(x->codes->rank()) + "; it must be 3 or more");
  ImplicitLocOpBuilder &b = node.b;
  Type i32 = b.getI32Type(), f32 = b.getF32Type();
  OpFoldResult count = b.getIndexAttr(1);
  for (OpFoldResult size : ArrayRef(x->codes->sizes).drop_front(2))
    count = indexOp(b, IndexOp::Mul, count, size);
  Tensor sums = reduce(b, convert(b, *x->codes, i32), Reduction::Sum,
                       llvm::to_vector(llvm::seq<int64_t>(2, x->codes->rank())), /*keep=*/true);
  Value elements = asValue(b, count);
  Coded asSums{sums, x->scale, x->zero};
  Numbers numbers;
  size_t first = numbers.add(asSums), result = numbers.add(*y);
  Type type = typeOf(*y, *x);
  return node.set(0, elementwise(b, numbers.operands, sums.sizes, type, [&](ImplicitLocOpBuilder &at, ValueRange v) {
                    Value number = arith::IndexCastOp::create(at, i32, elements), sum = v[0];
                    if (x->zero) {
                      Value zero = convertHeld(at, v[2], x->zero->numbers(), i32);
                      sum = subtract(at, {sum, multiply(at, {zero, number})});
                    }
                    Value factor = divide(at, {numbers.scale(v, first),
                                               multiply(at, {numbers.scale(v, result), convert(at, number, f32)})});
                    Value steps = multiply(at, {convert(at, sum, f32), factor});
                    return toCode(at, steps, numbers.zero(at, v, result), type);
                  }));
}

static constexpr Operator kOperators[] = {
    {"com.microsoft", "QLinearAdd", importQLinearAdd, 7, 8, 1, "", true},
    {"com.microsoft", "QLinearMul", importQLinearMul, 7, 8, 1, "", true},
    {"com.microsoft", "QLinearSigmoid", importQLinearSigmoid, 4, 5, 1, "", true},
    {"com.microsoft", "QLinearLeakyRelu", importQLinearLeakyRelu, 4, 5, 1, "alpha", true},
    {"com.microsoft", "QLinearGlobalAveragePool", importQLinearGlobalAveragePool, 5, 5, 1, "channels_last", true},
};

ArrayRef<Operator> quantizedOperators() { return kOperators; }

} // namespace whit
