// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lower-parallel: parallel loops become functions over ranges. Which thread runs which range is the runtime's business and
// cannot change a result: iterations write disjoint memory.

#include "Lower/RegionLoops.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERPARALLELPASS
#include "Lower/LowerParallel.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
/// Stack memory that a body may use; a thread's stack is a megabyte or more.
constexpr int64_t kMaxScratchBytes = 256 << 10;

struct LowerParallelPass : mlir::whit::impl::LowerParallelPassBase<LowerParallelPass> {
  void runOnOperation() override {
    SmallVector<func::FuncOp> regions;
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func->hasAttr("whit.observed"))
        regions.push_back(func);
    for (func::FuncOp region : regions)
      if (failed(placeScratch(region)) || failed(outlineLoops(region)))
        return signalPassFailure();
    for (func::FuncOp region : regions)
      passContext(getOperation(), region);
  }

  // ------------------------------------------------------------------------------------------------ scratch

  LogicalResult placeScratch(func::FuncOp region) {
    SmallVector<memref::AllocOp> allocs;
    region.walk([&](memref::AllocOp alloc) { allocs.push_back(alloc); });
    int64_t total = 0;
    for (memref::AllocOp alloc : allocs) {
      FailureOr<int64_t> bytes = largestBytes(alloc);
      if (failed(bytes))
        return failure();
      total += *bytes;
      if (total > kMaxScratchBytes)
        return alloc.emitError() << "tile buffers of region function " << region.getSymName() << " take " << total
                                 << " bytes of stack; at most " << kMaxScratchBytes
                                 << " are allowed, choose smaller tiles in its schedule";
      OpBuilder b(alloc);
      auto raw = memref::AllocaOp::create(b, alloc.getLoc(), MemRefType::get({*bytes}, b.getI8Type()),
                                          b.getI64IntegerAttr(64));
      Value zero = arith::ConstantIndexOp::create(b, alloc.getLoc(), 0);
      auto view = memref::ViewOp::create(b, alloc.getLoc(), alloc.getType(), raw, zero, alloc.getDynamicSizes());
      alloc.replaceAllUsesWith(view.getResult());
      alloc.erase();
    }
    return success();
  }

  // ------------------------------------------------------------------------------------------------ loops

  LogicalResult outlineLoops(func::FuncOp region) {
    SmallVector<scf::ForallOp> loops = loopsOf(region);
    for (auto [i, loop] : llvm::enumerate(loops)) {
      if (loop->getNumResults())
        return loop.emitError() << "parallel loop still yields tensors; bufferize before whit-lower-parallel";
      outline(region, loop,
              llvm::formatv("{0}_body{1}", region.getSymName(), loops.size() == 1 ? "" : std::to_string(i)).str());
    }
    return success();
  }

  void outline(func::FuncOp region, scf::ForallOp loop, std::string name) {
    auto [captured, constants] = capturedBy(loop);
    Location loc = loop.getLoc();
    OpBuilder b(region);
    SmallVector<Type> types = llvm::map_to_vector(captured, [](Value v) { return v.getType(); });
    types.append(2, b.getIndexType());
    auto body = func::FuncOp::create(b, loc, name, b.getFunctionType(types, {}));
    body.setPrivate();
    Block *entry = body.addEntryBlock();
    IRMapping map;
    map.map(captured.getArrayRef(), entry->getArguments().drop_back(2));
    b.setInsertionPointToStart(entry);
    for (Operation *constant : constants)
      b.clone(*constant, map);
    SmallVector<Value> counts = tileCounts(b, loop, map);
    Value one = arith::ConstantIndexOp::create(b, loc, 1);
    auto range = scf::ForOp::create(b, loc, entry->getArguments().end()[-2], entry->getArguments().back(), one);
    b.setInsertionPoint(range.getBody()->getTerminator());
    mapTile(b, loop, range.getInductionVar(), counts, map);
    for (Operation &op : loop.getBody()->without_terminator())
      b.clone(op, map);
    b.setInsertionPointToEnd(entry);
    func::ReturnOp::create(b, loc);
    // Stack memory is taken once per call, not once per chunk.
    body.walk([&](memref::AllocaOp alloca) { alloca->moveBefore(entry, entry->begin()); });

    b.setInsertionPoint(loop);
    IRMapping outside;
    SmallVector<Value> outer = tileCounts(b, loop, outside);
    Value count = one = arith::ConstantIndexOp::create(b, loc, 1);
    for (Value size : outer)
      count = arith::MulIOp::create(b, loc, count, size);
    ParallelOp::create(b, loc, FlatSymbolRefAttr::get(body.getSymNameAttr()), count, captured.getArrayRef());
    loop.erase();
  }
};
} // namespace
