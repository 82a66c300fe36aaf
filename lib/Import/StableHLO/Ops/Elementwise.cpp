// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations on elements, once for tensors and for the bodies of reductions: there, a tensor of rank 0 is an element.

#include "Import/StableHLO/Program.h"

#include "CHLO/CHLO.h"
#include "Import/Semantics/Loops.h"
#include "Import/Semantics/Numerals.h"
#include "Import/Semantics/Scalars.h"
#include "StableHLO/StableHLO.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace whit {

using namespace semantics;
namespace hlo = mlir::stablehlo;

static Compare how(hlo::ComparisonDirection direction) {
  switch (direction) {
  case hlo::ComparisonDirection::EQ:
    return Compare::Equal;
  case hlo::ComparisonDirection::NE:
    return Compare::NotEqual;
  case hlo::ComparisonDirection::GE:
    return Compare::GreaterOrEqual;
  case hlo::ComparisonDirection::GT:
    return Compare::Greater;
  case hlo::ComparisonDirection::LE:
    return Compare::LessOrEqual;
  case hlo::ComparisonDirection::LT:
    return Compare::Less;
  }
  llvm_unreachable("all directions are listed");
}

/// A shift by `amount`; by the width and more, `otherwise`.
template <typename Shift>
static mlir::Value shift(ImplicitLocOpBuilder &b, mlir::Value x, mlir::Value amount, mlir::Value otherwise) {
  Type type = x.getType();
  mlir::Value width = constant(b, type, type.getIntOrFloatBitWidth()), zero = constant(b, type, 0);
  mlir::Value fits = semantics::compare(b, Compare::Less, amount, width, Sign::Unsigned);
  mlir::Value shifted = Shift::create(b, x, arith::SelectOp::create(b, fits, amount, zero));
  return arith::SelectOp::create(b, fits, shifted, otherwise);
}

mlir::Value totalOrder(ImplicitLocOpBuilder &b, mlir::Value x) {
  Type integer = b.getIntegerType(x.getType().getIntOrFloatBitWidth());
  mlir::Value bits = arith::BitcastOp::create(b, integer, x), zero = constant(b, integer, 0);
  mlir::Value negative = semantics::compare(b, Compare::Less, bits, zero);
  mlir::Value lowest = arith::ConstantOp::create(
      b, b.getIntegerAttr(integer, APInt::getSignedMaxValue(integer.getIntOrFloatBitWidth())));
  return arith::SelectOp::create(b, negative, arith::XOrIOp::create(b, bits, lowest), bits);
}

static mlir::Value compareScalars(ImplicitLocOpBuilder &b, hlo::CompareOp op, ValueRange v) {
  if (op.getCompareType() == hlo::ComparisonType::TOTALORDER && isa<FloatType>(v[0].getType()))
    return semantics::compare(b, how(op.getComparisonDirection()), totalOrder(b, v[0]), totalOrder(b, v[1]));
  return semantics::compare(b, how(op.getComparisonDirection()), v[0], v[1], signOfType(op.getLhs().getType()));
}

Tensor convertFrom(ImplicitLocOpBuilder &b, const Tensor &x, Type type, Type element) {
  if (x.element() == element)
    return x;
  Sign from = signOfType(type);
  return elementwise(b, x, x.sizes, element, [&](ImplicitLocOpBuilder &at, ValueRange v) {
    return semantics::convert(at, v[0], element, from);
  });
}

mlir::Value hloScalar(ImplicitLocOpBuilder &b, Operation *op, ValueRange v) {
  Type type = v.empty() ? Type() : v[0].getType();
  Sign sign = op->getNumOperands() ? signOfType(op->getOperand(0).getType()) : Sign::Signed;
  bool isFloat = type && isa<FloatType>(type), isBool = type && type.isInteger(1);
  using R = mlir::Value;
  auto number = [&](double value) { return constant(b, type, value); };
  return llvm::TypeSwitch<Operation *, R>(op)
      .Case([&](hlo::AddOp) -> R { return isBool ? R(arith::OrIOp::create(b, v[0], v[1])) : add(b, v); })
      .Case([&](hlo::SubtractOp) -> R { return subtract(b, v); })
      .Case([&](hlo::MulOp) -> R { return multiply(b, v); })
      .Case([&](hlo::DivOp) -> R {
        return isFloat ? R(arith::DivFOp::create(b, v[0], v[1])) : divideIntegers(b, v[0], v[1], sign);
      })
      .Case([&](hlo::RemOp) -> R {
        if (isFloat)
          return arith::RemFOp::create(b, v[0], v[1]);
        R quotient = divideIntegers(b, v[0], v[1], sign);
        return arith::SubIOp::create(b, v[0], arith::MulIOp::create(b, quotient, v[1]));
      })
      .Case([&](hlo::MaxOp) -> R { return maximum(b, v[0], v[1], sign); })
      .Case([&](hlo::MinOp) -> R { return minimum(b, v[0], v[1], sign); })
      .Case([&](hlo::PowOp) -> R { return semantics::power(b, v[0], v[1]); })
      .Case([&](hlo::AndOp) -> R { return arith::AndIOp::create(b, v[0], v[1]); })
      .Case([&](hlo::OrOp) -> R { return arith::OrIOp::create(b, v[0], v[1]); })
      .Case([&](hlo::XorOp) -> R { return arith::XOrIOp::create(b, v[0], v[1]); })
      .Case([&](hlo::NotOp) -> R { return arith::XOrIOp::create(b, v[0], number(-1)); })
      .Case([&](hlo::ShiftLeftOp) -> R { return shift<arith::ShLIOp>(b, v[0], v[1], number(0)); })
      .Case([&](hlo::ShiftRightLogicalOp) -> R { return shift<arith::ShRUIOp>(b, v[0], v[1], number(0)); })
      .Case([&](hlo::ShiftRightArithmeticOp) -> R {
        R sign = arith::ShRSIOp::create(b, v[0], number(type.getIntOrFloatBitWidth() - 1));
        return shift<arith::ShRSIOp>(b, v[0], v[1], sign);
      })
      .Case([&](hlo::AbsOp) -> R { return absolute(b, v[0]); })
      .Case([&](hlo::NegOp) -> R { return negate(b, v); })
      .Case([&](hlo::SignOp) -> R { return semantics::signOf(b, v[0]); })
      .Case([&](hlo::ExpOp) -> R { return exponential(b, v); })
      .Case([&](hlo::Expm1Op) -> R { return math::ExpM1Op::create(b, v[0]); })
      .Case([&](hlo::LogOp) -> R { return math::LogOp::create(b, v[0]); })
      .Case([&](hlo::Log1pOp) -> R { return math::Log1pOp::create(b, v[0]); })
      .Case([&](hlo::LogisticOp) -> R { return sigmoid(b, v); })
      .Case([&](hlo::TanhOp) -> R { return tangensHyperbolicus(b, v); })
      .Case([&](hlo::SineOp) -> R { return math::SinOp::create(b, v[0]); })
      .Case([&](hlo::CosineOp) -> R { return math::CosOp::create(b, v[0]); })
      .Case([&](hlo::SqrtOp) -> R { return squareRoot(b, v); })
      .Case([&](hlo::RsqrtOp) -> R { return arith::DivFOp::create(b, number(1), squareRoot(b, v)); })
      .Case([&](hlo::FloorOp) -> R { return math::FloorOp::create(b, v[0]); })
      .Case([&](hlo::CeilOp) -> R { return math::CeilOp::create(b, v[0]); })
      .Case([&](hlo::RoundNearestEvenOp) -> R { return math::RoundEvenOp::create(b, v[0]); })
      .Case([&](hlo::Atan2Op) -> R { return math::Atan2Op::create(b, v[0], v[1]); })
      .Case([&](hlo::CbrtOp) -> R { return math::CbrtOp::create(b, v[0]); })
      .Case<hlo::TanOp, chlo::TanOp>([&](auto) -> R { return math::TanOp::create(b, v[0]); })
      .Case([&](hlo::RoundNearestAfzOp) -> R { return math::RoundOp::create(b, v[0]); })
      .Case([&](hlo::PopulationCountOp) -> R { return semantics::countBits(b, v[0]); })
      .Case([&](hlo::ClzOp) -> R { return semantics::countLeadingZeros(b, v[0]); })
      .Case([&](hlo::ReducePrecisionOp reduce) -> R {
        return semantics::reducePrecision(b, v[0], reduce.getExponentBits(), reduce.getMantissaBits());
      })
      .Case([&](chlo::AcosOp) -> R { return math::AcosOp::create(b, v[0]); })
      .Case([&](chlo::AcoshOp) -> R { return math::AcoshOp::create(b, v[0]); })
      .Case([&](chlo::AsinOp) -> R { return math::AsinOp::create(b, v[0]); })
      .Case([&](chlo::AsinhOp) -> R { return math::AsinhOp::create(b, v[0]); })
      .Case([&](chlo::AtanOp) -> R { return math::AtanOp::create(b, v[0]); })
      .Case([&](chlo::AtanhOp) -> R { return math::AtanhOp::create(b, v[0]); })
      .Case([&](chlo::CoshOp) -> R { return math::CoshOp::create(b, v[0]); })
      .Case([&](chlo::SinhOp) -> R { return math::SinhOp::create(b, v[0]); })
      .Case([&](chlo::ErfInvOp) -> R { return semantics::inverseErf(b, v[0]); })
      .Case<chlo::IsInfOp, chlo::IsPosInfOp, chlo::IsNegInfOp>([&](auto test) -> R {
        bool isNegative = isa<chlo::IsNegInfOp>(test.getOperation());
        R infinity = arith::ConstantOp::create(
            b, b.getFloatAttr(type, APFloat::getInf(cast<FloatType>(type).getFloatSemantics(), isNegative)));
        R x = isa<chlo::IsInfOp>(test.getOperation()) ? absolute(b, v[0]) : v[0];
        return semantics::compare(b, Compare::Equal, x, infinity);
      })
      .Case([&](chlo::ErfOp) -> R { return math::ErfOp::create(b, v[0]); })
      .Case([&](chlo::ErfcOp) -> R { return math::ErfcOp::create(b, v[0]); })
      .Case([&](chlo::SquareOp) -> R { return multiply(b, {v[0], v[0]}); })
      .Case([&](hlo::IsFiniteOp) -> R {
        R infinity = arith::ConstantOp::create(
            b, b.getFloatAttr(type, APFloat::getInf(cast<FloatType>(type).getFloatSemantics())));
        return semantics::compare(b, Compare::Less, absolute(b, v[0]), infinity);
      })
      .Case([&](hlo::CompareOp compared) -> R { return compareScalars(b, compared, v); })
      .Case([&](hlo::SelectOp) -> R { return arith::SelectOp::create(b, v[0], v[1], v[2]); })
      .Case([&](hlo::ClampOp clamp) -> R { return minimum(b, maximum(b, v[1], v[0], sign), v[2], sign); })
      .Case([&](hlo::ConvertOp convert) -> R {
        Type to = getElementTypeOrSelf(convert.getType());
        return semantics::convert(b, v[0], hloElement(to), sign, signOfType(to));
      })
      .Case([&](hlo::BitcastConvertOp cast) -> R {
        return arith::BitcastOp::create(b, hloElement(getElementTypeOrSelf(cast.getType())), v[0]);
      })
      .Default(R());
}

/// Which elements an operation is for; the others are refused by name.
static LogicalResult checkElements(Program &program, Operation *op, bool floats, bool integers) {
  Type element = getElementTypeOrSelf(op->getOperand(0).getType());
  if (isa<FloatType>(element) ? floats : integers)
    return success();
  return program.unsupported(op, Twine("has elements of ") + (floats ? "an integer" : "a float") +
                                     " type; they must be " + (floats ? "floats" : "integers"));
}

static LogicalResult importElementwise(Program &program, Operation *op) {
  ImplicitLocOpBuilder &b = program.builder();
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  Sizes sizes = program.sizesOf(op->getResult(0));
  SmallVector<Tensor> operands;
  for (mlir::Value operand : op->getOperands())
    operands.push_back(program.loose(operand));
  program.set(op->getResult(0),
              elementwise(b, operands, sizes, hloElement(type.getElementType()),
                          [&](ImplicitLocOpBuilder &at, ValueRange v) { return hloScalar(at, op, v); }));
  return success();
}

static LogicalResult importFloats(Program &program, Operation *op) {
  return failed(checkElements(program, op, true, false)) ? failure() : importElementwise(program, op);
}

static LogicalResult importIntegers(Program &program, Operation *op) {
  return failed(checkElements(program, op, false, true)) ? failure() : importElementwise(program, op);
}

/// The series that it is computed by is one of f32.
static LogicalResult importErfInv(Program &program, Operation *op) {
  if (getElementTypeOrSelf(op->getOperand(0).getType()).isF64())
    return program.unsupported(op, "has elements of type f64; at most f32 is supported");
  return importFloats(program, op);
}

static LogicalResult importConvert(Program &program, Operation *op) {
  auto convert = cast<hlo::ConvertOp>(op);
  HloValue operand = program.value(convert.getOperand());
  Type from = getElementTypeOrSelf(convert.getOperand().getType()), to = getElementTypeOrSelf(convert.getType());
  // A wider float holds the same numbers: a parameter stays one.
  bool isExact = operand.parameter && to.isF32();
  if (from != to && !isExact)
    return importElementwise(program, op);
  operand.element = hloElement(to);
  program.value(convert.getResult()) = operand;
  return success();
}

/// A float or an integer as an integer of its width, and back.
static mlir::Value castBits(ImplicitLocOpBuilder &b, mlir::Value x, Type to) {
  return x.getType() == to ? x : mlir::Value(arith::BitcastOp::create(b, to, x));
}

/// Elements that become several narrower ones, or the other way; the first has the lowest bits.
static Tensor bitcastParts(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<int64_t> shape, Type to) {
  unsigned from = x.element().getIntOrFloatBitWidth(), bits = to.getIntOrFloatBitWidth();
  Type narrow = b.getIntegerType(std::min(from, bits)), wide = b.getIntegerType(std::max(from, bits));
  Sizes sizes = llvm::map_to_vector(shape, [&](int64_t dim) { return OpFoldResult(b.getIndexAttr(dim)); });
  return computed(b, sizes, to, [&](ImplicitLocOpBuilder &at, ValueRange loops) -> mlir::Value {
    if (from > bits) {
      mlir::Value element = castBits(at, elementAt(at, x, loops.drop_back()), wide);
      mlir::Value part = arith::IndexCastOp::create(at, wide, loops.back());
      mlir::Value distance = arith::MulIOp::create(at, part, constant(at, wide, bits));
      return castBits(at, arith::TruncIOp::create(at, narrow, arith::ShRUIOp::create(at, element, distance)), to);
    }
    mlir::Value all = constant(at, wide, 0);
    for (unsigned i = 0; i < bits / from; ++i) {
      SmallVector<mlir::Value> place(loops);
      place.push_back(indexConstant(at, i));
      mlir::Value part = arith::ExtUIOp::create(at, wide, castBits(at, elementAt(at, x, place), narrow));
      all = arith::OrIOp::create(at, all, arith::ShLIOp::create(at, part, constant(at, wide, double(i * from))));
    }
    return castBits(at, all, to);
  });
}

static LogicalResult importBitcast(Program &program, Operation *op) {
  auto cast = mlir::cast<hlo::BitcastConvertOp>(op);
  Type from = getElementTypeOrSelf(cast.getOperand().getType()), to = getElementTypeOrSelf(cast.getType());
  if (from.getIntOrFloatBitWidth() != to.getIntOrFloatBitWidth()) {
    if (from.isInteger(1) || to.isInteger(1))
      return program.unsupported(op, "converts booleans to or from wider elements; only whole bytes are supported");
    program.set(cast.getResult(),
                bitcastParts(program.builder(), program.whole(cast.getOperand()),
                             mlir::cast<RankedTensorType>(cast.getType()).getShape(), hloElement(to)));
    return success();
  }
  if (hloElement(from) != hloElement(to))
    return importElementwise(program, op);
  HloValue copy = program.value(cast.getOperand());
  program.value(cast.getResult()) = copy;
  return success();
}

static constexpr HloOperation kOperations[] = {
    {"stablehlo.abs", importElementwise},
    {"stablehlo.add", importElementwise},
    {"stablehlo.and", importIntegers},
    {"stablehlo.atan2", importFloats},
    {"stablehlo.bitcast_convert", importBitcast},
    {"stablehlo.cbrt", importFloats},
    {"stablehlo.ceil", importFloats},
    {"stablehlo.clamp", importElementwise},
    {"stablehlo.compare", importElementwise},
    {"stablehlo.convert", importConvert},
    {"stablehlo.cosine", importFloats},
    {"stablehlo.count_leading_zeros", importIntegers},
    {"stablehlo.divide", importElementwise},
    {"stablehlo.exponential", importFloats},
    {"stablehlo.exponential_minus_one", importFloats},
    {"stablehlo.floor", importFloats},
    {"stablehlo.is_finite", importFloats},
    {"stablehlo.log", importFloats},
    {"stablehlo.log_plus_one", importFloats},
    {"stablehlo.logistic", importFloats},
    {"stablehlo.maximum", importElementwise},
    {"stablehlo.minimum", importElementwise},
    {"stablehlo.multiply", importElementwise},
    {"stablehlo.negate", importElementwise},
    {"stablehlo.not", importIntegers},
    {"stablehlo.or", importIntegers},
    {"stablehlo.popcnt", importIntegers},
    {"stablehlo.power", importElementwise},
    {"stablehlo.reduce_precision", importFloats},
    {"stablehlo.remainder", importElementwise},
    {"stablehlo.round_nearest_afz", importFloats},
    {"stablehlo.round_nearest_even", importFloats},
    {"stablehlo.rsqrt", importFloats},
    {"stablehlo.select", importElementwise},
    {"stablehlo.shift_left", importIntegers},
    {"stablehlo.shift_right_arithmetic", importIntegers},
    {"stablehlo.shift_right_logical", importIntegers},
    {"stablehlo.sign", importElementwise},
    {"stablehlo.sine", importFloats},
    {"stablehlo.sqrt", importFloats},
    {"stablehlo.subtract", importElementwise},
    {"stablehlo.tan", importFloats},
    {"stablehlo.tanh", importFloats},
    {"stablehlo.xor", importIntegers},
    {"chlo.acos", importFloats},
    {"chlo.acosh", importFloats},
    {"chlo.asin", importFloats},
    {"chlo.asinh", importFloats},
    {"chlo.atan", importFloats},
    {"chlo.atanh", importFloats},
    {"chlo.cosh", importFloats},
    {"chlo.erf", importFloats},
    {"chlo.erf_inv", importErfInv},
    {"chlo.erfc", importFloats},
    {"chlo.is_inf", importFloats},
    {"chlo.is_neg_inf", importFloats},
    {"chlo.is_pos_inf", importFloats},
    {"chlo.sinh", importFloats},
    {"chlo.square", importFloats},
    {"chlo.tan", importFloats},
};

ArrayRef<HloOperation> hloElementwise() { return kOperations; }

} // namespace whit
