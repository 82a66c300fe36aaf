// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Nothing here knows what a kernel computes.

#include "Lower/KernelBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

using namespace mlir;
using namespace mlir::whit;

Value KernelBuilder::index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

Value KernelBuilder::scalar(int32_t value) { return arith::ConstantIntOp::create(b, loc, b.getI32Type(), value); }

Value KernelBuilder::splat(int32_t value) {
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(ints(), b.getI32IntegerAttr(value)));
}

Value KernelBuilder::splat(float value) {
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(floats(), b.getF32FloatAttr(value)));
}

Value KernelBuilder::plus(Value x, Value y) { return b.createOrFold<arith::AddIOp>(loc, x, y); }
Value KernelBuilder::plus(Value x, int64_t y) { return y == 0 ? x : plus(x, index(y)); }
Value KernelBuilder::minus(Value x, Value y) { return b.createOrFold<arith::SubIOp>(loc, x, y); }
Value KernelBuilder::times(Value x, Value y) { return b.createOrFold<arith::MulIOp>(loc, x, y); }
Value KernelBuilder::times(Value x, int64_t y) { return y == 1 ? x : times(x, index(y)); }

Value KernelBuilder::roundDown(Value x, int64_t y) {
  if (y == 1)
    return x;
  return times(b.createOrFold<arith::DivUIOp>(loc, x, index(y)), y);
}

Value KernelBuilder::smaller(Value x, Value y) { return b.createOrFold<arith::MinUIOp>(loc, x, y); }
Value KernelBuilder::dim(Value memref, int64_t i) { return b.createOrFold<memref::DimOp>(loc, memref, i); }

Value KernelBuilder::add(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
Value KernelBuilder::sub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
Value KernelBuilder::mul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }

Value KernelBuilder::multiplyAdd(Value x, Value y, Value z) {
  if (facts.hasFma())
    return math::FmaOp::create(b, loc, x, y, z);
  return add(mul(x, y), z);
}

Value KernelBuilder::bitAnd(Value x, int32_t mask) { return arith::AndIOp::create(b, loc, x, splat(mask)); }
Value KernelBuilder::bitOr(Value x, Value y) { return arith::OrIOp::create(b, loc, x, y); }

Value KernelBuilder::shiftLeft(Value x, int32_t by) {
  return by == 0 ? x : Value(arith::ShLIOp::create(b, loc, x, splat(by)));
}

Value KernelBuilder::shiftRight(Value x, int32_t by) {
  return by == 0 ? x : Value(arith::ShRUIOp::create(b, loc, x, splat(by)));
}

Value KernelBuilder::bitcast(Value x, VectorType type) { return vector::BitCastOp::create(b, loc, type, x); }
Value KernelBuilder::toFloat(Value ints) { return arith::SIToFPOp::create(b, loc, floats(), ints); }

Value KernelBuilder::widen(Value scalar) {
  if (scalar.getType().getIntOrFloatBitWidth() == 8) {
    // Exponent and fraction of an e4m3 are those of an f32 2^120 times as small, of subnormal ones too; all bits set are NaN.
    Value code =
        arith::ExtUIOp::create(b, loc, b.getI32Type(), arith::BitcastOp::create(b, loc, b.getI8Type(), scalar));
    Value above = arith::AndIOp::create(b, loc, code, this->scalar(0x7f));
    Value sign = arith::ShLIOp::create(b, loc, arith::XOrIOp::create(b, loc, code, above), this->scalar(24));
    Value small = arith::OrIOp::create(b, loc, sign, arith::ShLIOp::create(b, loc, above, this->scalar(20)));
    auto constant = [&](float value) -> Value { return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value)); };
    Value number =
        arith::MulFOp::create(b, loc, arith::BitcastOp::create(b, loc, b.getF32Type(), small), constant(0x1p120f));
    Value isNumber = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, above, this->scalar(0x7f));
    return arith::SelectOp::create(b, loc, isNumber, number, constant(std::numeric_limits<float>::quiet_NaN()));
  }
  Value bits = arith::ExtUIOp::create(b, loc, b.getI32Type(), arith::BitcastOp::create(b, loc, b.getI16Type(), scalar));
  return arith::BitcastOp::create(b, loc, b.getF32Type(), arith::ShLIOp::create(b, loc, bits, this->scalar(16)));
}

Value KernelBuilder::loadPair(Value memref, ValueRange indices, int64_t count) {
  if (count == 1) {
    Value bits = arith::BitcastOp::create(b, loc, b.getI16Type(), load(memref, indices));
    return arith::ExtUIOp::create(b, loc, b.getI32Type(), bits);
  }
  Value two = load(VectorType::get({2}, b.getBF16Type()), memref, indices);
  return vector::ExtractOp::create(b, loc, bitcast(two, VectorType::get({1}, b.getI32Type())), 0);
}

Value KernelBuilder::pairs(Value words) { return bitcast(words, VectorType::get({2 * lanes}, b.getBF16Type())); }

Value KernelBuilder::pairs(Value first, Value second) {
  return pairs(bitOr(shiftRight(bitcast(first, ints()), 16), bitcast(second, ints())));
}

Value KernelBuilder::broadcast(Value scalar) {
  return vector::BroadcastOp::create(b, loc, VectorType::get({lanes}, scalar.getType()), scalar);
}

Value KernelBuilder::load(Value memref, ValueRange indices) { return memref::LoadOp::create(b, loc, memref, indices); }

Value KernelBuilder::load(VectorType type, Value memref, ValueRange indices) {
  return vector::LoadOp::create(b, loc, type, memref, indices);
}

Value KernelBuilder::loadColumns(Value packed, Value panel, Value offset, int64_t each) {
  if (column)
    offset = plus(offset, times(column, each));
  // Few lanes are one access, if their bytes are known to lie as those of a number do: every part of a panel starts at a multiple of 16.
  llvm::MaybeAlign alignment = column ? llvm::MaybeAlign(each * lanes) : llvm::MaybeAlign();
  return vector::LoadOp::create(b, loc, bytes(lanes * each), packed, {panel, offset}, /*nontemporal=*/false, alignment);
}

void KernelBuilder::store(Value vector, Value memref, ValueRange indices) {
  vector::StoreOp::create(b, loc, vector, memref, indices);
}

SmallVector<Value> KernelBuilder::loop(Value begin, Value end, int64_t step, ValueRange values,
                                       function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  std::optional<int64_t> first = getConstantIntValue(begin), last = getConstantIntValue(end);
  if (begin == end || (first && last && *first >= *last))
    return llvm::to_vector(values);
  if (first && last && *first + step >= *last)
    return body(begin, values);
  auto loop = scf::ForOp::create(b, loc, begin, end, index(step), values,
                                 [&](OpBuilder &, Location, Value i, ValueRange carried) {
                                   SmallVector<Value> next = body(i, carried);
                                   scf::YieldOp::create(b, loc, next);
                                 });
  return SmallVector<Value>(loop.getResults());
}

void KernelBuilder::loop(Value begin, Value end, int64_t step, function_ref<void(Value)> body) {
  loop(begin, end, step, {}, [&](Value i, ValueRange) {
    body(i);
    return SmallVector<Value>();
  });
}

void KernelBuilder::ifLess(Value x, Value y, function_ref<void()> one, function_ref<void()> two) {
  std::optional<int64_t> left = getConstantIntValue(x), right = getConstantIntValue(y);
  if (left && right)
    return *left < *right ? one() : two();
  Value less = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, x, y);
  auto yielding = [&](function_ref<void()> body) {
    return [&, body](OpBuilder &, Location) {
      body();
      scf::YieldOp::create(b, loc);
    };
  };
  scf::IfOp::create(b, loc, less, yielding(one), yielding(two));
}
