// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The compiler on one page: which pass runs where, and why there. The only file that names two passes.

#include "Pipeline.h"

#include "Passes.h"

#include "runtime/encoding/CacheBlock.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/Affine/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::whit;

static void clean(OpPassManager &manager) {
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

static void raise(OpPassManager &manager, const PipelineOptions &) {
  // Patterns compare values, so that equal ones must be one.
  clean(manager);
  manager.addPass(createRaiseMatmulsPass());
  manager.addNestedPass<func::FuncOp>(createRaiseGeluPass());
  manager.addNestedPass<func::FuncOp>(createRaiseNormsPass());
  // Rotations and caches lead from the heads of queries and keys back to rows, where attention looks for them.
  manager.addNestedPass<func::FuncOp>(createRaiseRotaryPass());
  manager.addNestedPass<func::FuncOp>(createRaiseCachesPass());
  manager.addNestedPass<func::FuncOp>(createRaiseAttentionPass());
  manager.addNestedPass<func::FuncOp>(createRaiseSoftmaxPass());
  // What was raised undoes what the model did around it.
  manager.addNestedPass<func::FuncOp>(createDropMovesPass());
  clean(manager);
  // Sees slices of a stack once the moves between them and the caches are gone.
  manager.addNestedPass<func::FuncOp>(createRaiseStackedCachesPass());
  clean(manager);
}

static void encode(OpPassManager &manager, const PipelineOptions &options) {
  manager.addPass(createRefuseDoublesPass());
  manager.addPass(createAssignFormatsPass(
      {options.weights, options.formatMap, options.keep, options.quantizer, options.requantize}));
  manager.addNestedPass<func::FuncOp>(createInsertPartsPass());
  // States first: they take names away from the outputs, the others get destinations.
  std::optional<::whit::CacheFormats> kv = ::whit::parseCacheFormats(options.kv, nullptr);
  bool isOneType = kv && kv->keys.isPlain() && kv->keys == kv->values;
  std::string stored = isOneType ? ::whit::nameOf(kv->keys) : "f32";
  manager.addNestedPass<func::FuncOp>(createMakeCachesInPlacePass({options.context, stored}));
  if (!isOneType)
    manager.addNestedPass<func::FuncOp>(createQuantizeCachesPass({options.kv, options.kvHadamard}));
  manager.addPass(createAddDestinationsPass());
  // Before anything is quantized or fused: a row is a row, whichever batch it comes from.
  manager.addNestedPass<func::FuncOp>(createCollapseRowsPass());
  clean(manager);
  manager.addNestedPass<func::FuncOp>(createQuantizeActivationsPass({options.activations}));
  // Sizes must come from arguments, not from results of kernels that have not run yet.
  manager.addPass(memref::createResolveRankedShapeTypeResultDimsPass());
  clean(manager);
}

static void fuse(OpPassManager &manager, const PipelineOptions &) {
  manager.addPass(createJoinMatmulsPass());
  // Chains of elementwise operations first become one, so that a region computes each of their inputs once.
  manager.addPass(createLinalgGeneralizeNamedOpsPass());
  manager.addNestedPass<func::FuncOp>(createFuseElementwisePass());
  clean(manager);
  manager.addNestedPass<func::FuncOp>(createFormRegionsPass());
}

static void layOut(OpPassManager &manager, const PipelineOptions &) { manager.addPass(createSolvePlacesPass()); }

static void tile(OpPassManager &manager, const PipelineOptions &) {
  manager.addNestedPass<func::FuncOp>(createChooseSchedulesPass());
  manager.addNestedPass<func::FuncOp>(createTileRegionsPass());
  // Merges what tiling computed twice for two users of one producer.
  clean(manager);
}

static void lower(OpPassManager &manager, const PipelineOptions &options) {
  bool isGpu = options.isGpu;
  manager.addPass(createOutlineRegionsPass());
  clean(manager);
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  manager.addPass(bufferization::createEmptyTensorEliminationPass());
  manager.addPass(bufferization::createOneShotBufferizePass(bufferize));
  if (options.isGpu) // two ways to write one buffer are one result
    manager.addPass(createCanonicalizerPass());
  manager.addPass(bufferization::createDropEquivalentBufferResultsPass());
  clean(manager);
  manager.addPass(createCanonicalizerPass()); // copies of a buffer to itself, once their two views are one

  // Kernels, while sizes and tiles are still visible as subviews.
  manager.addNestedPass<func::FuncOp>(createLowerViewsPass());
  // What blocks of threads share out; the passes below find the rest, for single threads.
  if (isGpu)
    manager.addPass(createLowerBlocksPass());
  manager.addNestedPass<func::FuncOp>(createLowerMatmulPass());
  manager.addNestedPass<func::FuncOp>(createLowerRowwisePass());
  manager.addNestedPass<func::FuncOp>(createLowerAttentionPass());
  // What is no product of two activations is left to the general case.
  manager.addNestedPass<func::FuncOp>(createLowerContractionPass());
  manager.addNestedPass<func::FuncOp>(createLowerElementwisePass());

  manager.addPass(createPlanMemoryPass());
  if (isGpu)
    manager.addNestedPass<func::FuncOp>(createLowerDotPass());
  manager.addPass(isGpu ? createLowerLaunchesPass() : createLowerParallelPass());
  clean(manager);
  if (!isGpu)
    manager.addNestedPass<func::FuncOp>(createLowerDotPass());
  manager.addPass(createLowerLookupPass());

  manager.addPass(createConvertVectorToSCFPass());
  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass());
  manager.addPass(createSCFToControlFlowPass());
  clean(manager);
  manager.addPass(createConvertVectorToLLVMPass());
  if (isGpu)
    manager.addNestedPass<gpu::GPUModuleOp>(createConvertKernelsPass());
  manager.addPass(createConvertToLLVMPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
  clean(manager);
}

namespace {
struct Stage {
  StringRef name;
  void (*build)(OpPassManager &, const PipelineOptions &);
};
} // namespace

static constexpr Stage kStages[] = {{"raised", raise},    {"encoded", encode}, {"fused", fuse},
                                    {"laid-out", layOut}, {"tiled", tile},     {"lowered", lower}};

void mlir::whit::buildStage(OpPassManager &manager, StringRef stage, const PipelineOptions &options) {
  for (const Stage &entry : kStages)
    if (entry.name == stage)
      entry.build(manager, options);
  manager.addPass(createVerifyStagePass({stage.str()}));
}
