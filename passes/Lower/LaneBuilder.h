// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The vocabulary in which row kernels are written: vectors of 16 lanes with masked tails, loops with carried values,
// sums in one fixed order, and floating-point functions that need no library. Everything is emitted in place; constants
// fold as they are made, so that a kernel of static shape has no dead tails.

#pragma once

#include "Lower/TargetFacts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::whit {
/// On a loop over tiles whose iterations blocks of a GPU run together: how many threads a block has.
inline constexpr char kThreads[] = "whit.threads";

class LaneBuilder : public ImplicitLocOpBuilder {
public:
  /// Lanes of every vector. Narrower machines split them; the bits do not change.
  static constexpr int64_t kLanes = 16;

  /// Emits before `op`.
  explicit LaneBuilder(Operation *op);

  using Body = function_ref<SmallVector<Value>(Value index, ValueRange carried)>;
  /// `mask` is null where all lanes are inside.
  using LaneBody = function_ref<SmallVector<Value>(Value offset, Value mask, ValueRange carried)>;

  TargetFacts facts;
  /// fma() fuses. Clear it where the bits must not depend on the target.
  bool fused;

  // ------------------------------------------------------------------------------------------------ blocks of threads
  /// Not 0 inside a loop with kThreads: all threads of a block run what is emitted. The lanes are then those of a warp (wave), each with
  /// scalars of its own where a vector of kLanes would be; vectors of another width are vectors in every thread.
  int64_t threads = 0;
  int64_t warps() const { return threads / facts.warpSize(); }
  /// This thread's number in the block, its lane and its warp, as index.
  Value thread();
  Value lane();
  Value warp();
  /// Waits for all threads of the block, or for the lanes of the warp; what they wrote before is seen behind it.
  void barrier();
  void warpSync();
  /// Iterations that do not depend on each other: shared out to the threads of a block, or to the lanes of a warp; a loop elsewhere.
  void forThreads(Value count, function_ref<void(Value)> body);
  void forLanes(Value count, function_ref<void(Value)> body);
  Value product(ArrayRef<Value> sizes);
  /// Digits of `linear` for loops of these sizes, the last one fastest.
  SmallVector<Value> delinearize(Value linear, ArrayRef<Value> sizes);

  // ------------------------------------------------------------------------------------------------ scalars
  Value index(int64_t value);
  Value i32(int64_t value);
  Value f32(float value);
  Value add(Value a, Value b);
  Value add(Value a, int64_t b) { return add(a, index(b)); }
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value mul(Value a, int64_t b) { return mul(a, index(b)); }
  /// For values that are not negative.
  Value div(Value a, int64_t b);
  Value rem(Value a, int64_t b);
  Value min(Value a, Value b);
  Value max(Value a, Value b);
  Value cmp(arith::CmpIPredicate predicate, Value a, Value b);
  Value cmp(arith::CmpFPredicate predicate, Value a, Value b);
  Value select(Value condition, Value a, Value b);
  /// Size of a dimension, a constant where it is static.
  Value dim(Value memref, int64_t i);
  Value toIndex(Value integer);
  Value toI32(Value index);
  Value read(Value memref, ValueRange at);
  void write(Value value, Value memref, ValueRange at);

  // ------------------------------------------------------------------------------------------------ control
  SmallVector<Value> loop(Value from, Value to, Value step, ValueRange init, Body body);
  void loop(Value from, Value to, function_ref<void(Value)> body);
  /// A loop that nobody unrolls: its body needs most of the registers.
  SmallVector<Value> rolledLoop(Value from, Value to, Value step, ValueRange init, Body body);
  /// One loop per size, outermost first; warps share the iterations.
  void loops(ArrayRef<Value> sizes, function_ref<void(ValueRange)> body);
  void ifThen(Value condition, function_ref<void()> then, function_ref<void()> otherwise = nullptr);
  /// Runs over [0, size) in vectors of `width` lanes, the last one masked.
  SmallVector<Value> lanes(Value size, ValueRange init, LaneBody body, int64_t width = kLanes);
  void lanes(Value size, function_ref<void(Value offset, Value mask)> body, int64_t width = kLanes);
  /// Memory that lives until `body` ends, on the stack.
  void scratch(ArrayRef<MemRefType> types, function_ref<void(ValueRange)> body);

  // ------------------------------------------------------------------------------------------------ vectors
  VectorType vectorOf(Type element, int64_t lanes = kLanes) { return VectorType::get({lanes}, element); }
  /// What a value of all lanes has for a type.
  Type lanesOf(Type element, int64_t lanes = kLanes) {
    return threads && lanes == kLanes ? element : Type(vectorOf(element, lanes));
  }
  Value splat(Value scalar, int64_t lanes = kLanes);
  Value splat(float value, int64_t lanes = kLanes);
  Value splatInt(int64_t value, Type element, int64_t lanes = kLanes);
  /// The numbers of the lanes after the first, as i32.
  Value iota(int64_t lanes = kLanes);
  /// Lanes i < count.
  Value maskOf(Value count, int64_t lanes = kLanes);
  /// The elements at [at...], [..., at.back() + lanes); masked-off lanes are 0 and not read.
  Value load(Value memref, ValueRange at, Value mask, int64_t lanes = kLanes);
  void store(Value value, Value memref, ValueRange at, Value mask);
  /// The same, f16 and bf16 widened to f32 and back (round to nearest even).
  Value loadFloat(Value memref, ValueRange at, Value mask, int64_t lanes = kLanes);
  void storeFloat(Value value, Value memref, ValueRange at, Value mask);
  Value addf(Value a, Value b);
  Value subf(Value a, Value b);
  Value mulf(Value a, Value b);
  Value divf(Value a, Value b);
  /// a * b + c, with one rounding if `fused`; never a library call.
  Value fma(Value a, Value b, Value c);
  /// a > b ? a : b; b where one is NaN.
  Value greater(Value a, Value b);
  Value lesser(Value a, Value b);
  /// Folds lane i + n into lane i for n = 8, 4, 2, 1, so that the order of a sum is always the same.
  Value reduce(Value vector, function_ref<Value(Value, Value)> combine);
  Value sum(Value vector);
  /// Columns of a 16 x 16 matrix given by its rows, in place.
  void transpose(SmallVector<Value> &rows);

  // ------------------------------------------------------------------------------------------------ functions
  // On f32 scalars and vectors. Errors are bounds over all f32 arguments, measured by the tests.
  Value widen(Value value);                ///< f16, bf16 or f32 to f32
  Value narrow(Value value, Type element); ///< f32 to f16, bf16 or f32, to nearest even
  Value toInt(Value value);                ///< nearest i32, ties to even, for |value| < 2^22
  Value exp(Value x);                      ///< 2 ulp
  Value exp2(Value x);                     ///< 2 ulp
  Value tanh(Value x);                     ///< 3 ulp
  Value erf(Value x);                      ///< 2 ulp
  Value log(Value x, double base = 0);     ///< 1 ulp, computed in f64; base 0 is e
  Value pow(Value x, Value y);             ///< 1 ulp, computed in f64
  Value remainder(Value x, Value y);       ///< of the quotient cut to a whole number, with the sign of x; exact
  Value sine(Value x, int64_t quarters);   ///< sin(x + quarters * pi / 2), 2 ulp where |x| < 2^20
  // Rare ones, computed in f64 and rounded once: 1 ulp (erfc: 3).
  Value sinh(Value x);
  Value cosh(Value x);
  Value asinh(Value x);
  Value acosh(Value x);
  Value atanh(Value x);
  Value atan2(Value y, Value x);
  Value atan(Value x) { return atan2(x, like(x, 1)); }
  Value asin(Value x);
  Value acos(Value x);
  Value cbrt(Value x);
  Value erfc(Value x);
  Value trunc(Value x);
  Value floor(Value x);
  Value ceil(Value x);
  Value roundEven(Value x);
  Value roundAway(Value x);
  /// A constant in the shape of `value`.
  Value like(Value value, double constant);

private:
  Value bits(Value value);
  Value floats(Value value);
  Value likeInt(Value value, int64_t constant);
  Value convert(Value value, Type element);
  Value flip(Value condition);
  Value timesPowerOfTwo(Value y, Value n);
  Value expOfReduced(Value r, Value shifted);
  Value magnitude(Value value);
  /// `value` with the sign of `sign`; both f32, `value` not negative.
  Value withSign(Value value, Value sign);
  /// Where `condition` does not hold, NaN.
  Value onlyIf(Value condition, Value value);
  Value angle64(Value y, Value x);
  Value log64(Value x);
  Value exp64(Value x);
};
} // namespace mlir::whit
