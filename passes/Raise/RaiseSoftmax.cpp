// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-raise-softmax: the formula of Softmax.h. A guard that replaces NaN stays behind it.

#include "Raise/Softmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_RAISESOFTMAXPASS
#include "Raise/RaiseSoftmax.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

static Value raiseSoftmax(ImplicitLocOpBuilder &b, linalg::GenericOp op) {
  Value result = op.getResult(0);
  auto type = cast<RankedTensorType>(result.getType());
  int64_t rank = type.getRank();
  if (!type.getElementType().isF32() || rank < 1 || op.getNumParallelLoops() != op.getNumLoops())
    return {};
  std::optional<Softmax> softmax = softmaxOf(elementOf(result), rank - 1);
  if (!softmax || softmax->guarded)
    return {};
  SmallVector<OpFoldResult> sizes = sizesOf(b, result);
  SmallVector<AffineExpr> indices = llvm::to_vector(b.getMultiDimIdentityMap(rank).getResults());
  Value x = arrange(b, softmax->scores, indices, sizes);
  if (!x)
    if (Element operand = asOperand(b, softmax->scores))
      x = arrange(b, operand, indices, sizes);
  if (!x)
    return {};
  return SoftmaxOp::create(b, type, x, emptyLike(b, result)).getResult(0);
}

namespace {
struct RaiseSoftmaxPass : mlir::whit::impl::RaiseSoftmaxPassBase<RaiseSoftmaxPass> {
  void runOnOperation() override { raiseEach(getOperation(), getArgument(), "softmax", raiseSoftmax); }
};
} // namespace
