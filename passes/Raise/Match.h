// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The words in which raising passes say what they look for.
//
// A frontend writes one formula as many operations: each on whole tensors, with casts, transposes, reshapes and
// broadcasts between them, and no two frontends choose the same ones. What they agree on is the value of one element.
// So patterns are written about elements: an Element is a value at indices that are functions of the loops of a frame,
// the shape that the pattern is about. Looking through an operation that only moves elements changes the indices and
// nothing else; looking into an elementwise operation leads to the scalars of its body.
//
//     %t = linalg.transpose ins(%x) permutation = [1, 0]
//     %y = linalg.generic ... ins(%t, %w) { mulf %a, %b }       // %b broadcast: (d0, d1) -> (d1)
//
// In the frame of %y, element (d0, d1) of %y is mulf of x at (d1, d0) and w at (d1). A pattern asks
// `operands<MulFOp>(y)`, and never sees the transpose. Two elements are the same when they are the same value at the
// same indices. A sum over a loop that the frame does not have borrows a dimension of the frame that its result does
// not depend on, so that x in sum_k x[r, k] and in y[r, k] are the same element.

#pragma once

#include "Whit/Whit.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <optional>
#include <string>

namespace mlir::whit::raise {

struct Element {
  Value value;  ///< a tensor; or a scalar in the body of a linalg.generic or outside
  AffineMap at; ///< from the frame to indices of the tensor, or to loops of the generic; no results for outside scalars

  explicit operator bool() const { return bool(value); }
  bool isTensor() const { return isa<RankedTensorType>(value.getType()); }
  /// A scalar that is computed in a body, perhaps of no loops.
  bool isInBody() const;
};

/// The element of `tensor` at the indices of the frame itself. Dimensions of size 1 are at index 0, whatever they are
/// called.
Element elementOf(Value tensor);
/// A tensor at these indices.
Element elementAt(Value tensor, AffineMap at);
/// The element `by` further along a dimension of the frame.
Element shift(const Element &element, unsigned dim, int64_t by);
/// The two are the same value at the same indices, or equal operations on such.
bool same(const Element &a, const Element &b);
/// Behind everything that only moves elements: a scalar operation, or a tensor that no such operation makes.
Element resolve(Element element);
/// The tensors that have the element, from `element` itself inward, with the indices in each.
SmallVector<Element> formsOf(Element element);
/// The operation that makes the scalar, or the tensor if that is as far as one can look.
Operation *makerOf(const Element &element);

/// The operands of the operation that makes the scalar, if that is an Op.
template <typename Op> std::optional<SmallVector<Element>> operands(const Element &element);
/// The value, if it is a constant.
std::optional<double> constantOf(const Element &element);
/// Whether the element depends only on the last dimension of the frame, or on nothing.
bool isVector(const Element &element);

/// coefficient * product of `over` / product of `under`. Multiplications, divisions, negations and constants are taken
/// apart, but none of `atoms`.
struct Product {
  double coefficient = 1;
  SmallVector<Element> over, under;

  /// Takes an element out of the product; whether it was there.
  bool removeOver(const Element &element);
  /// The only factor, nothing else being left.
  Element single() const { return over.size() == 1 && under.empty() ? over[0] : Element(); }
};
Product productOf(const Element &element, ArrayRef<Element> atoms = {});

/// The terms of a sum, subtracted ones apart.
struct Sum {
  double constant = 0;
  SmallVector<Element> added, subtracted;
};
Sum sumOf(const Element &element);

/// sum or maximum over one loop, which is dimension `loop` of the frame in `term`. `element` must not depend on it.
enum class Fold { Sum, Maximum };
struct Reduction {
  Fold fold;
  Element term;
  int64_t count; ///< iterations; dynamic if that is not known
};
std::optional<Reduction> reductionOf(const Element &element, unsigned loop);
/// The term whose mean over dimension `loop` this is.
Element meanOf(const Element &element, unsigned loop);
/// The x whose square this is.
Element squareOf(const Element &element);
/// The x whose reciprocal root is a factor of the product; it is taken out.
Element takeReciprocalRoot(Product &product);

/// To within what rounding a constant to f32 (or computing it there) can do.
bool close(double found, double wanted);

// ------------------------------------------------------------------------------------------------ building

/// The sizes of a tensor, from where it was made rather than asked of it.
SmallVector<OpFoldResult> sizesOf(OpBuilder &b, Value tensor);
/// A destination for a tensor like `tensor`.
Value emptyLike(ImplicitLocOpBuilder &b, Value tensor);
/// A tensor and the indices at which it holds the element, as an operand of a linalg.generic over the frame. Null if
/// there is none.
Element asOperand(OpBuilder &b, const Element &element);
/// A tensor that has the element at `indices` (dimensions of the frame or 0), made of one of its forms by reshapes and,
/// if `mayMove`, a transpose. Null if there is no such form. `sizes` are those of the result.
Value arrange(ImplicitLocOpBuilder &b, const Element &element, ArrayRef<AffineExpr> indices,
              ArrayRef<OpFoldResult> sizes, bool mayMove = true);
/// Computes a tensor of the frame's dimensions `dims` (-1: a dimension of size 1), `combine` making its elements out of
/// the values of `elements`, all in one linalg.generic: what they depend on is computed again in the smaller shape.
/// Null where they depend on more than `dims`, or on too much to do that.
Value compute(ImplicitLocOpBuilder &b, ArrayRef<Element> elements, ArrayRef<int64_t> dims, ArrayRef<OpFoldResult> sizes,
              Type type, function_ref<Value(ImplicitLocOpBuilder &, ValueRange)> combine);
/// Whether the element changes with a dimension of the frame.
bool dependsOn(const Element &element, unsigned dim);

/// The vector [K] of an element that depends only on the last dimension; a constant is spread. Null if there is none.
Value vectorOf(ImplicitLocOpBuilder &b, const Element &element, unsigned rank, int64_t k);

/// Runs `raise` on operations of a function from the last to the first: the largest match is found first. `raise` gives
/// the value that replaces the only result of the operation, or null; where it is null although the operation is nearly
/// what was looked for, `why` names the condition that failed. What becomes unused is erased. Remarks say how much that
/// was, and what was missed.
void raiseEach(func::FuncOp func, StringRef pass, StringRef what,
               function_ref<Value(ImplicitLocOpBuilder &, linalg::GenericOp, std::string &why)> raise);

// ------------------------------------------------------------------------------------------------

/// The operands of a scalar operation, each seen from the same loops.
SmallVector<Element> operandsOf(Operation *op, AffineMap at);

template <typename Op> std::optional<SmallVector<Element>> operands(const Element &element) {
  Element scalar = resolve(element);
  if (!scalar || scalar.isTensor() || !scalar.value.template getDefiningOp<Op>())
    return std::nullopt;
  return operandsOf(scalar.value.getDefiningOp(), scalar.at);
}

} // namespace mlir::whit::raise
