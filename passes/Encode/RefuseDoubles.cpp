// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-refuse-doubles: better at a node than at the link.

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_REFUSEDOUBLESPASS
#include "Encode/RefuseDoubles.h.inc"
} // namespace mlir::whit

using namespace mlir;

/// What a processor does, or a few of its instructions, and what is made of them (ExpandMath).
static bool isArithmetic(Operation *op) {
  if (isa<math::ExpOp, math::LogOp, math::Log2Op, math::Log10Op>(op))
    return true;
  return isa<math::AbsFOp, math::SqrtOp, math::CopySignOp, math::FloorOp, math::CeilOp, math::TruncOp,
             math::RoundEvenOp, math::IsNaNOp, math::IsInfOp, math::IsFiniteOp>(op);
}

namespace {
struct RefuseDoublesPass : mlir::whit::impl::RefuseDoublesPassBase<RefuseDoublesPass> {
  void runOnOperation() override {
    bool refused = false;
    getOperation().walk([&](Operation *op) {
      bool isFunction = isa<math::MathDialect>(op->getDialect()) ? !isArithmetic(op) : isa<arith::RemFOp>(op);
      if (!isFunction || llvm::none_of(op->getOperandTypes(), [](Type t) { return getElementTypeOrSelf(t).isF64(); }))
        return;
      refused = true;
      op->emitError() << op->getName() << " of f64 is not supported; convert its input to f32 in the model";
    });
    if (refused)
      signalPassFailure();
  }
};
} // namespace
