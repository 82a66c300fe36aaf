// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-make-caches-in-place: past/present pairs become states. The updated cache is still a result of the function, in the
// order of the states, so that bufferization has to prove that it is the argument's own memory.

#include "Whit/Whit.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DECL_MAKECACHESINPLACEPASS
#define GEN_PASS_DEF_MAKECACHESINPLACEPASS
#include "Encode/MakeCachesInPlace.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
struct MakeCachesInPlacePass : mlir::whit::impl::MakeCachesInPlacePassBase<MakeCachesInPlacePass> {
  using MakeCachesInPlacePassBase::MakeCachesInPlacePassBase;

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    if (func.isExternal())
      return;
    Type stored = llvm::StringSwitch<Type>(kv)
                      .Case("f32", Float32Type::get(&getContext()))
                      .Case("f16", Float16Type::get(&getContext()))
                      .Case("bf16", BFloat16Type::get(&getContext()))
                      .Default(Type());
    if (!stored || context < 1) {
      func.emitError() << "kv is '" << kv << "' and context is " << int64_t(context)
                       << "; kv must be f32, f16 or bf16 and context at least 1";
      return signalPassFailure();
    }
    auto ret = cast<func::ReturnOp>(func.getBody().front().getTerminator());
    // Pairs in the order of the inputs; the others keep their places.
    SmallVector<std::pair<CacheAppendOp, unsigned>> pairs;
    llvm::BitVector isPresent(ret.getNumOperands());
    for (BlockArgument past : func.getArguments())
      if (std::optional<std::pair<CacheAppendOp, unsigned>> pair = match(func, ret, past)) {
        pairs.push_back(*pair);
        isPresent.set(pair->second);
      }
    SmallVector<Value> results;
    SmallVector<Attribute> resultAttrs;
    for (unsigned i = 0; i < ret.getNumOperands(); ++i)
      if (!isPresent[i]) {
        results.push_back(ret.getOperand(i));
        resultAttrs.push_back(func.getResultAttrDict(i) ? func.getResultAttrDict(i)
                                                        : DictionaryAttr::get(&getContext()));
      }
    for (auto [append, present] : pairs) {
      results.push_back(rewrite(func, append, present, stored));
      resultAttrs.push_back(DictionaryAttr::get(&getContext()));
    }
    ret->setOperands(results);
    func.setFunctionType(FunctionType::get(&getContext(), func.getBody().getArgumentTypes(), ret->getOperandTypes()));
    func.setResAttrsAttr(ArrayAttr::get(&getContext(), resultAttrs));
  }

  std::optional<std::pair<CacheAppendOp, unsigned>> match(func::FuncOp func, func::ReturnOp ret, BlockArgument past) {
    CacheAppendOp append;
    for (OpOperand &use : past.getUses()) {
      auto op = dyn_cast<CacheAppendOp>(use.getOwner());
      // Batch, heads and head size are those of the cache as well; the length is not.
      if (auto dim = dyn_cast<tensor::DimOp>(use.getOwner());
          dim && dim.getConstantIndex() && *dim.getConstantIndex() != 2)
        continue;
      if (!op || op.getPast() != past || append)
        return std::nullopt;
      append = op;
    }
    if (!append)
      return std::nullopt;
    // A cache grows from call to call. One length, written into the model, is only an array.
    if (!cast<RankedTensorType>(past.getType()).isDynamicDim(2)) {
      remark::missed(append.getLoc(), remark::RemarkOpts::name("cache").category(getArgument()))
          << "cache is not updated in place: the length of its past is fixed";
      return std::nullopt;
    }
    // A cache has room for more tokens than there are, which only attention knows to leave out.
    for (Operation *user : append.getResult(0).getUsers())
      if (isa<linalg::LinalgOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::ExtractSliceOp>(user)) {
        remark::missed(append.getLoc(), remark::RemarkOpts::name("cache").category(getArgument()))
            << "cache is not updated in place: something else than attention reads it";
        return std::nullopt;
      }
    for (OpOperand &use : ret->getOpOperands())
      if (use.get() == append.getResult(0))
        return std::pair{append, use.getOperandNumber()};
    remark::missed(append.getLoc(), remark::RemarkOpts::name("cache").category(getArgument()))
        << "cache is not updated in place: its new state is no output of the model";
    return std::nullopt;
  }

  Value rewrite(func::FuncOp func, CacheAppendOp append, unsigned present, Type stored) {
    auto past = cast<BlockArgument>(append.getPast());
    unsigned index = past.getArgNumber();
    Builder b(&getContext());
    auto shape = llvm::to_vector(cast<RankedTensorType>(past.getType()).getShape());
    auto name = func.getArgAttrOfType<StringAttr>(index, "whit.name");
    auto dims = func.getArgAttrOfType<ArrayAttr>(index, "whit.dims");
    auto presentName = func.getResultAttrOfType<StringAttr>(present, "whit.name");
    auto presentDims = func.getResultAttrOfType<ArrayAttr>(present, "whit.dims");
    shape[2] = context;
    // The head size of a past may be symbolic in the model; the new tokens say what it is.
    shape[3] = cast<ShapedType>(append.getNewTokens().getType()).getDimSize(3);
    SmallVector<Attribute> newDims = dims ? llvm::to_vector(dims) : SmallVector<Attribute>(4, b.getI64IntegerAttr(-1));
    newDims[2] = b.getI64IntegerAttr(context);
    newDims[3] = b.getI64IntegerAttr(shape[3]);
    func.setArgAttr(index, "whit.dims", b.getArrayAttr(newDims));
    func.setArgAttr(index, "whit.state",
                    b.getDictionaryAttr({b.getNamedAttr("past", name), b.getNamedAttr("present", presentName),
                                         b.getNamedAttr("length", presentDims[2]),
                                         b.getNamedAttr("context", b.getI64IntegerAttr(context))}));
    Type type = RankedTensorType::get(shape, stored);
    past.setType(type);

    OpBuilder builder(append);
    auto inPlace = CacheAppendOp::create(builder, append.getLoc(), TypeRange{type}, /*past=*/Value(),
                                         append.getNewTokens(), append.getStart(), past);
    append.getResult(0).replaceAllUsesWith(inPlace.getResult(0));
    append.erase();
    return inPlace.getResult(0);
  }
};
} // namespace
