// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-verify-stage: the contract between stages, one function per stage. Each stage keeps the promises of those before it
// that still make sense.

#include "Whit/Whit.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/StringSwitch.h"

namespace mlir::whit {
#define GEN_PASS_DECL_VERIFYSTAGEPASS
#define GEN_PASS_DEF_VERIFYSTAGEPASS
#include "Verify/VerifyStage.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
using Check = LogicalResult (*)(Operation *);

LogicalResult verifyImported(Operation *op) {
  StringRef dialect = op->getName().getDialectNamespace();
  bool allowed =
      llvm::StringSwitch<bool>(dialect)
          .Cases({"linalg", "tensor", "arith", "math", "func", "whit", "builtin", "affine", "bufferization"}, true)
          .Cases({"check", "scf"}, true)
          .Default(false);
  if (!allowed)
    return op->emitError() << "operation " << op->getName() << " is left after import; the importer must express it in "
                           << "linalg, tensor, arith and whit operations";
  return success();
}

LogicalResult verifyEncoded(Operation *op) {
  auto func = dyn_cast<func::FuncOp>(op);
  if (!func || func.isExternal() || func.isPrivate())
    return success();
  for (unsigned i = 0; i < func.getNumResults(); ++i)
    if (auto name = func.getResultAttrOfType<StringAttr>(i, "whit.name")) {
      bool found = llvm::any_of(llvm::seq<unsigned>(0, func.getNumArguments()), [&](unsigned a) {
        return func.getArgAttr(a, "whit.output") && func.getArgAttrOfType<StringAttr>(a, "whit.name") == name;
      });
      if (!found)
        return func.emitError()
               << "output '" << name.getValue()
               << "' has no destination after stage 'encoded'; whit-add-destinations should have added it";
    }
  return success();
}

LogicalResult verifyFused(Operation *op) {
  if (!isa<RowwiseOpInterface>(op) && !isa<linalg::LinalgOp>(op))
    return success();
  if (!op->getParentOfType<RegionOp>())
    return op->emitError() << "is outside of any region after stage 'fused'; whit-form-regions should have placed it";
  return success();
}

LogicalResult verifyLaidOut(Operation *op) {
  for (Type type : op->getResultTypes())
    if (isa<EncodedTensorType>(type))
      return op->emitError() << "has type " << type
                             << " after stage 'laid-out'; whit-solve-places should have packed it";
  return success();
}

LogicalResult verifyTiled(Operation *op) {
  auto region = dyn_cast<RegionOp>(op);
  if (region && !region.getSchedule())
    return region.emitError() << "region '" << region.getName()
                              << "' has no schedule after stage 'tiled'; whit-choose-schedules should have chosen one";
  return success();
}

LogicalResult verifyLowered(Operation *op) {
  if (isa<ModuleOp, WeightOp, gpu::GPUModuleOp>(op) || isa<LLVM::LLVMDialect>(op->getDialect()))
    return success();
  if (op->getParentOfType<gpu::GPUModuleOp>() && isa<NVVM::NVVMDialect, ROCDL::ROCDLDialect>(op->getDialect()))
    return success();
  return op->emitError() << "operation " << op->getName()
                         << " is left after stage 'lowered'; whit-convert-to-llvm should have converted it";
}

struct VerifyStagePass : mlir::whit::impl::VerifyStagePassBase<VerifyStagePass> {
  using VerifyStagePassBase::VerifyStagePassBase;

  void runOnOperation() override {
    SmallVector<Check> checks;
    if (stage == "lowered")
      checks = {verifyLowered};
    else {
      static const std::pair<StringRef, Check> order[] = {{"imported", verifyImported}, {"raised", verifyImported},
                                                          {"encoded", verifyEncoded},   {"fused", verifyFused},
                                                          {"laid-out", verifyLaidOut},  {"tiled", verifyTiled}};
      const auto *end = llvm::find_if(order, [&](auto &entry) { return entry.first == stage; });
      if (end == std::end(order)) {
        getOperation().emitError() << "stage is '" << stage
                                   << "'; it must be imported, raised, encoded, fused, laid-out, tiled or lowered";
        return signalPassFailure();
      }
      for (const auto *entry = std::begin(order); entry <= end; ++entry)
        if (entry->second != verifyImported || stage == "imported" || stage == "raised")
          checks.push_back(entry->second);
    }
    WalkResult result = getOperation()->walk([&](Operation *op) {
      for (Check check : checks)
        if (failed(check(op)))
          return WalkResult::interrupt();
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
