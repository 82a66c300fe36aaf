// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-convert-to-llvm: the last pass. Only here is the runtime's calling convention spelled out.

#include "Lower/LLVMPatterns.h"
#include "Whit/Whit.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/Pattern.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_CONVERTTOLLVMPASS
#include "Lower/ConvertToLLVM.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

void mlir::whit::populateLLVMPatterns(LLVMTypeConverter &converter, RewritePatternSet &patterns) {
  arith::populateArithToLLVMConversionPatterns(converter, patterns);
  populateMathToLLVMConversionPatterns(converter, patterns);
  populateFinalizeMemRefToLLVMConversionPatterns(converter, patterns);
  populateFuncToLLVMConversionPatterns(converter, patterns);
  cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
  index::populateIndexToLLVMConversionPatterns(converter, patterns);
  ub::populateUBToLLVMConversionPatterns(converter, patterns);
  populateVectorToLLVMConversionPatterns(converter, patterns);
}

namespace {
LLVM::LLVMPointerType pointerType(OpBuilder &b) { return LLVM::LLVMPointerType::get(b.getContext()); }

Value onStack(OpBuilder &b, Location loc, Type type) {
  // In the entry block, so that a loop does not grow the stack.
  OpBuilder::InsertionGuard guard(b);
  auto func = b.getInsertionBlock()->getParentOp()->getParentOfType<LLVM::LLVMFuncOp>();
  if (!func)
    func = dyn_cast<LLVM::LLVMFuncOp>(b.getInsertionBlock()->getParentOp());
  if (func)
    b.setInsertionPointToStart(&func.getBody().front());
  Value one = LLVM::ConstantOp::create(b, loc, b.getI64Type(), b.getI64IntegerAttr(1));
  return LLVM::AllocaOp::create(b, loc, pointerType(b), type, one);
}

/// The function-pointer field `index` of the context.
Value callback(OpBuilder &b, Location loc, Value context, int32_t index) {
  Value address = LLVM::GEPOp::create(b, loc, pointerType(b), pointerType(b), context, ArrayRef<LLVM::GEPArg>{index});
  return LLVM::LoadOp::create(b, loc, pointerType(b), address);
}

Value contextOf(Operation *op) { return op->getParentOfType<FunctionOpInterface>().getArgument(0); }

/// void BODY_entry(void *captured, int64_t begin, int64_t end): unpacks what was captured and calls the body.
struct LowerParallelCall : ConvertOpToLLVMPattern<ParallelOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(ParallelOp op, OpAdaptor adaptor, ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    SmallVector<Type> fields = llvm::to_vector(adaptor.getCaptured().getTypes());
    auto packed = LLVM::LLVMStructType::getLiteral(rewriter.getContext(), fields);
    Value context = contextOf(op), captured = onStack(rewriter, loc, packed);
    for (auto [i, value] : llvm::enumerate(adaptor.getCaptured())) {
      Value address = LLVM::GEPOp::create(rewriter, loc, pointerType(rewriter), packed, captured,
                                          ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
      LLVM::StoreOp::create(rewriter, loc, value, address);
    }
    StringAttr entry = makeEntry(op, packed, rewriter);
    Value function = LLVM::AddressOfOp::create(rewriter, loc, pointerType(rewriter), entry.getValue());
    auto type = LLVM::LLVMFunctionType::get(
        LLVM::LLVMVoidType::get(rewriter.getContext()),
        {pointerType(rewriter), pointerType(rewriter), pointerType(rewriter), rewriter.getI64Type()});
    LLVM::CallOp::create(
        rewriter, loc, type,
        ValueRange{callback(rewriter, loc, context, 0), context, function, captured, adaptor.getCount()});
    rewriter.eraseOp(op);
    return success();
  }

  StringAttr makeEntry(ParallelOp op, LLVM::LLVMStructType packed, ConversionPatternRewriter &rewriter) const {
    OpBuilder::InsertionGuard guard(rewriter);
    auto module = op->getParentOfType<ModuleOp>();
    rewriter.setInsertionPointToEnd(module.getBody());
    Location loc = op.getLoc();
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(rewriter.getContext()),
                                            {pointerType(rewriter), rewriter.getI64Type(), rewriter.getI64Type()});
    auto entry =
        LLVM::LLVMFuncOp::create(rewriter, loc, (op.getBody() + "_entry").str(), type, LLVM::Linkage::Internal);
    Block *block = entry.addEntryBlock(rewriter);
    rewriter.setInsertionPointToStart(block);
    SmallVector<Value> operands;
    for (auto [i, field, original] : llvm::enumerate(packed.getBody(), op.getCaptured().getTypes())) {
      Value address = LLVM::GEPOp::create(rewriter, loc, pointerType(rewriter), packed, block->getArgument(0),
                                          ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
      Value value = LLVM::LoadOp::create(rewriter, loc, field, address);
      if (auto memref = dyn_cast<MemRefType>(original))
        MemRefDescriptor::unpack(rewriter, loc, value, memref, operands);
      else
        operands.push_back(value);
    }
    operands.push_back(block->getArgument(1));
    operands.push_back(block->getArgument(2));
    LLVM::CallOp::create(rewriter, loc, TypeRange{}, SymbolRefAttr::get(rewriter.getContext(), op.getBody()), operands);
    LLVM::ReturnOp::create(rewriter, loc, ValueRange{});
    return entry.getSymNameAttr();
  }
};

struct LowerObserve : ConvertOpToLLVMPattern<ObserveOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(ObserveOp op, OpAdaptor adaptor, ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto pointer = pointerType(rewriter);
    auto tableType = LLVM::LLVMArrayType::get(pointer, std::max<size_t>(adaptor.getBuffers().size(), 1));
    Value context = contextOf(op), table = onStack(rewriter, loc, tableType);
    for (auto [i, descriptor] : llvm::enumerate(adaptor.getBuffers())) {
      Value memory = onStack(rewriter, loc, descriptor.getType());
      LLVM::StoreOp::create(rewriter, loc, descriptor, memory);
      Value address =
          LLVM::GEPOp::create(rewriter, loc, pointer, tableType, table, ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
      LLVM::StoreOp::create(rewriter, loc, memory, address);
    }
    auto i32 = rewriter.getI32Type();
    auto type =
        LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(rewriter.getContext()), {pointer, i32, i32, pointer, i32});
    Value count = LLVM::ConstantOp::create(rewriter, loc, i32, rewriter.getI32IntegerAttr(adaptor.getBuffers().size()));
    LLVM::CallOp::create(
        rewriter, loc, type,
        ValueRange{callback(rewriter, loc, context, 1), context, adaptor.getRegion(), adaptor.getWhen(), table, count});
    rewriter.eraseOp(op);
    return success();
  }
};

/// context->launch(context, kernel, shape, words, count), with both arrays on the stack.
struct LowerLaunch : ConvertOpToLLVMPattern<gpu::LaunchFuncOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(gpu::LaunchFuncOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto kernel = op->getAttrOfType<IntegerAttr>("whit.kernel");
    if (!kernel)
      return rewriter.notifyMatchFailure(op, "launch without a place in the table of kernels");
    Location loc = op.getLoc();
    Type i32 = rewriter.getI32Type(), i64 = rewriter.getI64Type(), pointer = pointerType(rewriter);
    auto known = [&](Type type, int64_t value) -> Value {
      return LLVM::ConstantOp::create(rewriter, loc, type, rewriter.getIntegerAttr(type, value));
    };
    auto array = [&](ValueRange words) {
      auto type = LLVM::LLVMArrayType::get(i64, std::max<size_t>(words.size(), 1));
      Value memory = onStack(rewriter, loc, type);
      for (auto [i, word] : llvm::enumerate(words)) {
        Value at = LLVM::GEPOp::create(rewriter, loc, pointer, type, memory, ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
        if (isa<LLVM::LLVMPointerType>(word.getType()))
          word = LLVM::PtrToIntOp::create(rewriter, loc, i64, word);
        LLVM::StoreOp::create(rewriter, loc, word, at);
      }
      return memory;
    };
    Value shared = known(i64, 0);
    Value shape = array({adaptor.getGridSizeX(), adaptor.getGridSizeY(), adaptor.getGridSizeZ(),
                         adaptor.getBlockSizeX(), adaptor.getBlockSizeY(), adaptor.getBlockSizeZ(), shared});
    Value words = array(adaptor.getKernelOperands());
    Value context = contextOf(op);
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(rewriter.getContext()),
                                            {pointer, i32, pointer, pointer, i32});
    LLVM::CallOp::create(rewriter, loc, type,
                         ValueRange{callback(rewriter, loc, context, 3), context, known(i32, kernel.getInt()), shape,
                                    words, known(i32, int64_t(adaptor.getKernelOperands().size()))});
    rewriter.eraseOp(op);
    return success();
  }
};

struct ConvertToLLVMPass : mlir::whit::impl::ConvertToLLVMPassBase<ConvertToLLVMPass> {
  void runOnOperation() override {
    LowerToLLVMOptions options(&getContext());
    LLVMTypeConverter converter(&getContext(), options);
    LLVMConversionTarget target(getContext());
    target.addLegalOp<ModuleOp, WeightOp, gpu::GPUModuleOp>();
    target.markOpRecursivelyLegal<gpu::GPUModuleOp>(); // converted before, for another machine
    RewritePatternSet patterns(&getContext());
    patterns.add<LowerParallelCall, LowerObserve, LowerLaunch>(converter);
    populateLLVMPatterns(converter, patterns);
    if (failed(applyFullConversion(getOperation(), target, std::move(patterns))))
      return signalPassFailure();
    getOperation().walk([](LLVM::LLVMFuncOp func) {
      if (func->getParentOp() == func->getParentOfType<ModuleOp>() && !func.isExternal() &&
          !func.getSymName().starts_with("whit_main"))
        func.setLinkage(LLVM::Linkage::Internal);
    });
  }
};
} // namespace
