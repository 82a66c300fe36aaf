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
using ::whit::kBlockTokens;

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
        layOutStates(func);
  }

  /// States in a format become blocks of bytes. Others that attention reads as keys: [B, H, T, D] ->
  /// [B, H, ceil(T / 16), D, 16].
  void layOutStates(func::FuncOp func) {
    bool changed = false;
    for (BlockArgument argument : func.getArguments()) {
      unsigned index = argument.getArgNumber();
      auto type = dyn_cast<RankedTensorType>(argument.getType());
      auto state = func.getArgAttrOfType<DictionaryAttr>(index, "whit.state");
      if (!state || !type || type.getRank() != 4)
        continue;
      CacheAppendOp append = firstAppend(argument);
      FormatAttr format = append ? append.getFormatAttr() : FormatAttr();
      bool keys = isKeys(argument);
      if (!keys && !format)
        continue;
      Builder b(&getContext());
      ArrayRef<int64_t> shape = type.getShape();
      SmallVector<int64_t> sizes = {shape[0], shape[1], (shape[2] + kBlockTokens - 1) / kBlockTokens};
      if (format) {
        auto order = keys ? ::whit::CacheOrder::Panel : ::whit::CacheOrder::Rows;
        sizes.push_back(::whit::CacheBlock(format.getEncoding(), order, shape[3]).bytes);
        NamedAttrList entries(state);
        entries.set("format", b.getStringAttr(format.getName()));
        entries.set("layout", b.getStringAttr(keys ? "panels" : "rows"));
        entries.set("depth", b.getI64IntegerAttr(shape[3]));
        if (append.getHadamard())
          entries.set("rotation", b.getStringAttr("hadamard"));
        func.setArgAttr(index, "whit.state", entries.getDictionary(&getContext()));
      } else {
        sizes.append({shape[3], kBlockTokens});
      }
      SmallVector<Attribute> dims(func.getArgAttrOfType<ArrayAttr>(index, "whit.dims").getValue().take_front(2));
      for (int64_t size : ArrayRef(sizes).drop_front(2))
        dims.push_back(b.getI64IntegerAttr(size));
      func.setArgAttr(index, "whit.dims", b.getArrayAttr(dims));
      retype(argument, RankedTensorType::get(sizes, format ? b.getI8Type() : type.getElementType()), format && keys);
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

  CacheAppendOp firstAppend(Value cache) {
    for (OpOperand &use : cache.getUses())
      if (auto append = dyn_cast<CacheAppendOp>(use.getOwner()))
        return append;
    return {};
  }

  void retype(Value cache, Type type, bool panels) {
    cache.setType(type);
    for (OpOperand &use : cache.getUses()) {
      if (auto append = dyn_cast<CacheAppendOp>(use.getOwner()); append && panels)
        append.setPanels(true);
      if (Value next = passedOn(use))
        retype(next, type, panels);
    }
  }
};
} // namespace
