// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What functions of regions and their loops over tiles become, for threads of a CPU and blocks of a GPU alike.

#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::whit {

/// Gives `region` the runtime's context as first argument; its calls pass it on and let the runtime watch the buffers of the region.
void passContext(ModuleOp module, func::FuncOp region);

/// Bytes of a tile buffer, at its largest size. An error on it if a dimension has none.
FailureOr<int64_t> largestBytes(memref::AllocOp buffer);

/// The parallel loops of a region, also those in branches; none inside of another.
SmallVector<scf::ForallOp> loopsOf(Operation *region);

/// What a loop uses of what stands outside of it; constants are cheaper to make again than to pass.
struct Captured {
  llvm::SetVector<Value> values;
  SmallVector<Operation *> constants;
};
Captured capturedBy(scf::ForallOp loop);

/// How many tiles each dimension of a loop has: ceil((upper - lower) / step). What stands outside of the loop is looked up in `map`.
SmallVector<Value> tileCounts(OpBuilder &b, scf::ForallOp loop, IRMapping &map);
/// Maps the loop's indices to those of tile number `tile` of them, the last dimension fastest.
void mapTile(OpBuilder &b, scf::ForallOp loop, Value tile, ArrayRef<Value> counts, IRMapping &map);

} // namespace mlir::whit
