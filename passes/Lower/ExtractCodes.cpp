// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One operation for each step; a selection is two ANDs and an OR, which LLVM makes one instruction again (vpternlogd).

#include "Lower/ExtractCodes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace mlir::whit;

const ExtractionTarget &mlir::whit::extractionTargetOf(const TargetFacts &facts) {
  const std::vector<ExtractionTarget> &targets = extractionTargets();
  for (const ExtractionTarget &target : targets) {
    SmallVector<StringRef> features;
    StringRef(target.features).split(features, ',');
    if (llvm::all_of(features, [&](StringRef feature) { return facts.has(feature); }))
      return target;
  }
  return *llvm::find_if(targets, [](const ExtractionTarget &target) { return target.features == "sse2"; });
}

static Value emit(KernelBuilder &k, const ExtractionStep &step, Value a, Value b, Value c) {
  int32_t mask = int32_t(0x01010101u * step.mask);
  switch (step.primitive) {
  case Primitive::And:
    return k.bitAnd(a, mask);
  case Primitive::Shift:
    return step.shift > 0 ? k.shiftRight(a, step.shift) : k.shiftLeft(a, -step.shift);
  case Primitive::Or:
    return k.bitOr(a, b);
  case Primitive::Or3:
    return k.bitOr(k.bitOr(a, b), c);
  case Primitive::AndOr:
    return k.bitOr(k.bitAnd(a, mask), b);
  case Primitive::Select:
    return k.bitOr(k.bitAnd(a, ~mask), k.bitAnd(b, mask));
  case Primitive::Affine: {
    auto words = VectorType::get({8}, k.b.getI64Type());
    auto matrix = DenseElementsAttr::get(words, APInt(64, step.matrix));
    VectorType bytes = k.bytes(::whit::kLineBytes);
    Value operands[] = {k.bitcast(a, bytes), k.bitcast(arith::ConstantOp::create(k.b, k.loc, matrix), bytes),
                        arith::ConstantOp::create(k.b, k.loc, k.b.getI8IntegerAttr(0))};
    auto call = LLVM::CallIntrinsicOp::create(k.b, k.loc, bytes, k.b.getStringAttr("llvm.x86.vgf2p8affineqb.512"),
                                              ValueRange(operands));
    return k.bitcast(call.getResult(0), k.ints());
  }
  default:
    llvm_unreachable("not a primitive that takes codes out of lines");
  }
}

Value mlir::whit::extractCodes(KernelBuilder &k, const ::whit::CodeUnit &unit, ArrayRef<Value> lines, int64_t quad,
                               CodeUse use) {
  Extraction extraction = extractQuad(unit, int32_t(quad), extractionTargetOf(k.facts), use);
  SmallVector<Value> values(lines);
  for (const ExtractionStep &step : extraction.steps)
    values.push_back(emit(k, step, values[step.a], values[step.b], values[step.c]));
  return values[extraction.result];
}
