// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fit-weights: a model that must fit into so many kilobytes. Float weights are given a narrow format, the largest first, until
// the packed bytes of all weights are within the budget; the rest stay as exact as they are. A format is part of a weight's type,
// so choosing one is changing types; whit-compile quantizes the bytes when it writes the artifact.
//
// Weights that the model has quantized already, and those that are not matrices, are counted and left alone.

#include "Whit/Whit.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

using namespace mlir;
using mlir::whit::ConstantOp, mlir::whit::EncodedTensorType, mlir::whit::FormatAttr, mlir::whit::WeightOp;

namespace {
struct FitWeightsPass : PassWrapper<FitWeightsPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(FitWeightsPass)

  FitWeightsPass() = default;
  FitWeightsPass(const FitWeightsPass &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "fit-weights"; }
  StringRef getDescription() const final { return "narrows the largest float weights until all fit into a budget"; }

  Option<int64_t> kilobytes{*this, "kilobytes", llvm::cl::desc("most packed bytes of all weights, in units of 1024")};
  Option<std::string> format{*this, "format", llvm::cl::desc("format of narrowed weights"), llvm::cl::init("int4_g32")};

  static int64_t bytesOf(EncodedTensorType type, const ::whit::Encoding &encoding) {
    return ::whit::solvePlace(encoding, type.getShape()[0], type.getShape()[1]).bytes();
  }

  void runOnOperation() override {
    std::string why;
    std::optional<::whit::Encoding> narrow = ::whit::parseEncoding(format.getValue(), &why);
    if (!narrow) {
      getOperation().emitError() << why;
      return signalPassFailure();
    }
    int64_t total = 0;
    SmallVector<WeightOp> floats;
    for (auto weight : getOperation().getOps<WeightOp>())
      if (auto type = dyn_cast<EncodedTensorType>(weight.getType())) {
        ::whit::Encoding encoding = type.getFormat().getEncoding();
        total += bytesOf(type, encoding);
        if (encoding.isPlain())
          floats.push_back(weight);
      }
    auto elements = [](WeightOp weight) {
      ArrayRef<int64_t> shape = cast<EncodedTensorType>(weight.getType()).getShape();
      return shape[0] * shape[1];
    };
    while (total > kilobytes * 1024 && !floats.empty()) {
      auto *largest = llvm::max_element(floats, [&](WeightOp a, WeightOp b) { return elements(a) < elements(b); });
      auto type = cast<EncodedTensorType>(largest->getType());
      total += bytesOf(type, *narrow) - bytesOf(type, type.getFormat().getEncoding());
      assign(*largest, FormatAttr::get(&getContext(), ::whit::nameOf(*narrow)));
      floats.erase(largest);
    }
    if (total > kilobytes * 1024) {
      getOperation().emitError() << "weights need " << total << " bytes although all are " << format.getValue()
                                 << "; the budget is " << kilobytes * 1024 << ": raise it, or use a narrower format";
      signalPassFailure();
    }
  }

  void assign(WeightOp weight, FormatAttr format) {
    auto type = cast<EncodedTensorType>(weight.getType());
    auto assigned = EncodedTensorType::get(&getContext(), type.getShape(), type.getElementType(), format);
    weight.setType(assigned);
    getOperation().walk([&](ConstantOp constant) {
      if (constant.getWeight() == weight.getSymName())
        constant.getResult().setType(assigned);
    });
  }
};
} // namespace

extern "C" LLVM_ATTRIBUTE_VISIBILITY_DEFAULT PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "FitWeights", "0.1", [] { PassRegistration<FitWeightsPass>(); }};
}
