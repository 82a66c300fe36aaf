// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-solve-places: from formats to bytes. After this pass no value of type !whit.tensor is left.

#include "Whit/Whit.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_SOLVEPLACESPASS
#include "Layout/SolvePlaces.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
constexpr int64_t kBlockTokens = 16;

struct SolvePlacesPass : mlir::whit::impl::SolvePlacesPassBase<SolvePlacesPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    DenseMap<Attribute, PlaceAttr> places;
    for (auto weight : module.getOps<WeightOp>())
      if (auto type = dyn_cast<EncodedTensorType>(weight.getType())) {
        auto place = PlaceAttr::get(&getContext(), type.getFormat(), type.getShape()[0], type.getShape()[1]);
        weight.setPlaceAttr(place);
        weight.setType(place.getPackedType());
        places[weight.getSymNameAttr()] = place;
      }
    WalkResult result = module.walk([&](ConstantOp constant) {
      PlaceAttr place = places.lookup(StringAttr::get(&getContext(), constant.getWeight()));
      if (!place || !isa<EncodedTensorType>(constant.getType()))
        return WalkResult::advance();
      constant.getResult().setType(place.getPackedType());
      for (Operation *user : constant->getUsers()) {
        if (isa<RegionOp>(user)) // only lists it; the use is inside
          continue;
        if (!isa<MatmulOp, QuantizedMatmulOp, GatherOp, DequantizeOp>(user)) {
          user->emitOpError()
              << "uses weight '" << constant.getWeight()
              << "'; a packed weight can be used by whit.matmul, quantized_matmul, gather and dequantize";
          return WalkResult::interrupt();
        }
        user->setAttr("place", place);
      }
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    for (auto func : module.getOps<func::FuncOp>())
      if (!func.isExternal())
        blockKeys(func);
  }

  /// States that attention reads as keys: [B, H, T, D] -> [B, H, ceil(T / 16), D, 16].
  void blockKeys(func::FuncOp func) {
    bool changed = false;
    for (BlockArgument argument : func.getArguments()) {
      auto type = dyn_cast<RankedTensorType>(argument.getType());
      if (!func.getArgAttr(argument.getArgNumber(), "whit.state") || !type || type.getRank() != 4 || !isKeys(argument))
        continue;
      ArrayRef<int64_t> shape = type.getShape();
      int64_t blocks = (shape[2] + kBlockTokens - 1) / kBlockTokens;
      auto blocked = RankedTensorType::get({shape[0], shape[1], blocks, shape[3], kBlockTokens}, type.getElementType());
      auto dims = llvm::to_vector(func.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), "whit.dims"));
      Builder b(&getContext());
      dims[2] = b.getI64IntegerAttr(blocks);
      dims.push_back(b.getI64IntegerAttr(kBlockTokens));
      func.setArgAttr(argument.getArgNumber(), "whit.dims", b.getArrayAttr(dims));
      retype(argument, blocked);
      changed = true;
    }
    if (changed)
      func.setFunctionType(FunctionType::get(&getContext(), func.getBody().getArgumentTypes(),
                                             func.getBody().front().getTerminator()->getOperandTypes()));
  }

  /// Whether some attention reads this cache, through appends and regions, as keys.
  bool isKeys(Value cache) {
    for (OpOperand &use : cache.getUses()) {
      Operation *user = use.getOwner();
      if (auto attention = dyn_cast<AttentionOp>(user); attention && attention.getK() == cache)
        return true;
      if (Value next = passedOn(use); next && isKeys(next))
        return true;
    }
    return false;
  }

  /// The value that a user hands on unchanged but for new tokens: an append's result, a region's result.
  Value passedOn(OpOperand &use) {
    Operation *user = use.getOwner();
    if (auto append = dyn_cast<CacheAppendOp>(user); append && append.getCache() == use.get())
      return append.getResult(0);
    if (isa<YieldOp>(user))
      return user->getParentOp()->getResult(use.getOperandNumber());
    return {};
  }

  void retype(Value cache, Type type) {
    cache.setType(type);
    for (OpOperand &use : cache.getUses())
      if (Value next = passedOn(use))
        retype(next, type);
  }
};
} // namespace
