// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-assign-formats: a format is part of a weight's type, so choosing one is changing types; no byte is touched here.

#include "Whit/Whit.h"

#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/GlobPattern.h"

namespace mlir::whit {
#define GEN_PASS_DECL_ASSIGNFORMATSPASS
#define GEN_PASS_DEF_ASSIGNFORMATSPASS
#include "Encode/AssignFormats.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
struct Rule {
  llvm::GlobPattern names;
  std::string format; // empty: keep
};

struct AssignFormatsPass : mlir::whit::impl::AssignFormatsPassBase<AssignFormatsPass> {
  using AssignFormatsPassBase::AssignFormatsPassBase;

  void runOnOperation() override {
    SmallVector<Rule> rules;
    if (failed(readRules(rules)))
      return signalPassFailure();
    if (rules.empty())
      return;
    DenseMap<StringAttr, SmallVector<ConstantOp>> uses;
    getOperation().walk([&](ConstantOp constant) { uses[constant.getWeightAttr().getAttr()].push_back(constant); });
    for (auto weight : getOperation().getOps<WeightOp>())
      assign(weight, uses[weight.getSymNameAttr()], rules);
  }

  LogicalResult addRule(SmallVector<Rule> &rules, StringRef glob, StringRef format) {
    std::string why;
    if (!format.empty() && !::whit::parseEncoding(format, &why))
      return getOperation().emitError() << "format '" << format << "' is unknown: " << why;
    llvm::Expected<llvm::GlobPattern> names = llvm::GlobPattern::create(glob);
    if (!names)
      return getOperation().emitError() << "pattern '" << glob << "' is no glob: " << llvm::toString(names.takeError());
    rules.push_back({std::move(*names), format.str()});
    return success();
  }

  LogicalResult readRules(SmallVector<Rule> &rules) {
    for (StringRef glob : llvm::split(keep, ','))
      if (!glob.empty() && failed(addRule(rules, glob, "")))
        return failure();
    for (StringRef entry : llvm::split(formatMap, ',')) {
      if (entry.empty())
        continue;
      auto [glob, format] = entry.rsplit('=');
      if (glob.empty() || format.empty())
        return getOperation().emitError() << "format map has the entry '" << entry << "'; it must be GLOB=FORMAT";
      if (failed(addRule(rules, glob, format)))
        return failure();
    }
    return weights.empty() ? success() : addRule(rules, "*", weights);
  }

  void assign(WeightOp weight, ArrayRef<ConstantOp> constants, ArrayRef<Rule> rules) {
    auto type = dyn_cast<EncodedTensorType>(weight.getType());
    const Rule *rule = llvm::find_if(rules, [&](const Rule &r) { return r.names.match(weight.getSymName()); });
    if (!type || rule == rules.end() || rule->format.empty())
      return;
    if (type.getFormat().getEncoding().codec != ::whit::Codec::Plain) {
      remark::missed(weight.getLoc(), remark::RemarkOpts::name("format").category(getArgument()))
          << ("weight '" + weight.getSymName() + "' stays " + type.getFormat().getName() +
              ": the model has quantized it")
                 .str();
      return;
    }
    auto format = FormatAttr::get(&getContext(), ::whit::nameOf(*::whit::parseEncoding(rule->format, nullptr)));
    auto assigned = EncodedTensorType::get(&getContext(), type.getShape(), type.getElementType(), format);
    weight.setType(assigned);
    for (ConstantOp constant : constants)
      constant.getResult().setType(assigned);
  }
};
} // namespace
