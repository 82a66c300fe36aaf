// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-add-destinations: outputs become arguments. Shapes of outputs are then facts of the call, which is what lets a caller
// ask for fewer rows of logits than the sequence has.

#include "Encode/ChooseTokens.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_ADDDESTINATIONSPASS
#include "Encode/AddDestinations.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
struct AddDestinationsPass : mlir::whit::impl::AddDestinationsPassBase<AddDestinationsPass> {
  void runOnOperation() override {
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (!func.isExternal() && failed(addTo(func)))
        return signalPassFailure();
  }

  LogicalResult addTo(func::FuncOp func) {
    ModuleOp module = getOperation();
    StringRef logits;
    if (auto roles = module->getAttrOfType<DictionaryAttr>("whit.roles"))
      if (auto name = roles.getAs<StringAttr>("logits"))
        logits = name.getValue();
    Scored scored;
    auto ret = cast<func::ReturnOp>(func.getBody().front().getTerminator());
    for (OpOperand &result : ret->getOpOperands()) {
      unsigned index = result.getOperandNumber();
      auto name = func.getResultAttrOfType<StringAttr>(index, "whit.name");
      if (!name) // a state: its memory is an argument already
        continue;
      auto dims = func.getResultAttrOfType<ArrayAttr>(index, "whit.dims");
      auto matmul = result.get().getDefiningOp<MatmulOp>();
      bool lastRows = name.getValue() == logits && matmul && matmul->hasOneUse() &&
                      cast<RankedTensorType>(result.get().getType()).getRank() == 3 && dims && isa<StringAttr>(dims[1]);
      if (lastRows)
        dims = declareLastRows(module, dims);
      NamedAttrList described(
          {named("whit.name", name), named("whit.dims", dims), named("whit.output", UnitAttr::get(&getContext()))});
      for (StringRef kept : {"whit.alias", "whit.unsigned"})
        if (Attribute attribute = func.getResultAttr(index, kept))
          described.set(kept, attribute);
      unsigned argument = func.getNumArguments();
      if (failed(func.insertArgument(argument, result.get().getType(), described.getDictionary(&getContext()),
                                     matmul ? matmul.getLoc() : func.getLoc())))
        return failure();
      Value destination = func.getArgument(argument);
      OpBuilder b(ret);
      result.set(lastRows ? onLastRows(matmul, destination) : copyTo(b, result.get(), destination));
      if (name.getValue() == logits)
        scored = {result.get(), dims};
    }
    return module->hasAttr(kChooseTokens) ? addTokens(func, ret, scored) : success();
  }

  /// What the logits are, and the dimensions that callers know them by.
  struct Scored {
    Value logits;
    ArrayAttr dims;
  };

  /// One output more: the most probable token of each row of logits.
  LogicalResult addTokens(func::FuncOp func, func::ReturnOp ret, Scored scored) {
    auto type = scored.logits ? cast<RankedTensorType>(scored.logits.getType()) : RankedTensorType();
    if (!type || type.getRank() != 3 || type.isDynamicDim(2) || !type.getElementType().isF32() || !scored.dims)
      return func.emitError(
                 "tokens are chosen from an output [batch, rows, vocabulary] of f32 that has the role of logits; '")
             << func.getName() << "' has none; compile without --choose-tokens";
    OpBuilder b(ret);
    Value tokens = mostProbableTokens(b, scored.logits.getLoc(), scored.logits);
    NamedAttrList described({named("whit.name", b.getStringAttr(kNextTokens)),
                             named("whit.dims", b.getArrayAttr(scored.dims.getValue().drop_back())),
                             named("whit.output", UnitAttr::get(&getContext()))});
    unsigned argument = func.getNumArguments();
    if (failed(
            func.insertArgument(argument, tokens.getType(), described.getDictionary(&getContext()), tokens.getLoc())) ||
        failed(func.insertResult(func.getNumResults(), tokens.getType(), {})))
      return failure();
    ret.getOperandsMutable().append(copyTo(b, tokens, func.getArgument(argument)));
    return success();
  }

  NamedAttribute named(StringRef name, Attribute value) { return {StringAttr::get(&getContext(), name), value}; }

  /// Adds the symbol whit.last_rows, by default as many as `dims[1]`, and returns the dimensions with it.
  ArrayAttr declareLastRows(ModuleOp module, ArrayAttr dims) {
    Builder b(&getContext());
    SmallVector<Attribute> symbols, newDims = llvm::to_vector(dims);
    if (auto known = module->getAttrOfType<ArrayAttr>("whit.symbols"))
      symbols = llvm::to_vector(known);
    symbols.push_back(
        b.getDictionaryAttr({named("name", b.getStringAttr("whit.last_rows")), named("default", dims[1])}));
    module->setAttr("whit.symbols", b.getArrayAttr(symbols));
    newDims[1] = b.getStringAttr("whit.last_rows");
    return b.getArrayAttr(newDims);
  }

  Value onLastRows(MatmulOp matmul, Value destination) {
    OpBuilder b(matmul);
    Location loc = matmul.getLoc();
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, matmul.getX()), offsets(3, b.getIndexAttr(0)),
                              strides(3, b.getIndexAttr(1));
    OpFoldResult wanted = tensor::getMixedSize(b, loc, destination, 1);
    offsets[1] = affine::makeComposedFoldedAffineApply(b, loc, b.getAffineDimExpr(0) - b.getAffineDimExpr(1),
                                                       {sizes[1], wanted});
    sizes[1] = wanted;
    Value last = tensor::ExtractSliceOp::create(b, loc, matmul.getX(), offsets, sizes, strides);
    return MatmulOp::create(b, loc, TypeRange{destination.getType()}, last, matmul.getW(), destination,
                            matmul.getPlaceAttr(), matmul.getScheduleAttr())
        .getResult(0);
  }

  /// The producer writes into the destination where it can; elsewhere the result is copied. Elementwise fusion would make a
  /// linalg op forget its destination, so whit-form-regions gives it one.
  Value copyTo(OpBuilder &b, Value value, Value destination) {
    auto dps = value.getDefiningOp<DestinationStyleOpInterface>();
    if (dps && value.hasOneUse() && !isa<linalg::LinalgOp>(dps.getOperation())) {
      OpOperand *init = dps.getTiedOpOperand(cast<OpResult>(value));
      if (init->get().getDefiningOp<tensor::EmptyOp>()) {
        init->set(destination);
        return value;
      }
    }
    return bufferization::MaterializeInDestinationOp::create(b, value.getLoc(), value, destination).getResult();
  }
};
} // namespace
