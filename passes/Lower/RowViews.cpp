// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Only the common cases are free: no leading dimension, one, or several that are contiguous by type.

#include "Lower/RowViews.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::whit;

static MemRefType typeOf(const RowOperand &operand) { return cast<MemRefType>(operand.memref.getType()); }

/// {all leading}, {trailing}, {trailing} ...
static SmallVector<ReassociationIndices> leadingTogether(const RowOperand &operand) {
  int64_t rank = typeOf(operand).getRank(), leading = rank - operand.trailing;
  SmallVector<ReassociationIndices> groups(1, llvm::to_vector<2>(llvm::seq<int64_t>(leading)));
  for (int64_t i = leading; i < rank; ++i)
    groups.push_back({i});
  return groups;
}

/// A view [rows, trailing...] of `operand`, `offset` elements in. The row stride is that of the last leading dimension.
static Value rowView(KernelBuilder &k, const RowOperand &operand, memref::ExtractStridedMetadataOp metadata,
                     Value offset, Value rows) {
  MemRefType type = typeOf(operand);
  int64_t rank = type.getRank(), leading = rank - operand.trailing;
  SmallVector<int64_t> strides;
  int64_t start;
  (void)type.getStridesAndOffset(strides, start);
  SmallVector<OpFoldResult> viewSizes{getAsOpFoldResult(rows)}, viewStrides;
  if (leading == 0)
    viewStrides.push_back(k.b.getIndexAttr(1));
  for (int64_t i = std::max<int64_t>(leading - 1, 0); i < rank; ++i) {
    viewStrides.push_back(ShapedType::isDynamic(strides[i]) ? OpFoldResult(metadata.getStrides()[i])
                                                            : k.b.getIndexAttr(strides[i]));
    if (i >= leading)
      viewSizes.push_back(type.isDynamicDim(i) ? OpFoldResult(metadata.getSizes()[i])
                                               : k.b.getIndexAttr(type.getDimSize(i)));
  }
  return memref::ReinterpretCastOp::create(k.b, k.loc, metadata.getBaseBuffer(), getAsOpFoldResult(offset), viewSizes,
                                           viewStrides);
}

/// 1 if the leading dimensions can be walked with the stride of the last one, else 0 (an i1).
static Value isCollapsible(KernelBuilder &k, memref::ExtractStridedMetadataOp metadata, int64_t leading) {
  Value all = arith::ConstantIntOp::create(k.b, k.loc, k.b.getI1Type(), 1);
  for (int64_t i = 0; i + 1 < leading; ++i) {
    Value inner = k.times(metadata.getSizes()[i + 1], metadata.getStrides()[i + 1]);
    Value follows = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq, metadata.getStrides()[i], inner);
    Value single = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq, metadata.getSizes()[i], k.index(1));
    all = arith::AndIOp::create(k.b, k.loc, all, arith::OrIOp::create(k.b, k.loc, follows, single));
  }
  return all;
}

void mlir::whit::forRowViews(KernelBuilder &k, ArrayRef<RowOperand> operands, function_ref<void(ValueRange)> body) {
  int64_t leading = typeOf(operands[0]).getRank() - operands[0].trailing;
  if (leading == 1)
    return body(llvm::map_to_vector(operands, [](const RowOperand &operand) { return operand.memref; }));
  if (leading > 1 && llvm::all_of(operands, [](const RowOperand &operand) {
        return memref::CollapseShapeOp::isGuaranteedCollapsible(typeOf(operand), leadingTogether(operand));
      }))
    return body(llvm::map_to_vector(operands, [&](const RowOperand &operand) -> Value {
      return memref::CollapseShapeOp::create(k.b, k.loc, operand.memref, leadingTogether(operand));
    }));

  SmallVector<memref::ExtractStridedMetadataOp> metadata;
  for (const RowOperand &operand : operands)
    metadata.push_back(memref::ExtractStridedMetadataOp::create(k.b, k.loc, operand.memref));
  auto views = [&](ArrayRef<Value> offsets, Value rows) {
    SmallVector<Value> result;
    for (size_t i = 0; i < operands.size(); ++i)
      result.push_back(rowView(k, operands[i], metadata[i], offsets[i], rows));
    return result;
  };
  if (leading == 0)
    return body(views(llvm::map_to_vector(metadata, [](auto data) -> Value { return data.getOffset(); }), k.index(1)));

  // One pass over all rows, or one pass per index of the leading dimensions but the last.
  ValueRange sizes = metadata[0].getSizes();
  Value together = arith::ConstantIntOp::create(k.b, k.loc, k.b.getI1Type(), 1), outer = k.index(1);
  for (memref::ExtractStridedMetadataOp data : metadata)
    together = arith::AndIOp::create(k.b, k.loc, together, isCollapsible(k, data, leading));
  for (int64_t i = 0; i + 1 < leading; ++i)
    outer = k.times(outer, Value(sizes[i]));
  Value rows =
      arith::SelectOp::create(k.b, k.loc, together, k.times(outer, Value(sizes[leading - 1])), sizes[leading - 1]);
  Value passes = arith::SelectOp::create(k.b, k.loc, together, k.index(1), outer);
  k.loop(k.index(0), passes, 1, [&](Value pass) {
    SmallVector<Value> offsets = llvm::map_to_vector(metadata, [](auto data) -> Value { return data.getOffset(); });
    Value rest = pass;
    for (int64_t i = leading - 2; i >= 0; --i) {
      Value at = i == 0 ? rest : Value(arith::RemUIOp::create(k.b, k.loc, rest, sizes[i]));
      for (size_t o = 0; o < operands.size(); ++o)
        offsets[o] = k.plus(offsets[o], k.times(at, Value(metadata[o].getStrides()[i])));
      if (i > 0)
        rest = arith::DivUIOp::create(k.b, k.loc, rest, sizes[i]);
    }
    body(views(offsets, rows));
  });
}
