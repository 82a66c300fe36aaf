// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What operators mean, written once for all frontends. The builders take tensors whose sizes are known as values, so
// that every result has its sizes by construction: two dimensions are equal when they are the same constant or the same
// value.

#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace whit::semantics {

using Sizes = llvm::SmallVector<mlir::OpFoldResult>;
using mlir::ImplicitLocOpBuilder;

/// The type that elements are held in. Integers are held without a sign, in at least 8 bits: ui8, ui4 and i4 in i8. What
/// depends on the sign says so (arith.divui, arith.extui), and those of fewer bits are held as i8 holds their number.
mlir::Type held(mlir::Type numbers);

struct Tensor {
  mlir::Value value;
  Sizes sizes;             ///< constants are index attributes
  mlir::Type meaning = {}; ///< of integers that are held in another type; null if the elements are what they mean

  mlir::RankedTensorType type() const { return mlir::cast<mlir::RankedTensorType>(value.getType()); }
  mlir::Type element() const { return type().getElementType(); }
  /// The type that the elements mean.
  mlir::Type numbers() const { return meaning ? meaning : element(); }
  int64_t rank() const { return sizes.size(); }
  /// The size of a dimension if it is static, else ShapedType::kDynamic.
  int64_t dim(int64_t i) const { return type().getDimSize(i); }
};

/// A tensor whose elements mean `numbers`.
Tensor makeTensor(mlir::Value value, llvm::ArrayRef<mlir::OpFoldResult> sizes, mlir::Type numbers);

/// The static part of sizes.
llvm::SmallVector<int64_t> shapeOf(llvm::ArrayRef<mlir::OpFoldResult> sizes);
/// An index as a value.
mlir::Value asValue(ImplicitLocOpBuilder &b, mlir::OpFoldResult size);
/// A tensor of these sizes with any content, of elements that hold `element`, as all builders make them.
mlir::Value empty(ImplicitLocOpBuilder &b, llvm::ArrayRef<mlir::OpFoldResult> sizes, mlir::Type element);
/// A tensor of these sizes with zeros.
mlir::Value zeros(ImplicitLocOpBuilder &b, llvm::ArrayRef<mlir::OpFoldResult> sizes, mlir::Type element);
/// Whether two sizes are known to be the same.
bool sameSize(mlir::OpFoldResult a, mlir::OpFoldResult b);

/// a op b of index values, folded when both are constants.
enum class IndexOp { Add, Sub, Mul, Div };
mlir::OpFoldResult indexOp(ImplicitLocOpBuilder &b, IndexOp op, mlir::OpFoldResult x, mlir::OpFoldResult y);

// ------------------------------------------------------------------------------------------------ elementwise

/// The sizes that operands have together (aligned at the last dimension; 1 is stretched). If two do not fit, nothing,
/// and `report` is told both and the dimension of the result.
std::optional<Sizes> broadcast(llvm::ArrayRef<Tensor> operands,
                               llvm::function_ref<void(mlir::OpFoldResult, mlir::OpFoldResult, int64_t dim)> report);

/// result[i] = body(operands[i]...), operands broadcast to `sizes`. Constants of one value become constants of the
/// body.
using Body = llvm::function_ref<mlir::Value(ImplicitLocOpBuilder &, mlir::ValueRange)>;
Tensor elementwise(ImplicitLocOpBuilder &b, llvm::ArrayRef<Tensor> operands, llvm::ArrayRef<mlir::OpFoldResult> sizes,
                   mlir::Type element, Body body);

/// Arithmetic on values of one type, float or signed integer. Each is a Body.
mlir::Value add(ImplicitLocOpBuilder &b, mlir::ValueRange v);
mlir::Value subtract(ImplicitLocOpBuilder &b, mlir::ValueRange v);
mlir::Value multiply(ImplicitLocOpBuilder &b, mlir::ValueRange v);
mlir::Value divide(ImplicitLocOpBuilder &b, mlir::ValueRange v);
mlir::Value negate(ImplicitLocOpBuilder &b, mlir::ValueRange v);
/// 1 / (1 + exp(-x))
mlir::Value sigmoid(ImplicitLocOpBuilder &b, mlir::ValueRange v);
mlir::Value exponential(ImplicitLocOpBuilder &b, mlir::ValueRange v);
mlir::Value tangensHyperbolicus(ImplicitLocOpBuilder &b, mlir::ValueRange v);
mlir::Value squareRoot(ImplicitLocOpBuilder &b, mlir::ValueRange v);

/// Each element in another type: integers are cut, floats rounded to nearest even or, to integers, toward zero.
Tensor convert(ImplicitLocOpBuilder &b, const Tensor &x, mlir::Type element);

// ------------------------------------------------------------------------------------------------ shapes

/// The same elements in row-major order with other sizes; their number must be the same.
Tensor reshape(ImplicitLocOpBuilder &b, const Tensor &x, Sizes sizes);
Tensor transpose(ImplicitLocOpBuilder &b, const Tensor &x, llvm::ArrayRef<int64_t> permutation);
/// Stretches dimensions of size 1 to `sizes`, aligned at the last dimension; nothing is made if they are equal.
Tensor broadcastTo(ImplicitLocOpBuilder &b, const Tensor &x, llvm::ArrayRef<mlir::OpFoldResult> sizes);
/// A tensor with one value everywhere.
Tensor splat(ImplicitLocOpBuilder &b, llvm::ArrayRef<mlir::OpFoldResult> sizes, mlir::TypedAttr value);
/// Integers start + i * step, where i counts along `dim`.
Tensor iota(ImplicitLocOpBuilder &b, llvm::ArrayRef<mlir::OpFoldResult> sizes, mlir::Type element, int64_t dim,
            mlir::OpFoldResult start, int64_t step);
/// One tensor after another along `axis`; `size` is what their sizes there add up to.
Tensor concat(ImplicitLocOpBuilder &b, llvm::ArrayRef<Tensor> parts, int64_t axis, mlir::OpFoldResult size);
/// result[i...] = x[offset + i * stride...]; strides may be negative.
Tensor slice(ImplicitLocOpBuilder &b, const Tensor &x, llvm::ArrayRef<mlir::OpFoldResult> offsets,
             llvm::ArrayRef<mlir::OpFoldResult> sizes, llvm::ArrayRef<int64_t> strides);
/// x as often as `repeats` says along each dimension, which has `sizes` then.
Tensor tile(ImplicitLocOpBuilder &b, const Tensor &x, llvm::ArrayRef<mlir::OpFoldResult> repeats,
            llvm::ArrayRef<mlir::OpFoldResult> sizes);
/// Elements [begin, begin + size) of the last dimension.
Tensor sliceLast(ImplicitLocOpBuilder &b, const Tensor &x, int64_t begin, int64_t size);

// ------------------------------------------------------------------------------------------------ reductions

/// Max and Min of bools are "any" and "all". Of nothing: 0, 1, the smallest and the largest value.
enum class Reduction { Sum, Product, Max, Min };
/// All elements along `axes`, which stay with size 1 if `keep`.
Tensor reduce(ImplicitLocOpBuilder &b, const Tensor &x, Reduction kind, llvm::ArrayRef<int64_t> axes, bool keep);

/// Sums of products of two activations: result[batch..., free dimensions of x..., of y...]. Pairs are dimensions of x
/// and y that have one size, or are 1 in a batch. Sums of elements narrower than f32 are made in f32, then rounded.
using DimPair = std::pair<int64_t, int64_t>;
Tensor contract(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &y, llvm::ArrayRef<DimPair> batch,
                llvm::ArrayRef<DimPair> contracted, mlir::Type element);

// ------------------------------------------------------------------------------------------------ positions from data

/// Elements of x: result[i...] = x[position(i)...]. `position` gets the inputs' elements (at maps of the result's loops)
/// and the loops, and gives one index for each dimension of x; it must not leave x.
struct GatherInput {
  Tensor tensor;
  mlir::AffineMap map;
};
using Position = llvm::function_ref<llvm::SmallVector<mlir::Value>(ImplicitLocOpBuilder &, mlir::ValueRange elements,
                                                                   mlir::ValueRange loops)>;
Tensor gatherElements(ImplicitLocOpBuilder &b, const Tensor &x, llvm::ArrayRef<GatherInput> inputs,
                      llvm::ArrayRef<mlir::OpFoldResult> sizes, Position position);

/// An integer as an index within [0, size): a negative one counts from the end, and what is outside becomes the nearest.
mlir::Value wrapIndex(ImplicitLocOpBuilder &b, mlir::Value integer, mlir::OpFoldResult size);

/// Slices of x along `axis`: result[i..., j..., k...] = x[i..., indices[j...], k...]; indices as wrapIndex takes them.
Tensor take(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &indices, int64_t axis);

} // namespace whit::semantics
