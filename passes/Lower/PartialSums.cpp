// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Who fences: one thread for its block. What the others wrote is ordered before it by the barrier, and fences are cumulative (PTX ISA 8.7,
// "Memory Consistency Model"; LLVM's "Memory Model for AMDGPU").

#include "Lower/PartialSums.h"

#include "Whit/Whit.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::whit;

static constexpr unsigned kGlobal = 1;

Value PartialSums::place(LaneBuilder &b, int64_t slices, int64_t term, Value slice, Value token, Value column) const {
  Value row = b.add(b.mul(tile, terms), term);
  row = b.add(b.mul(row, slices), slice);
  row = b.add(b.mul(row, tokens), token);
  return b.add(b.mul(row, columns), column);
}

void mlir::whit::addPartialSums(ModuleOp module, function_ref<SmallVector<SlicedLoop>(func::FuncOp)> loops) {
  llvm::MapVector<func::FuncOp, int64_t> words;
  int64_t tiles = 0;
  for (auto function : module.getOps<func::FuncOp>())
    if (function->hasAttr("whit.observed"))
      for (const SlicedLoop &loop : loops(function)) {
        words[function] = std::max(words[function], loop.words());
        tiles = std::max(tiles, loop.tiles);
      }
  if (words.empty())
    return;
  OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
  auto counts = MemRefType::get({tiles}, top.getI32Type());
  auto zeros = DenseElementsAttr::get(RankedTensorType::get({tiles}, top.getI32Type()), int32_t(0));
  auto none = memref::GlobalOp::create(top, module.getLoc(), "no_arrivals", top.getStringAttr("private"), counts, zeros,
                                       /*constant=*/true, /*alignment=*/nullptr);
  SmallVector<func::CallOp> calls;
  module.walk([&](func::CallOp call) { calls.push_back(call); });
  llvm::DenseMap<Operation *, Value> countsOf; // by caller
  for (auto [function, size] : words) {
    // Before the number of the region, which is last.
    unsigned at = function.getNumArguments() - 1;
    auto sums = MemRefType::get({size}, top.getI32Type());
    auto mark = [&](StringRef name) { return top.getDictionaryAttr(top.getNamedAttr(name, top.getUnitAttr())); };
    (void)function.insertArgument(at, sums, mark(kPartialSums), function.getLoc());
    (void)function.insertArgument(at + 1, counts, mark(kArrivals), function.getLoc());
    for (func::CallOp call : calls) {
      if (call.getCallee() != function.getSymName())
        continue;
      auto caller = call->getParentOfType<func::FuncOp>();
      Value &known = countsOf[caller];
      if (!known) {
        OpBuilder entry = OpBuilder::atBlockBegin(&caller.getBody().front());
        known = memref::GetGlobalOp::create(entry, call.getLoc(), counts, none.getName());
      }
      OpBuilder b(call);
      Value memory = memref::AllocOp::create(b, call.getLoc(), sums);
      call->insertOperands(at, {memory, known});
    }
  }
}

Value mlir::whit::countIn(LaneBuilder &b, Value counts, Value tile, int64_t slices) {
  Type i32 = b.getI32Type(), i64 = b.getI64Type();
  StringRef scope = b.facts.isNvidia() ? "device" : "agent";
  Value before = memref::AllocOp::create(b, MemRefType::get({1}, i32)), zero = b.index(0), most = b.i32(slices - 1);
  b.barrier(); // all threads have written
  b.ifThen(b.cmp(arith::CmpIPredicate::eq, b.thread(), zero), [&] {
    Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, counts);
    auto generic = LLVM::LLVMPointerType::get(b.getContext());
    base = LLVM::IntToPtrOp::create(b, generic, arith::IndexCastOp::create(b, i64, base).getResult());
    Value count = LLVM::GEPOp::create(b, generic, i32, base,
                                      ArrayRef<LLVM::GEPArg>{Value(arith::IndexCastOp::create(b, i64, tile))});
    count = LLVM::AddrSpaceCastOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), kGlobal), count);
    LLVM::FenceOp::create(b, LLVM::AtomicOrdering::acq_rel, scope);
    Value old =
        LLVM::AtomicRMWOp::create(b, LLVM::AtomicBinOp::uinc_wrap, count, most, LLVM::AtomicOrdering::monotonic, scope);
    LLVM::FenceOp::create(b, LLVM::AtomicOrdering::acq_rel, scope);
    b.write(old, before, {zero});
  });
  b.barrier();
  return b.cmp(arith::CmpIPredicate::eq, b.read(before, {zero}), most);
}
