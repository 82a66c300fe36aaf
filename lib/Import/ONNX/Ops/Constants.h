// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Constants of the file as weights, and the elements that constant indices pick from data.

#pragma once

#include "Import/ONNX/Node.h"
#include "runtime/encoding/BlockSource.h"

namespace whit {

/// The type of scales, or of plain values, that a stored tensor has.
std::optional<ScaleType> scaleTypeOf(const StoredTensor &tensor);

/// How a stored matrix lies: its rows are the rows N x K of the weight, or their columns.
enum class Stored { Rows, Columns };

/// Input `i` as a weight N x K, if it is a constant matrix of floats in the file; else null.
mlir::Value matrixOf(Node &node, unsigned i, Stored stored);
mlir::Value matrixOf(Node &node, const GraphValue &value, Stored stored);

/// Gather of what is not known while importing.
mlir::LogicalResult gatherData(Node &node, int64_t axis);

} // namespace whit
