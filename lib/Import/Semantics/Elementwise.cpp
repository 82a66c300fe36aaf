// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elementwise operators as linalg.generic: one loop per dimension of the result, a broadcast operand reads index 0 of
// the dimensions that it stretches.

#include "Import/Semantics/Scalars.h"
#include "Import/Semantics/Tensor.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace whit::semantics {

static bool isOne(OpFoldResult size) { return isConstantIntValue(size, 1); }

std::optional<Sizes> broadcast(ArrayRef<Tensor> operands,
                               function_ref<void(OpFoldResult, OpFoldResult, int64_t)> report) {
  size_t rank = 0;
  for (const Tensor &operand : operands)
    rank = std::max(rank, operand.sizes.size());
  Sizes sizes(rank, IntegerAttr());
  for (size_t i = 0; i < rank; ++i) // from the last dimension
    for (const Tensor &operand : operands) {
      if (i >= operand.sizes.size())
        continue;
      OpFoldResult &known = sizes[rank - 1 - i], size = operand.sizes[operand.sizes.size() - 1 - i];
      if (!known || isOne(known))
        known = size;
      else if (!isOne(size) && !sameSize(known, size)) {
        report(known, size, rank - 1 - i);
        return std::nullopt;
      }
    }
  return sizes;
}

/// The one value of a constant tensor.
static TypedAttr splatOf(const Tensor &operand) {
  DenseElementsAttr elements;
  if (matchPattern(operand.value, m_Constant(&elements)) && elements.isSplat())
    return elements.getSplatValue<TypedAttr>();
  return {};
}

Tensor elementwise(ImplicitLocOpBuilder &b, ArrayRef<Tensor> operands, ArrayRef<OpFoldResult> sizes, Type element,
                   Body body) {
  int64_t rank = sizes.size();
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  SmallVector<TypedAttr> splats;
  for (const Tensor &operand : operands) {
    splats.push_back(splatOf(operand));
    if (splats.back())
      continue;
    SmallVector<AffineExpr> exprs;
    int64_t first = rank - operand.rank();
    for (auto [i, size] : llvm::enumerate(operand.sizes))
      exprs.push_back(isOne(size) && !isOne(sizes[first + i]) ? b.getAffineConstantExpr(0)
                                                              : b.getAffineDimExpr(first + i));
    inputs.push_back(operand.value);
    maps.push_back(AffineMap::get(rank, 0, exprs, b.getContext()));
  }
  Value init = empty(b, sizes, element);
  maps.push_back(b.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, init.getType(), inputs, init, maps, loops, [&](OpBuilder &inner, Location loc, ValueRange arguments) {
        ImplicitLocOpBuilder at(loc, inner);
        SmallVector<Value> values;
        size_t next = 0;
        for (TypedAttr splat : splats)
          values.push_back(splat ? arith::ConstantOp::create(at, splat).getResult() : arguments[next++]);
        linalg::YieldOp::create(at, body(at, values));
      });
  return makeTensor(generic.getResult(0), sizes, element);
}

// ------------------------------------------------------------------------------------------------ bodies

template <typename FloatOp, typename IntOp> static Value binary(ImplicitLocOpBuilder &b, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return FloatOp::create(b, v[0], v[1]);
  return IntOp::create(b, v[0], v[1]);
}

Value add(ImplicitLocOpBuilder &b, ValueRange v) { return binary<arith::AddFOp, arith::AddIOp>(b, v); }
Value subtract(ImplicitLocOpBuilder &b, ValueRange v) { return binary<arith::SubFOp, arith::SubIOp>(b, v); }
Value multiply(ImplicitLocOpBuilder &b, ValueRange v) { return binary<arith::MulFOp, arith::MulIOp>(b, v); }
Value divide(ImplicitLocOpBuilder &b, ValueRange v) { return binary<arith::DivFOp, arith::DivSIOp>(b, v); }

Value negate(ImplicitLocOpBuilder &b, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return arith::NegFOp::create(b, v[0]);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(v[0].getType()));
  return arith::SubIOp::create(b, zero, v[0]);
}

Value sigmoid(ImplicitLocOpBuilder &b, ValueRange v) {
  Value one = arith::ConstantOp::create(b, b.getFloatAttr(v[0].getType(), 1.0));
  Value power = math::ExpOp::create(b, arith::NegFOp::create(b, v[0]));
  return arith::DivFOp::create(b, one, arith::AddFOp::create(b, power, one));
}

Value exponential(ImplicitLocOpBuilder &b, ValueRange v) { return math::ExpOp::create(b, v[0]); }
Value tangensHyperbolicus(ImplicitLocOpBuilder &b, ValueRange v) { return math::TanhOp::create(b, v[0]); }
Value squareRoot(ImplicitLocOpBuilder &b, ValueRange v) { return math::SqrtOp::create(b, v[0]); }

Tensor convert(ImplicitLocOpBuilder &b, const Tensor &x, Type element) {
  Type from = x.numbers();
  if (from == element)
    return x;
  // The same bits, read in another way.
  if (from.isInteger() && element.isInteger() && held(from) == held(element) &&
      held(element).getIntOrFloatBitWidth() == element.getIntOrFloatBitWidth())
    return makeTensor(x.value, x.sizes, element);
  return elementwise(b, x, x.sizes, element,
                     [&](ImplicitLocOpBuilder &at, ValueRange v) { return convertHeld(at, v[0], from, element); });
}

} // namespace whit::semantics
