// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tiling, folding and memory effects of the compute operations, all derived from one table per operation: which dimension of which
// operand moves with which parallel loop (RowwiseOpInterface). Contracted dimensions and tables are taken whole, so a tile
// never changes the order in which a value is summed.

#include "Whit/Whit.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::whit;

using Uses = SmallVector<SmallVector<DimUse>>;

static int64_t rankOf(Value value) {
  auto shaped = dyn_cast<ShapedType>(value.getType());
  return shaped ? shaped.getRank() : 0;
}

/// The first `rows` dimensions move with loops 0, 1, ...; the others are whole.
static SmallVector<DimUse> rowsThenWhole(Value value, int64_t rows) {
  SmallVector<DimUse> uses(rankOf(value));
  for (int64_t i = 0; i < rows; ++i)
    uses[i].loop = i;
  return uses;
}

static SmallVector<DimUse> whole(Value value) { return SmallVector<DimUse>(rankOf(value)); }

// ---------------------------------------------------------------------------------------------------- the tables

int64_t QuantizeOp::getLoopCount() { return rankOf(getX()) - 1; }
Uses QuantizeOp::getDimUses() {
  Uses uses;
  for (Value operand : getOperands())
    uses.push_back(rowsThenWhole(operand, getLoopCount()));
  return uses;
}

int64_t QuantizeFloatOp::getLoopCount() { return rankOf(getX()) - 1; }
Uses QuantizeFloatOp::getDimUses() {
  return {rowsThenWhole(getX(), getLoopCount()), rowsThenWhole(getNumbers(), getLoopCount()),
          rowsThenWhole(getScales(), getLoopCount())};
}

int64_t DequantizeOp::getLoopCount() { return 1; }
Uses DequantizeOp::getDimUses() {
  return {{{.loop = 0, .divide = ::whit::kPanelColumns}, {}}, rowsThenWhole(getY(), 1)};
}

/// Matmuls: one loop per leading dimension of y, then one along N.
static Uses matmulUses(Operation *op, Value weight, Value y) {
  int64_t rows = rankOf(y) - 1;
  Uses uses;
  for (Value operand : op->getOperands())
    uses.push_back(operand == weight ? SmallVector<DimUse>{{.loop = rows, .divide = ::whit::kPanelColumns}, {}}
                                     : rowsThenWhole(operand, rows));
  uses.back().back().loop = rows;
  return uses;
}
int64_t MatmulOp::getLoopCount() { return rankOf(getY()); }
Uses MatmulOp::getDimUses() { return matmulUses(*this, getW(), getY()); }
int64_t QuantizedMatmulOp::getLoopCount() { return rankOf(getY()); }
Uses QuantizedMatmulOp::getDimUses() { return matmulUses(*this, getW(), getY()); }

int64_t GatherOp::getLoopCount() { return rankOf(getIndices()); }
Uses GatherOp::getDimUses() {
  return {SmallVector<DimUse>(2), rowsThenWhole(getIndices(), getLoopCount()), rowsThenWhole(getY(), getLoopCount())};
}

int64_t RmsNormOp::getLoopCount() { return rankOf(getX()) - 1; }
Uses RmsNormOp::getDimUses() {
  return {rowsThenWhole(getX(), getLoopCount()), whole(getWeight()), rowsThenWhole(getY(), getLoopCount())};
}

int64_t LayerNormOp::getLoopCount() { return rankOf(getX()) - 1; }
Uses LayerNormOp::getDimUses() {
  return {rowsThenWhole(getX(), getLoopCount()), whole(getWeight()), whole(getBias()),
          rowsThenWhole(getY(), getLoopCount())};
}

int64_t SoftmaxOp::getLoopCount() { return rankOf(getX()) - 1; }
Uses SoftmaxOp::getDimUses() { return {rowsThenWhole(getX(), getLoopCount()), rowsThenWhole(getY(), getLoopCount())}; }

int64_t RotaryOp::getLoopCount() { return 3; } // B, S, H
int64_t RotaryOp::getPositionLoop() { return 1; }
Uses RotaryOp::getDimUses() {
  return {rowsThenWhole(getX(), 3), whole(getCos()), whole(getSin()), rowsThenWhole(getStart(), 1), {},
          rowsThenWhole(getY(), 3)};
}

int64_t CacheAppendOp::getLoopCount() { return 2; } // B, H
Uses CacheAppendOp::getDimUses() {
  Uses uses;
  if (getPast())
    uses.push_back(rowsThenWhole(getPast(), 2));
  uses.push_back({{.loop = 0}, {}, {.loop = 1}, {}});
  uses.push_back(rowsThenWhole(getStart(), 1));
  uses.push_back(rowsThenWhole(getCache(), 2));
  return uses;
}

int64_t AttentionOp::getLoopCount() { return 3; } // B, HK, S
int64_t AttentionOp::getPositionLoop() { return 2; }
Uses AttentionOp::getDimUses() {
  int64_t shared = cast<ShapedType>(getQ().getType()).getDimSize(2) / cast<ShapedType>(getV().getType()).getDimSize(1);
  SmallVector<DimUse> heads{{.loop = 0}, {.loop = 2}, {.loop = 1, .multiply = shared}, {}};
  Uses uses{heads, rowsThenWhole(getK(), 2), rowsThenWhole(getV(), 2)};
  if (getMask()) {
    SmallVector<DimUse> moves{heads[0], heads[2], heads[1], {}}; // [B, HQ, S, T]
    for (int64_t dim = 0; dim < 3; ++dim)
      if (maskIsShared(dim))
        moves[dim] = {};
    uses.push_back(moves);
  }
  uses.append({rowsThenWhole(getStart(), 1), {}, heads});
  return uses;
}

// ---------------------------------------------------------------------------------------------------- from the tables

/// A slice of `value` on which loops move as `uses` says; the value itself if none does.
static FailureOr<Value> sliceOperand(OpBuilder &b, Operation *op, Value value, ArrayRef<DimUse> uses,
                                     ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                                     SmallVectorImpl<Operation *> &slices) {
  if (llvm::none_of(uses, [](const DimUse &use) { return use.loop >= 0; }))
    return value;
  if (!isa<RankedTensorType>(value.getType())) {
    op->emitOpError() << "is tiled with an operand of type " << value.getType()
                      << "; only builtin tensors can be sliced, run the layout passes first";
    return failure();
  }
  Location loc = op->getLoc();
  AffineExpr d0 = b.getAffineDimExpr(0);
  SmallVector<OpFoldResult> from, size, stride(uses.size(), b.getIndexAttr(1));
  for (auto [dim, use] : llvm::enumerate(uses)) {
    if (use.loop < 0) {
      from.push_back(b.getIndexAttr(0));
      size.push_back(tensor::getMixedSize(b, loc, value, dim));
      continue;
    }
    auto scale = [&](OpFoldResult x, bool up) {
      AffineExpr e = d0 * use.multiply;
      e = up ? e.ceilDiv(use.divide) : e.floorDiv(use.divide);
      return affine::makeComposedFoldedAffineApply(b, loc, e, {x});
    };
    from.push_back(scale(offsets[use.loop], false));
    size.push_back(scale(sizes[use.loop], true));
  }
  auto slice = tensor::ExtractSliceOp::create(b, loc, value, from, size, stride);
  slices.push_back(slice);
  return slice.getResult();
}

static FailureOr<TilingResult> tile(OpBuilder &b, RowwiseOpInterface op, ArrayRef<OpFoldResult> offsets,
                                    ArrayRef<OpFoldResult> sizes) {
  TilingResult tiled;
  SmallVector<Value> operands;
  SmallVector<Type> results;
  auto dps = cast<DestinationStyleOpInterface>(op.getOperation());
  for (auto [operand, uses] : llvm::zip_equal(op->getOpOperands(), op.getDimUses())) {
    FailureOr<Value> value = sliceOperand(b, op, operand.get(), uses, offsets, sizes, tiled.generatedSlices);
    if (failed(value))
      return failure();
    if (int64_t loop = op.getPositionLoop(); loop >= 0 && operand.get().getType().isIndex())
      value = arith::AddIOp::create(b, op->getLoc(), operand.get(),
                                    getValueOrCreateConstantIndexOp(b, op->getLoc(), offsets[loop]))
                  .getResult();
    operands.push_back(*value);
    if (dps.isDpsInit(&operand))
      results.push_back(value->getType());
  }
  Operation *clone = mlir::clone(b, op.getOperation(), results, operands);
  tiled.tiledOps.push_back(clone);
  tiled.tiledValues.append(clone->result_begin(), clone->result_end());
  return tiled;
}

static SmallVector<Range> domain(OpBuilder &b, RowwiseOpInterface op) {
  SmallVector<Range> ranges(op.getLoopCount(), {b.getIndexAttr(0), b.getIndexAttr(1), b.getIndexAttr(1)});
  // Sizes come from any operand that moves with the loop one to one; every loop has one.
  for (auto [operand, uses] : llvm::zip_equal(op->getOperands(), op.getDimUses()))
    for (auto [dim, use] : llvm::enumerate(uses))
      if (use.loop >= 0 && use.multiply == 1 && use.divide == 1 && isa<RankedTensorType>(operand.getType()))
        ranges[use.loop].size = tensor::getMixedSize(b, op->getLoc(), operand, dim);
  return ranges;
}

static LogicalResult resultTile(OpBuilder &b, RowwiseOpInterface op, unsigned result, ArrayRef<OpFoldResult> offsets,
                                ArrayRef<OpFoldResult> sizes, SmallVectorImpl<OpFoldResult> &from,
                                SmallVectorImpl<OpFoldResult> &size) {
  auto dps = cast<DestinationStyleOpInterface>(op.getOperation());
  OpOperand *init = dps.getDpsInitOperand(result);
  Uses uses = op.getDimUses();
  for (auto [dim, use] : llvm::enumerate(uses[init->getOperandNumber()])) {
    if (use.loop < 0) {
      from.push_back(b.getIndexAttr(0));
      size.push_back(tensor::getMixedSize(b, op->getLoc(), init->get(), dim));
      continue;
    }
    AffineExpr e = b.getAffineDimExpr(0) * use.multiply;
    from.push_back(affine::makeComposedFoldedAffineApply(b, op->getLoc(), e, {offsets[use.loop]}));
    size.push_back(affine::makeComposedFoldedAffineApply(b, op->getLoc(), e, {sizes[use.loop]}));
  }
  return success();
}

/// The loops of a tile of a result. Only tiles that take every whole dimension whole can be computed alone.
static LogicalResult loopsOfResultTile(OpBuilder &b, RowwiseOpInterface op, unsigned result,
                                       ArrayRef<OpFoldResult> from, ArrayRef<OpFoldResult> size,
                                       SmallVectorImpl<OpFoldResult> &offsets, SmallVectorImpl<OpFoldResult> &sizes) {
  auto dps = cast<DestinationStyleOpInterface>(op.getOperation());
  OpOperand *init = dps.getDpsInitOperand(result);
  for (const Range &range : domain(b, op)) {
    offsets.push_back(range.offset);
    sizes.push_back(range.size);
  }
  Uses uses = op.getDimUses();
  for (auto [dim, use] : llvm::enumerate(uses[init->getOperandNumber()])) {
    if (use.loop < 0) {
      OpFoldResult all = tensor::getMixedSize(b, op->getLoc(), init->get(), dim);
      if (!isEqualConstantIntOrValue(size[dim], all))
        return failure();
      continue;
    }
    AffineExpr e = b.getAffineDimExpr(0).floorDiv(use.multiply);
    offsets[use.loop] = affine::makeComposedFoldedAffineApply(b, op->getLoc(), e, {from[dim]});
    sizes[use.loop] = affine::makeComposedFoldedAffineApply(b, op->getLoc(), e, {size[dim]});
  }
  return success();
}

static void effectsOf(DestinationStyleOpInterface op,
                      SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    // Every destination but a cache is overwritten without being read.
    if (!op.isDpsInit(&operand) || isa<CacheAppendOp>(op.getOperation()))
      effects.emplace_back(MemoryEffects::Read::get(), &operand, SideEffects::DefaultResource::get());
    if (op.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand, SideEffects::DefaultResource::get());
  }
}

#define WHIT_TILED_OP(Op)                                                                                              \
  SmallVector<utils::IteratorType> Op::getLoopIteratorTypes() {                                                        \
    return SmallVector<utils::IteratorType>(getLoopCount(), utils::IteratorType::parallel);                            \
  }                                                                                                                    \
  SmallVector<Range> Op::getIterationDomain(OpBuilder &b) { return domain(b, *this); }                                 \
  FailureOr<TilingResult> Op::getTiledImplementation(OpBuilder &b, ArrayRef<OpFoldResult> offsets,                     \
                                                     ArrayRef<OpFoldResult> sizes) {                                   \
    return ::tile(b, *this, offsets, sizes);                                                                           \
  }                                                                                                                    \
  LogicalResult Op::getResultTilePosition(OpBuilder &b, unsigned result, ArrayRef<OpFoldResult> offsets,               \
                                          ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &from,               \
                                          SmallVector<OpFoldResult> &size) {                                           \
    return resultTile(b, *this, result, offsets, sizes, from, size);                                                   \
  }                                                                                                                    \
  LogicalResult Op::getIterationDomainTileFromResultTile(                                                              \
      OpBuilder &b, unsigned result, ArrayRef<OpFoldResult> from, ArrayRef<OpFoldResult> size,                         \
      SmallVectorImpl<OpFoldResult> &offsets, SmallVectorImpl<OpFoldResult> &sizes) {                                  \
    return loopsOfResultTile(b, *this, result, from, size, offsets, sizes);                                            \
  }                                                                                                                    \
  FailureOr<TilingResult> Op::generateResultTileValue(OpBuilder &b, unsigned result, ArrayRef<OpFoldResult> from,      \
                                                      ArrayRef<OpFoldResult> size) {                                   \
    SmallVector<OpFoldResult> offsets, sizes;                                                                          \
    if (failed(loopsOfResultTile(b, *this, result, from, size, offsets, sizes)))                                       \
      return failure();                                                                                                \
    FailureOr<TilingResult> tiled = ::tile(b, *this, offsets, sizes);                                                  \
    if (succeeded(tiled))                                                                                              \
      tiled->tiledValues = {tiled->tiledValues[result]};                                                               \
    return tiled;                                                                                                      \
  }                                                                                                                    \
  LogicalResult Op::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) { return memref::foldMemRefCast(*this); }       \
  void Op::getEffects(SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {                  \
    effectsOf(*this, effects);                                                                                         \
  }

WHIT_TILED_OP(QuantizeOp)
WHIT_TILED_OP(QuantizeFloatOp)
WHIT_TILED_OP(DequantizeOp)
WHIT_TILED_OP(MatmulOp)
WHIT_TILED_OP(QuantizedMatmulOp)
WHIT_TILED_OP(GatherOp)
WHIT_TILED_OP(RmsNormOp)
WHIT_TILED_OP(LayerNormOp)
WHIT_TILED_OP(SoftmaxOp)
WHIT_TILED_OP(RotaryOp)
WHIT_TILED_OP(CacheAppendOp)
WHIT_TILED_OP(AttentionOp)
