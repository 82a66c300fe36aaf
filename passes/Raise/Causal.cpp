// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// t <= row + offset is found by moving everything to one side: the difference of the two sides of a comparison is a
// linear function of the frame, plus what does not depend on it. Integers are taken not to overflow: they are
// positions.

#include "Raise/Causal.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

namespace {
struct Linear {
  SmallVector<int64_t> factors; ///< of the dimensions of the frame
  Offset rest;
};
} // namespace

static bool isInvariant(const Element &element) {
  return llvm::none_of(llvm::seq(0u, element.at.getNumDims()), [&](unsigned dim) { return dependsOn(element, dim); });
}

/// Adds `element` times `sign`; false if it is not linear.
static bool addTo(Linear &sum, const Element &element, int64_t sign, unsigned depth = 12) {
  if (depth == 0)
    return false;
  if (std::optional<double> value = constantOf(element)) {
    sum.rest.constant += sign * int64_t(*value);
    return true;
  }
  Element inner = resolve(element);
  if (!inner.isTensor())
    if (auto index = inner.value.getDefiningOp<linalg::IndexOp>()) {
      AffineExpr expr = inner.at.getResult(index.getDim());
      if (auto constant = dyn_cast<AffineConstantExpr>(expr))
        sum.rest.constant += sign * constant.getValue();
      else if (auto dim = dyn_cast<AffineDimExpr>(expr))
        sum.factors[dim.getPosition()] += sign;
      else
        return false;
      return true;
    }
  for (auto same :
       {operands<arith::IndexCastOp>(element), operands<arith::ExtSIOp>(element), operands<arith::TruncIOp>(element)})
    if (same)
      return addTo(sum, (*same)[0], sign, depth - 1);
  if (auto terms = operands<arith::AddIOp>(element); terms && inner.isInBody())
    return addTo(sum, (*terms)[0], sign, depth - 1) && addTo(sum, (*terms)[1], sign, depth - 1);
  if (auto terms = operands<arith::SubIOp>(element); terms && inner.isInBody())
    return addTo(sum, (*terms)[0], sign, depth - 1) && addTo(sum, (*terms)[1], -sign, depth - 1);
  if (!isInvariant(element))
    return false;
  // Computed in a body: some tensor has it.
  if (inner.isInBody()) {
    SmallVector<Element> forms = formsOf(element);
    auto *found = llvm::find_if(forms, [](const Element &form) {
      return llvm::all_of(form.at.getResults(), llvm::IsaPred<AffineConstantExpr>);
    });
    if (found == forms.end())
      return false;
    inner = *found;
  }
  (sign > 0 ? sum.rest.added : sum.rest.subtracted).push_back(inner);
  return true;
}

std::optional<Offset> raise::causalOffset(const Element &condition, int64_t row, unsigned t) {
  auto sides = operands<arith::CmpIOp>(condition);
  if (!sides)
    return std::nullopt;
  using P = arith::CmpIPredicate;
  P predicate = cast<arith::CmpIOp>(makerOf(condition)).getPredicate();
  bool less = predicate == P::sle || predicate == P::slt, greater = predicate == P::sge || predicate == P::sgt;
  if (!less && !greater)
    return std::nullopt;
  Linear difference;
  difference.factors.resize(condition.at.getNumDims());
  if (!addTo(difference, (*sides)[less ? 1 : 0], 1) || !addTo(difference, (*sides)[less ? 0 : 1], -1))
    return std::nullopt;
  if (predicate == P::slt || predicate == P::sgt)
    --difference.rest.constant;
  for (auto [dim, factor] : llvm::enumerate(difference.factors))
    if (factor != (dim == t ? -1 : int64_t(dim) == row ? 1 : 0))
      return std::nullopt;
  return difference.rest;
}

SmallVector<Element> raise::conjunctsOf(const Element &condition, unsigned depth) {
  auto both = depth ? operands<arith::AndIOp>(condition) : std::nullopt;
  if (!both)
    return {condition};
  SmallVector<Element> all = conjunctsOf((*both)[0], depth - 1);
  all.append(conjunctsOf((*both)[1], depth - 1));
  return all;
}

/// A scalar that does not depend on the frame; null for what is computed in a body.
static Value scalarOf(ImplicitLocOpBuilder &b, const Element &element) {
  Value value = element.value;
  if (element.isTensor()) {
    SmallVector<Value> zeros;
    for (AffineExpr expr : element.at.getResults()) {
      auto constant = dyn_cast<AffineConstantExpr>(expr);
      if (!constant)
        return {};
      zeros.push_back(arith::ConstantIndexOp::create(b, constant.getValue()));
    }
    value = tensor::ExtractOp::create(b, value, zeros);
  } else if (element.isInBody()) {
    return {};
  }
  Type i32 = b.getI32Type(), type = value.getType();
  if (type == i32)
    return value;
  if (type.isIndex())
    return arith::IndexCastOp::create(b, i32, value);
  if (!type.isInteger())
    return {};
  return type.getIntOrFloatBitWidth() < 32 ? Value(arith::ExtSIOp::create(b, i32, value))
                                           : Value(arith::TruncIOp::create(b, i32, value));
}

Value raise::valueOf(ImplicitLocOpBuilder &b, const Offset &offset) {
  Value sum = arith::ConstantOp::create(b, b.getI32IntegerAttr(offset.constant));
  for (const Element &element : offset.added) {
    Value value = scalarOf(b, element);
    if (!value)
      return {};
    sum = arith::AddIOp::create(b, sum, value);
  }
  for (const Element &element : offset.subtracted) {
    Value value = scalarOf(b, element);
    if (!value)
      return {};
    sum = arith::SubIOp::create(b, sum, value);
  }
  return sum;
}
