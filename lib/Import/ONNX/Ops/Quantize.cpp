// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// QuantizeLinear and DequantizeLinear as arithmetic on elements: one scale for the tensor, for each slice along an axis,
// or for each block of an axis. Codes of a constant may have any integer type; computed ones have one that is computed
// with. A constant matrix that a format holds is a weight instead.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Constants.h"
#include "Import/ONNX/Ops/Elementwise.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// Constants with more elements are not made part of the program.
static constexpr int64_t kMaxCodes = 65536;

/// The integers of a stored tensor; those narrower than a byte are packed, the first in the lowest bits.
static std::optional<SmallVector<int64_t>> codesOf(const StoredTensor &tensor) {
  if (tensor.type->bits >= 8)
    return tensor.integers();
  bool isSigned = tensor.type->kind == OnnxType::Signed;
  if (!isSigned && tensor.type->kind != OnnxType::Unsigned)
    return std::nullopt;
  int bits = tensor.type->bits;
  SmallVector<int64_t> codes(tensor.count);
  for (int64_t i = 0; i < tensor.count; ++i) {
    uint64_t code = (tensor.bytes[i * bits / 8] >> (i * bits % 8)) & ((1u << bits) - 1);
    codes[i] = isSigned ? llvm::SignExtend64(code, bits) : int64_t(code);
  }
  return codes;
}

/// Codes or zero points as integers that hold them with their sign.
static FailureOr<Tensor> integersOf(Node &node, unsigned i, StringRef role) {
  GraphValue &value = node.input(i);
  bool isStoredInteger =
      value.stored && (value.stored->type->kind == OnnxType::Signed || value.stored->type->kind == OnnxType::Unsigned);
  if (!isStoredInteger) {
    FailureOr<Tensor> x = node.tensor(i, role);
    if (succeeded(x) && (!x->element().isInteger() || x->element().isInteger(1)))
      return LogicalResult(node.report(code::NoType, "input " + role + " has elements of type " +
                                                         typeName(x->element()) + "; only integers are supported"));
    return x;
  }
  const StoredTensor &stored = *value.stored;
  std::optional<SmallVector<int64_t>> codes = stored.count <= kMaxCodes ? codesOf(stored) : std::nullopt;
  if (!codes)
    return LogicalResult(node.unsupported("input '" + shown(stored.name) + "' (" + role + ") is a constant of " +
                                              Twine(stored.count) + " integers; at most " + Twine(kMaxCodes) +
                                              " are supported",
                                          "store large weights as MatMulNBits does, or as floats and quantize them "
                                          "with --weights"));
  unsigned bits = stored.type->kind == OnnxType::Signed ? std::max(stored.type->bits, 8) : 2 * stored.type->bits;
  Type element = IntegerType::get(node.b.getContext(), bits <= 8 ? 8 : bits <= 16 ? 16 : bits <= 32 ? 32 : 64);
  auto type = RankedTensorType::get(shapeOf(value.sizes), element);
  SmallVector<APInt> elements;
  for (int64_t one : *codes)
    elements.push_back(APInt(element.getIntOrFloatBitWidth(), one, true, true));
  return Tensor{arith::ConstantOp::create(node.b, DenseElementsAttr::get(type, elements)), value.sizes};
}

/// Scales or zero points with the rank of x, each element standing where x is scaled by it.
static FailureOr<Tensor> spread(Node &node, const Tensor &x, const Tensor &scales, StringRef role, int64_t axis,
                                int64_t block) {
  auto isOne = [](OpFoldResult size) { return isConstantIntValue(size, 1); };
  if (scales.rank() == 0 || (block == 0 && scales.rank() == 1 && (isOne(scales.sizes[0]) || x.rank() == 0))) {
    if (scales.rank() && !isOne(scales.sizes[0]))
      return LogicalResult(
          node.badOperand("input " + role + " must have one element, as x has rank " + Twine(x.rank())));
    return reshape(node.b, scales, {});
  }
  if (block == 0) {
    if (scales.rank() != 1 || !sameSize(scales.sizes[0], x.sizes[axis]))
      return LogicalResult(
          node.badOperand("input " + role + " must have one element for each slice along axis " + Twine(axis)));
    Sizes sizes(x.rank(), node.b.getIndexAttr(1));
    sizes[axis] = x.sizes[axis];
    return reshape(node.b, scales, sizes);
  }
  if (scales.rank() != x.rank())
    return LogicalResult(node.badOperand("input " + role + " has rank " + Twine(scales.rank()) +
                                         "; blocks need that of x, " + Twine(x.rank())));
  for (int64_t i = 0; i < x.rank(); ++i) {
    std::optional<int64_t> size = getConstantIntValue(x.sizes[i]);
    if (i == axis && !size)
      return LogicalResult(node.unsupported("blocks need a known size of x along axis " + Twine(axis)));
    OpFoldResult wanted = i == axis ? node.b.getIndexAttr((*size + block - 1) / block) : x.sizes[i];
    if (!sameSize(scales.sizes[i], wanted))
      return LogicalResult(node.badOperand("input " + role + " has " + shownSize(node.graph, scales.sizes[i]) +
                                           " elements in dimension " + Twine(i) + "; " + shownSize(node.graph, wanted) +
                                           " are needed"));
  }
  return gatherElements(node.b, scales, {}, x.sizes, [&](ImplicitLocOpBuilder &b, ValueRange, ValueRange loops) {
    SmallVector<Value> from(loops);
    from[axis] = arith::DivUIOp::create(b, from[axis], arith::ConstantIndexOp::create(b, block));
    return from;
  });
}

namespace {
struct Scaling {
  Tensor scale;
  std::optional<Tensor> zero;
};
} // namespace

static FailureOr<Scaling> scalingOf(Node &node, const Tensor &x) {
  FailureOr<int64_t> given = node.integer("axis", 1), block = node.integer("block_size", 0);
  FailureOr<Tensor> scale = node.tensor(1, "scale");
  if (failed(given) || failed(block) || failed(scale) ||
      failed(requireElements(node, *scale, "scale", Elements::Floats)))
    return failure();
  if (*block < 0)
    return LogicalResult(node.badAttribute("attribute 'block_size' is " + Twine(*block) + "; it must be positive"));
  int64_t axis = *given < 0 ? *given + x.rank() : *given;
  bool needsAxis = *block || (scale->rank() && !isConstantIntValue(scale->sizes[0], 1) && x.rank() > 0);
  if (needsAxis && (axis < 0 || axis >= x.rank()))
    return LogicalResult(
        node.badAttribute("attribute 'axis' is " + Twine(*given) + "; the input has rank " + Twine(x.rank())));
  Scaling result;
  FailureOr<Tensor> placed = spread(node, x, convert(node.b, *scale, node.b.getF32Type()), "scale", axis, *block);
  if (failed(placed))
    return failure();
  result.scale = *placed;
  if (!node.has(2))
    return result;
  FailureOr<Tensor> zero = integersOf(node, 2, "zero_point");
  if (failed(zero) || failed(zero = spread(node, x, *zero, "zero_point", axis, *block)))
    return failure();
  result.zero = *zero;
  return result;
}

static LogicalResult importDequantizeLinear(Node &node) {
  FailureOr<int64_t> output = node.integer("output_dtype", 0);
  if (failed(output))
    return failure();
  Type element = *output ? valueType(node.b.getContext(), *output) : node.input(1).element;
  std::string why;
  if (isa_and_nonnull<FloatType>(element))
    if (std::optional<Tensor> values = codedMatrix(node, why))
      return node.set(0, convert(node.b, *values, element));
  GraphValue &codes = node.input(0);
  if (!why.empty() && codes.stored->count > kMaxCodes)
    return node.unsupported("input '" + shown(codes.stored->name) + "' (x) is a constant of " +
                                Twine(codes.stored->count) + " codes that no format holds, since " + why,
                            "store large weights as MatMulNBits does, or as floats and quantize them with --weights");
  if (!why.empty())
    remark::missed(node.b.getLoc(), remark::RemarkOpts::name("dequantize").category("import"))
        << ("'" + shown(codes.stored->name) + "' is dequantized while the model runs, since " + why);
  FailureOr<Tensor> x = integersOf(node, 0, "x");
  if (failed(x))
    return failure();
  FailureOr<Scaling> scaling = scalingOf(node, *x);
  if (failed(scaling))
    return failure();
  if (!isa_and_nonnull<FloatType>(element))
    return node.badAttribute("attribute 'output_dtype' is " + Twine(*output) + "; it must be a float type");
  Type f32 = node.b.getF32Type();
  SmallVector<Tensor> operands{*x, scaling->scale};
  if (scaling->zero)
    operands.push_back(*scaling->zero);
  return setElementwise(node, operands, element, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    Value difference = convert(b, v[0], b.getI32Type());
    if (v.size() > 2)
      difference = subtract(b, {difference, convert(b, v[2], b.getI32Type())});
    return convert(b, multiply(b, {convert(b, difference, f32), v[1]}), element);
  });
}

static LogicalResult importQuantizeLinear(Node &node) {
  FailureOr<int64_t> output = node.integer("output_dtype", 0), precision = node.integer("precision", 0),
                     saturate = node.integer("saturate", 1);
  FailureOr<Tensor> x = node.tensor(0, "x");
  if (failed(output) || failed(precision) || failed(saturate) || failed(x) ||
      failed(requireElements(node, *x, "x", Elements::Numbers)))
    return failure();
  if (*precision != 0 && *precision != 1)
    return node.unsupported("attribute 'precision' is " + Twine(*precision) + "; only 1 (f32) is supported");
  GraphValue *zero = node.has(2) ? &node.input(2) : nullptr;
  const OnnxType *type = *output ? onnxType(*output) : zero && zero->stored ? zero->stored->type : nullptr;
  Type element = type ? valueType(node.b.getContext(), type->number) : zero ? zero->element : Type();
  if (!element || !element.isInteger() || element.isInteger(1))
    return node.report(code::NoType, Twine("the result has elements of type ") +
                                         (type   ? type->name
                                          : zero ? "another"
                                                 : "uint8") +
                                         "; only signed integers of 8 bits and more are supported");
  FailureOr<Scaling> scaling = scalingOf(node, *x);
  if (failed(scaling))
    return failure();
  unsigned bits = element.getIntOrFloatBitWidth();
  if (bits > 16)
    return node.unsupported("the result has integers of " + Twine(bits) + " bits; at most 16 are supported");
  Type f32 = node.b.getF32Type();
  SmallVector<Tensor> operands{*x, scaling->scale};
  if (scaling->zero)
    operands.push_back(*scaling->zero);
  return setElementwise(node, operands, element, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    Value steps = math::RoundEvenOp::create(b, divide(b, {convert(b, v[0], f32), v[1]}));
    if (v.size() > 2)
      steps = add(b, {steps, convert(b, v[2], f32)});
    return convert(b, steps, element); // which keeps it within the integers
  });
}

static constexpr Operator kOperators[] = {
    {"", "DequantizeLinear", importDequantizeLinear, 2, 3, 1, "axis block_size output_dtype"},
    {"", "QuantizeLinear", importQuantizeLinear, 2, 3, 1, "axis block_size output_dtype precision saturate"},
};

ArrayRef<Operator> quantizeOperators() { return kOperators; }

} // namespace whit
