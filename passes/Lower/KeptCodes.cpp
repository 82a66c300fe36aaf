// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where bytes can be permuted, the kept bits of four elements choose one of six permutations: three of them are enough to tell
// which, because two are set, so that a table of eight entries in a register answers. Elsewhere bytes of ones are made of the
// bits and the bytes of both codes are ANDed with them.

#include "Lower/KeptCodes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::whit;

namespace {
/// Instructions that permute 32-bit lanes and bytes.
struct Permuter {
  StringRef feature, lanes, bytes;
  int64_t columns; ///< in one register
};
constexpr Permuter kPermuters[] = {
    {"avx512bw", "llvm.x86.avx512.permvar.sf.512", "llvm.x86.avx512.pshuf.b.512", 16},
    {"avx2", "llvm.x86.avx2.permps", "llvm.x86.avx2.pshuf.b", 8},
};
} // namespace

/// The byte permutation of a column by the lowest three of its kept bits: code `first` goes to the first element that is kept, the
/// next code to the second, 0 (a byte with its highest bit set) to the others.
static uint32_t permutationOf(uint32_t bits, uint32_t first) {
  if (__builtin_popcount(bits) == 1)
    bits |= 8;
  uint32_t word = 0;
  for (uint32_t i = 0; i < 4; ++i)
    word |= (bits >> i & 1 ? first++ : 0x80u) << (8 * i);
  return word;
}

static Value permuted(KernelBuilder &k, Value codes, Value bits, int64_t quad, const Permuter &permuter) {
  auto call = [&](StringRef name, Type type, Value x, Value y) {
    Value operands[] = {x, y};
    return LLVM::CallIntrinsicOp::create(k.b, k.loc, type, k.b.getStringAttr(name), ValueRange(operands)).getResult(0);
  };
  int64_t lanes = permuter.columns;
  auto floats = VectorType::get({lanes}, k.b.getF32Type()), ints = VectorType::get({lanes}, k.b.getI32Type());
  VectorType bytes = k.bytes(4 * lanes);
  SmallVector<APFloat> table;
  SmallVector<int32_t> columns;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    APInt word(32, permutationOf(uint32_t(lane % 8), quad % 2 ? 2 : 0));
    table.push_back(APFloat(APFloat::IEEEsingle(), word));
    columns.push_back(int32_t(0x01010101 * (4 * (lane % 4))));
  }
  Value permutations = arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(floats, table));
  Value origins = arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(ints, ArrayRef<int32_t>(columns)));
  Value result = arith::ConstantOp::create(k.b, k.loc, k.b.getZeroAttr(k.ints()));
  for (int64_t at = 0; at < KernelBuilder::kLanes; at += lanes) {
    auto part = [&](Value x) -> Value {
      return lanes == KernelBuilder::kLanes ? x : vector::ExtractStridedSliceOp::create(k.b, k.loc, x, at, lanes, 1);
    };
    Value order = k.bitcast(call(permuter.lanes, floats, permutations, part(bits)), ints);
    order = k.bitcast(arith::AddIOp::create(k.b, k.loc, order, origins), bytes);
    Value four = k.bitcast(call(permuter.bytes, bytes, k.bitcast(part(codes), bytes), order), ints);
    if (lanes == KernelBuilder::kLanes)
      return four;
    result = vector::InsertStridedSliceOp::create(k.b, k.loc, four, result, at, 1);
  }
  return result;
}

/// Bytes of 1 become bytes of ones.
static Value filled(KernelBuilder &k, Value ones) {
  return arith::SubIOp::create(k.b, k.loc, k.shiftLeft(ones, 8), ones);
}

static Value masked(KernelBuilder &k, Value codes, Value bits, int64_t quad) {
  auto bitwiseAnd = [&](Value x, Value y) -> Value { return arith::AndIOp::create(k.b, k.loc, x, y); };
  auto everywhere = [&](Value byte) {
    Value two = k.bitOr(byte, k.shiftLeft(byte, 8));
    return k.bitOr(two, k.shiftLeft(two, 16));
  };
  // Bit i to byte i.
  Value four = k.bitAnd(bits, 15), twice = k.bitOr(four, k.shiftLeft(four, 7));
  Value kept = k.bitAnd(k.bitOr(twice, k.shiftLeft(twice, 14)), 0x01010101);
  // 1 behind the first that is kept: these take the second code.
  Value later = k.shiftLeft(kept, 8);
  later = k.bitOr(later, k.shiftLeft(later, 8));
  later = k.bitOr(later, k.shiftLeft(later, 16));
  Value first = k.bitAnd(quad % 2 ? k.shiftRight(codes, 16) : codes, 0xff);
  Value second = k.bitAnd(k.shiftRight(codes, quad % 2 ? 24 : 8), 0xff);
  Value change = everywhere(arith::XOrIOp::create(k.b, k.loc, first, second));
  Value chosen = arith::XOrIOp::create(k.b, k.loc, everywhere(first), bitwiseAnd(change, filled(k, later)));
  return bitwiseAnd(chosen, filled(k, kept));
}

Value mlir::whit::expandKept(KernelBuilder &k, Value codes, Value kept, int64_t quad) {
  Value bits = quad % 8 ? k.shiftRight(kept, int32_t(4 * (quad % 8))) : kept;
  for (const Permuter &permuter : kPermuters)
    if (k.facts.has(permuter.feature))
      return permuted(k, codes, bits, quad, permuter);
  return masked(k, codes, bits, quad);
}

Value mlir::whit::onlyKept(KernelBuilder &k, Value numbers, Value kept, int64_t element) {
  Value bit = k.bitAnd(kept, int32_t(1u << (element % 32)));
  Value isKept = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, bit, k.splat(0));
  return arith::SelectOp::create(k.b, k.loc, isKept, numbers, k.splat(0.0f));
}
