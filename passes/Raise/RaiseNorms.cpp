// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-raise-norms: x r w and (x - m) r w + b, with r = 1 / sqrt(mean of squares + epsilon).
//
// The frame is the result, its last dimension k the normalized one. Not handled: a norm over several dimensions or
// another one, an epsilon that is not constant or stands outside of the root.

#include "Raise/Match.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DEF_RAISENORMSPASS
#include "Raise/RaiseNorms.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

namespace {
struct Norm {
  Element x, weight, bias; ///< weight and bias null: 1 and 0
  double epsilon = 0;
  bool centered = false; ///< layer norm
};

class NormMatcher {
public:
  explicit NormMatcher(unsigned k) : k(k) {}
  std::optional<Norm> match(const Element &y);
  /// Without a bias; weights may be anything.
  std::optional<Norm> matchProduct(const Element &y);

  std::string why;           ///< what is wrong with the epsilon, if nothing else is
  Operation *root = nullptr; ///< whose reciprocal root was looked at last

private:
  bool isMean(const Element &m, const Element &x) {
    Element term = meanOf(m, k);
    return term && same(term, x);
  }
  bool isVariance(Element v, const Element &x);

  unsigned k; ///< the normalized dimension of the frame
};
} // namespace

/// Of x, where each is taken about its mean.
bool NormMatcher::isVariance(Element v, const Element &x) {
  if (auto clamped = operands<arith::MaximumFOp>(v))
    for (int i : {0, 1})
      if (constantOf((*clamped)[i]) == 0.0)
        v = (*clamped)[1 - i];
  if (Element term = meanOf(v, k)) {
    // Twice the same deviation, or the deviation computed again.
    Element deviation = squareOf(term);
    if (!deviation)
      return false;
    auto difference = operands<arith::SubFOp>(deviation);
    return difference && same((*difference)[0], x) && isMean((*difference)[1], x);
  }
  auto difference = operands<arith::SubFOp>(v);
  if (!difference)
    return false;
  Element squares = meanOf((*difference)[0], k), x2 = squares ? squareOf(squares) : Element();
  Element mean = squareOf((*difference)[1]);
  return x2 && mean && same(x2, x) && isMean(mean, x);
}

std::optional<Norm> NormMatcher::matchProduct(const Element &y) {
  Product all = productOf(y);
  Element inside = takeReciprocalRoot(all);
  if (!inside)
    return std::nullopt;
  root = makerOf(inside);
  Sum sum = sumOf(inside);
  Norm norm;
  norm.epsilon = sum.constant;
  if (norm.epsilon < 0 || norm.epsilon > 1) {
    if (sum.added.size() == 1 && meanOf(sum.added[0], k))
      why = llvm::formatv("its epsilon is {0}; a number from 0 to 1 is required", norm.epsilon);
    return std::nullopt;
  }
  if (sum.added.size() == 2 && sum.subtracted.empty())
    for (int i : {0, 1})
      if (Element squares = meanOf(sum.added[i], k); squares && squareOf(squares))
        why = "its epsilon is not a constant";
  Element moment = sum.added.size() == 1 && sum.subtracted.empty() ? sum.added[0] : Element();
  // layer: one factor is x - mean, and the root is of the variance of that x.
  for (const Element &factor : all.over) {
    auto difference = operands<arith::SubFOp>(factor);
    if (!difference)
      continue;
    Element x = (*difference)[0];
    if (!isMean((*difference)[1], x))
      continue;
    bool matches = moment && isVariance(moment, x);
    if (!matches && sum.added.size() == 1 && sum.subtracted.size() == 1) { // E[x^2] - mean^2 + epsilon is one sum
      Element squares = meanOf(sum.added[0], k), x2 = squares ? squareOf(squares) : Element();
      Element mean = squareOf(sum.subtracted[0]);
      matches = x2 && mean && same(x2, x) && isMean(mean, x);
    }
    if (!matches)
      continue;
    norm.x = x;
    norm.centered = true;
    all.removeOver(factor);
    break;
  }
  // rms: everything but the constant is the mean of x^2.
  if (Element squares = !norm.x && moment ? meanOf(moment, k) : Element())
    if (Element x = squareOf(squares)) {
      Product rest = productOf(y, x);
      takeReciprocalRoot(rest);
      if (rest.removeOver(x)) {
        norm.x = x;
        all = rest;
      }
    }
  if (!norm.x || all.coefficient != 1 || !all.under.empty() || all.over.size() > 1)
    return std::nullopt;
  if (!all.over.empty())
    norm.weight = all.over[0];
  return norm;
}

std::optional<Norm> NormMatcher::match(const Element &y) {
  auto isParameter = [](const Element &e) { return !e || isVector(e); };
  if (auto terms = operands<arith::AddFOp>(y))
    for (int i : {0, 1})
      if (isVector((*terms)[1 - i]))
        if (std::optional<Norm> norm = matchProduct((*terms)[i]); norm && norm->centered && isParameter(norm->weight)) {
          norm->bias = (*terms)[1 - i];
          return norm;
        }
  std::optional<Norm> norm = matchProduct(y);
  if (!norm || !isParameter(norm->weight))
    return std::nullopt;
  return norm;
}

/// Every product with the root is tried; what is missed is said of the first, which is the whole.
static Value raiseNorm(ImplicitLocOpBuilder &b, linalg::GenericOp op, SmallPtrSetImpl<Operation *> &missed,
                       std::string &why) {
  Value result = op.getResult(0);
  auto type = cast<RankedTensorType>(result.getType());
  int64_t rank = type.getRank();
  if (rank < 1 || type.isDynamicDim(rank - 1) || type.getDimSize(rank - 1) < 2 ||
      op.getNumParallelLoops() != op.getNumLoops())
    return {};
  NormMatcher matcher(rank - 1);
  std::optional<Norm> norm = matcher.match(elementOf(result));
  if (!norm) {
    why = matcher.why;
    for (int64_t dim = 0; dim + 1 < rank && why.empty(); ++dim)
      if (NormMatcher(dim).matchProduct(elementOf(result)))
        why = llvm::formatv("its mean is over dimension {0}; the last one, {1}, is required", dim, rank - 1);
    if (!why.empty() && !missed.insert(matcher.root).second)
      why.clear();
    return {};
  }
  if (!type.getElementType().isF32()) {
    if (missed.insert(matcher.root).second)
      why = llvm::formatv("its elements are {0}; f32 is required", type.getElementType());
    return {};
  }
  int64_t k = type.getDimSize(rank - 1);
  SmallVector<OpFoldResult> sizes = sizesOf(b, result);
  SmallVector<AffineExpr> indices = llvm::to_vector(b.getMultiDimIdentityMap(rank).getResults());
  Value x = arrange(b, norm->x, indices, sizes);
  if (!x) // in the middle of a body
    if (Element operand = asOperand(b, norm->x))
      x = arrange(b, operand, indices, sizes);
  auto parameter = [&](const Element &element, double absent) -> Value {
    if (element)
      return vectorOf(b, element, rank, k);
    auto vector = RankedTensorType::get({k}, b.getF32Type());
    return arith::ConstantOp::create(b, SplatElementsAttr::get(vector, b.getF32FloatAttr(absent)));
  };
  Value weight = parameter(norm->weight, 1);
  if (!x || !weight || !getElementTypeOrSelf(x.getType()).isF32()) {
    why = !x        ? "what it normalizes is no tensor of its shape"
          : !weight ? "its weight is no vector"
                    : "what it normalizes is not f32";
    return {};
  }
  FloatAttr epsilon = b.getF32FloatAttr(norm->epsilon);
  Value init = tensor::EmptyOp::create(b, sizes, b.getF32Type());
  if (!norm->centered)
    return RmsNormOp::create(b, type, x, weight, init, epsilon).getResult(0);
  Value bias = parameter(norm->bias, 0);
  if (!bias)
    return {};
  return LayerNormOp::create(b, type, x, weight, bias, init, epsilon).getResult(0);
}

namespace {
struct RaiseNormsPass : mlir::whit::impl::RaiseNormsPassBase<RaiseNormsPass> {
  void runOnOperation() override {
    SmallPtrSet<Operation *, 4> missed;
    raiseEach(
        getOperation(), getArgument(), "norm",
        [&](ImplicitLocOpBuilder &b, linalg::GenericOp op, std::string &why) { return raiseNorm(b, op, missed, why); });
  }
};
} // namespace
