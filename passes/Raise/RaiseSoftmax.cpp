// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-raise-softmax: the formula of Softmax.h. A guard that replaces NaN stays behind it.

#include "Raise/Softmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DEF_RAISESOFTMAXPASS
#include "Raise/RaiseSoftmax.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

/// Why a tensor is no softmax over its last dimension although it is nearly one; empty if it is nothing like it.
static std::string missedIn(Value result, int64_t rank) {
  for (int64_t dim = rank - 1; dim >= 0; --dim) {
    std::string why;
    if (std::optional<Softmax> softmax = softmaxOf(elementOf(result), dim, &why)) {
      if (dim != rank - 1 && !softmax->guarded)
        return llvm::formatv("it sums over dimension {0}; the last one, {1}, is required", dim, rank - 1);
    } else if (!why.empty()) {
      return why;
    }
  }
  return {};
}

static Value raiseSoftmax(ImplicitLocOpBuilder &b, linalg::GenericOp op, std::string &why) {
  Value result = op.getResult(0);
  auto type = cast<RankedTensorType>(result.getType());
  int64_t rank = type.getRank();
  if (rank < 1 || op.getNumParallelLoops() != op.getNumLoops())
    return {};
  std::optional<Softmax> softmax = softmaxOf(elementOf(result), rank - 1);
  if (!softmax) {
    why = missedIn(result, rank);
    return {};
  }
  if (softmax->guarded)
    return {};
  if (!type.getElementType().isF32()) {
    why = llvm::formatv("its elements are {0}; f32 is required", type.getElementType());
    return {};
  }
  SmallVector<OpFoldResult> sizes = sizesOf(b, result);
  SmallVector<AffineExpr> indices = llvm::to_vector(b.getMultiDimIdentityMap(rank).getResults());
  Value x = arrange(b, softmax->scores, indices, sizes);
  if (!x)
    if (Element operand = asOperand(b, softmax->scores))
      x = arrange(b, operand, indices, sizes);
  if (!x) {
    why = "its scores are no tensor of its shape";
    return {};
  }
  return SoftmaxOp::create(b, type, x, emptyLike(b, result)).getResult(0);
}

namespace {
struct RaiseSoftmaxPass : mlir::whit::impl::RaiseSoftmaxPassBase<RaiseSoftmaxPass> {
  void runOnOperation() override { raiseEach(getOperation(), getArgument(), "softmax", raiseSoftmax); }
};
} // namespace
