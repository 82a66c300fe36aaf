// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What stored bits mean: codes of a codec and bytes of a factor become f32, exactly as runtime/encoding reads them. Everything
// works on i32 and on vectors of i32 alike.

#pragma once

#include "Lower/TargetFacts.h"

#include "whit/Encoding.h"

#include "mlir/IR/Builders.h"

namespace mlir::whit {

class CodeNumbers {
public:
  CodeNumbers(OpBuilder &b, Location loc, const TargetFacts &facts) : b(b), loc(loc), facts(facts) {}

  /// The stored numbers of a factor. `stored` holds their bytes, zero-extended.
  Value ofFactor(::whit::ScaleType type, Value stored);
  /// The numbers of codes, less `constant`; where there are several tables, a code has its choice above its own bits.
  Value ofCodes(const ::whit::Codec &codec, float constant, Value codes);

private:
  Value constant(Type like, int32_t value);
  Value constant(Type like, float value);
  Type floatsLike(Value ints);
  /// A float of few bits: the lowest 1 + exponent + fraction bits of `codes`, the highest of them the sign if `hasSign`.
  Value small(Value codes, int exponentBits, int mantissaBits, int bias, ::whit::FloatRule rule, bool hasSign);
  Value lookUp(const ::whit::Codec &codec, float constant, Value codes);
  Value powerOfTwo(Value stored);
  Value shift(Value stored);

  OpBuilder &b;
  Location loc;
  const TargetFacts &facts;
};

} // namespace mlir::whit
