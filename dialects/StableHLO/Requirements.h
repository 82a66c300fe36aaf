// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What verifiers of this dialect ask again and again; each says what was found and what it must be.

#pragma once

#include "StableHLO/StableHLO.h"

#include "mlir/IR/TypeUtilities.h"

namespace mlir::stablehlo {

inline RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

inline bool fits(int64_t a, int64_t b) { return a == b || ShapedType::isDynamic(a) || ShapedType::isDynamic(b); }

/// Whether a shape is `wanted`.
inline LogicalResult requireShape(Operation *op, StringRef role, RankedTensorType type, ArrayRef<int64_t> wanted) {
  if (succeeded(verifyCompatibleShape(type.getShape(), wanted)))
    return success();
  return op->emitOpError() << role << " has type " << type << "; it must have the shape of "
                           << RankedTensorType::get(wanted, type.getElementType());
}

inline LogicalResult requireElement(Operation *op, StringRef role, RankedTensorType type, Type wanted) {
  if (type.getElementType() == wanted)
    return success();
  return op->emitOpError() << role << " has elements of type " << type.getElementType() << "; they must have type "
                           << wanted;
}

/// Dimensions of a tensor: in range, and each once unless `repeats`.
inline LogicalResult requireDims(Operation *op, StringRef role, ArrayRef<int64_t> dims, int64_t rank) {
  SmallVector<bool> seen(rank, false);
  for (int64_t dim : dims) {
    if (dim < 0 || dim >= rank)
      return op->emitOpError() << role << " has dimension " << dim << "; it must be from 0 to " << rank - 1;
    if (seen[dim])
      return op->emitOpError() << role << " has dimension " << dim << " twice";
    seen[dim] = true;
  }
  return success();
}

inline LogicalResult requireCount(Operation *op, StringRef role, size_t found, size_t wanted) {
  if (found == wanted)
    return success();
  return op->emitOpError() << role << " has " << found << " elements; it must have " << wanted;
}

/// A body over scalars of the elements of `inputs`: `copies` of each as arguments, then what it returns.
LogicalResult requireBody(Operation *op, Region &body, ValueRange inputs, unsigned copies, TypeRange returned);
SmallVector<Type> scalarsOf(ValueRange inputs);

} // namespace mlir::stablehlo
