// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads numbers of spatial dimensions, and says at the node what is wrong with them.

#include "Import/ONNX/Ops/SpatialAttributes.h"

using namespace mlir;

namespace whit {

FailureOr<SmallVector<int64_t>> spatialNumbers(Node &node, StringRef name, size_t count, int64_t byDefault,
                                               int64_t least) {
  if (!node.hasAttribute(name))
    return SmallVector<int64_t>(count, byDefault);
  FailureOr<SmallVector<int64_t>> list = node.integerList(name);
  if (failed(list))
    return failure();
  if (list->size() != count || llvm::any_of(*list, [&](int64_t n) { return n < least || n > (int64_t(1) << 31); }))
    return LogicalResult(node.badAttribute("attribute '" + name + "' must have " + Twine(count) +
                                           " numbers of at least " + Twine(least)));
  return list;
}

} // namespace whit
