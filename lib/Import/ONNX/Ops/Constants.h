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

/// Input `i` as a weight N x K, if it is a constant matrix of floats in the file, or of codes that are dequantized; else
/// null.
mlir::Value matrixOf(Node &node, unsigned i, Stored stored);
mlir::Value matrixOf(Node &node, const GraphValue &value, Stored stored);

/// Whether the first node that takes the matrix `name` takes its rows as the rows N x K of a weight.
bool wantsRows(const ::onnx::GraphProto &graph, llvm::StringRef name);
/// The weight N x K that a matrix of a GGUF file is.
mlir::Value ggufWeight(Graph &graph, mlir::ImplicitLocOpBuilder &b, const StoredTensor &stored);

/// The values of a DequantizeLinear whose constant codes are a weight in a format. Nothing if they are not, with `why` if a
/// well-formed node has codes or scales that no format holds.
std::optional<semantics::Tensor> codedMatrix(Node &node, std::string &why);
/// The weight N x K that is behind such a value, if it lies as `stored`; else null.
mlir::Value codedMatrixOf(mlir::Value value, Stored stored);

/// A constant matrix of codes of 8 bits as a weight N x K that has no scales: its numbers are integers.
struct CodeMatrix {
  mlir::Value weight;
  int64_t n, k;
  llvm::SmallVector<int32_t> sums; ///< of the numbers of each row
  int64_t largest;                 ///< most that the numbers of a row add up to, all taken as positive
};
/// Sums of products are exact in f32 up to here.
inline constexpr int64_t kMostOfCodes = (int64_t(1) << 24) - 1;
/// Input `codes` less input `zero`, which have been checked, as such a matrix of n rows; nothing if they are not constant, or not mapped
/// from the file.
std::optional<CodeMatrix> codeMatrixOf(Node &node, unsigned codes, unsigned zero, int64_t n, Stored stored);

/// Gather of what is not known while importing.
mlir::LogicalResult gatherData(Node &node, int64_t axis);

} // namespace whit
