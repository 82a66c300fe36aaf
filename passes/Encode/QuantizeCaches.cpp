// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-quantize-caches: the format of a state is written on the appends that fill it and on the attentions that read it. Types
// stay f32 until whit-solve-places knows the bytes; what an f32 cache with a format holds are decoded values.

#include "Whit/Whit.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DECL_QUANTIZECACHESPASS
#define GEN_PASS_DEF_QUANTIZECACHESPASS
#include "Encode/QuantizeCaches.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
/// Who fills and reads a state.
struct Uses {
  SmallVector<CacheAppendOp> appends;
  SmallVector<AttentionOp> asKeys, asValues;
  Operation *other = nullptr;
};

struct QuantizeCachesPass : mlir::whit::impl::QuantizeCachesPassBase<QuantizeCachesPass> {
  using QuantizeCachesPassBase::QuantizeCachesPassBase;

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    std::string why;
    std::optional<::whit::CacheFormats> formats = ::whit::parseCacheFormats(kv, &why);
    if (!formats) {
      func.emitError() << "kv is '" << kv << "': " << why;
      return signalPassFailure();
    }
    if (func.isExternal())
      return;
    for (BlockArgument argument : func.getArguments())
      if (func.getArgAttr(argument.getArgNumber(), "whit.state"))
        quantize(argument, *formats);
    auto results = func.getBody().front().getTerminator()->getOperandTypes();
    func.setFunctionType(FunctionType::get(&getContext(), func.getBody().getArgumentTypes(), results));
  }

  void quantize(BlockArgument state, const ::whit::CacheFormats &formats) {
    Uses uses;
    collect(state, uses);
    if (uses.appends.empty())
      return;
    int64_t depth = cast<RankedTensorType>(state.getType()).getDimSize(3);
    std::string why;
    if (uses.other)
      why = ("it is used by " + uses.other->getName().getStringRef()).str();
    else if (uses.asKeys.empty() == uses.asValues.empty())
      why = uses.asKeys.empty() ? "no attention reads it" : "it holds keys and values at once";
    else if (ShapedType::isDynamic(depth))
      why = "the size of its heads is not known";
    if (!why.empty()) {
      remark::missed(uses.appends[0].getLoc(), remark::RemarkOpts::name("cache").category(getArgument()))
          << "cache stays in floats: " << why;
      return;
    }
    const ::whit::Encoding &encoding = uses.asKeys.empty() ? formats.values : formats.keys;
    if (encoding.isPlain())
      return narrow(state, uses, encoding.scaleType());
    auto format = FormatAttr::get(&getContext(), ::whit::nameOf(encoding));
    bool rotated = hadamard && !uses.asKeys.empty() && llvm::isPowerOf2_64(depth);
    if (hadamard && !uses.asKeys.empty() && !rotated)
      remark::missed(uses.appends[0].getLoc(), remark::RemarkOpts::name("hadamard").category(getArgument()))
          << "keys are not multiplied by a Hadamard matrix: heads have " << std::to_string(depth)
          << " features, no power of two";
    for (CacheAppendOp append : uses.appends) {
      append.setFormatAttr(format);
      append.setHadamard(rotated);
    }
    for (AttentionOp attention : uses.asKeys) {
      attention.setKeyFormatAttr(format);
      attention.setHadamard(rotated);
    }
    for (AttentionOp attention : uses.asValues)
      attention.setValueFormatAttr(format);
  }

  /// Plain floats beside a cache of codes: their type says all.
  void narrow(BlockArgument state, Uses &uses, ::whit::ScaleType type) {
    Type element = type == ::whit::ScaleType::F16    ? Type(Float16Type::get(&getContext()))
                   : type == ::whit::ScaleType::BF16 ? Type(BFloat16Type::get(&getContext()))
                                                     : Type(Float32Type::get(&getContext()));
    Type stored = cast<RankedTensorType>(state.getType()).clone(element);
    state.setType(stored);
    for (CacheAppendOp append : uses.appends)
      append.getResult(0).setType(stored);
  }

  /// Follows a cache through the appends that hand it on.
  void collect(Value cache, Uses &uses) {
    for (OpOperand &use : cache.getUses()) {
      Operation *user = use.getOwner();
      auto append = dyn_cast<CacheAppendOp>(user);
      auto attention = dyn_cast<AttentionOp>(user);
      auto dim = dyn_cast<tensor::DimOp>(user);
      if (append && append.getCacheMutable().getOperandNumber() == use.getOperandNumber()) {
        uses.appends.push_back(append);
        collect(append.getResult(0), uses);
      } else if (attention && attention.getK() == cache) {
        uses.asKeys.push_back(attention);
        if (attention.getV() == cache)
          uses.asValues.push_back(attention);
      } else if (attention && attention.getV() == cache) {
        uses.asValues.push_back(attention);
      } else if (!isa<func::ReturnOp>(user) && !(dim && dim.getConstantIndex() && *dim.getConstantIndex() < 2)) {
        uses.other = user;
      }
    }
  }
};
} // namespace
