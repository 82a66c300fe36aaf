// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sorting by any comparison.

#pragma once

#include "Import/Semantics/Loops.h"

namespace whit::semantics {

/// Whether elements x, one of each key, stand before elements y.
using Before = llvm::function_ref<mlir::Value(ImplicitLocOpBuilder &, llvm::ArrayRef<mlir::Value> x,
                                              llvm::ArrayRef<mlir::Value> y)>;

/// Where along `axis` the element at each place comes from once the keys, which have one shape, are sorted: i32. Of those
/// that stand before neither, the earlier comes first.
Tensor sortedPlaces(ImplicitLocOpBuilder &b, llvm::ArrayRef<Tensor> keys, int64_t axis, Before before);

/// x[..., places[i...], ...], in the sizes of `places`, which differ only along `axis`.
Tensor takePlaces(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &places, int64_t axis);

} // namespace whit::semantics
