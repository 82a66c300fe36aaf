// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A merge sort without loops around it: each pass makes runs of twice the length, and each place of the result finds its
// element by itself. Where place q of two merged runs A and B begins, i elements of A and q - i of B stand before it; i
// is found by bisection, since A[i] stands before B[q - 1 - i] up to it and not from it on. A pass over n elements costs
// n times the logarithm of a run's length, and no place depends on another.

#include "Import/Semantics/Sorting.h"

#include "Import/Semantics/Scalars.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace whit::semantics {

static SmallVector<Value> replaced(ValueRange loops, int64_t axis, Value index) {
  SmallVector<Value> at(loops);
  at[axis] = index;
  return at;
}

static Value toIndex(ImplicitLocOpBuilder &b, Value integer) {
  return arith::IndexCastOp::create(b, b.getIndexType(), integer);
}

/// One pass: runs of `length` become runs of twice that. `places` is null before the first.
static Tensor mergeRuns(ImplicitLocOpBuilder &b, ArrayRef<Tensor> keys, int64_t axis, Before before,
                        const Tensor *places, int64_t length) {
  int64_t n = keys[0].dim(axis);
  Type i32 = b.getI32Type();
  return computed(b, keys[0].sizes, i32, [&](ImplicitLocOpBuilder &at, ValueRange loops) -> Value {
    auto number = [&](int64_t value) { return indexConstant(at, value); };
    auto least = [&](Value x, Value y) -> Value { return arith::MinSIOp::create(at, x, y); };
    auto most = [&](Value x, Value y) -> Value { return arith::MaxSIOp::create(at, x, y); };
    auto minus = [&](Value x, Value y) -> Value { return arith::SubIOp::create(at, x, y); };
    auto select = [&](Value when, Value x, Value y) -> Value { return arith::SelectOp::create(at, when, x, y); };
    Value q = arith::RemUIOp::create(at, loops[axis], number(2 * length)), first = minus(loops[axis], q);
    Value second = plus(at, first, number(length)), rest = minus(number(n), first);
    Value left = least(rest, number(length)), right = minus(least(rest, number(2 * length)), left);
    // Where the element that a pass before put at a place comes from; the place may be beyond the last.
    auto origin = [&](Value place) -> Value {
      place = least(place, number(n - 1));
      return places ? toIndex(at, elementAt(at, *places, replaced(loops, axis, place))) : place;
    };
    auto keysAt = [&](Value place) {
      return llvm::map_to_vector(keys,
                                 [&](const Tensor &key) { return elementAt(at, key, replaced(loops, axis, place)); });
    };
    auto standsBefore = [&](Value x, Value y) -> Value { return before(at, keysAt(x), keysAt(y)); };
    Value yes = arith::ConstantOp::create(at, at.getBoolAttr(true));
    Value low = most(minus(q, right), number(0)), high = least(q, left);
    for (unsigned step = 0, steps = llvm::Log2_64_Ceil(length + 1); step < steps; ++step) {
      Value middle = arith::ShRUIOp::create(at, plus(at, low, high), number(1));
      Value other = plus(at, second, minus(minus(q, number(1)), middle));
      // The elements are equal: that of A comes first.
      Value isAfter = standsBefore(origin(most(other, number(0))), origin(plus(at, first, middle)));
      Value open = compare(at, Compare::Less, low, high);
      Value takes = both(at, open, arith::XOrIOp::create(at, isAfter, yes));
      Value leaves = both(at, open, isAfter);
      low = select(takes, plus(at, middle, number(1)), low);
      high = select(leaves, middle, high);
    }
    Value j = minus(q, low), mine = origin(plus(at, first, low)), other = origin(plus(at, second, j));
    Value isLeftOver = compare(at, Compare::GreaterOrEqual, j, right);
    Value isNotAfter = arith::XOrIOp::create(at, standsBefore(other, mine), yes);
    Value hasMine = compare(at, Compare::Less, low, left);
    Value takesMine = both(at, hasMine, arith::OrIOp::create(at, isLeftOver, isNotAfter));
    return arith::IndexCastOp::create(at, i32, select(takesMine, mine, other));
  });
}

Tensor sortedPlaces(ImplicitLocOpBuilder &b, ArrayRef<Tensor> keys, int64_t axis, Before before) {
  int64_t n = keys[0].dim(axis);
  if (n < 2)
    return {zeros(b, keys[0].sizes, b.getI32Type()), keys[0].sizes};
  Tensor places = mergeRuns(b, keys, axis, before, nullptr, 1);
  for (int64_t length = 2; length < n; length *= 2)
    places = mergeRuns(b, keys, axis, before, &places, length);
  return places;
}

Tensor takePlaces(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &places, int64_t axis) {
  return computed(b, places.sizes, x.numbers(), [&](ImplicitLocOpBuilder &at, ValueRange loops) {
    return elementAt(at, x, replaced(loops, axis, toIndex(at, elementAt(at, places, loops))));
  });
}

} // namespace whit::semantics
