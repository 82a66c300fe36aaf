// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rows become llvm.inline_asm. Registers that an instruction changes are results tied to operands, which LLVM assigns one register.

#include "Lower/InlineForm.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace mlir::whit;

ArrayRef<InlineForm> InlineForm::all() {
  static const InlineForm rows[] = {
#define WHIT_INLINE_FORM(name, feature, text, constraints) {#name, feature, text, constraints},
#include "Lower/InlineForms.def"
  };
  return rows;
}

const InlineForm &InlineForm::get(InlineFormName name) { return all()[size_t(name)]; }

static SmallVector<Value> emitText(ImplicitLocOpBuilder &b, StringRef text, StringRef constraints, TypeRange results,
                                   ValueRange operands) {
  Type type = results.size() > 1    ? LLVM::LLVMStructType::getLiteral(b.getContext(), SmallVector<Type>(results))
              : results.size() == 1 ? results.front()
                                    : Type();
  auto inlined = LLVM::InlineAsmOp::create(
      b, type, operands, text, constraints, /*has_side_effects=*/constraints.contains("~{memory}"),
      /*is_align_stack=*/false, LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
  SmallVector<Value> values;
  for (size_t i = 0; i < results.size(); ++i)
    values.push_back(results.size() == 1 ? inlined.getRes() : LLVM::ExtractValueOp::create(b, inlined.getRes(), i));
  return values;
}

SmallVector<Value> InlineForm::emit(ImplicitLocOpBuilder &b, TypeRange results, ValueRange operands) const {
  return emitText(b, text, constraints, results, operands);
}

// ---------------------------------------------------------------------------------------------------- warpgroups

ArrayRef<WarpgroupUnit> WarpgroupUnit::all() {
  static const WarpgroupUnit rows[] = {
#define WHIT_WARPGROUP_PRODUCT(name, feature, types, product, depth, tail)                                             \
  {#name, feature, types, MatrixProduct::product, depth, tail},
#include "Lower/InlineForms.def"
  };
  return rows;
}

const WarpgroupUnit *WarpgroupUnit::find(const TargetFacts &facts, MatrixProduct product) {
  for (const WarpgroupUnit &unit : all())
    if (facts.has(unit.feature) && unit.product == product)
      return &unit;
  return nullptr;
}

bool WarpgroupUnit::takes(int64_t tokens) {
  return tokens == 8 || tokens == 16 || tokens == 32 || tokens == 64 || tokens == 128;
}

/// "{$3, $4, $5}"
static std::string operandList(int64_t first, int64_t count) {
  std::string text = "{";
  for (int64_t i = first; i < first + count; ++i)
    text += (i == first ? "$" : ", $") + std::to_string(i);
  return text + "}";
}

static const char *registerOf(Value value) { return isa<FloatType>(value.getType()) ? "f" : "r"; }

/// "=f,=f" for results, and "0,1" for the operands that they are tied to.
static std::string tied(ValueRange values, bool results) {
  std::string text;
  for (auto [i, value] : llvm::enumerate(values))
    text += (i ? "," : "") + (results ? std::string("=") + registerOf(value) : std::to_string(i));
  return text;
}

static SmallVector<Value> passThrough(LaneBuilder &b, StringRef text, ValueRange registers) {
  return emitText(b, text, tied(registers, true) + "," + tied(registers, false) + ",~{memory}", registers.getTypes(),
                  registers);
}

Value WarpgroupUnit::operand(LaneBuilder &b, Value address, int64_t tokens, int64_t step) const {
  // PTX ISA, "Matrix Descriptor Format": the address, the distance of pieces along K and that of 8 tokens, each in units of 16 bytes; no
  // swizzle. A step has two pieces.
  int64_t leading = tokens * kPiece, stride = 8 * kPiece, pieces = 2 * step;
  auto constant = [&](int64_t value) -> Value { return arith::ConstantOp::create(b, b.getI64IntegerAttr(value)); };
  Value start = arith::ShRUIOp::create(
      b, arith::AndIOp::create(b, arith::AddIOp::create(b, address, constant(pieces * leading)), constant(0x3ffff)),
      constant(4));
  return arith::OrIOp::create(b, start, constant(leading / 16 << 16 | stride / 16 << 32));
}

void WarpgroupUnit::publish(LaneBuilder &b) {
  LLVM::CallIntrinsicOp::create(b, b.getStringAttr("llvm.nvvm.fence.proxy.async.shared_cta"), ValueRange());
}

SmallVector<Value> WarpgroupUnit::begin(LaneBuilder &b, ValueRange registers) {
  return passThrough(b, "wgmma.fence.sync.aligned;", registers);
}

SmallVector<Value> WarpgroupUnit::emit(LaneBuilder &b, ValueRange words, Value operand, ValueRange sums) const {
  int64_t count = int64_t(sums.size()), tokens = count * 2;
  Value adds = arith::ConstantOp::create(b, b.getBoolAttr(true));
  std::string text = "wgmma.mma_async.sync.aligned.m64n" + std::to_string(tokens) + "k" + std::to_string(depth) + "." +
                     types.str() + " " + operandList(0, count) + ", " + operandList(count, kWordsA) + ", $" +
                     std::to_string(count + kWordsA) + ", $" + std::to_string(count + kWordsA + 1) + tail.str() + ";";
  SmallVector<Value> operands(words);
  operands.append({operand, adds});
  operands.append(sums.begin(), sums.end());
  return emitText(b, text, tied(sums, true) + ",r,r,r,r,l,b," + tied(sums, false) + ",~{memory}", sums.getTypes(),
                  operands);
}

void WarpgroupUnit::commit(LaneBuilder &b) { emitText(b, "wgmma.commit_group.sync.aligned;", "~{memory}", {}, {}); }

SmallVector<Value> WarpgroupUnit::wait(LaneBuilder &b, ValueRange sums, int64_t groups) {
  return passThrough(b, "wgmma.wait_group.sync.aligned " + std::to_string(groups) + ";", sums);
}
