// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Arithmetic on counters, in the type that they have. `false and x` is false whatever x is: a loop that counts and looks
// at data besides ends when it has counted.

#include "Import/StableHLO/KnownScalars.h"

#include "Import/Semantics/Scalars.h"
#include "StableHLO/StableHLO.h"

#include "mlir/IR/Matchers.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace whit {

using semantics::Sign;
using semantics::signOfType;
namespace hlo = mlir::stablehlo;

static constexpr unsigned kMaxCalls = 16, kMaxSteps = 256;

static KnownScalar splatOf(DenseElementsAttr elements) {
  if (!elements || !elements.isSplat() || !isa<IntegerType>(elements.getElementType()))
    return std::nullopt;
  return elements.getSplatValue<APInt>();
}

KnownScalar constantOf(Program &program, Value value) {
  const HloValue &known = program.value(value);
  DenseElementsAttr elements;
  if (known.parameter || known.failed || !known.tensor.value ||
      !matchPattern(known.tensor.value, m_Constant(&elements)))
    return std::nullopt;
  return splatOf(elements);
}

KnownScalars::KnownScalars(Program &program, Block &block, ArrayRef<KnownScalar> arguments, int64_t &budget,
                           unsigned depth)
    : program(program), block(block), budget(budget), depth(depth) {
  for (auto [argument, value] : llvm::zip(block.getArguments(), arguments))
    known[argument] = value;
}

SmallVector<KnownScalar> KnownScalars::results() {
  return llvm::map_to_vector(block.getTerminator()->getOperands(), [&](Value value) { return of(value); });
}

KnownScalar KnownScalars::of(Value value) {
  if (auto found = known.find(value); found != known.end())
    return found->second;
  Operation *op = value.getDefiningOp();
  auto type = dyn_cast<RankedTensorType>(value.getType());
  bool isNumber = type && type.hasStaticShape() && type.getNumElements() == 1 && type.getElementType().isIntOrIndex();
  KnownScalar result;
  if (op && op->getBlock() == &block && isNumber && depth < kMaxSteps && --budget > 0)
    result = compute(op, cast<OpResult>(value).getResultNumber());
  else if (value.getParentBlock() != &block && isNumber)
    result = constantOf(program, value);
  return known[value] = result;
}

static bool compare(hlo::ComparisonDirection how, const APInt &x, const APInt &y, bool isUnsigned) {
  int order = x == y ? 0 : (isUnsigned ? x.ult(y) : x.slt(y)) ? -1 : 1;
  switch (how) {
  case hlo::ComparisonDirection::EQ:
    return order == 0;
  case hlo::ComparisonDirection::NE:
    return order != 0;
  case hlo::ComparisonDirection::GE:
    return order >= 0;
  case hlo::ComparisonDirection::GT:
    return order > 0;
  case hlo::ComparisonDirection::LE:
    return order <= 0;
  case hlo::ComparisonDirection::LT:
    return order < 0;
  }
  llvm_unreachable("all directions are listed");
}

KnownScalar KnownScalars::compute(Operation *op, unsigned result) {
  if (auto constant = dyn_cast<hlo::ConstantOp>(op))
    return splatOf(dyn_cast<DenseElementsAttr>(constant.getValue()));
  SmallVector<KnownScalar> operands;
  ++depth;
  for (Value operand : op->getOperands())
    operands.push_back(of(operand));
  --depth;
  if (auto call = dyn_cast<func::CallOp>(op)) {
    auto target = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
    if (!target || target.isExternal() || !target.getBody().hasOneBlock())
      return std::nullopt;
    KnownScalars inner(program, target.getBody().front(), operands, budget, depth + kMaxSteps / kMaxCalls);
    return inner.results()[result];
  }
  if (op->getNumOperands() == 0 || op->getNumResults() != 1)
    return std::nullopt;
  KnownScalar x = operands[0], y = operands.size() > 1 ? operands[1] : std::nullopt;
  if (isa<hlo::AndOp>(op) && ((x && x->isZero()) || (y && y->isZero())))
    return x && x->isZero() ? x : y;
  if (isa<hlo::OrOp>(op) && ((x && x->isAllOnes()) || (y && y->isAllOnes())))
    return x && x->isAllOnes() ? x : y;
  if (auto select = dyn_cast<hlo::SelectOp>(op))
    return x ? operands[x->isZero() ? 2 : 1] : std::nullopt;
  for (const KnownScalar &operand : operands)
    if (!operand)
      return std::nullopt;
  Type type = getElementTypeOrSelf(op->getOperand(0).getType()), to = getElementTypeOrSelf(op->getResult(0).getType());
  bool isUnsigned = signOfType(type) == Sign::Unsigned, isBool = type.isInteger(1);
  return llvm::TypeSwitch<Operation *, KnownScalar>(op)
      .Case<hlo::ReshapeOp, hlo::BroadcastInDimOp>([&](auto) { return x; })
      .Case([&](hlo::AddOp) { return isBool ? *x | *y : *x + *y; })
      .Case([&](hlo::SubtractOp) { return *x - *y; })
      .Case([&](hlo::MulOp) { return *x * *y; })
      .Case([&](hlo::DivOp) -> KnownScalar {
        return y->isZero() ? KnownScalar() : isUnsigned ? x->udiv(*y) : x->sdiv(*y);
      })
      .Case([&](hlo::RemOp) -> KnownScalar {
        return y->isZero() ? KnownScalar() : isUnsigned ? x->urem(*y) : x->srem(*y);
      })
      .Case([&](hlo::MaxOp) { return (isUnsigned ? x->ugt(*y) : x->sgt(*y)) ? *x : *y; })
      .Case([&](hlo::MinOp) { return (isUnsigned ? x->ult(*y) : x->slt(*y)) ? *x : *y; })
      .Case([&](hlo::AndOp) { return *x & *y; })
      .Case([&](hlo::OrOp) { return *x | *y; })
      .Case([&](hlo::XorOp) { return *x ^ *y; })
      .Case([&](hlo::NotOp) { return ~*x; })
      .Case([&](hlo::NegOp) { return -*x; })
      .Case([&](hlo::CompareOp compared) -> KnownScalar {
        return APInt(1, compare(compared.getComparisonDirection(), *x, *y, isUnsigned));
      })
      .Case([&](hlo::ConvertOp) -> KnownScalar {
        if (!isa<IntegerType>(to))
          return std::nullopt;
        unsigned width = to.getIntOrFloatBitWidth();
        if (width == 1)
          return APInt(1, !x->isZero());
        return isUnsigned ? x->zextOrTrunc(width) : x->sextOrTrunc(width);
      })
      .Default(KnownScalar());
}

} // namespace whit
