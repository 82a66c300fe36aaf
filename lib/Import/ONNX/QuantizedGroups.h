// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators between DequantizeLinear and QuantizeLinear, as the operators on codes that they stand for.

#pragma once

#include "Import/ONNX/Graph.h"

namespace whit {

/// Replaces the groups of the model's graph that are found:
///
///     DequantizeLinear(x), DequantizeLinear(w), DequantizeLinear(i32 bias) -> Conv   -> QuantizeLinear    becomes QLinearConv
///                                                                          -> MatMul ->                   QLinearMatMul
///                                                                          -> Gemm   ->                   com.microsoft.QGemm
///     DequantizeLinear(x) -> GlobalAveragePool -> QuantizeLinear       becomes com.microsoft.QLinearGlobalAveragePool
void joinQuantizedGroups(OnnxModel &model);

} // namespace whit
