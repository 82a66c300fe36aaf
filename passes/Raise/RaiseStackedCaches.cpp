// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-raise-stacked-caches: the caches of all layers in one tensor, which each layer changes in its own part.

#include "Whit/Whit.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_RAISESTACKEDCACHESPASS
#include "Raise/RaiseStackedCaches.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
/// One layer: its append, and where its slice lies in the stack.
struct Layer {
  CacheAppendOp append;
  int64_t index;
};

/// Ignoring reshapes that only add or drop a dimension of size 1.
Value withoutOnes(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op))
      break;
    auto from = cast<RankedTensorType>(op->getOperand(0).getType()), to = cast<RankedTensorType>(value.getType());
    auto isLarge = [](int64_t size) { return size != 1; };
    if (!llvm::equal(llvm::make_filter_range(from.getShape(), isLarge),
                     llvm::make_filter_range(to.getShape(), isLarge)))
      break;
    value = op->getOperand(0);
  }
  return value;
}

/// The operands of a concatenation and of those that it concatenates. (JAX joins at most 16 at once.)
void flatten(tensor::ConcatOp op, SmallVectorImpl<Value> &parts) {
  for (Value input : op.getInputs())
    if (auto inner = input.getDefiningOp<tensor::ConcatOp>(); inner && inner.getDim() == op.getDim())
      flatten(inner, parts);
    else
      parts.push_back(input);
}

struct RaiseStackedCachesPass : mlir::whit::impl::RaiseStackedCachesPassBase<RaiseStackedCachesPass> {
  void runOnOperation() override {
    SmallVector<tensor::ConcatOp> concats;
    getOperation().walk([&](tensor::ConcatOp op) { concats.push_back(op); });
    for (tensor::ConcatOp op : llvm::reverse(concats)) // the outermost first
      if (!op->use_empty())
        raise(op);
  }

  void raise(tensor::ConcatOp op) {
    auto type = op.getResultType();
    SmallVector<Value> parts;
    flatten(op, parts);
    if (op.getDim() != 0 || !type.hasStaticShape() || type.getRank() < 5 || int64_t(parts.size()) != type.getDimSize(0))
      return;
    Value stack;
    SmallVector<Layer> layers;
    for (auto [i, part] : llvm::enumerate(parts)) {
      auto append = withoutOnes(part).getDefiningOp<CacheAppendOp>();
      auto slice = append ? withoutOnes(append.getCache()).getDefiningOp<tensor::ExtractSliceOp>() : nullptr;
      if (!slice || append.getPast() || append->getBlock() != op->getBlock() ||
          !isLayer(slice, type, int64_t(i), append.getCache().getType()) || (stack && slice.getSource() != stack))
        return;
      stack = slice.getSource();
      layers.push_back({append, int64_t(i)});
    }
    // One after the other in the order in which the layers run.
    llvm::sort(layers, [](const Layer &a, const Layer &b) { return a.append->isBeforeInBlock(b.append); });
    for (size_t i = 1; i < layers.size(); ++i)
      if (layers[i].append == layers[i - 1].append)
        return;
    ImplicitLocOpBuilder b(layers[0].append.getLoc(), layers[0].append);
    Value current = stack;
    for (const Layer &layer : layers) {
      CacheAppendOp append = layer.append;
      b.setInsertionPoint(append);
      b.setLoc(append.getLoc());
      SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)), strides(type.getRank(), b.getIndexAttr(1)),
          sizes = getAsIndexOpFoldResult(b.getContext(), type.getShape());
      offsets[0] = b.getIndexAttr(layer.index);
      sizes[0] = b.getIndexAttr(1);
      auto cacheType = cast<RankedTensorType>(append.getCache().getType());
      append.getCacheMutable().assign(
          tensor::ExtractSliceOp::create(b, cacheType, current, offsets, sizes, strides).getResult());
      b.setInsertionPointAfter(append);
      current = tensor::InsertSliceOp::create(b, append.getResult(0), current, offsets, sizes, strides);
    }
    remark::passed(op.getLoc(), remark::RemarkOpts::name("raised").category(getArgument()))
        << ("the caches of " + std::to_string(layers.size()) +
            " layers are parts of one tensor, and are changed in place");
    op.getResult().replaceAllUsesWith(current);
  }

  /// Whether a slice is [index, 0, ...] with size 1 and then all of the stack, and its type a cache of that layer.
  static bool isLayer(tensor::ExtractSliceOp slice, RankedTensorType stack, int64_t index, Type cache) {
    if (slice.getSourceType() != stack || !slice.hasUnitStride())
      return false;
    SmallVector<OpFoldResult> offsets = slice.getMixedOffsets(), sizes = slice.getMixedSizes();
    for (int64_t i = 0; i < stack.getRank(); ++i)
      if (!isConstantIntValue(offsets[i], i ? 0 : index) || !isConstantIntValue(sizes[i], i ? stack.getDimSize(i) : 1))
        return false;
    auto type = cast<RankedTensorType>(cache);
    return type.getShape() == stack.getShape().drop_front();
  }
};
} // namespace
