// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sums over dimensions and the like: the result starts at the neutral element, a reduction loop folds the rest in.

#include "Import/Semantics/Scalars.h"
#include "Import/Semantics/Tensor.h"

#include <limits>

using namespace mlir;

namespace whit::semantics {

/// What leaves the other operand alone.
static TypedAttr neutral(OpBuilder &b, Reduction kind, Type type, Sign sign) {
  if (auto f = dyn_cast<FloatType>(type)) {
    double infinity = std::numeric_limits<double>::infinity();
    return b.getFloatAttr(type, kind == Reduction::Sum       ? 0
                                : kind == Reduction::Product ? 1
                                : kind == Reduction::Max     ? -infinity
                                                             : infinity);
  }
  unsigned bits = type.getIntOrFloatBitWidth();
  if (bits == 1) // Max is or, Min is and
    return b.getIntegerAttr(type, kind == Reduction::Min || kind == Reduction::Product);
  return b.getIntegerAttr(type, kind == Reduction::Sum       ? APInt(bits, 0)
                                : kind == Reduction::Product ? APInt(bits, 1)
                                : kind == Reduction::Max     ? APSInt::getMinValue(bits, sign == Sign::Unsigned)
                                                             : APSInt::getMaxValue(bits, sign == Sign::Unsigned));
}

static Value combine(ImplicitLocOpBuilder &b, Reduction kind, Value so, Value term, Sign sign) {
  bool isBool = so.getType().isInteger(1);
  switch (kind) {
  case Reduction::Sum:
    return add(b, {so, term});
  case Reduction::Product:
    return multiply(b, {so, term});
  case Reduction::Max:
    return isBool ? Value(arith::OrIOp::create(b, so, term)) : maximum(b, so, term, sign);
  case Reduction::Min:
    return isBool ? Value(arith::AndIOp::create(b, so, term)) : minimum(b, so, term, sign);
  }
  llvm_unreachable("all reductions are listed");
}

static Tensor filled(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> sizes, TypedAttr value) {
  Value scalar = arith::ConstantOp::create(b, value);
  return {linalg::FillOp::create(b, scalar, empty(b, sizes, value.getType())).getResult(0), Sizes(sizes)};
}

Tensor reduce(ImplicitLocOpBuilder &b, const Tensor &x, Reduction kind, ArrayRef<int64_t> axes, bool keep) {
  Sizes sizes, kept;
  SmallVector<AffineExpr> exprs;
  SmallVector<utils::IteratorType> loops;
  for (int64_t i = 0; i < x.rank(); ++i) {
    bool reduced = llvm::is_contained(axes, i);
    loops.push_back(reduced ? utils::IteratorType::reduction : utils::IteratorType::parallel);
    kept.push_back(reduced ? OpFoldResult(b.getIndexAttr(1)) : x.sizes[i]);
    if (reduced)
      continue;
    sizes.push_back(x.sizes[i]);
    exprs.push_back(b.getAffineDimExpr(i));
  }
  Sign sign = signOfType(x.numbers());
  Value init = filled(b, sizes, neutral(b, kind, x.element(), sign)).value;
  AffineMap maps[] = {b.getMultiDimIdentityMap(x.rank()), AffineMap::get(x.rank(), 0, exprs, b.getContext())};
  auto generic = linalg::GenericOp::create(b, init.getType(), x.value, init, maps, loops,
                                           [&](OpBuilder &inner, Location loc, ValueRange v) {
                                             ImplicitLocOpBuilder at(loc, inner);
                                             linalg::YieldOp::create(at, combine(at, kind, v[1], v[0], sign));
                                           });
  Tensor result{generic.getResult(0), sizes, x.meaning};
  return keep ? reshape(b, result, kept) : result;
}

Tensor contract(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &y, ArrayRef<DimPair> batch,
                ArrayRef<DimPair> contracted, Type element) {
  Sizes sizes;
  SmallVector<AffineExpr> ofX(x.rank()), ofY(y.rank()), ofResult;
  auto addLoop = [&](OpFoldResult size) {
    AffineExpr loop = b.getAffineDimExpr(sizes.size());
    sizes.push_back(size);
    ofResult.push_back(loop);
    return loop;
  };
  for (auto [i, j] : batch) {
    // A batch of one is used for all of the other's.
    bool stretchX = isConstantIntValue(x.sizes[i], 1), stretchY = isConstantIntValue(y.sizes[j], 1);
    AffineExpr loop = addLoop(stretchX ? y.sizes[j] : x.sizes[i]);
    ofX[i] = stretchX && !stretchY ? b.getAffineConstantExpr(0) : loop;
    ofY[j] = stretchY && !stretchX ? b.getAffineConstantExpr(0) : loop;
  }
  auto isContracted = [&](int64_t dim, bool second) {
    return llvm::any_of(contracted, [&](DimPair pair) { return (second ? pair.second : pair.first) == dim; });
  };
  for (int64_t i = 0; i < x.rank(); ++i)
    if (!ofX[i] && !isContracted(i, false))
      ofX[i] = addLoop(x.sizes[i]);
  for (int64_t j = 0; j < y.rank(); ++j)
    if (!ofY[j] && !isContracted(j, true))
      ofY[j] = addLoop(y.sizes[j]);
  unsigned loopCount = sizes.size();
  SmallVector<utils::IteratorType> loops(loopCount, utils::IteratorType::parallel);
  for (auto [i, j] : contracted) {
    ofX[i] = ofY[j] = b.getAffineDimExpr(loopCount++);
    loops.push_back(utils::IteratorType::reduction);
  }
  Type sumType = isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32 ? Type(b.getF32Type()) : element;
  Value init = zeros(b, sizes, sumType);
  AffineMap maps[] = {AffineMap::get(loopCount, 0, ofX, b.getContext()),
                      AffineMap::get(loopCount, 0, ofY, b.getContext()),
                      AffineMap::get(loopCount, 0, ofResult, b.getContext())};
  auto generic = linalg::GenericOp::create(b, init.getType(), ValueRange{x.value, y.value}, init, maps, loops,
                                           [&](OpBuilder &inner, Location loc, ValueRange v) {
                                             ImplicitLocOpBuilder at(loc, inner);
                                             Value product =
                                                 multiply(at, {convert(at, v[0], sumType), convert(at, v[1], sumType)});
                                             linalg::YieldOp::create(at, add(at, {v[2], product}));
                                           });
  return convert(b, {generic.getResult(0), sizes}, element);
}

} // namespace whit::semantics
