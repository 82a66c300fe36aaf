// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-raise-rotary: y[d] = x[d] cos[d] + r[d] sin[d], r[d] = -x[d + D/2] in the first half and x[d - D/2] in the
// second.
//
// The frame is the result, [B, H, S, D] or [B, S, H, D]; heads are the dimension that the tables do not have. Not
// handled: interleaved pairs, rotation of a part of the head, and the form that concatenates two halves that were
// rotated apart.

#include "Raise/Match.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DEF_RAISEROTARYPASS
#include "Raise/RaiseRotary.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

namespace {
constexpr unsigned kDepth = 3; ///< the dimension of the frame that is rotated

/// The two halves of a concatenation along the rotated dimension, both in the first half of the frame.
struct Halves {
  Element first, second;
};

struct Rotation {
  Element x, cos, sin;
};
} // namespace

static std::optional<Halves> halvesOf(const Element &element) {
  Element inner = resolve(element);
  auto concat = inner ? inner.value.getDefiningOp<tensor::ConcatOp>() : tensor::ConcatOp();
  if (!concat || concat.getInputs().size() != 2)
    return std::nullopt;
  unsigned dim = concat.getDim();
  auto sizeOf = [&](int i) { return cast<RankedTensorType>(concat.getInputs()[i].getType()).getDimSize(dim); };
  if (inner.at.getResult(dim) != getAffineDimExpr(kDepth, inner.at.getContext()) || sizeOf(0) != sizeOf(1) ||
      ShapedType::isDynamic(sizeOf(0)))
    return std::nullopt;
  return Halves{elementAt(concat.getInputs()[0], inner.at), elementAt(concat.getInputs()[1], inner.at)};
}

/// Whether the element is the same D/2 further on, for all d < D/2.
static bool repeats(const Element &element, unsigned depth = 8) {
  if (depth == 0 || constantOf(element) || !dependsOn(element, kDepth))
    return depth != 0;
  if (std::optional<Halves> halves = halvesOf(element))
    return same(halves->first, halves->second);
  Element scalar = resolve(element);
  Operation *op = scalar.isTensor() ? nullptr : scalar.value.getDefiningOp();
  if (!op || op->getNumOperands() == 0 || op->getNumRegions())
    return false;
  return llvm::all_of(operandsOf(op, scalar.at), [&](const Element &operand) { return repeats(operand, depth - 1); });
}

static std::optional<Rotation> matchRotation(const Element &y, int64_t half) {
  Sum sum = sumOf(y);
  if (sum.constant != 0 || sum.added.size() != 2 || !sum.subtracted.empty())
    return std::nullopt;
  // Which term has the concatenation, and which of its factors.
  for (int i : {0, 1}) {
    auto plain = operands<arith::MulFOp>(sum.added[1 - i]), turned = operands<arith::MulFOp>(sum.added[i]);
    if (!plain || !turned)
      continue;
    for (int j : {0, 1}) {
      std::optional<Halves> halves = halvesOf((*turned)[j]);
      auto negated = halves ? operands<arith::NegFOp>(halves->first) : std::nullopt;
      if (!negated)
        continue;
      for (int k : {0, 1}) {
        Element x = (*plain)[k];
        if (same((*negated)[0], shift(resolve(x), kDepth, half)) && same(halves->second, x))
          return Rotation{x, (*plain)[1 - k], (*turned)[1 - j]};
      }
    }
  }
  return std::nullopt;
}

/// The first half of a table as [rows, D/2].
static Value tableOf(ImplicitLocOpBuilder &b, const Element &element, ArrayRef<AffineExpr> indices,
                     ArrayRef<OpFoldResult> sizes, int64_t half) {
  Value whole = arrange(b, element, indices, sizes);
  if (!whole)
    if (Element operand = asOperand(b, element))
      whole = arrange(b, operand, indices, sizes);
  if (!whole || !getElementTypeOrSelf(whole.getType()).isF32())
    return {};
  SmallVector<OpFoldResult> offsets(sizes.size(), b.getIndexAttr(0)), strides(sizes.size(), b.getIndexAttr(1)),
      taken(sizes);
  taken.back() = b.getIndexAttr(half);
  Value table = tensor::ExtractSliceOp::create(b, whole, offsets, taken, strides);
  if (sizes.size() == 2)
    return table;
  SmallVector<ReassociationIndices> rows{{0, 1}, {2}};
  return tensor::CollapseShapeOp::create(b, table, rows);
}

/// Where sequence b starts in the table: at row b * S if each has rows of its own.
static Value startsOf(ImplicitLocOpBuilder &b, OpFoldResult batch, OpFoldResult rows, bool own) {
  Value empty = tensor::EmptyOp::create(b, ArrayRef(batch), b.getI32Type());
  if (!own) {
    Value zero = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
    return linalg::FillOp::create(b, zero, empty).getResult(0);
  }
  Value count = getValueOrCreateConstantIndexOp(b, b.getLoc(), rows);
  auto starts = linalg::GenericOp::create(
      b, empty.getType(), ValueRange{}, empty, b.getMultiDimIdentityMap(1), utils::IteratorType::parallel,
      [&](OpBuilder &inner, Location loc, ValueRange) {
        Value row = arith::MulIOp::create(inner, loc, linalg::IndexOp::create(inner, loc, 0), count);
        linalg::YieldOp::create(inner, loc,
                                ValueRange(arith::IndexCastOp::create(inner, loc, inner.getI32Type(), row)));
      });
  return starts.getResult(0);
}

static Value raiseRotary(ImplicitLocOpBuilder &b, linalg::GenericOp op, std::string &why) {
  Value result = op.getResult(0);
  auto type = cast<RankedTensorType>(result.getType());
  if (type.getRank() != 4 || type.isDynamicDim(kDepth) || type.getDimSize(kDepth) % 2)
    return {};
  int64_t half = type.getDimSize(kDepth) / 2;
  std::optional<Rotation> rotation = matchRotation(elementOf(result), half);
  if (!rotation)
    return {};
  auto no = [&](const Twine &reason) {
    why = reason.str();
    return Value();
  };
  if (!type.getElementType().isF32())
    return no(llvm::formatv("its elements are {0}; f32 is required", type.getElementType()).str());
  if (!repeats(rotation->cos) || !repeats(rotation->sin))
    return no("its tables are not known to be the same in both halves");
  auto has = [&](unsigned dim) { return dependsOn(rotation->cos, dim) || dependsOn(rotation->sin, dim); };
  if (has(1) && has(2))
    return no("its tables change with dimensions 1 and 2, of which one must be that of the heads");
  // A single row has no dimension that tables could depend on; it is where the model has it most often.
  unsigned rowDim = has(1) || (!has(2) && type.getDimSize(1) == 1 && type.getDimSize(2) != 1) ? 1 : 2;
  unsigned headDim = 3 - rowDim;
  if (type.isDynamicDim(headDim))
    return no("its number of heads, dimension " + Twine(headDim) + ", is not known");
  SmallVector<OpFoldResult> sizes = sizesOf(b, result);
  AffineExpr batch = b.getAffineDimExpr(0), row = b.getAffineDimExpr(rowDim), head = b.getAffineDimExpr(headDim),
             depth = b.getAffineDimExpr(kDepth);
  SmallVector<AffineExpr> inRows{batch, row, head, depth};
  SmallVector<OpFoldResult> rowSizes{sizes[0], sizes[rowDim], sizes[headDim], sizes[kDepth]};
  Value x = arrange(b, rotation->x, inRows, rowSizes);
  if (!x || !getElementTypeOrSelf(x.getType()).isF32())
    return no("what it rotates is no tensor of f32 of its shape");
  bool own = has(0);
  SmallVector<AffineExpr> indices{batch, row, depth};
  SmallVector<OpFoldResult> tableSizes{sizes[0], sizes[rowDim], sizes[kDepth]};
  ArrayRef<AffineExpr> used = ArrayRef(indices).drop_front(own ? 0 : 1);
  ArrayRef<OpFoldResult> usedSizes = ArrayRef(tableSizes).drop_front(own ? 0 : 1);
  Value cos = tableOf(b, rotation->cos, used, usedSizes, half), sin = tableOf(b, rotation->sin, used, usedSizes, half);
  if (!cos || !sin)
    return no("its tables are no tensors of f32 whose rows are its tokens");
  Value start = startsOf(b, sizes[0], sizes[rowDim], own), origin = arith::ConstantIndexOp::create(b, 0);
  Value init = tensor::EmptyOp::create(b, rowSizes, b.getF32Type());
  Value y = RotaryOp::create(b, init.getType(), x, cos, sin, start, origin, init, /*interleaved=*/false).getResult(0);
  if (rowDim == 1)
    return y;
  return linalg::TransposeOp::create(b, y, emptyLike(b, result), ArrayRef<int64_t>{0, 2, 1, 3})->getResult(0);
}

namespace {
struct RaiseRotaryPass : mlir::whit::impl::RaiseRotaryPassBase<RaiseRotaryPass> {
  void runOnOperation() override { raiseEach(getOperation(), getArgument(), "rotary embedding", raiseRotary); }
};
} // namespace
