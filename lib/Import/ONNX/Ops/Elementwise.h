// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What elementwise operators have in common: operands of one type, broadcast to one another.

#pragma once

#include "Import/ONNX/Node.h"
#include "Import/Semantics/Scalars.h"

namespace whit {

/// Element types that an operator takes. Integers of fewer than 8 bits are no numbers to compute with.
enum class Elements { Any, Numbers, Floats, Bools };

/// The first inputs of a node, one for each role, all of one element type that is allowed.
mlir::FailureOr<llvm::SmallVector<semantics::Tensor>> operandsOf(Node &node, llvm::ArrayRef<llvm::StringRef> roles,
                                                                 Elements allowed);
/// An operand whose element type is allowed.
mlir::LogicalResult requireElements(Node &node, const semantics::Tensor &x, llvm::StringRef role, Elements allowed);

/// Output 0 = body(operands, broadcast) in the type of the operands.
mlir::LogicalResult setElementwise(Node &node, llvm::ArrayRef<semantics::Tensor> operands, semantics::Body body);
/// The same with elements of another type.
mlir::LogicalResult setElementwise(Node &node, llvm::ArrayRef<semantics::Tensor> operands, mlir::Type element,
                                   semantics::Body body);

/// f16 and bf16 are computed with as f32 and rounded once.
mlir::Value inF32(semantics::ImplicitLocOpBuilder &b, mlir::ValueRange v, semantics::Body body);

/// How a type is called in messages.
std::string typeName(mlir::Type type);

} // namespace whit
