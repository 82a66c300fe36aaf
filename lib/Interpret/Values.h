// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the interpreter computes with: dense tensors of f64 or of 64-bit integers, and beside each value a bound.
//
// The bound is a running error analysis: the interpreter computes y in f64, and a correct program in the element types
// of the IR may give any y' with |y' - y| <= bound. Inputs are exact; each float operation adds the unit roundoff of
// its type times |result| to what its operands bring along; sums over k add (depth + c) * u * sum|a||w| ("Accuracy and
// Stability of Numerical Algorithms", 2002, chapter 3). An integer with a bound is one that rounding may have moved: a
// code next to a tie. Propagation is first-order. With bounds switched off every unit is 0, and so is every bound.

#pragma once

#include "mlir/IR/BuiltinTypes.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace whit::interpret {

/// Roundings besides the additions of a sum: products, decoding, scaling, the final store.
inline constexpr double kOtherRoundings = 6;

/// Units in the last place that a polynomial for exp, tanh, ... may be off, and the largest result it may flush to 0.
inline constexpr double kFunctionUlps = 4, kFlushed = 0x1p-126;

/// One element. Floats use `f`, integers `i` (sign-extended; i1 is 0 or 1).
struct Scalar {
  double f = 0;
  int64_t i = 0;
  double bound = 0;
};

/// A dense row-major tensor. Its contents are meaningless until written: floats start as NaN.
class Tensor {
public:
  Tensor() = default;
  Tensor(mlir::Type element, std::vector<int64_t> shape);

  mlir::Type element;
  std::vector<int64_t> shape;
  std::vector<double> floats;    ///< if element is a float
  std::vector<int64_t> integers; ///< if not
  std::vector<double> bounds;    ///< empty: exact

  bool isFloat() const { return mlir::isa<mlir::FloatType>(element); }
  int64_t count() const { return isFloat() ? floats.size() : integers.size(); }
  int64_t rank() const { return shape.size(); }
  int64_t last() const { return shape.empty() ? 1 : shape.back(); }

  Scalar get(int64_t at) const {
    double bound = bounds.empty() ? 0 : bounds[at];
    return isFloat() ? Scalar{floats[at], 0, bound} : Scalar{0, integers[at], bound};
  }
  void set(int64_t at, const Scalar &value) {
    if (isFloat())
      floats[at] = value.f;
    else
      integers[at] = value.i;
    if (value.bound != 0 || !bounds.empty())
      setBound(at, value.bound);
  }
  double bound(int64_t at) const { return bounds.empty() ? 0 : bounds[at]; }
  void setBound(int64_t at, double bound) {
    if (bounds.empty())
      bounds.resize(count());
    bounds[at] = bound;
  }
  /// The same elements in another shape.
  Tensor reshaped(std::vector<int64_t> newShape) const;
};

class Weight;

/// What an SSA value holds: a tensor, a weight in its format, or a scalar.
struct Datum {
  std::shared_ptr<const Tensor> tensor;
  std::shared_ptr<const Weight> weight;
  Scalar scalar;
};

Datum makeDatum(Tensor tensor);

int64_t countOf(const std::vector<int64_t> &shape);
/// Elements from one index of a dimension to the next, row-major.
std::vector<int64_t> stridesOf(const std::vector<int64_t> &shape);
/// Advances `index` in row-major order; false after the last one.
bool advance(std::vector<int64_t> &index, const std::vector<int64_t> &shape);

/// Half the distance from 1 to the next number of a float type: 2^-24 for f32.
double unitRoundoff(mlir::Type type);
/// The nearest number of a float type, ties to even, as an f64.
double roundTo(mlir::Type type, double value);
/// The distance between numbers of a float type around `value`.
double unitInTheLastPlace(mlir::Type type, double value);
/// Width of an integer or index type.
unsigned widthOf(mlir::Type type);
/// `value` reduced to `width` bits and sign-extended again; one bit is 0 or 1.
int64_t wrap(int64_t value, unsigned width);

/// "[1, 2, 3]".
std::string textOf(const std::vector<int64_t> &index);

} // namespace whit::interpret
