// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-drop-moves: moves that a raised operation made needless. Canonicalization folds two transposes that meet; here
// there may be anything between them that only moves elements.

#include "Raise/Match.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_DROPMOVESPASS
#include "Raise/DropMoves.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

/// Whether the operation gives elements of other tensors and computes nothing.
static bool isMove(Operation *op) {
  if (isa<linalg::TransposeOp>(op))
    return true;
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return generic && generic->getNumResults() == 1 && generic.hasPureTensorSemantics() &&
         isa<BlockArgument>(generic.getBody()->getTerminator()->getOperand(0));
}

namespace {
struct DropMovesPass : mlir::whit::impl::DropMovesPassBase<DropMovesPass> {
  void runOnOperation() override {
    SmallVector<Operation *> moves;
    getOperation().walk([&](Operation *op) {
      if (isMove(op))
        moves.push_back(op);
    });
    for (Operation *op : moves) {
      Value result = op->getResult(0);
      SmallVector<Element> forms = formsOf(elementOf(result));
      if (forms.size() < 2)
        continue;
      ImplicitLocOpBuilder b(op->getLoc(), op);
      AffineMap identity = b.getMultiDimIdentityMap(cast<RankedTensorType>(result.getType()).getRank());
      Value there = arrange(b, forms[1], identity.getResults(), sizesOf(b, result), /*mayMove=*/false);
      if (!there || getElementTypeOrSelf(there.getType()) != getElementTypeOrSelf(result.getType()))
        continue;
      if (there.getType() != result.getType())
        there = tensor::CastOp::create(b, result.getType(), there);
      result.replaceAllUsesWith(there);
    }
  }
};
} // namespace
