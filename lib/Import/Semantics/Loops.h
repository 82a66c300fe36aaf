// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensors by what each of their elements is. The bodies may read any tensor with `elementAt`; they are slower than what
// the other builders make, and right for what those cannot say.

#pragma once

#include "Import/Semantics/Tensor.h"

namespace whit::semantics {

/// x[at...]; the indices must not leave x.
mlir::Value elementAt(ImplicitLocOpBuilder &b, const Tensor &x, mlir::ValueRange at);

/// result[i...] = body(i...)
using ElementBody = llvm::function_ref<mlir::Value(ImplicitLocOpBuilder &, mlir::ValueRange loops)>;
Tensor computed(ImplicitLocOpBuilder &b, llvm::ArrayRef<mlir::OpFoldResult> sizes, mlir::Type numbers,
                ElementBody body);

/// result[i...] = body(i..., j..., what it was), for all j in row-major order, from `start` on.
using FoldBody = llvm::function_ref<mlir::Value(ImplicitLocOpBuilder &, mlir::ValueRange loops, mlir::Value soFar)>;
Tensor accumulated(ImplicitLocOpBuilder &b, llvm::ArrayRef<mlir::OpFoldResult> sizes,
                   llvm::ArrayRef<mlir::OpFoldResult> over, mlir::Type numbers, mlir::TypedAttr start, FoldBody body);

/// Several results of one shape, which begin as `starts`: for all j in row-major order, each element becomes
/// body(i..., j..., what they were). Over nothing, that happens once. `readsStarts`: others than these results read
/// one of `starts`, too, which must stay as it is then.
using FoldAllBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(ImplicitLocOpBuilder &, mlir::ValueRange loops,
                                                                      mlir::ValueRange soFar)>;
llvm::SmallVector<Tensor> folded(ImplicitLocOpBuilder &b, llvm::ArrayRef<Tensor> starts,
                                 llvm::ArrayRef<mlir::OpFoldResult> over, FoldAllBody body, bool readsStarts = false);

/// An attribute of the type that holds `numbers`.
mlir::TypedAttr numberAttribute(mlir::OpBuilder &b, mlir::Type numbers, double value);
/// The lowest value of a type: -infinity of floats.
mlir::TypedAttr lowestOf(mlir::OpBuilder &b, mlir::Type numbers);

/// Index arithmetic in a body.
mlir::Value indexConstant(ImplicitLocOpBuilder &b, int64_t value);
mlir::Value plus(ImplicitLocOpBuilder &b, mlir::Value x, mlir::Value y);
mlir::Value times(ImplicitLocOpBuilder &b, mlir::Value x, mlir::Value y);
mlir::Value both(ImplicitLocOpBuilder &b, mlir::Value x, mlir::Value y);
/// Whether 0 <= index < size; and the nearest index that is.
mlir::Value isWithin(ImplicitLocOpBuilder &b, mlir::Value index, mlir::OpFoldResult size);
mlir::Value nearestWithin(ImplicitLocOpBuilder &b, mlir::Value index, mlir::OpFoldResult size);

} // namespace whit::semantics
