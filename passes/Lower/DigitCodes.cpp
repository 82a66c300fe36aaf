// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where 128 entries can be looked up, the highest of five trits comes from two comparisons, what is left is below 81, and its
// entry has the other four side by side. Elsewhere, and for other bases, words hold fractions: v / radix^count as a binary fraction of 16
// bits, whose digits are the carries of multiplications by the base, highest first (as ggml does for its TQ1_0 in 8 bits).

#include "Lower/DigitCodes.h"

#include "Lower/ExtractCodes.h"
#include "Whit/Whit.h"

#include "runtime/encoding/Place.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::whit;

static Value splat(KernelBuilder &k, VectorType type, int64_t value) {
  auto number = IntegerAttr::get(type.getElementType(), APInt(type.getElementTypeBitWidth(), value));
  return arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(type, ArrayRef<Attribute>(number)));
}

/// Five trits.
static SmallVector<Value, 8> lookUp(KernelBuilder &k, Value line) {
  constexpr int64_t below = 81;
  VectorType bytes = k.bytes(::whit::kLineBytes);
  Value rest = k.bitcast(line, bytes), highest = splat(k, bytes, 0);
  Value one = splat(k, bytes, 1), step = splat(k, bytes, below);
  Value isOne = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::uge, rest, step);
  Value isTwo = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::uge, rest, splat(k, bytes, 2 * below));
  for (Value is : {isOne, isTwo}) {
    rest = arith::SelectOp::create(k.b, k.loc, is, arith::SubIOp::create(k.b, k.loc, rest, step), rest);
    highest = arith::SelectOp::create(k.b, k.loc, is, arith::AddIOp::create(k.b, k.loc, highest, one), highest);
  }
  SmallVector<uint8_t> table;
  for (int64_t value = 0; value < 128; ++value)
    table.push_back(uint8_t(value % 3 | value / 3 % 3 << 2 | value / 9 % 3 << 4 | value / 27 % 3 << 6));
  auto entries = DenseElementsAttr::get(RankedTensorType::get({128}, k.b.getI8Type()), ArrayRef<uint8_t>(table));
  Value four = k.bitcast(LookupOp::create(k.b, k.loc, bytes, rest, entries), k.ints());
  SmallVector<Value, 8> digits;
  for (int64_t quad = 0; quad < 4; ++quad)
    digits.push_back(
        extractCodes(k, ::whit::codeUnit(2, ::whit::CodeUse::Number), four, quad, ::whit::CodeUse::Number));
  digits.push_back(k.bitcast(highest, k.ints()));
  return digits;
}

/// The upper halves of products of words, by the instruction for it: LLVM makes sums of a multiplication by 3, in twice the bits.
static Value carryOf(KernelBuilder &k, Value x, Value y) {
  struct Instruction {
    StringRef feature, name;
    int64_t lanes;
  };
  auto type = cast<VectorType>(x.getType());
  for (Instruction each :
       {Instruction{"avx512bw", "llvm.x86.avx512.pmulhu.w.512", 32}, Instruction{"avx2", "llvm.x86.avx2.pmulhu.w", 16},
        Instruction{"sse2", "llvm.x86.sse2.pmulhu.w", 8}}) {
    if (!k.facts.has(each.feature))
      continue;
    Value result = splat(k, type, 0);
    for (int64_t at = 0; at < type.getNumElements(); at += each.lanes) {
      Value parts[] = {vector::ExtractStridedSliceOp::create(k.b, k.loc, x, at, each.lanes, /*strides=*/1),
                       vector::ExtractStridedSliceOp::create(k.b, k.loc, y, at, each.lanes, /*strides=*/1)};
      auto call = LLVM::CallIntrinsicOp::create(k.b, k.loc, parts[0].getType(), k.b.getStringAttr(each.name),
                                                ValueRange(parts));
      result = vector::InsertStridedSliceOp::create(k.b, k.loc, call.getResult(0), result, at, /*strides=*/1);
    }
    return result;
  }
  return arith::MulUIExtendedOp::create(k.b, k.loc, x, y).getHigh();
}

static SmallVector<Value, 8> multiply(KernelBuilder &k, Value line, int64_t radix, int64_t count) {
  VectorType words = VectorType::get({2 * k.lanes}, k.b.getI16Type());
  int64_t numbers = 1;
  for (int64_t i = 0; i < count; ++i)
    numbers *= radix;
  // Rounded up, so that the fraction of v is never below v / numbers; it stays below (v + 1) / numbers, as v < numbers <= 256.
  Value fraction = splat(k, words, (65536 + numbers - 1) / numbers), base = splat(k, words, radix);
  Value all = k.bitcast(line, words), eight = splat(k, words, 8);
  Value halves[] = {arith::AndIOp::create(k.b, k.loc, all, splat(k, words, 0xff)),
                    arith::ShRUIOp::create(k.b, k.loc, all, eight)};
  for (Value &half : halves)
    half = arith::MulIOp::create(k.b, k.loc, half, fraction);
  SmallVector<Value, 8> digits(count);
  for (int64_t digit = count - 1; digit >= 0; --digit) {
    Value carries[2];
    for (auto [half, carry] : llvm::zip_equal(halves, carries)) {
      carry = carryOf(k, half, base);
      half = arith::MulIOp::create(k.b, k.loc, half, base);
    }
    Value high = arith::ShLIOp::create(k.b, k.loc, carries[1], eight);
    digits[digit] = k.bitcast(arith::OrIOp::create(k.b, k.loc, carries[0], high), k.ints());
  }
  return digits;
}

SmallVector<Value, 8> mlir::whit::digitsOf(KernelBuilder &k, Value line, int64_t radix, int64_t count) {
  if (radix == 3 && k.facts.has("avx512vbmi"))
    return lookUp(k, line);
  return multiply(k, line, radix, count);
}
