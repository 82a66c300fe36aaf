// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements: looking through what moves them, comparing them, and taking formulas apart. What cannot be looked through
// (a size that is not known, an output that the body reads) ends the search: a pattern then finds less, never something
// wrong.

#include "Raise/Match.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

#include <cmath>

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

// ---------------------------------------------------------------------------------------------------- elements

static int64_t sizeOf(Value tensor, unsigned dim) { return cast<RankedTensorType>(tensor.getType()).getDimSize(dim); }

Element raise::elementAt(Value tensor, AffineMap at) {
  SmallVector<AffineExpr> exprs = llvm::to_vector(at.getResults());
  for (auto [i, expr] : llvm::enumerate(exprs)) {
    if (sizeOf(tensor, i) == 1)
      expr = getAffineConstantExpr(0, at.getContext());
    expr = simplifyAffineExpr(expr, at.getNumDims(), 0);
  }
  return {tensor, AffineMap::get(at.getNumDims(), 0, exprs, at.getContext())};
}

Element raise::elementOf(Value tensor) {
  int64_t rank = cast<RankedTensorType>(tensor.getType()).getRank();
  return elementAt(tensor, AffineMap::getMultiDimIdentityMap(rank, tensor.getContext()));
}

bool Element::isInBody() const {
  Block *block = Value(value).getParentBlock();
  return !isTensor() && isa_and_present<linalg::GenericOp>(block->getParentOp());
}

/// A scalar that is seen from the loops of its body; the indices of other scalars do not matter.
static Element scalarAt(Value scalar, AffineMap at) {
  if (!Element{scalar, at}.isInBody())
    at = AffineMap::get(at.getNumDims(), 0, {}, at.getContext());
  return {scalar, simplifyAffineMap(at)};
}

Element raise::shift(const Element &element, unsigned dim, int64_t by) {
  AffineExpr index = getAffineDimExpr(dim, element.at.getContext());
  return {element.value, simplifyAffineMap(element.at.replace(index, index + by, element.at.getNumDims(), 0))};
}

SmallVector<Element> raise::operandsOf(Operation *op, AffineMap at) {
  return llvm::map_to_vector(op->getOperands(), [&](Value operand) { return scalarAt(operand, at); });
}

static bool isElementwise(linalg::GenericOp op) {
  return op && op.hasPureTensorSemantics() && op.getNumParallelLoops() == op.getNumLoops() &&
         llvm::all_of(op.getDpsInitsMutable(),
                      [&](OpOperand &init) { return op.getMatchingIndexingMap(&init).isPermutation(); });
}

/// Indices in the source of a reshape, group by group; null if sizes are not known that would be needed.
static AffineMap throughExpand(tensor::ExpandShapeOp op, AffineMap at) {
  SmallVector<AffineExpr> exprs;
  for (const ReassociationIndices &group : op.getReassociationIndices()) {
    AffineExpr index = getAffineConstantExpr(0, at.getContext());
    int64_t stride = 1; // of the dimension that comes next, from the last
    for (int64_t i : llvm::reverse(group)) {
      AffineExpr expr = at.getResult(i);
      if (expr != getAffineConstantExpr(0, at.getContext())) {
        if (ShapedType::isDynamic(stride))
          return {};
        index = expr * stride + index;
      }
      int64_t size = op.getResultType().getDimSize(i);
      stride = ShapedType::isDynamic(size) || ShapedType::isDynamic(stride) ? ShapedType::kDynamic : stride * size;
    }
    exprs.push_back(index);
  }
  return AffineMap::get(at.getNumDims(), 0, exprs, at.getContext());
}

static AffineMap throughCollapse(tensor::CollapseShapeOp op, AffineMap at) {
  SmallVector<AffineExpr> exprs(op.getSrcType().getRank(), getAffineConstantExpr(0, at.getContext()));
  for (auto [to, group] : llvm::enumerate(op.getReassociationIndices())) {
    AffineExpr rest = at.getResult(to);
    SmallVector<int64_t> larger;
    for (int64_t i : group)
      if (op.getSrcType().getDimSize(i) != 1)
        larger.push_back(i);
    for (int64_t i : llvm::reverse(larger)) {
      int64_t size = op.getSrcType().getDimSize(i);
      if (i == larger.front()) {
        exprs[i] = rest;
        break;
      }
      if (ShapedType::isDynamic(size))
        return {};
      exprs[i] = rest % size;
      rest = rest.floorDiv(size);
    }
  }
  return AffineMap::get(at.getNumDims(), 0, exprs, at.getContext());
}

static AffineMap throughSlice(tensor::ExtractSliceOp op, AffineMap at) {
  llvm::SmallBitVector dropped = op.getDroppedDims();
  SmallVector<AffineExpr> exprs;
  unsigned next = 0;
  for (int64_t i = 0, rank = op.getSourceType().getRank(); i < rank; ++i) {
    if (op.isDynamicOffset(i) || op.isDynamicStride(i) || op.getStaticStride(i) != 1)
      return {};
    AffineExpr index = dropped[i] ? getAffineConstantExpr(0, at.getContext()) : at.getResult(next++);
    exprs.push_back(index + op.getStaticOffset(i));
  }
  return AffineMap::get(at.getNumDims(), 0, exprs, at.getContext());
}

/// One operation inward; null if there is nothing to look through.
static Element stepTensor(const Element &element) {
  auto result = dyn_cast<OpResult>(element.value);
  if (!result)
    return {};
  AffineMap at = element.at;
  if (at.getNumResults() != unsigned(cast<RankedTensorType>(result.getType()).getRank()))
    return {}; // a whole tensor, as the operand of an operation in a body
  Operation *op = result.getOwner();
  if (auto generic = dyn_cast<linalg::GenericOp>(op); isElementwise(generic)) {
    AffineMap out = generic.getMatchingIndexingMap(generic.getDpsInitOperand(result.getResultNumber()));
    Value scalar = generic.getBody()->getTerminator()->getOperand(result.getResultNumber());
    return scalarAt(scalar, inversePermutation(out).compose(at));
  }
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op)) {
    SmallVector<AffineExpr> exprs(at.getNumResults());
    for (auto [to, from] : llvm::enumerate(transpose.getPermutation()))
      exprs[from] = at.getResult(to);
    return elementAt(transpose.getInput(), AffineMap::get(at.getNumDims(), 0, exprs, at.getContext()));
  }
  if (auto broadcast = dyn_cast<linalg::BroadcastOp>(op)) {
    SmallVector<AffineExpr> exprs;
    for (auto [i, expr] : llvm::enumerate(at.getResults()))
      if (!llvm::is_contained(broadcast.getDimensions(), int64_t(i)))
        exprs.push_back(expr);
    return elementAt(broadcast.getInput(), AffineMap::get(at.getNumDims(), 0, exprs, at.getContext()));
  }
  if (auto fill = dyn_cast<linalg::FillOp>(op))
    return scalarAt(fill.getInputs()[0], at);
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return isa<RankedTensorType>(cast.getSource().getType()) ? elementAt(cast.getSource(), at) : Element();
  AffineMap inner;
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    inner = throughExpand(expand, at);
  else if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    inner = throughCollapse(collapse, at);
  else if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    inner = throughSlice(slice, at);
  return inner ? elementAt(op->getOperand(0), inner) : Element();
}

static bool isLowest(const Element &element) {
  std::optional<double> value = constantOf(element);
  return value && std::isinf(*value) && *value < 0;
}

static Element stepScalar(const Element &element) {
  if (auto argument = dyn_cast<BlockArgument>(element.value)) {
    auto generic = dyn_cast<linalg::GenericOp>(argument.getOwner()->getParentOp());
    if (!generic || argument.getArgNumber() >= generic.getNumDpsInputs())
      return {};
    OpOperand *operand = generic.getDpsInputOperand(argument.getArgNumber());
    if (!isa<RankedTensorType>(operand->get().getType()))
      return scalarAt(operand->get(), element.at);
    return elementAt(operand->get(), generic.getMatchingIndexingMap(operand).compose(element.at));
  }
  // max(-inf, x), with which JAX guards the maximum of nothing.
  if (auto maximum = element.value.getDefiningOp<arith::MaximumFOp>()) {
    SmallVector<Element> of = operandsOf(maximum, element.at);
    for (int i : {0, 1})
      if (isLowest(of[i]))
        return of[1 - i];
  }
  return {};
}

static Element step(const Element &element) { return element.isTensor() ? stepTensor(element) : stepScalar(element); }

Element raise::resolve(Element element) {
  while (element)
    if (Element inner = step(element))
      element = inner;
    else
      return element;
  return element;
}

SmallVector<Element> raise::formsOf(Element element) {
  SmallVector<Element> forms;
  for (; element; element = step(element)) {
    if (element.isTensor()) {
      forms.push_back(element);
      continue;
    }
    // A scalar that a body yields has a tensor around it.
    for (OpOperand &use : element.value.getUses())
      if (auto generic = dyn_cast<linalg::GenericOp>(use.getOwner()->getParentOp());
          generic && isa<linalg::YieldOp>(use.getOwner()) && isElementwise(generic)) {
        AffineMap out = generic.getMatchingIndexingMap(generic.getDpsInitOperand(use.getOperandNumber()));
        Element around = elementAt(generic.getResult(use.getOperandNumber()), out.compose(element.at));
        if (forms.empty() || forms.back().value != around.value)
          forms.push_back(around);
      }
  }
  return forms;
}

Operation *raise::makerOf(const Element &element) { return resolve(element).value.getDefiningOp(); }

std::optional<double> raise::constantOf(const Element &element) {
  Element constant = resolve(element);
  Attribute value;
  if (!constant || !matchPattern(constant.value, m_Constant(&value)))
    return std::nullopt;
  if (auto elements = dyn_cast<DenseElementsAttr>(value)) {
    if (!elements.isSplat())
      return std::nullopt;
    value = elements.getSplatValue<Attribute>();
  }
  if (auto number = dyn_cast<FloatAttr>(value))
    return number.getValueAsDouble();
  if (auto number = dyn_cast<IntegerAttr>(value))
    return double(number.getValue().getSExtValue());
  return std::nullopt;
}

static bool sameFrom(const Element &a, const Element &b, unsigned depth) {
  Element x = resolve(a), y = resolve(b);
  if (!x || !y)
    return false;
  if (x.value == y.value)
    return x.at == y.at;
  std::optional<double> left = constantOf(x), right = constantOf(y);
  if (left || right)
    return left == right;
  Operation *p = x.value.getDefiningOp(), *q = y.value.getDefiningOp();
  // Outside of bodies, duplicates were merged before.
  if (depth == 0 || x.isTensor() || y.isTensor() || !p || !q || p->getName() != q->getName() ||
      p->getAttrDictionary() != q->getAttrDictionary() || p->getNumRegions() || p->getNumOperands() == 0 ||
      p->getResultTypes() != q->getResultTypes() || !isPure(p))
    return false;
  return llvm::all_of(llvm::zip_equal(operandsOf(p, x.at), operandsOf(q, y.at)),
                      [&](const auto &pair) { return sameFrom(std::get<0>(pair), std::get<1>(pair), depth - 1); });
}

bool raise::same(const Element &a, const Element &b) { return sameFrom(a, b, 24); }

bool raise::isVector(const Element &element) {
  Element inner = resolve(element);
  if (!inner || (!inner.isTensor() && inner.at.getNumResults() == 0))
    return bool(inner);
  unsigned last = element.at.getNumDims() - 1;
  // A form further out may depend on fewer indices than the loops of a body do, never on more.
  return llvm::any_of(formsOf(element), [&](const Element &form) {
    return llvm::none_of(llvm::seq(0u, last), [&](unsigned dim) { return form.at.isFunctionOfDim(dim); });
  });
}

// ---------------------------------------------------------------------------------------------------- formulas

bool raise::close(double found, double wanted) { return std::fabs(found - wanted) <= 4e-7 * std::fabs(wanted); }

/// Formulas have a few factors or terms. What has more is no formula, and may have been written to be taken apart
/// forever: n squarings have 2^n factors.
static constexpr unsigned kFactors = 48;

static void multiply(Product &product, const Element &element, bool inverse, ArrayRef<Element> atoms, unsigned depth) {
  if (std::optional<double> value = constantOf(element)) {
    product.coefficient *= inverse ? 1 / *value : *value;
    return;
  }
  bool isAtom = depth == 0 || product.over.size() + product.under.size() > kFactors ||
                llvm::any_of(atoms, [&](const Element &atom) { return same(element, atom); });
  if (!isAtom) {
    if (auto factors = operands<arith::MulFOp>(element)) {
      for (const Element &factor : *factors)
        multiply(product, factor, inverse, atoms, depth - 1);
      return;
    }
    if (auto quotient = operands<arith::DivFOp>(element)) {
      multiply(product, (*quotient)[0], inverse, atoms, depth - 1);
      return multiply(product, (*quotient)[1], !inverse, atoms, depth - 1);
    }
    if (auto negated = operands<arith::NegFOp>(element)) {
      product.coefficient = -product.coefficient;
      return multiply(product, (*negated)[0], inverse, atoms, depth - 1);
    }
  }
  (inverse ? product.under : product.over).push_back(element);
}

Product raise::productOf(const Element &element, ArrayRef<Element> atoms) {
  Product product;
  multiply(product, element, /*inverse=*/false, atoms, kFactors);
  return product;
}

bool Product::removeOver(const Element &element) {
  auto *found = llvm::find_if(over, [&](const Element &factor) { return same(factor, element); });
  if (found == over.end())
    return false;
  over.erase(found);
  return true;
}

static void addTo(Sum &sum, const Element &element, bool negative, unsigned depth) {
  bool whole = depth == 0 || sum.added.size() + sum.subtracted.size() > kFactors;
  if (std::optional<double> value = constantOf(element)) {
    sum.constant += negative ? -*value : *value;
  } else if (auto terms = whole ? std::nullopt : operands<arith::AddFOp>(element)) {
    for (const Element &term : *terms)
      addTo(sum, term, negative, depth - 1);
  } else if (auto difference = whole ? std::nullopt : operands<arith::SubFOp>(element)) {
    addTo(sum, (*difference)[0], negative, depth - 1);
    addTo(sum, (*difference)[1], !negative, depth - 1);
  } else {
    (negative ? sum.subtracted : sum.added).push_back(element);
  }
}

Sum raise::sumOf(const Element &element) {
  Sum sum;
  addTo(sum, element, /*negative=*/false, kFactors);
  return sum;
}

// ---------------------------------------------------------------------------------------------------- reductions

/// The loops of `op` from the frame of its result: parallel ones by the indices of the result, the reduced one is
/// `loop`.
static AffineMap loopsOf(linalg::GenericOp op, const Element &result, unsigned loop) {
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  SmallVector<AffineExpr> loops(op.getNumLoops());
  for (auto [expr, index] : llvm::zip_equal(out.getResults(), result.at.getResults()))
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      loops[dim.getPosition()] = index;
    else if (!isa<AffineConstantExpr>(expr))
      return {};
  for (auto [i, kind] : llvm::enumerate(op.getIteratorTypesArray())) {
    bool reduced = kind == utils::IteratorType::reduction;
    if (reduced == bool(loops[i]))
      return {};
    if (reduced)
      loops[i] = getAffineDimExpr(loop, op.getContext());
  }
  return AffineMap::get(result.at.getNumDims(), 0, loops, op.getContext());
}

std::optional<Reduction> raise::reductionOf(const Element &element, unsigned loop) {
  Element result = resolve(element);
  auto op = result ? result.value.getDefiningOp<linalg::GenericOp>() : linalg::GenericOp();
  if (!op || op.getNumReductionLoops() != 1 || op.getNumDpsInits() != 1 || !op.hasPureTensorSemantics() ||
      result.at.isFunctionOfDim(loop))
    return std::nullopt;
  Operation *combiner = op.getBody()->getTerminator()->getOperand(0).getDefiningOp();
  if (!isa_and_present<arith::AddFOp, arith::MaximumFOp, arith::MaxNumFOp>(combiner))
    return std::nullopt;
  Fold fold = isa<arith::AddFOp>(combiner) ? Fold::Sum : Fold::Maximum;
  std::optional<double> init = constantOf(elementOf(op.getDpsInits()[0]));
  if (!init || (fold == Fold::Sum ? *init != 0 : *init > -3.4e38))
    return std::nullopt;
  BlockArgument sofar = op.getMatchingBlockArgument(op.getDpsInitOperand(0));
  if (!sofar.hasOneUse() || *sofar.user_begin() != combiner)
    return std::nullopt;
  AffineMap loops = loopsOf(op, result, loop);
  if (!loops)
    return std::nullopt;
  Value term = combiner->getOperand(combiner->getOperand(0) == sofar ? 1 : 0);
  int64_t count = ShapedType::kDynamic;
  for (auto [kind, size] : llvm::zip_equal(op.getIteratorTypesArray(), op.getStaticLoopRanges()))
    if (kind == utils::IteratorType::reduction)
      count = size;
  // The one iteration of a loop of size 1 is at index 0 in every tensor; in the body it must be so as well.
  if (count == 1)
    loops = loops.replace(getAffineDimExpr(loop, op.getContext()), getAffineConstantExpr(0, op.getContext()),
                          loops.getNumDims(), 0);
  return Reduction{fold, scalarAt(term, loops), count};
}

Element raise::meanOf(const Element &element, unsigned loop) {
  Product product = productOf(element);
  Element sum = product.single();
  std::optional<Reduction> reduction = sum ? reductionOf(sum, loop) : std::nullopt;
  if (!reduction || reduction->fold != Fold::Sum || ShapedType::isDynamic(reduction->count) ||
      !close(product.coefficient * double(reduction->count), 1))
    return {};
  return reduction->term;
}

Element raise::squareOf(const Element &element) {
  if (auto factors = operands<arith::MulFOp>(element))
    return same((*factors)[0], (*factors)[1]) ? (*factors)[0] : Element();
  if (auto power = operands<math::PowFOp>(element))
    return constantOf((*power)[1]) == 2.0 ? (*power)[0] : Element();
  if (auto power = operands<math::FPowIOp>(element))
    return constantOf((*power)[1]) == 2.0 ? (*power)[0] : Element();
  return {};
}

Element raise::takeReciprocalRoot(Product &product) {
  for (bool under : {false, true}) {
    SmallVector<Element> &factors = under ? product.under : product.over;
    for (auto [i, factor] : llvm::enumerate(factors)) {
      Element x;
      if (auto root = under ? operands<math::SqrtOp>(factor) : operands<math::RsqrtOp>(factor))
        x = (*root)[0];
      else if (auto power = operands<math::PowFOp>(factor); power && constantOf((*power)[1]) == (under ? 0.5 : -0.5))
        x = (*power)[0];
      if (!x)
        continue;
      factors.erase(factors.begin() + i);
      return x;
    }
  }
  return {};
}
