// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-raise-attention: y[b, h, s, e] = sum over t of softmax(scores)[b, h, s, t] v[b, h, t, e].
//
// The frame is the loops of that contraction. Scores do not depend on e, so that e is the name under which the
// contraction of q and k sums. Which loops are batch, head and row follows from the order of the indices of the scores:
//
//     [B, H, S, T]; [H, S, T] where B is 1; [B, HK, G, S, T] where heads are in groups
//
// Not handled: a batch and heads that are one dynamic dimension, softcap, a scale that is computed.

#include "Raise/Causal.h"
#include "Raise/Softmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"

#include <cmath>
#include <limits>

namespace mlir::whit {
#define GEN_PASS_DEF_RAISEATTENTIONPASS
#include "Raise/RaiseAttention.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

namespace {
/// A number far below any score, to which a select sends what is not seen.
constexpr double kUnseen = -1e4;

/// A term of the mask: added, or, where it is a condition, chosen instead of the score when it is (not) true.
struct MaskTerm {
  enum Kind { Add, Subtract, KeepIf, DropIf } kind;
  Element element;
  double unseen = 0; ///< the score where it is not seen
};

class AttentionMatcher {
public:
  AttentionMatcher(ImplicitLocOpBuilder &b, linalg::GenericOp root) : b(b), root(root) {}

  /// Whether a softmax is contracted: if so, and if it is no attention, `reason` says why.
  bool findSoftmax();
  bool match();
  Value build();

  StringRef reason;

private:
  bool no(StringRef why) {
    reason = why;
    return false;
  }
  AffineExpr loopExpr(unsigned i) { return b.getAffineDimExpr(i); }
  bool takeScores(Element scores);
  bool takeScale(Element &element);
  bool takeRoles();
  void takeCausal();
  Value cacheOf(const Element &tokens, AffineExpr depth);
  Value mask();

  ImplicitLocOpBuilder &b;
  linalg::GenericOp root;
  unsigned t = 0, e = 0;                 ///< loops of the root: tokens, and elements of v
  Element probabilities, v, q, k, first; ///< first: the scores before the contraction was found in them
  double scale = 1;
  SmallVector<MaskTerm> masks;
  Value position; ///< of the first row, if rows do not see behind themselves; else null
  // Indices as functions of the frame, and sizes.
  AffineExpr batch, head, kvHead, row;
  OpFoldResult batchSize, headCount, kvHeadCount, rowCount, tokenCount;
};
} // namespace

static bool isProduct(Value scalar, SmallVectorImpl<Value> &factors) {
  auto product = scalar.getDefiningOp<arith::MulFOp>();
  if (product)
    factors.assign({product.getLhs(), product.getRhs()});
  return bool(product);
}

bool AttentionMatcher::findSoftmax() {
  if (root.getNumReductionLoops() != 1 || root.getNumDpsInits() != 1)
    return false;
  for (auto [i, kind] : llvm::enumerate(root.getIteratorTypesArray()))
    if (kind == utils::IteratorType::reduction)
      t = i;
  // The contraction in the frame of its own loops.
  AffineMap out = root.getMatchingIndexingMap(root.getDpsInitOperand(0));
  std::optional<Reduction> sum = reductionOf({root.getResult(0), out}, t);
  SmallVector<Value> factors;
  if (!sum || sum->fold != Fold::Sum || sum->term.isTensor() || !isProduct(sum->term.value, factors))
    return false;
  SmallVector<Element> sides = operandsOf(sum->term.value.getDefiningOp(), sum->term.at);
  for (int i : {0, 1})
    if (std::optional<Softmax> softmax = softmaxOf(sides[i], t)) {
      probabilities = sides[i];
      v = sides[1 - i];
      first = softmax->scores;
      return true;
    }
  return false;
}

/// Takes constant factors off an element.
bool AttentionMatcher::takeScale(Element &element) {
  while (true) {
    auto factors = operands<arith::MulFOp>(element);
    auto quotient = operands<arith::DivFOp>(element);
    if (factors) {
      std::optional<double> left = constantOf((*factors)[0]), right = constantOf((*factors)[1]);
      if (!left && !right)
        return true;
      scale *= left ? *left : *right;
      element = (*factors)[left ? 1 : 0];
    } else if (quotient && constantOf((*quotient)[1])) {
      scale /= *constantOf((*quotient)[1]);
      element = (*quotient)[0];
    } else {
      return true;
    }
  }
}

/// Finds q and k behind scales and masks, from the outside in.
bool AttentionMatcher::takeScores(Element scores) {
  while (auto chosen = operands<arith::SelectOp>(scores)) {
    std::optional<double> ifTrue = constantOf((*chosen)[1]), ifFalse = constantOf((*chosen)[2]);
    if (ifFalse && *ifFalse <= kUnseen)
      masks.push_back({MaskTerm::KeepIf, (*chosen)[0], *ifFalse});
    else if (ifTrue && *ifTrue <= kUnseen)
      masks.push_back({MaskTerm::DropIf, (*chosen)[0], *ifTrue});
    else
      return no("its scores are chosen by a select between numbers that may be scores");
    scores = (*chosen)[ifFalse ? 1 : 2];
  }
  Sum sum = sumOf(scores);
  if (sum.constant != 0) // moves all scores alike; nobody writes it
    return no("a constant is added to its scores");
  Element product;
  for (const Element &term : sum.added) {
    double before = scale;
    Element candidate = term;
    takeScale(candidate);
    std::optional<Reduction> reduction = reductionOf(candidate, e);
    if (!product && reduction && reduction->fold == Fold::Sum) {
      product = reduction->term;
      continue;
    }
    scale = before;
    masks.push_back({MaskTerm::Add, term});
  }
  for (const Element &term : sum.subtracted)
    masks.push_back({MaskTerm::Subtract, term});
  auto factors = product ? operands<arith::MulFOp>(product) : std::nullopt;
  if (!factors)
    return no("its scores are no product of queries and keys");
  bool keysLeft = dependsOn((*factors)[0], t), keysRight = dependsOn((*factors)[1], t);
  if (keysLeft == keysRight)
    return no("its queries and keys cannot be told apart");
  q = (*factors)[keysLeft ? 1 : 0];
  k = (*factors)[keysLeft ? 0 : 1];
  takeScale(q);
  takeScale(k);
  return true;
}

/// The index of the heads of keys, from that of queries: itself, or that of its group.
static AffineExpr groupOf(const Element &keys, AffineExpr head) {
  AffineExpr found = head;
  for (const Element &form : formsOf(keys))
    for (AffineExpr expr : form.at.getResults())
      if (auto binary = dyn_cast<AffineBinaryOpExpr>(expr); binary && binary.getKind() == AffineExprKind::FloorDiv &&
                                                            binary.getLHS() == head &&
                                                            isa<AffineConstantExpr>(binary.getRHS()))
        found = expr;
  return found;
}

bool AttentionMatcher::takeRoles() {
  // Sizes and indices of the scores, in the order in which the model has them: those of the tensor that softmax reads.
  Element shown;
  for (const Element &form : formsOf(first))
    if (form.at.getNumResults() >= 3 && form.at.getResults().back() == loopExpr(t)) {
      shown = form;
      break;
    }
  if (!shown)
    return no("its scores are no tensor whose last dimension is that of the keys");
  SmallVector<AffineExpr> index(shown.at.getResults());
  SmallVector<OpFoldResult> size = sizesOf(b, shown.value);
  size_t rank = index.size();
  for (AffineExpr expr : index)
    if (!isa<AffineDimExpr, AffineConstantExpr>(expr))
      return no("batch and heads of its scores are one dimension");
  bool grouped = rank == 5;
  if (rank < 3 || rank > 5)
    return no("its scores have a rank below 3 or above 5");
  AffineExpr zero = b.getAffineConstantExpr(0);
  bool hasBatch = rank == 4 || rank == 5;
  batch = hasBatch ? index[0] : zero;
  batchSize = hasBatch ? size[0] : b.getIndexAttr(1);
  row = index[rank - 2];
  rowCount = size[rank - 2];
  tokenCount = size[rank - 1];
  if (grouped) {
    std::optional<int64_t> group = getConstantIntValue(size[2]), outer = getConstantIntValue(size[1]);
    if (!group || !outer)
      return no("its number of heads is not known");
    kvHead = index[1];
    kvHeadCount = size[1];
    head = kvHead * *group + index[2];
    headCount = b.getIndexAttr(*group * *outer);
  } else {
    size_t at = rank == 3 ? 0 : 1;
    head = index[at];
    headCount = size[at];
    kvHead = groupOf(k, head);
    std::optional<int64_t> heads = getConstantIntValue(headCount);
    if (!heads)
      return no("its number of heads is not known");
    int64_t group = 1;
    if (auto binary = dyn_cast<AffineBinaryOpExpr>(kvHead))
      group = cast<AffineConstantExpr>(binary.getRHS()).getValue();
    if (auto dim = dyn_cast<AffineDimExpr>(head);
        dim && !dependsOn(k, dim.getPosition()) && !dependsOn(v, dim.getPosition())) {
      kvHead = zero;
      group = *heads;
    }
    if (*heads % group || groupOf(v, head) != groupOf(k, head))
      return no("keys and values have different heads");
    kvHeadCount = b.getIndexAttr(*heads / group);
  }
  head = simplifyAffineExpr(head, root.getNumLoops(), 0);
  return true;
}

bool AttentionMatcher::match() {
  if (!getElementTypeOrSelf(root.getResult(0).getType()).isF32())
    return no("its elements are not f32");
  // e: the loop that v has and the softmax does not.
  unsigned found = 0;
  for (unsigned i = 0; i < root.getNumLoops(); ++i)
    if (i != t && dependsOn(v, i) && !dependsOn(first, i)) {
      e = i;
      ++found;
    }
  if (found != 1)
    return no("its values have no dimension of their own, or several");
  if (!takeScores(first) || !takeRoles())
    return false;
  for (const MaskTerm &term : masks)
    if (dependsOn(term.element, e))
      return no("its mask is computed from its values");
  return true;
}

/// Takes the part of the mask by which rows do not see what is behind them. Where the number for what is not seen is
/// finite, a row that sees nothing weighs all tokens alike, those behind it too: the condition must then be the only
/// one, since a row always sees itself.
void AttentionMatcher::takeCausal() {
  auto rowDim = dyn_cast<AffineDimExpr>(row);
  if (!rowDim && !isConstantIntValue(rowCount, 1))
    return;
  for (auto [i, term] : llvm::enumerate(masks)) {
    Element condition = term.element;
    double unseen = term.unseen;
    if (term.kind == MaskTerm::Add) {
      auto chosen = operands<arith::SelectOp>(term.element);
      std::optional<double> low = chosen ? constantOf((*chosen)[2]) : std::nullopt;
      if (!low || *low > kUnseen || constantOf((*chosen)[1]) != 0.0)
        continue;
      condition = (*chosen)[0];
      unseen = *low;
    } else if (term.kind != MaskTerm::KeepIf) {
      continue;
    }
    SmallVector<Element> conjuncts = conjunctsOf(condition);
    if (!std::isinf(unseen) && (conjuncts.size() > 1 || masks.size() > 1))
      continue;
    for (auto [j, conjunct] : llvm::enumerate(conjuncts)) {
      std::optional<Offset> offset = causalOffset(conjunct, rowDim ? int64_t(rowDim.getPosition()) : -1, t);
      position = offset ? valueOf(b, *offset) : Value();
      if (!position)
        continue;
      conjuncts.erase(conjuncts.begin() + j);
      masks.erase(masks.begin() + i);
      for (const Element &other : conjuncts)
        masks.push_back({MaskTerm::KeepIf, other, unseen});
      return;
    }
  }
}

/// Keys or values as a cache: one that is there, or a new one.
Value AttentionMatcher::cacheOf(const Element &tokens, AffineExpr depth) {
  OpFoldResult depthSize;
  for (const Element &form : formsOf(tokens))
    if (auto *at = llvm::find(form.at.getResults(), depth); at != form.at.getResults().end()) {
      depthSize = sizesOf(b, form.value)[at - form.at.getResults().begin()];
      break;
    }
  if (!depthSize)
    return {};
  SmallVector<AffineExpr> inCache{batch, kvHead, loopExpr(t), depth}, inRows{batch, loopExpr(t), kvHead, depth};
  SmallVector<OpFoldResult> cacheSizes{batchSize, kvHeadCount, tokenCount, depthSize},
      rowSizes{batchSize, tokenCount, kvHeadCount, depthSize};
  // A tensor in the layout of a cache that no transpose made: a cache, or an input of the model.
  for (const Element &form : formsOf(tokens))
    if (form.at.getNumResults() == 4 && !form.value.getDefiningOp<linalg::TransposeOp>() &&
        !isa_and_present<linalg::GenericOp>(form.value.getDefiningOp()))
      if (Value there = arrange(b, form, inCache, cacheSizes); there == form.value)
        return there;
  Value rows = arrange(b, tokens, inRows, rowSizes);
  if (!rows)
    return arrange(b, tokens, inCache, cacheSizes);
  if (!getElementTypeOrSelf(rows.getType()).isF32())
    return {};
  Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0));
  Value empty = tensor::EmptyOp::create(b, cacheSizes, b.getF32Type());
  Value cache = linalg::FillOp::create(b, zero, empty).getResult(0);
  Value none = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
  Value starts = tensor::EmptyOp::create(b, ArrayRef(batchSize), b.getI32Type());
  Value start = linalg::FillOp::create(b, none, starts).getResult(0);
  return CacheAppendOp::create(b, cache.getType(), Value(), rows, start, cache).getResult(0);
}

/// The sum of the mask's terms, in the smallest shape that they have.
Value AttentionMatcher::mask() {
  SmallVector<int64_t> dims;
  SmallVector<OpFoldResult> sizes;
  SmallVector<AffineExpr> indices;
  SmallVector<Element> elements = llvm::map_to_vector(masks, [](const MaskTerm &term) { return term.element; });
  for (auto [expr, size] :
       {std::pair(batch, batchSize), {head, headCount}, {row, rowCount}, {loopExpr(t), tokenCount}}) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    bool matters = dim && (dim.getPosition() == t || llvm::any_of(elements, [&](const Element &element) {
                             return dependsOn(element, dim.getPosition());
                           }));
    dims.push_back(matters ? int64_t(dim.getPosition()) : -1);
    sizes.push_back(matters ? size : OpFoldResult(b.getIndexAttr(1)));
    indices.push_back(matters ? expr : b.getAffineConstantExpr(0));
  }
  if (masks.size() == 1 && masks[0].kind == MaskTerm::Add)
    if (Value there = arrange(b, masks[0].element, indices, sizes);
        there && getElementTypeOrSelf(there.getType()).isF32())
      return there;
  return compute(b, elements, dims, sizes, b.getF32Type(), [&](ImplicitLocOpBuilder &at, ValueRange values) {
    Value sum;
    for (auto [term, value] : llvm::zip_equal(masks, values)) {
      Value addend = value;
      if (term.kind == MaskTerm::KeepIf || term.kind == MaskTerm::DropIf) {
        // Whatever the score, the sum rounds to the lowest float: a row of nothing else weighs all its tokens alike, as
        // it did.
        double lowest = std::isinf(term.unseen) ? term.unseen : std::numeric_limits<float>::lowest();
        Value unseen = arith::ConstantOp::create(at, at.getF32FloatAttr(lowest));
        Value seen = arith::ConstantOp::create(at, at.getF32FloatAttr(0));
        bool keep = term.kind == MaskTerm::KeepIf;
        addend = arith::SelectOp::create(at, value, keep ? seen : unseen, keep ? unseen : seen);
      } else if (term.kind == MaskTerm::Subtract) {
        addend = arith::NegFOp::create(at, value);
      }
      sum = sum ? Value(arith::AddFOp::create(at, sum, addend)) : addend;
    }
    return sum;
  });
}

Value AttentionMatcher::build() {
  AffineExpr depth = loopExpr(e);
  SmallVector<OpFoldResult> sizes{batchSize, rowCount, headCount, {}};
  for (const Element &form : formsOf(q))
    if (auto *at = llvm::find(form.at.getResults(), depth); at != form.at.getResults().end())
      sizes[3] = sizesOf(b, form.value)[at - form.at.getResults().begin()];
  if (!sizes[3]) {
    reason = "its queries have no tensor";
    return {};
  }
  Value queries = arrange(b, q, {batch, row, head, depth}, sizes);
  if (!queries) { // scaled or rotated in the middle of a body
    if (Element operand = asOperand(b, q))
      queries = arrange(b, operand, {batch, row, head, depth}, sizes);
  }
  Value keys = queries ? cacheOf(k, depth) : Value(), values = keys ? cacheOf(v, depth) : Value();
  if (!values) {
    reason = "its queries, keys and values have no layout of rows and heads";
    return {};
  }
  if (cast<RankedTensorType>(keys.getType()).getDimSize(3) != cast<RankedTensorType>(values.getType()).getDimSize(3)) {
    reason = "its values have heads of another size than its keys";
    return {};
  }
  takeCausal();
  Value added;
  if (!masks.empty() && !(added = mask())) {
    reason = "its mask cannot be computed apart from its scores";
    return {};
  }
  bool bidirectional = !position;
  if (bidirectional)
    position = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
  Value starts = tensor::EmptyOp::create(b, ArrayRef(batchSize), b.getI32Type());
  Value start = linalg::FillOp::create(b, position, starts).getResult(0);
  Value origin = arith::ConstantIndexOp::create(b, 0);
  Value init = tensor::EmptyOp::create(b, sizes, b.getF32Type());
  auto op = AttentionOp::create(b, init.getType(), queries, keys, values, added, start, origin, init,
                                b.getF32FloatAttr(scale), b.getF32FloatAttr(0), b.getI64IntegerAttr(0),
                                bidirectional ? b.getUnitAttr() : UnitAttr());
  // Back to the model's layout.
  AffineMap out = root.getMatchingIndexingMap(root.getDpsInitOperand(0));
  Element y =
      elementAt(op.getResult(0), AffineMap::get(root.getNumLoops(), 0, {batch, row, head, depth}, b.getContext()));
  auto type = cast<RankedTensorType>(root.getResult(0).getType());
  SmallVector<OpFoldResult> wanted = sizesOf(b, root.getResult(0));
  if (isa<AffineBinaryOpExpr>(head)) { // [B, HK, G, S, D]
    Value heads = arrange(b, y, {batch, head, row, depth}, {sizes[0], sizes[2], sizes[1], sizes[3]});
    SmallVector<ReassociationIndices> groups{{0}, {1, 2}, {3}, {4}};
    return type.getRank() == 5 ? Value(tensor::ExpandShapeOp::create(b, type, heads, groups, wanted)) : Value();
  }
  return arrange(b, y, elementAt(root.getResult(0), out).at.getResults(), wanted);
}

namespace {
struct RaiseAttentionPass : mlir::whit::impl::RaiseAttentionPassBase<RaiseAttentionPass> {
  void runOnOperation() override {
    raiseEach(getOperation(), getArgument(), "attention",
              [&](ImplicitLocOpBuilder &b, linalg::GenericOp op, std::string &why) -> Value {
                AttentionMatcher matcher(b, op);
                if (!matcher.findSoftmax())
                  return {};
                Value result = matcher.match() ? matcher.build() : Value();
                if (!result)
                  why = matcher.reason;
                return result;
              });
  }
};
} // namespace
