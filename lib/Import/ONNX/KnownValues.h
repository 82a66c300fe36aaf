// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Arithmetic on small tensors whose elements are known while importing: shapes, and constants like the head size. One
// table names the operators; an operator that is not in it, or whose inputs are not known, is left to its own function.
//
//     Sqrt(Cast(Shape(x)[-1], to float)) of a head size 64:  8.0, in the element type and rounded as it does
//     Equal(shape, -1):                                      false, false, ... since no size is negative

#pragma once

#include "Import/ONNX/Node.h"

namespace whit {

/// Tensors with more elements are not known, only stored.
inline constexpr int64_t kMaxKnownElements = 64;

/// The elements of a stored tensor in the form of GraphValue::elements; `element` is the type they are computed with. Those that
/// it cannot count are null.
semantics::Sizes storedElements(const StoredTensor &tensor, mlir::Type element);

/// A tensor of known elements: a constant, or made of index values.
mlir::Value knownTensor(mlir::ImplicitLocOpBuilder &b, mlir::RankedTensorType type,
                        llvm::ArrayRef<mlir::OpFoldResult> elements);

/// Gives the node's outputs known elements, if those of its inputs suffice. Nothing if they do not.
std::optional<mlir::LogicalResult> foldKnown(Node &node);

/// Rows for the operators of the table, for those that have none of their own: they are refused if they do not fold.
llvm::ArrayRef<Operator> knownOperators();

/// result[i] = data[from(index)] for the elements of a known tensor; `from` gives the position in the input.
std::optional<mlir::LogicalResult> moveKnown(Node &node, unsigned output, const GraphValue &data,
                                             llvm::ArrayRef<int64_t> shape,
                                             llvm::function_ref<int64_t(llvm::ArrayRef<int64_t> index)> from);

/// The shape of a value that is known with all its sizes.
std::optional<llvm::SmallVector<int64_t>> staticShape(const GraphValue &value);

} // namespace whit
