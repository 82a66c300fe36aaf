// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Intrinsics differ in how they take words: one by one, or as vectors.

#include "Lower/MatrixUnit.h"

#include "Whit/Whit.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::whit;

static const std::vector<MatrixUnit> &units() {
  static const std::vector<MatrixUnit> rows = [] {
    constexpr LaneTerm lane;
    std::vector<MatrixUnit> rows;
#define WHIT_MATRIX_UNIT(name, feature, intrinsic, form, product, tokens, depth, row, k, a, b, sumRow, sumToken, sums) \
  rows.push_back({#name, feature, intrinsic, MatrixUnit::Form::form, MatrixProduct::product, tokens, depth, row, k, a, \
                  b, sumRow, sumToken, sums});
#include "Lower/MatrixUnits.def"
    return rows;
  }();
  return rows;
}

MatrixUnit::Operands MatrixUnit::operands() const {
  switch (product) {
  case MatrixProduct::Bfloat:
    return Operands::Bfloats;
  case MatrixProduct::Bytes:
  case MatrixProduct::SignedBytes:
    return Operands::Bytes;
  case MatrixProduct::SmallFloats:
  case MatrixProduct::HalvedFloats:
    return Operands::Floats8;
  case MatrixProduct::ScaledFloats:
    return Operands::ScaledFloats8;
  }
  llvm_unreachable("all products are there");
}

MatrixUnit::Operands MatrixUnit::operandsOf(Operation *op) {
  auto matmul = dyn_cast<MatmulOp>(op);
  if (!matmul)
    return Operands::Bytes;
  bool isFloat8 = cast<ShapedType>(matmul.getX().getType()).getElementTypeBitWidth() == 8;
  return isFloat8 ? Operands::Floats8 : Operands::Bfloats;
}

const MatrixUnit *MatrixUnit::find(const TargetFacts &facts, Operands operands) {
  const MatrixUnit *found = nullptr;
  for (const MatrixUnit &unit : units())
    if (facts.has(unit.feature) && unit.operands() == operands)
      found = &unit;
  return found;
}

Value LaneTerm::emit(LaneBuilder &b, Value lane) const {
  if (times == 0)
    return b.index(0);
  Value term = divide == 1 ? lane : b.div(lane, divide);
  if (modulo)
    term = b.rem(term, modulo);
  return times == 1 ? term : b.mul(term, times);
}

bool MatrixUnit::hasPairs() const {
  return llvm::any_of(a, [](const Place &word) { return word.row == 8; });
}

Value MatrixUnit::column(LaneBuilder &builder, Value first, int64_t row) const {
  return hasPairs() ? builder.add(builder.mul(first, 2), row / 8) : builder.add(first, row);
}

SmallVector<Value> MatrixUnit::emit(LaneBuilder &builder, ValueRange wordsA, ValueRange wordsB, ValueRange sums) const {
  Type element = sums.front().getType(), i32 = builder.getI32Type();
  int64_t count = int64_t(sums.size());
  auto call = [&](Type type, ArrayRef<Value> operands) {
    return LLVM::CallIntrinsicOp::create(builder, type, builder.getStringAttr(intrinsic), ValueRange(operands))
        .getResult(0);
  };
  if (form == Form::Words) {
    SmallVector<Value> operands(wordsA);
    operands.append(wordsB.begin(), wordsB.end());
    operands.append(sums.begin(), sums.end());
    auto type = LLVM::LLVMStructType::getLiteral(builder.getContext(), SmallVector<Type>(count, element));
    Value result = call(type, operands);
    SmallVector<Value> next;
    for (int64_t i = 0; i < count; ++i)
      next.push_back(LLVM::ExtractValueOp::create(builder, result, i));
    return next;
  }
  auto vectorFrom = [&](ValueRange values) -> Value {
    auto type = VectorType::get({int64_t(values.size())}, values.front().getType());
    return vector::FromElementsOp::create(builder, type, values);
  };
  auto packed = [&](ValueRange words, Type as) -> Value {
    Value vector = vectorFrom(words);
    if (auto type = dyn_cast<VectorType>(as))
      return vector::BitCastOp::create(builder, type, vector);
    auto one = VectorType::get({1}, as);
    return vector::ExtractOp::create(builder, vector::BitCastOp::create(builder, one, vector), 0);
  };
  auto constant = [&](Type type, int64_t value) -> Value {
    return LLVM::ConstantOp::create(builder, type, builder.getIntegerAttr(type, value));
  };
  int64_t words = int64_t(wordsA.size());
  Value c = vectorFrom(sums), result;
  if (form == Form::MfmaHalves || form == Form::MfmaBytes) {
    Type as = form == Form::MfmaHalves ? Type(VectorType::get({2 * words}, builder.getI16Type()))
                                       : Type(builder.getIntegerType(32 * words));
    Value none = constant(i32, 0);
    result = call(c.getType(), {packed(wordsA, as), packed(wordsB, as), c, none, none, none});
  } else if (form == Form::MfmaScaled) {
    // Behind the words of A comes the scale of its elements in this lane; B is scaled by 1. Format 0 of both: floats of 8 bits.
    Value none = constant(i32, 0);
    result = call(c.getType(), {vectorFrom(wordsA.drop_back()), vectorFrom(wordsB), c, none, none, none, wordsA.back(),
                                none, constant(i32, 127)});
  } else if (form == Form::WmmaHalves) {
    Type as = VectorType::get({2 * words}, builder.getI16Type());
    result = call(c.getType(), {packed(wordsA, as), packed(wordsB, as), c});
  } else {
    Type as = VectorType::get({words}, i32), i1 = builder.getI1Type();
    Value isUnsigned = constant(i1, 0), isSigned = constant(i1, 1);
    result = call(c.getType(), {isUnsigned, packed(wordsA, as), isSigned, packed(wordsB, as), c, isUnsigned});
  }
  SmallVector<Value> next;
  for (int64_t i = 0; i < count; ++i)
    next.push_back(vector::ExtractOp::create(builder, result, i));
  return next;
}

SmallVector<Value> MatrixUnit::emitParts(LaneBuilder &builder, const Parts &a, const Parts &b,
                                         SmallVector<Value> sums) const {
  for (int64_t rank = kMostParts - 1; rank >= 0; --rank)
    for (int64_t part = 0; part < int64_t(a.size()); ++part)
      if (int64_t other = rank - part; other >= 0 && other < int64_t(b.size()))
        sums = emit(builder, a[part], b[other], sums);
  return sums;
}

static Value upperHalves(LaneBuilder &b, Value first, Value second) {
  auto call = [&](StringRef name, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(b, b.getI32Type(), b.getStringAttr(name), operands).getResult(0);
  };
  if (b.facts.isNvidia())
    return call("llvm.nvvm.prmt", {first, second, b.i32(0x7632)});
  return call("llvm.amdgcn.perm", {second, first, b.i32(0x07060302)});
}

SmallVector<Value> mlir::whit::cutPair(LaneBuilder &b, Value first, Value second, int64_t parts) {
  SmallVector<Value> words;
  Value numbers[] = {first, second};
  Type i32 = b.getI32Type(), f32 = b.getF32Type();
  for (int64_t part = 0; part < parts; ++part) {
    Value bits[2];
    for (auto [number, word] : llvm::zip_equal(numbers, bits)) {
      word = arith::BitcastOp::create(b, i32, number);
      if (part + 1 == parts)
        continue;
      // Of an infinity nothing is left.
      Value upper = arith::AndIOp::create(b, word, b.i32(int32_t(0xffff0000)));
      Value rest = b.subf(number, arith::BitcastOp::create(b, f32, upper));
      number = b.select(b.cmp(arith::CmpFPredicate::ORD, rest, rest), rest, b.f32(0.0f));
    }
    words.push_back(upperHalves(b, bits[0], bits[1]));
  }
  return words;
}
