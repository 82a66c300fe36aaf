// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements of one type as those of another.

#include "Import/ONNX/Ops/Elementwise.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// These say what happens in conversions to types of 8 bits and fewer that are no integers; to all others they are the
/// same whatever they say.
static LogicalResult checkRounding(Node &node) {
  FailureOr<int64_t> saturate = node.integer("saturate", 1);
  FailureOr<std::string> mode = node.text("round_mode", "up");
  if (failed(saturate) || failed(mode))
    return failure();
  if (*saturate != 0 && *saturate != 1)
    return node.badAttribute("attribute 'saturate' is " + Twine(*saturate) + "; it must be 0 or 1");
  if (*mode != "up" && *mode != "down" && *mode != "nearest")
    return node.badAttribute("attribute 'round_mode' is '" + shown(*mode) + "'; it must be up, down or nearest");
  return success();
}

static LogicalResult importCast(Node &node) {
  FailureOr<int64_t> to = node.integer("to");
  if (failed(to) || failed(checkRounding(node)))
    return failure();
  const OnnxType *type = onnxType(*to);
  Type element = valueType(node.b.getContext(), *to);
  if (!element)
    return type ? node.report(code::NoType,
                              Twine("attribute 'to' is ") + type->name + ", an element type that is not supported")
                : node.badAttribute("attribute 'to' is " + Twine(*to) + ", which is no element type");
  FailureOr<Tensor> x = node.tensor(0, "input");
  return failed(x) ? failure() : node.set(0, convert(node.b, *x, element));
}

static LogicalResult importCastLike(Node &node) {
  Type element = node.input(1).element;
  if (failed(checkRounding(node)))
    return failure();
  if (!element)
    return node.report(code::NoType, "input target_type has elements of a type that is not supported");
  FailureOr<Tensor> x = node.tensor(0, "input");
  return failed(x) ? failure() : node.set(0, convert(node.b, *x, element));
}

static constexpr Operator kOperators[] = {
    {"", "Cast", importCast, 1, 1, 1, "to saturate round_mode", true},
    {"", "CastLike", importCastLike, 2, 2, 1, "saturate round_mode", true},
};

ArrayRef<Operator> castOperators() { return kOperators; }

} // namespace whit
