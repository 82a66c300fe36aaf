// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements of one type as those of another.

#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/Semantics/SmallFloats.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// What happens in conversions to floats of 8 bits and fewer; to all others they are the same whatever is said.
static FailureOr<SmallRounding> roundingOf(Node &node) {
  FailureOr<int64_t> saturate = node.integer("saturate", 1);
  FailureOr<std::string> mode = node.text("round_mode", "up");
  if (failed(saturate) || failed(mode))
    return failure();
  if (*saturate != 0 && *saturate != 1)
    return LogicalResult(node.badAttribute("attribute 'saturate' is " + Twine(*saturate) + "; it must be 0 or 1"));
  if (*mode != "up" && *mode != "down" && *mode != "nearest")
    return LogicalResult(
        node.badAttribute("attribute 'round_mode' is '" + shown(*mode) + "'; it must be up, down or nearest"));
  auto powers = *mode == "up" ? SmallRounding::Up : *mode == "down" ? SmallRounding::Down : SmallRounding::Nearest;
  return SmallRounding{*saturate == 1, powers};
}

static LogicalResult castTo(Node &node, Type element) {
  FailureOr<SmallRounding> rounding = roundingOf(node);
  if (failed(rounding))
    return failure();
  FailureOr<Tensor> x = node.tensor(0, "input");
  if (failed(x))
    return failure();
  Type from = x->numbers();
  if (isSmallFloat(element) && from != element)
    return node.set(0, elementwise(node.b, *x, x->sizes, element, [&](ImplicitLocOpBuilder &b, ValueRange v) {
                      return toSmallFloat(b, convertHeld(b, v[0], from, b.getF32Type()), cast<FloatType>(element),
                                          *rounding);
                    }));
  // Integers of few bits keep the lowest ones, whatever they are made from.
  bool isNarrow = element.isInteger() && !element.isInteger(1) && element.getIntOrFloatBitWidth() < 8;
  Tensor wide = isNarrow && isa<FloatType>(from) ? convert(node.b, *x, node.b.getI32Type()) : *x;
  return node.set(0, convert(node.b, wide, element));
}

static LogicalResult importCast(Node &node) {
  FailureOr<int64_t> to = node.integer("to");
  if (failed(to))
    return failure();
  const OnnxType *type = onnxType(*to);
  Type element = valueType(node.b.getContext(), *to);
  if (!element)
    return type ? node.report(code::NoType,
                              Twine("attribute 'to' is ") + type->name + ", an element type that is not supported")
                : node.badAttribute("attribute 'to' is " + Twine(*to) + ", which is no element type");
  return castTo(node, element);
}

static LogicalResult importCastLike(Node &node) {
  Type element = node.input(1).element;
  if (!element)
    return node.report(code::NoType, "input target_type has elements of a type that is not supported");
  return castTo(node, element);
}

/// The same bits as elements of another type of as many.
static LogicalResult importBitCast(Node &node) {
  FailureOr<int64_t> to = node.integer("to");
  FailureOr<Tensor> x = node.tensor(0, "input");
  if (failed(to) || failed(x))
    return failure();
  Type from = x->numbers(), element = valueType(node.b.getContext(), *to);
  if (!element)
    return node.badAttribute("attribute 'to' is " + Twine(*to) + ", which is no element type that is supported");
  auto bits = [](Type type) { return type.isInteger(1) ? 8 : type.getIntOrFloatBitWidth(); };
  if (bits(from) != bits(element))
    return node.badAttribute("attribute 'to' is " + typeName(element) + "; the elements of input, of type " +
                             typeName(from) + ", have another number of bits");
  Type source = x->element(), target = held(element);
  if (source == target && from.getIntOrFloatBitWidth() >= 8)
    return node.set(0, makeTensor(x->value, x->sizes, element));
  return node.set(0, elementwise(node.b, *x, x->sizes, element, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                    if (from.isInteger(1))
                      return arith::ExtUIOp::create(b, target, v[0]);
                    if (element.isInteger(1))
                      return compare(b, Compare::NotEqual, v[0], constant(b, source, 0));
                    if (source == target) { // fewer bits in an i8, with the other sign
                      Type plain = IntegerType::get(b.getContext(), bits(from), IntegerType::Unsigned);
                      return convertHeld(b, convertHeld(b, v[0], isa<FloatType>(from) ? plain : from, plain), plain,
                                         isa<FloatType>(element) ? plain : element);
                    }
                    return arith::BitcastOp::create(b, target, v[0]);
                  }));
}

static constexpr Operator kOperators[] = {
    {"", "Cast", importCast, 1, 1, 1, "to saturate round_mode", true},
    {"", "BitCast", importBitCast, 1, 1, 1, "to", true},
    {"", "CastLike", importCastLike, 2, 2, 1, "saturate round_mode", true},
};

ArrayRef<Operator> castOperators() { return kOperators; }

} // namespace whit
