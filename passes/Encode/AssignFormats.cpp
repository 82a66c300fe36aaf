// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-assign-formats: a format is part of a weight's type, so choosing one is changing types; no byte is touched here.

#include "Encode/FormatRules.h"

#include "runtime/encoding/GgufSource.h"

#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DECL_ASSIGNFORMATSPASS
#define GEN_PASS_DEF_ASSIGNFORMATSPASS
#include "Encode/AssignFormats.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
struct AssignFormatsPass : mlir::whit::impl::AssignFormatsPassBase<AssignFormatsPass> {
  using AssignFormatsPassBase::AssignFormatsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!::whit::parseQuantizer(quantizer)) {
      module.emitError() << "quantizer is '" << quantizer << "'; it must be nearest or least-squares";
      return signalPassFailure();
    }
    llvm::Expected<FormatRules> rules = FormatRules::read(keep, formatMap, weights);
    if (!rules) {
      module.emitError() << llvm::toString(rules.takeError());
      return signalPassFailure();
    }
    if (rules->empty())
      return;
    if (std::string unused = rules->firstUnused(module); !unused.empty()) {
      module.emitError() << unused;
      return signalPassFailure();
    }
    DenseMap<StringAttr, SmallVector<ConstantOp>> uses;
    module.walk([&](ConstantOp constant) { uses[constant.getWeightAttr().getAttr()].push_back(constant); });
    auto names = namesOfWeights(module);
    for (auto weight : module.getOps<WeightOp>())
      if (const FormatRules::Rule *rule = rules->find(names[weight.getSymNameAttr()]))
        assign(weight, uses[weight.getSymNameAttr()], *rule);
    if (!stays.empty() && !assigned)
      module.emitWarning() << "no weight gets a format: the model has quantized all " << stays.size() << ", such as '"
                           << stays.front().getSymName() << "'" << help(stays.front());
    mergeEqual(uses);
  }

  static bool isGguf(WeightOp weight) {
    return llvm::all_of(weight.getParts().getAsRange<SourceAttr>(),
                        [](SourceAttr source) { return ::whit::isGgufLayout(source.getLayout()); });
  }

  /// What somebody can do who wants another format than that of the model.
  StringRef help(WeightOp weight) const {
    return isGguf(weight) && !requantize ? "; --requantize decodes and quantizes it again" : "";
  }

  /// An embedding that is also the output head came as rows for the one and as panels for the other; in the same format they are
  /// the same bytes.
  void mergeEqual(DenseMap<StringAttr, SmallVector<ConstantOp>> &uses) {
    DenseMap<std::pair<Type, Attribute>, WeightOp> first;
    for (auto weight : llvm::make_early_inc_range(getOperation().getOps<WeightOp>())) {
      if (!isa<EncodedTensorType>(weight.getType()))
        continue;
      WeightOp &same = first[{weight.getType(), weight.getParts()}];
      if (!same) {
        same = weight;
        continue;
      }
      if (same.getQuantizerAttr() != weight.getQuantizerAttr())
        continue;
      remark::passed(weight.getLoc(), remark::RemarkOpts::name("merge").category(getArgument()))
          << ("weight '" + weight.getSymName() + "' is stored once with '" + same.getSymName() + "'").str();
      for (ConstantOp constant : uses[weight.getSymNameAttr()])
        constant.setWeight(same.getSymName());
      weight.erase();
    }
  }

  /// The type of a weight that can be stored in any format: rows that matmuls contract or gathers pick, as floats.
  static EncodedTensorType encodable(WeightOp weight, ArrayRef<ConstantOp> constants) {
    if (auto type = dyn_cast<EncodedTensorType>(weight.getType()))
      return type;
    // A table that came as a plain tensor, because rows of it may be picked without any decoding.
    auto plain = dyn_cast<RankedTensorType>(weight.getType());
    if (!plain || plain.getRank() != 2 || !isa<FloatType>(plain.getElementType()) || constants.empty())
      return {};
    for (ConstantOp constant : constants)
      for (OpOperand &use : constant->getUses())
        if (auto gather = dyn_cast<GatherOp>(use.getOwner()); !gather || &use != &gather.getTableMutable())
          return {};
    ::whit::Encoding encoding = ::whit::plainEncoding(plain.getElementType().isF32()   ? ::whit::ScaleType::F32
                                                      : plain.getElementType().isF16() ? ::whit::ScaleType::F16
                                                                                       : ::whit::ScaleType::BF16);
    auto format = FormatAttr::get(weight.getContext(), ::whit::nameOf(encoding));
    return EncodedTensorType::get(weight.getContext(), plain.getShape(), plain.getElementType(), format);
  }

  void assign(WeightOp weight, ArrayRef<ConstantOp> constants, const FormatRules::Rule &rule) {
    auto type = encodable(weight, constants);
    if (rule.format.empty() || !type)
      return;
    bool isNamed = rule.pattern != "*";
    ::whit::Encoding encoding = *::whit::parseEncoding(rule.format, nullptr);
    const ::whit::Encoding &before = type.getFormat().getEncoding();
    // Of other files' codes only their format says how they are to be read.
    if (!before.isPlain() && before != encoding && !(requantize && isGguf(weight))) {
      std::string message = ("weight '" + weight.getSymName() + "' stays " + type.getFormat().getName() +
                             ": the model has quantized it" + help(weight))
                                .str();
      if (isNamed)
        weight.emitWarning() << message;
      else
        stays.push_back(weight);
      remark::missed(weight.getLoc(), remark::RemarkOpts::name("format").category(getArgument())) << message;
      return;
    }
    ++assigned;
    if (!before.isPlain() && before == encoding)
      return;
    auto format = FormatAttr::get(&getContext(), ::whit::nameOf(encoding));
    auto assigned = EncodedTensorType::get(&getContext(), type.getShape(), type.getElementType(), format);
    weight.setType(assigned);
    if (!encoding.isPlain())
      weight.setQuantizer(quantizer);
    for (ConstantOp constant : constants)
      constant.getResult().setType(assigned);
    remark::passed(weight.getLoc(), remark::RemarkOpts::name("format").category(getArgument()))
        << ("weight '" + weight.getSymName() + "' becomes " + format.getName() + " by " + rule.flag).str();
  }

  size_t assigned = 0;            ///< weights that have the format of their rule
  SmallVector<WeightOp, 0> stays; ///< weights that keep the model's, although --weights names another
};
} // namespace
