// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The scores of a softmax: those of whit.softmax, or of exp(x - max x) / sum of exp(x - max x).

#include "Raise/Softmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

/// x, if `element` is x with 0 in place of NaN.
static Element withoutGuard(const Element &element) {
  auto chosen = operands<arith::SelectOp>(element);
  if (!chosen)
    return element;
  auto isNaN = operands<math::IsNaNOp>((*chosen)[0]);
  Element tested = isNaN ? (*isNaN)[0] : Element();
  if (auto compared = operands<arith::CmpFOp>((*chosen)[0]);
      compared && same((*compared)[0], (*compared)[1]) &&
      cast<arith::CmpFOp>(makerOf((*chosen)[0])).getPredicate() == arith::CmpFPredicate::UNO)
    tested = (*compared)[0];
  bool guards = tested && constantOf((*chosen)[1]) == 0.0 && same((*chosen)[2], tested);
  return guards ? (*chosen)[2] : element;
}

std::optional<Softmax> raise::softmaxOf(const Element &element, unsigned loop, std::string *why) {
  Softmax softmax;
  Element inner = resolve(withoutGuard(element));
  softmax.guarded = inner && resolve(element).value != inner.value;
  if (!inner)
    return std::nullopt;
  if (auto op = inner.value.getDefiningOp<SoftmaxOp>()) {
    if (inner.at.getResults().back() != getAffineDimExpr(loop, inner.at.getContext()))
      return std::nullopt;
    softmax.scores = elementAt(op.getX(), inner.at);
    return softmax;
  }
  Product product = productOf(inner);
  if (product.coefficient != 1 || product.over.size() != 1 || product.under.size() != 1)
    return std::nullopt;
  std::optional<Reduction> sum = reductionOf(product.under[0], loop);
  if (!sum || sum->fold != Fold::Sum || !same(sum->term, product.over[0]))
    return std::nullopt;
  auto power = operands<math::ExpOp>(product.over[0]);
  if (!power)
    return std::nullopt;
  auto difference = operands<arith::SubFOp>((*power)[0]);
  std::optional<Reduction> maximum = difference ? reductionOf((*difference)[1], loop) : std::nullopt;
  if (!maximum || maximum->fold != Fold::Maximum || !same(maximum->term, (*difference)[0])) {
    if (why)
      *why = "what is subtracted from its scores is not their maximum over the same dimension";
    return std::nullopt;
  }
  softmax.scores = (*difference)[0];
  return softmax;
}
