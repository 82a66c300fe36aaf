// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations on quantized numbers mean: as floats, computed, and quantized again. They are written so before the import;
// what only moves numbers moves their integers.

#include "Import/StableHLO/Program.h"

#include "CHLO/CHLO.h"
#include "StableHLO/StableHLO.h"

#include "mlir/Dialect/Quant/IR/QuantTypes.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace whit {

namespace hlo = mlir::stablehlo;

bool isQuantized(Type type) { return isa<quant::QuantizedType>(getElementTypeOrSelf(type)); }

static bool usesQuantized(Operation *op) {
  return llvm::any_of(op->getOperandTypes(), isQuantized) || llvm::any_of(op->getResultTypes(), isQuantized);
}

/// Whether all that an operation has are the same quantized numbers, at other places.
static bool isMove(Operation *op) {
  if (!isa<hlo::BroadcastInDimOp, hlo::ConcatenateOp, hlo::DynamicSliceOp, hlo::DynamicUpdateSliceOp, hlo::GatherOp,
           hlo::OptimizationBarrierOp, hlo::PadOp, hlo::ReshapeOp, hlo::ReverseOp, hlo::SelectOp, hlo::SliceOp,
           hlo::TransposeOp>(op))
    return false;
  Type element = getElementTypeOrSelf(op->getResult(0).getType());
  return llvm::all_of(llvm::concat<const Type>(op->getOperandTypes(), op->getResultTypes()),
                      [&](Type type) { return !isQuantized(type) || getElementTypeOrSelf(type) == element; });
}

static Type floatsOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return tensor.clone(cast<quant::QuantizedType>(tensor.getElementType()).getExpressedType());
}

void expressQuantized(ModuleOp module) {
  SmallVector<Operation *> found;
  module.walk([&](Operation *op) {
    bool isOurs = isa<hlo::StableHLODialect, chlo::CHLODialect>(op->getDialect());
    if (isOurs && usesQuantized(op) && !isMove(op) && !isa<hlo::UniformDequantizeOp, hlo::CustomCallOp>(op) &&
        !isa<hlo::CompositeOp, hlo::ReturnOp>(op))
      found.push_back(op);
  });
  for (Operation *op : found) {
    OpBuilder b(op);
    for (OpOperand &operand : op->getOpOperands())
      if (Type type = operand.get().getType(); isQuantized(type))
        operand.set(hlo::UniformDequantizeOp::create(b, op->getLoc(), floatsOf(type), operand.get()));
    if (isa<hlo::UniformQuantizeOp>(op))
      continue;
    b.setInsertionPointAfter(op);
    for (OpResult result : op->getResults()) {
      Type type = result.getType();
      if (!isQuantized(type))
        continue;
      result.setType(floatsOf(type));
      auto quantized = hlo::UniformQuantizeOp::create(b, op->getLoc(), type, result);
      result.replaceAllUsesExcept(quantized, quantized);
    }
  }
}

} // namespace whit
