// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads `whit.target`. The feature list is already expanded, so a feature that is not named is not there.

#include "Lower/TargetFacts.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using namespace mlir::whit;

TargetFacts TargetFacts::of(Operation *op) {
  TargetFacts facts;
  auto module = isa<ModuleOp>(op) ? cast<ModuleOp>(op) : op->getParentOfType<ModuleOp>();
  auto target = module ? module->getAttrOfType<DictionaryAttr>("whit.target") : DictionaryAttr();
  auto list = target ? target.getAs<StringAttr>("features") : StringAttr();
  if (auto cpu = target && target.contains("kind") ? target.getAs<StringAttr>("cpu") : StringAttr()) {
    auto product = target.getAs<StringAttr>("machine");
    facts.gpu = ::whit::findGpuArchitecture(cpu.getValue());
    facts.machine = ::whit::findGpuMachine(cpu.getValue(), product ? product.getValue() : StringRef());
    if (!facts.machine)
      facts.machine = ::whit::findGpuMachine(cpu.getValue());
  }
  if (!list)
    return facts;
  for (StringRef feature : llvm::split(list.getValue(), ','))
    if (feature.consume_front("+"))
      facts.features.insert(feature);
  return facts;
}
