// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sources: PTX ISA 8.7, "cp.async", "cp.async.bulk", "mbarrier", "createpolicy".

#include "Lower/PanelRing.h"

#include "Lower/InlineForm.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::whit;

/// Bytes of a copy of one lane, to which everything must be aligned.
static constexpr int64_t kPiece = 16;
static constexpr int64_t kMostStages = 4;
static constexpr unsigned kGlobal = 1, kShared = 3, kCluster = 7;

int64_t PanelRing::stagesOf(const TargetFacts &facts, const ::whit::Encoding &encoding, const ::whit::Place &place,
                            int64_t groups, int64_t warps, int64_t room) {
  if (!facts.has("cp-async") || encoding.isPlain() || place.groups <= groups)
    return 0;
  auto isInBlock = [](const ::whit::FactorPlace &factor) { return factor.span == 1; };
  bool areInBlocks = llvm::all_of(place.offset, isInBlock);
  for (const ::whit::TermPlace &term : place.terms)
    areInBlocks &=
        term.planes.empty() && llvm::all_of(term.factors, isInBlock) && (!term.choice || isInBlock(*term.choice));
  if (!areInBlocks || (place.blockBytes | place.headerBytes | place.panelBytes) % kPiece)
    return 0;
  int64_t stages = llvm::bit_floor(uint64_t(std::max<int64_t>(0, room) / (warps * (groups * place.blockBytes + 8))));
  return stages < 2 ? 0 : std::min(stages, kMostStages);
}

PanelRing::PanelRing(LaneBuilder &b, const ::whit::Place &place, Value packed, int64_t groups, int64_t stages)
    : b(b), whole(place), ofStage(place), packed(packed), groups(groups), stages(stages) {
  ofStage.headerBytes = 0;
  ofStage.groups = groups;
  ofStage.panelBytes = groups * place.blockBytes;
  int64_t rows = b.warps() * stages;
  ring = memref::AllocOp::create(b, MemRefType::get({rows, bytes()}, b.getI8Type()));
  firstRow = b.mul(b.warp(), stages);
  if (b.facts.has("tma"))
    arrived = memref::AllocOp::create(b, MemRefType::get({rows, 1}, b.getI64Type()));
  policy = InlineForm::get(InlineFormName::EvictFirst).emit(b, b.getI64Type(), {}).front();
}

Value PanelRing::pointer(Value memref, Value row, Value offset, int64_t rowBytes, unsigned space) {
  auto type = cast<MemRefType>(memref.getType());
  Type i64 = b.getI64Type();
  Value at = b.add(b.mul(row, rowBytes), offset);
  if (!type.getLayout().isIdentity()) {
    auto data = memref::ExtractStridedMetadataOp::create(b, memref);
    at = b.add(at, b.mul(data.getOffset(), type.getElementTypeBitWidth() / 8));
  }
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  auto generic = LLVM::LLVMPointerType::get(b.getContext());
  Value start = LLVM::IntToPtrOp::create(b, generic, arith::IndexCastOp::create(b, i64, base).getResult());
  Value element = LLVM::GEPOp::create(b, generic, b.getI8Type(), start,
                                      ArrayRef<LLVM::GEPArg>{Value(arith::IndexCastOp::create(b, i64, at))});
  return LLVM::AddrSpaceCastOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), space), element);
}

void PanelRing::copy(Value panel, Value group, Value to, Value row) {
  Value exists = b.cmp(arith::CmpIPredicate::slt, group, to);
  Value from = b.add(b.mul(group, whole.blockBytes), whole.headerBytes), lane = b.lane();
  if (arrived) {
    Value isFirst = arith::AndIOp::create(b, exists, b.cmp(arith::CmpIPredicate::eq, lane, b.index(0)));
    b.ifThen(isFirst, [&] {
      Value count = countOf(row), size = b.i32(bytes());
      NVVM::MBarrierArriveExpectTxOp::create(b, Type(), count, size, NVVM::MemScopeKind::CTA, false, Value());
      // The block's own memory by its name in the cluster: older PTX knows no other.
      Value stage = LLVM::AddrSpaceCastOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), kCluster),
                                                  pointer(ring, row, b.index(0), bytes(), kShared));
      NVVM::CpAsyncBulkGlobalToSharedClusterOp::create(b, stage,
                                                       pointer(packed, panel, from, whole.panelBytes, kGlobal), count,
                                                       size, /*multicastMask=*/Value(), policy);
    });
    return;
  }
  b.ifThen(exists, [&] {
    for (int64_t first = 0, pieces = bytes() / kPiece; first < pieces; first += b.facts.warpSize()) {
      Value piece = b.add(lane, first), at = b.mul(piece, kPiece);
      auto copyPiece = [&] {
        auto address = [&](Value pointer) -> Value { return LLVM::PtrToIntOp::create(b, b.getI64Type(), pointer); };
        Value stage = address(pointer(ring, row, at, bytes(), kShared)),
              source = address(pointer(packed, panel, b.add(from, at), whole.panelBytes, kGlobal));
        InlineForm::get(InlineFormName::CopyFourWords).emit(b, TypeRange(), {stage, source, policy});
      };
      if (first + b.facts.warpSize() <= pieces)
        copyPiece();
      else
        b.ifThen(b.cmp(arith::CmpIPredicate::slt, piece, b.index(pieces)), copyPiece);
    }
  });
  NVVM::CpAsyncCommitGroupOp::create(b);
}

void PanelRing::wait(Value turn, Value row) {
  if (!arrived) {
    NVVM::CpAsyncWaitGroupOp::create(b, int32_t(stages - 1));
    return b.warpSync();
  }
  Value parity = b.toI32(b.rem(b.div(turn, stages), 2)), count = countOf(row);
  // Asked again until the bytes are there.
  auto again = scf::WhileOp::create(b, TypeRange(), ValueRange());
  OpBuilder::InsertionGuard guard(b);
  b.createBlock(&again.getBefore());
  Value done =
      NVVM::MBarrierTryWaitOp::create(b, b.getI1Type(), count, parity, Value(), NVVM::MemScopeKind::CTA, false);
  Value isOpen = arith::XOrIOp::create(b, done, arith::ConstantIntOp::create(b, b.getI1Type(), 1));
  scf::ConditionOp::create(b, isOpen, ValueRange());
  b.createBlock(&again.getAfter());
  scf::YieldOp::create(b);
}

SmallVector<Value> PanelRing::loop(Value panel, Value from, Value to, ValueRange init,
                                   function_ref<SmallVector<Value>(Value, Value, ValueRange)> body) {
  auto onFirst = [&](function_ref<void(Value)> act) {
    b.ifThen(b.cmp(arith::CmpIPredicate::eq, b.lane(), b.index(0)), [&] {
      for (int64_t stage = 0; stage < stages; ++stage)
        act(countOf(b.add(firstRow, stage)));
    });
  };
  if (arrived) {
    onFirst([&](Value count) { NVVM::MBarrierInitOp::create(b, count, b.i32(1), Value()); });
    NVVM::FenceMbarrierInitOp::create(b);
    b.warpSync();
  }
  for (int64_t stage = 0; stage + 1 < stages; ++stage)
    copy(panel, b.add(from, stage * groups), to, b.add(firstRow, stage));
  SmallVector<Value> results =
      b.loop(from, to, b.index(groups), init, [&](Value group, ValueRange carried) -> SmallVector<Value> {
        Value turn = b.div(b.sub(group, from), groups), row = b.add(firstRow, b.rem(turn, stages));
        Value free = b.add(firstRow, b.rem(b.add(turn, stages - 1), stages));
        copy(panel, b.add(group, (stages - 1) * groups), to, free);
        wait(turn, row);
        SmallVector<Value> next = body(group, row, carried);
        b.warpSync(); // before the stage is written again
        return next;
      });
  if (arrived)
    onFirst([&](Value count) { NVVM::MBarrierInvalOp::create(b, count); });
  return results;
}
