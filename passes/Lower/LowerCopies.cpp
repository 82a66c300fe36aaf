// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lower-copies: upstream lowers a strided copy to a call of a runtime library that compiled models do not link.

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERCOPIESPASS
#include "Lower/LowerCopies.h.inc"
} // namespace mlir::whit

using namespace mlir;

namespace {
struct LowerCopiesPass : mlir::whit::impl::LowerCopiesPassBase<LowerCopiesPass> {
  void runOnOperation() override {
    SmallVector<memref::CopyOp> copies;
    getOperation().walk([&](memref::CopyOp copy) { copies.push_back(copy); });
    for (memref::CopyOp copy : copies) {
      auto isPlain = [](Value v) { return cast<MemRefType>(v.getType()).getLayout().isIdentity(); };
      if (isPlain(copy.getSource()) && isPlain(copy.getTarget()))
        continue;
      OpBuilder b(copy);
      linalg::makeMemRefCopyOp(b, copy.getLoc(), copy.getSource(), copy.getTarget());
      copy.erase();
    }
  }
};
} // namespace
