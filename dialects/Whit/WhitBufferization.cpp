// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bufferization of the compute operations: the same operation on memrefs, destinations written in place. Destinations are
// overwritten, never read, except a cache that is appended to.

#include "Whit/Whit.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::bufferization;

namespace {
template <typename Op>
struct ComputeOpBufferization : DstBufferizableOpInterfaceExternalModel<ComputeOpBufferization<Op>, Op> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand, const AnalysisState &) const {
    return !cast<DestinationStyleOpInterface>(op).isDpsInit(&operand) || isa<CacheAppendOp>(op);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter, const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto dps = cast<DestinationStyleOpInterface>(op);
    if (dps.hasPureBufferSemantics())
      return success();
    SmallVector<Value> operands, results;
    for (OpOperand &operand : op->getOpOperands()) {
      Value value = operand.get();
      if (isa<TensorLikeType>(value.getType())) {
        FailureOr<Value> buffer = getBuffer(rewriter, value, options, state);
        if (failed(buffer))
          return failure();
        value = *buffer;
      }
      operands.push_back(value);
      if (dps.isDpsInit(&operand))
        results.push_back(value);
    }
    rewriter.setInsertionPoint(op);
    clone(rewriter, op, /*newResultTypes=*/TypeRange{}, operands);
    replaceOpWithBufferizedValues(rewriter, op, results);
    return success();
  }
};

/// A constant becomes a read-only memref; its bytes are an argument of the compiled function.
struct ConstantBufferization : BufferizableOpInterface::ExternalModel<ConstantBufferization, ConstantOp> {
  bool bufferizesToAllocation(Operation *, Value) const { return false; }
  AliasingOpOperandList getAliasingOpOperands(Operation *, Value, const AnalysisState &) const { return {}; }
  bool isWritable(Operation *, Value, const AnalysisState &) const { return false; }

  FailureOr<BufferLikeType> getBufferType(Operation *op, Value value, const BufferizationOptions &options,
                                          const BufferizationState &, SmallVector<Value> &) const {
    if (auto ranked = dyn_cast<RankedTensorType>(value.getType()))
      return cast<BufferLikeType>(MemRefType::get(ranked.getShape(), ranked.getElementType()));
    return cast<TensorLikeType>(value.getType()).getBufferType(options, [&] { return op->emitOpError(); });
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter, const BufferizationOptions &options,
                          BufferizationState &state) const {
    SmallVector<Value> invocationStack;
    FailureOr<BufferLikeType> buffer = getBufferType(op, op->getResult(0), options, state, invocationStack);
    if (failed(buffer))
      return failure();
    replaceOpWithNewBufferizedOp<ConstantOp>(rewriter, op, Type(*buffer), cast<ConstantOp>(op).getWeightAttr());
    return success();
  }
};
} // namespace

void mlir::whit::registerBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, WhitDialect *) {
    QuantizeOp::attachInterface<ComputeOpBufferization<QuantizeOp>>(*context);
    QuantizeFloatOp::attachInterface<ComputeOpBufferization<QuantizeFloatOp>>(*context);
    DequantizeOp::attachInterface<ComputeOpBufferization<DequantizeOp>>(*context);
    MatmulOp::attachInterface<ComputeOpBufferization<MatmulOp>>(*context);
    QuantizedMatmulOp::attachInterface<ComputeOpBufferization<QuantizedMatmulOp>>(*context);
    GatherOp::attachInterface<ComputeOpBufferization<GatherOp>>(*context);
    RmsNormOp::attachInterface<ComputeOpBufferization<RmsNormOp>>(*context);
    LayerNormOp::attachInterface<ComputeOpBufferization<LayerNormOp>>(*context);
    SoftmaxOp::attachInterface<ComputeOpBufferization<SoftmaxOp>>(*context);
    RotaryOp::attachInterface<ComputeOpBufferization<RotaryOp>>(*context);
    CacheAppendOp::attachInterface<ComputeOpBufferization<CacheAppendOp>>(*context);
    AttentionOp::attachInterface<ComputeOpBufferization<AttentionOp>>(*context);
    ConstantOp::attachInterface<ConstantBufferization>(*context);
  });
}
