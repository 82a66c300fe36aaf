// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Windows that move over a tensor: which element of it they show at each step, and products with what they show.

#pragma once

#include "Import/Semantics/Loops.h"

namespace whit::semantics {

/// How a window moves along one dimension, all sizes known.
struct Slide {
  int64_t window = 1;      ///< how many elements it shows
  int64_t stride = 1;      ///< of its steps
  int64_t spread = 1;      ///< from one element that it shows to the next
  int64_t apart = 1;       ///< from one element of the tensor to the next; what lies between is padding
  int64_t before = 0;      ///< padding before the tensor; negative: elements left out
  int64_t input = 1;       ///< size of the dimension
  int64_t output = 1;      ///< number of steps
  bool isReversed = false; ///< the window shows its last element first
};

/// Which element of the dimension a window shows as its `at`th at a step: always one that the dimension has, which must
/// have one. Where it shows padding instead, `inside` becomes false; it stays null while it cannot.
mlir::Value shownAt(ImplicitLocOpBuilder &b, const Slide &slide, mlir::Value step, mlir::Value at, mlir::Value &inside);

/// The order of the dimensions of a convolution's input or output.
struct ImageOrder {
  int64_t batch, feature;
  llvm::SmallVector<int64_t> spatial;
};

/// x as [N, outputs..., inner...], what the windows show at each position and 0 for padding. `inner` orders the features
/// (-1) and the windows' dimensions.
Tensor patches(ImplicitLocOpBuilder &b, const Tensor &x, const ImageOrder &order, llvm::ArrayRef<Slide> slides,
               llvm::ArrayRef<int64_t> inner);

/// Patches [N, outputs..., D] times filters [F, D], both cut into groups along their features, or along batch and
/// filters (`batchGroups`): [N / batchGroups, positions, F].
Tensor timesFilters(ImplicitLocOpBuilder &b, const Tensor &seen, const Tensor &filters, int64_t groups,
                    int64_t batchGroups, mlir::Type element);

/// y [N, positions, F] in the order of an output.
Tensor placeOutputs(ImplicitLocOpBuilder &b, const Tensor &y, const ImageOrder &order, llvm::ArrayRef<Slide> slides);

} // namespace whit::semantics
