// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attributes of operators on images: a number for each spatial dimension, or two.

#pragma once

#include "Import/ONNX/Node.h"

namespace whit {

/// Attribute `name` as `count` numbers of at least `least` (and at most 2^31), or `byDefault` for each where it is absent. Anything else is
/// reported at the node.
mlir::FailureOr<llvm::SmallVector<int64_t>> spatialNumbers(Node &node, llvm::StringRef name, size_t count,
                                                           int64_t byDefault, int64_t least);

} // namespace whit
