// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lower-dot: one operation, eight instruction sequences. The preparation of an operand (even and odd bytes as 16-bit
// numbers) depends on that operand alone, so CSE shares it between all products that use it.

#include "Lower/TargetFacts.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERDOTPASS
#include "Lower/LowerDot.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

/// The bits of a lane of 32 that can be set: codes come out of masks, shifts and ORs, or tables of bytes.
static uint32_t possibleBits(Value lanes) {
  APInt constant;
  Operation *op = lanes.getDefiningOp();
  if (!op)
    return ~0u;
  if (matchPattern(lanes, m_ConstantInt(&constant)))
    return constant.getBitWidth() == 32 ? constant.getZExtValue() : ~0u;
  if (auto lookup = dyn_cast<LookupOp>(op)) {
    uint32_t bits = 0;
    if (lookup.getType().getElementType().isInteger(8))
      for (APInt entry : lookup.getTable().getValues<APInt>())
        bits |= entry.getZExtValue();
    return bits * 0x01010101u;
  }
  if (isa<vector::BitCastOp>(op))
    return cast<VectorType>(op->getOperand(0).getType()).getElementType().isInteger(32)
               ? possibleBits(op->getOperand(0))
               : ~0u;
  if (isa<arith::AndIOp>(op))
    return possibleBits(op->getOperand(0)) & possibleBits(op->getOperand(1));
  if (isa<arith::ShRUIOp, arith::ShLIOp>(op) && matchPattern(op->getOperand(1), m_ConstantInt(&constant)) &&
      constant.ult(32)) {
    uint32_t shifted = possibleBits(op->getOperand(0));
    return isa<arith::ShRUIOp>(op) ? shifted >> constant.getZExtValue() : shifted << constant.getZExtValue();
  }
  if (isa<arith::OrIOp>(op))
    return possibleBits(op->getOperand(0)) | possibleBits(op->getOperand(1));
  return ~0u;
}

namespace {
/// Lowers one dot product; `lanes` 32-bit lanes in all.
class DotLowering {
public:
  DotLowering(DotOp op, const TargetFacts &facts)
      : b(op), loc(op.getLoc()), facts(facts), op(op), lanes(cast<VectorType>(op.getAcc().getType()).getNumElements()) {
  }

  Value lower() {
    if (isa<Float32Type>(elementType(op.getAcc())))
      return facts.has("avx512bf16") && lanes % 16 == 0 ? inParts(16, "llvm.x86.avx512bf16.dpbf16ps.512")
                                                        : multiplyAdds();
    if (facts.has("avx512vnni") && lanes % 16 == 0)
      return inParts(16, "llvm.x86.avx512.vpdpbusd.512");
    if (facts.has("avxvnni") && lanes % 8 == 0)
      return inParts(8, "llvm.x86.avx512.vpdpbusd.256");
    if (facts.has("avx2") && lanes % 8 == 0 && !(possibleBits(op.getU()) & 0x80808080u))
      return narrowCodes();
    if (facts.has("avx512bw") && lanes % 16 == 0)
      return widened(16, "llvm.x86.avx512.pmaddw.d.512");
    if (facts.has("avx2") && lanes % 8 == 0)
      return widened(8, "llvm.x86.avx2.pmadd.wd");
    if (facts.has("sse2") && lanes % 4 == 0)
      return widened(4, "llvm.x86.sse2.pmadd.wd");
    return generic();
  }

private:
  static Type elementType(Value vector) { return cast<VectorType>(vector.getType()).getElementType(); }
  VectorType type(int64_t count, unsigned bits) { return VectorType::get({count}, b.getIntegerType(bits)); }
  Value splat(VectorType type, int64_t value) {
    return arith::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(type, b.getIntegerAttr(type.getElementType(), value)));
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value intrinsic(StringRef name, Type result, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(b, loc, result, b.getStringAttr(name), operands).getResult(0);
  }
  Value part(Value vector, int64_t index, int64_t count) {
    if (cast<VectorType>(vector.getType()).getNumElements() == count)
      return vector;
    return vector::ExtractStridedSliceOp::create(b, loc, vector, index * count, count, /*strides=*/1);
  }
  /// Computes `make(i)`, `width` lanes each, and puts the parts together.
  Value assemble(int64_t width, function_ref<Value(int64_t)> make) {
    if (width == lanes)
      return make(0);
    Value result = op.getAcc();
    for (int64_t i = 0; i < lanes / width; ++i)
      result = vector::InsertStridedSliceOp::create(b, loc, make(i), result, i * width, /*strides=*/1);
    return result;
  }

  Value inParts(int64_t width, StringRef name) {
    int64_t each = cast<VectorType>(op.getU().getType()).getNumElements() / lanes;
    return assemble(width, [&](int64_t i) {
      return intrinsic(
          name, VectorType::get({width}, elementType(op.getAcc())),
          {part(op.getAcc(), i, width), part(op.getU(), i, each * width), part(op.getS(), i, each * width)});
    });
  }

  /// bf16 becomes f32 by moving it up; odd elements first, as the instruction adds them.
  Value multiplyAdds() {
    VectorType words = type(lanes, 32), floats = VectorType::get({lanes}, b.getF32Type());
    auto half = [&](Value pairs, bool odd) -> Value {
      Value bits = vector::BitCastOp::create(b, loc, words, pairs);
      bits = odd ? Value(arith::AndIOp::create(b, loc, bits, splat(words, int32_t(0xffff0000))))
                 : Value(arith::ShLIOp::create(b, loc, bits, splat(words, 16)));
      return vector::BitCastOp::create(b, loc, floats, bits);
    };
    Value sum = op.getAcc();
    for (bool odd : {true, false}) {
      Value u = half(op.getU(), odd), s = half(op.getS(), odd);
      sum = facts.hasFma() ? Value(math::FmaOp::create(b, loc, u, s, sum))
                           : arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, u, s), sum);
    }
    return sum;
  }

  /// The even and the odd bytes of each 16-bit lane, as 16-bit numbers.
  std::pair<Value, Value> halves(Value bytes, bool isSigned) {
    VectorType words = type(2 * lanes, 16);
    Value pairs = vector::BitCastOp::create(b, loc, words, bytes), eight = splat(words, 8);
    if (isSigned) {
      Value low = arith::ShLIOp::create(b, loc, pairs, eight);
      return {arith::ShRSIOp::create(b, loc, low, eight), arith::ShRSIOp::create(b, loc, pairs, eight)};
    }
    return {arith::AndIOp::create(b, loc, pairs, splat(words, 255)), arith::ShRUIOp::create(b, loc, pairs, eight)};
  }

  Value widened(int64_t width, StringRef name) {
    auto [evenU, oddU] = halves(op.getU(), false);
    auto [evenS, oddS] = halves(op.getS(), true);
    return assemble(width, [&](int64_t i) {
      Value even = intrinsic(name, type(width, 32), {part(evenU, i, 2 * width), part(evenS, i, 2 * width)});
      Value odd = intrinsic(name, type(width, 32), {part(oddU, i, 2 * width), part(oddS, i, 2 * width)});
      return add(part(op.getAcc(), i, width), add(even, odd));
    });
  }

  /// Codes below 128: two products stay below 2 * 127 * 128 < 2^15, so that the saturating instruction never saturates.
  Value narrowCodes() {
    bool wide = facts.has("avx512bw") && lanes % 16 == 0;
    int64_t width = wide ? 16 : 8;
    StringRef bytes = wide ? "llvm.x86.avx512.pmaddubs.w.512" : "llvm.x86.avx2.pmadd.ub.sw";
    StringRef words = wide ? "llvm.x86.avx512.pmaddw.d.512" : "llvm.x86.avx2.pmadd.wd";
    return assemble(width, [&](int64_t i) {
      Value pairs =
          intrinsic(bytes, type(2 * width, 16), {part(op.getU(), i, 4 * width), part(op.getS(), i, 4 * width)});
      Value sums = intrinsic(words, type(width, 32), {pairs, splat(type(2 * width, 16), 1)});
      return add(part(op.getAcc(), i, width), sums);
    });
  }

  /// A product of two bytes lies in [-32640, 32385] and fits in 16 bits; sums do not.
  Value generic() {
    auto [evenU, oddU] = halves(op.getU(), false);
    auto [evenS, oddS] = halves(op.getS(), true);
    VectorType wide = type(lanes, 32);
    Value sixteen = splat(wide, 16), sum = op.getAcc();
    for (auto [u, s] : {std::pair(evenU, evenS), std::pair(oddU, oddS)}) {
      Value pairs = vector::BitCastOp::create(b, loc, wide, arith::MulIOp::create(b, loc, u, s));
      Value low = arith::ShRSIOp::create(b, loc, arith::ShLIOp::create(b, loc, pairs, sixteen), sixteen);
      sum = add(sum, add(low, arith::ShRSIOp::create(b, loc, pairs, sixteen)));
    }
    return sum;
  }

  OpBuilder b;
  Location loc;
  const TargetFacts &facts;
  DotOp op;
  int64_t lanes;
};

struct LowerDotPass : mlir::whit::impl::LowerDotPassBase<LowerDotPass> {
  void runOnOperation() override {
    TargetFacts facts = TargetFacts::of(getOperation());
    getOperation().walk([&](DotOp op) {
      op.replaceAllUsesWith(DotLowering(op, facts).lower());
      op.erase();
    });
  }
};
} // namespace
