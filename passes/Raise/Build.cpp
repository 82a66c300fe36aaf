// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What raising passes build: the operands of the new operation out of elements, in the layout that it wants, and the
// walk that replaces and cleans up.

#include "Raise/Match.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

static AffineExpr zero(MLIRContext *context) { return getAffineConstantExpr(0, context); }

SmallVector<OpFoldResult> raise::sizesOf(OpBuilder &b, Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<OpFoldResult> sizes;
  if (type.hasStaticShape()) {
    for (int64_t size : type.getShape())
      sizes.push_back(b.getIndexAttr(size));
    return sizes;
  }
  Operation *op = tensor.getDefiningOp();
  if (auto empty = dyn_cast_or_null<tensor::EmptyOp>(op))
    sizes = empty.getMixedSizes();
  else if (auto expand = dyn_cast_or_null<tensor::ExpandShapeOp>(op))
    sizes = expand.getMixedOutputShape();
  else if (auto dps = dyn_cast_or_null<DestinationStyleOpInterface>(op))
    sizes = sizesOf(b, dps.getTiedOpOperand(cast<OpResult>(tensor))->get());
  else if (auto collapse = dyn_cast_or_null<tensor::CollapseShapeOp>(op)) {
    SmallVector<OpFoldResult> source = sizesOf(b, collapse.getSrc());
    for (const ReassociationIndices &group : collapse.getReassociationIndices()) {
      OpFoldResult product = b.getIndexAttr(1);
      for (int64_t i : group)
        product = affine::makeComposedFoldedAffineApply(
            b, tensor.getLoc(), b.getAffineSymbolExpr(0) * b.getAffineSymbolExpr(1), {product, source[i]});
      sizes.push_back(product);
    }
  } else if (auto cast = dyn_cast_or_null<tensor::CastOp>(op);
             cast && isa<RankedTensorType>(cast.getSource().getType()))
    sizes = sizesOf(b, cast.getSource());
  else
    return tensor::getMixedSizes(b, tensor.getLoc(), tensor);
  for (auto [i, size] : llvm::enumerate(type.getShape()))
    if (!ShapedType::isDynamic(size))
      sizes[i] = b.getIndexAttr(size);
  return sizes;
}

Value raise::emptyLike(ImplicitLocOpBuilder &b, Value tensor) {
  return tensor::EmptyOp::create(b, sizesOf(b, tensor), cast<RankedTensorType>(tensor.getType()).getElementType());
}

/// The generic of a scalar once more, with the scalar as its only result.
static Element yieldAlone(OpBuilder &b, Element element) {
  auto generic = dyn_cast_or_null<linalg::GenericOp>(element.value.getParentRegion()->getParentOp());
  if (!generic || generic.getNumParallelLoops() != generic.getNumLoops() || generic.getNumDpsInits() != 1 ||
      !generic.getMatchingIndexingMap(generic.getDpsInitOperand(0)).isIdentity() ||
      generic.payloadUsesValueFromOperand(generic.getDpsInitOperand(0)))
    return {};
  ImplicitLocOpBuilder at(generic.getLoc(), b);
  Value init = tensor::EmptyOp::create(at, sizesOf(b, generic.getResult(0)), element.value.getType());
  IRMapping mapping;
  mapping.map(generic.getDpsInits()[0], init);
  auto alone = linalg::GenericOp::create(at, init.getType(), generic.getInputs(), init, generic.getIndexingMapsArray(),
                                         generic.getIteratorTypesArray(),
                                         [&](OpBuilder &inner, Location loc, ValueRange arguments) {
                                           mapping.map(generic.getBody()->getArguments(), arguments);
                                           for (Operation &op : generic.getBody()->without_terminator())
                                             inner.clone(op, mapping);
                                           linalg::YieldOp::create(inner, loc, mapping.lookup(element.value));
                                         });
  return elementAt(alone.getResult(0), element.at);
}

Element raise::asOperand(OpBuilder &b, const Element &element) {
  for (const Element &form : formsOf(element))
    if (form.at.isProjectedPermutation(/*allowZeroInResults=*/true))
      return form;
  return element.isTensor() ? Element() : yieldAlone(b, element);
}

/// Reassociation from the rank of `present` to the number of true entries, each group with one.
static SmallVector<ReassociationIndices> groupsOf(ArrayRef<bool> present) {
  SmallVector<ReassociationIndices> groups;
  ReassociationIndices pending;
  bool open = false;
  for (auto [i, keep] : llvm::enumerate(present)) {
    if (keep && open) {
      groups.push_back(pending);
      pending.clear();
    }
    open |= keep;
    pending.push_back(i);
  }
  groups.push_back(pending);
  return groups;
}

static Value dropOnes(ImplicitLocOpBuilder &b, const Element &form) {
  SmallVector<bool> present =
      llvm::map_to_vector(form.at.getResults(), [](AffineExpr e) { return !isa<AffineConstantExpr>(e); });
  if (llvm::all_of(present, [](bool p) { return p; }))
    return form.value;
  return tensor::CollapseShapeOp::create(b, form.value, groupsOf(present));
}

/// Whether the constant indices of a form are those of dimensions that have one element.
static bool isWhole(const Element &form) {
  return llvm::all_of(llvm::enumerate(form.at.getResults()), [&](auto entry) {
    return !isa<AffineConstantExpr>(entry.value()) ||
           cast<RankedTensorType>(form.value.getType()).getDimSize(entry.index()) == 1;
  });
}

Value raise::arrange(ImplicitLocOpBuilder &b, const Element &element, ArrayRef<AffineExpr> indices,
                     ArrayRef<OpFoldResult> sizes, bool mayMove) {
  SmallVector<AffineExpr> wanted(indices), present;
  for (auto [expr, size] : llvm::zip_equal(wanted, sizes)) {
    if (isConstantIntValue(size, 1))
      expr = zero(b.getContext());
    if (!isa<AffineConstantExpr>(expr))
      present.push_back(expr);
  }
  SmallVector<Element> forms = formsOf(element);
  for (const Element &form : forms)
    if (isWhole(form) && form.at.getResults() == ArrayRef(wanted))
      return form.value;
  for (const Element &form : forms) {
    SmallVector<AffineExpr> has;
    for (AffineExpr expr : form.at.getResults())
      if (!isa<AffineConstantExpr>(expr))
        has.push_back(expr);
    if (present.empty() || !isWhole(form) || has.size() != present.size())
      continue;
    SmallVector<int64_t> permutation;
    for (AffineExpr expr : present)
      if (auto *found = llvm::find(has, expr); found != has.end())
        permutation.push_back(found - has.begin());
    if (permutation.size() != present.size() || !isPermutationVector(permutation) ||
        (!mayMove && !llvm::is_sorted(permutation)))
      continue;
    Value value = dropOnes(b, form);
    if (!llvm::is_sorted(permutation)) {
      SmallVector<OpFoldResult> from = sizesOf(b, value), to;
      for (int64_t i : permutation)
        to.push_back(from[i]);
      Value init = tensor::EmptyOp::create(b, to, getElementTypeOrSelf(value.getType()));
      value = linalg::TransposeOp::create(b, value, init, permutation)->getResult(0);
    }
    if (present.size() == wanted.size())
      return value;
    SmallVector<int64_t> shape;
    SmallVector<bool> kept;
    for (auto [expr, size] : llvm::zip_equal(wanted, sizes)) {
      shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
      kept.push_back(!isa<AffineConstantExpr>(expr));
    }
    auto type = RankedTensorType::get(shape, getElementTypeOrSelf(value.getType()));
    return tensor::ExpandShapeOp::create(b, type, value, groupsOf(kept), sizes);
  }
  return {};
}

Value raise::vectorOf(ImplicitLocOpBuilder &b, const Element &element, unsigned rank, int64_t k) {
  auto type = RankedTensorType::get({k}, b.getF32Type());
  if (std::optional<double> value = constantOf(element))
    return arith::ConstantOp::create(b, SplatElementsAttr::get(type, b.getF32FloatAttr(*value)));
  return arrange(b, element, {b.getAffineDimExpr(rank - 1)}, {b.getIndexAttr(k)});
}

/// Erases `op` and what only it used. The number of operations that computed something.
static unsigned eraseUnused(Operation *op, llvm::DenseSet<Operation *> &erased) {
  SmallVector<Operation *> work{op};
  unsigned count = 0;
  while (!work.empty()) {
    Operation *next = work.pop_back_val();
    if (erased.contains(next) || !isOpTriviallyDead(next))
      continue;
    for (Value operand : next->getOperands())
      if (Operation *producer = operand.getDefiningOp())
        work.push_back(producer);
    count += isa<linalg::LinalgOp, RowwiseOpInterface, tensor::ConcatOp>(next) && !isa<linalg::FillOp>(next);
    erased.insert(next);
    next->erase();
  }
  return count;
}

void raise::raiseEach(func::FuncOp func, StringRef pass, StringRef what,
                      function_ref<Value(ImplicitLocOpBuilder &, linalg::GenericOp, std::string &why)> raise) {
  SmallVector<linalg::GenericOp> ops;
  func.walk([&](linalg::GenericOp op) {
    if (op.hasPureTensorSemantics() && op->getNumResults() == 1)
      ops.push_back(op);
  });
  llvm::DenseSet<Operation *> erased;
  for (linalg::GenericOp op : llvm::reverse(ops)) {
    if (erased.contains(op.getOperation()))
      continue;
    ImplicitLocOpBuilder b(op.getLoc(), op);
    std::string why;
    Value value = raise(b, op, why);
    if (!value) {
      if (!why.empty())
        remark::missed(op.getLoc(), remark::RemarkOpts::name("raised").category(pass))
            << (what + " is not raised: " + why).str();
      continue;
    }
    Location loc = op.getLoc();
    op.getResult(0).replaceAllUsesWith(value);
    unsigned count = eraseUnused(op, erased);
    remark::passed(loc, remark::RemarkOpts::name("raised").category(pass))
        << (what + " raised from " + Twine(count) + " operations").str();
  }
}
