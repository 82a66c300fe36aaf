// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// QuantizeLinear and DequantizeLinear as arithmetic on elements: one scale for the tensor, for each slice along an axis,
// or for each block of an axis. A constant matrix that a format holds is a weight instead.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Constants.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/Semantics/SmallFloats.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// Codes or zero points.
static FailureOr<Tensor> codesOf(Node &node, unsigned i, StringRef role) {
  FailureOr<Tensor> x = node.tensor(i, role);
  if (succeeded(x) && !isSmallFloat(x->numbers()) && (!x->numbers().isInteger() || x->numbers().isInteger(1)))
    return LogicalResult(node.report(code::NoType, "input " + role + " has elements of type " + typeName(x->numbers()) +
                                                       "; only integers and floats of at most 8 bits are supported"));
  return x;
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
  FailureOr<Tensor> zero = codesOf(node, 2, "zero_point");
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
  if (isa_and_nonnull<FloatType>(element) && !isSmallFloat(element))
    if (std::optional<Tensor> values = codedMatrix(node, why))
      return node.set(0, convert(node.b, *values, element));
  GraphValue &codes = node.input(0);
  std::string since = why.empty() ? "" : ", since " + why;
  if (codes.stored && codes.stored->count > kMaxConstantIntegers)
    return node.unsupported("input '" + shown(codes.stored->name) + "' (x) is a constant of " +
                                Twine(codes.stored->count) + " codes that no format holds" + since,
                            "store large weights as MatMulNBits does, or as floats and quantize them with --weights");
  if (!why.empty())
    remark::missed(node.b.getLoc(), remark::RemarkOpts::name("dequantize").category("import"))
        << ("'" + shown(codes.stored->name) + "' is dequantized while the model runs" + since);
  FailureOr<Tensor> x = codesOf(node, 0, "x");
  if (failed(x))
    return failure();
  FailureOr<Scaling> scaling = scalingOf(node, *x);
  if (failed(scaling))
    return failure();
  if (!isa_and_nonnull<FloatType>(element) || isSmallFloat(element))
    return node.badAttribute("attribute 'output_dtype' is " + Twine(*output) +
                             "; it must be a float type of 16 bits or more");
  Type f32 = node.b.getF32Type();
  SmallVector<Tensor> operands{*x, scaling->scale};
  if (scaling->zero)
    operands.push_back(*scaling->zero);
  return setElementwise(node, operands, element, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    Type exact = operands[0].numbers().isInteger() ? Type(b.getI32Type()) : f32;
    Value difference = convertHeld(b, v[0], operands[0].numbers(), exact);
    if (v.size() > 2)
      difference = subtract(b, {difference, convertHeld(b, v[2], operands[2].numbers(), exact)});
    return convert(b, multiply(b, {convert(b, difference, f32), v[1]}), element);
  });
}

/// The type of the codes that a QuantizeLinear makes; null, reported, if it has none that is supported.
static Type codeType(Node &node) {
  FailureOr<int64_t> output = node.integer("output_dtype", 0);
  if (failed(output))
    return {};
  MLIRContext *context = node.b.getContext();
  Type byZero = node.has(2) ? node.input(2).element : Type(), wanted = *output ? valueType(context, *output) : byZero;
  Type type = *output || node.has(2) ? wanted : IntegerType::get(context, 8, IntegerType::Unsigned);
  const OnnxType *known = *output                               ? onnxType(*output)
                          : node.has(2) && node.input(2).stored ? node.input(2).stored->type
                                                                : nullptr;
  bool isInteger = type && type.isInteger() && !type.isInteger(1) && type.getIntOrFloatBitWidth() <= 16;
  bool isFloat = type && isSmallFloat(type) && !isa<Float8E8M0FNUType>(type); // which has no zero
  if (!isInteger && !isFloat)
    (void)node.report(code::NoType, "the result has elements of " +
                                        (type    ? "type " + typeName(type)
                                         : known ? "type " + std::string(known->name)
                                                 : std::string("another type")) +
                                        "; only integers of at most 16 bits and floats of at most 8 are supported");
  else if (node.has(2) && type != byZero)
    (void)node.badAttribute("attribute 'output_dtype' is " + typeName(type) +
                            "; input zero_point has elements of type " +
                            (byZero ? typeName(byZero) : std::string("another")));
  else
    return type;
  return {};
}

static LogicalResult importQuantizeLinear(Node &node) {
  FailureOr<int64_t> precision = node.integer("precision", 0), saturate = node.integer("saturate", 1);
  FailureOr<Tensor> x = node.tensor(0, "x");
  if (failed(precision) || failed(saturate) || failed(x) || failed(requireElements(node, *x, "x", Elements::Numbers)))
    return failure();
  Type element = codeType(node),
       quotientType = *precision ? valueType(node.b.getContext(), *precision) : node.input(1).element;
  if (!element)
    return failure();
  FailureOr<Scaling> scaling = scalingOf(node, *x);
  if (failed(scaling))
    return failure();
  if (!isa_and_nonnull<FloatType>(quotientType) || isSmallFloat(quotientType) || quotientType.isF64())
    return node.badAttribute("attribute 'precision' is " + Twine(*precision) +
                             "; it must be float (1), float16 (10) or bfloat16 (16)");
  Type f32 = node.b.getF32Type(), from = x->numbers();
  SmallVector<Tensor> operands{*x, scaling->scale};
  if (scaling->zero)
    operands.push_back(*scaling->zero);
  return setElementwise(node, operands, element, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    Value quotient = convert(b, divide(b, {convertHeld(b, v[0], from, f32), v[1]}), quotientType);
    if (auto type = dyn_cast<FloatType>(element)) {
      Value number = convert(b, quotient, f32);
      if (v.size() > 2)
        number = add(b, {number, convertHeld(b, v[2], element, f32)});
      return toSmallFloat(b, number, type, {*saturate == 1});
    }
    Value steps = math::RoundEvenOp::create(b, convert(b, quotient, f32));
    if (v.size() > 2)
      steps = add(b, {steps, convertHeld(b, v[2], element, f32)});
    return convertHeld(b, steps, f32, element); // which keeps it within the integers
  });
}

/// Codes of 8 bits without a sign for a range that reaches from the smallest element, or 0, to the largest, or 0.
static LogicalResult importDynamicQuantizeLinear(Node &node) {
  FailureOr<Tensor> x = node.f32(0, "x");
  if (failed(x))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  Type f32 = b.getF32Type(), u8 = b.getIntegerType(8, /*isSigned=*/false);
  SmallVector<int64_t> all = llvm::to_vector(llvm::seq<int64_t>(0, x->rank()));
  auto extreme = [&](Reduction kind) { return all.empty() ? *x : reduce(b, *x, kind, all, /*keep=*/false); };
  Tensor most = extreme(Reduction::Max), least = extreme(Reduction::Min);
  Tensor scale = elementwise(b, {most, least}, {}, f32, [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
    Value zero = constant(at, f32, 0), one = constant(at, f32, 1);
    Value range = subtract(at, {maximum(at, v[0], zero), minimum(at, v[1], zero)});
    Value isNone = compare(at, Compare::Equal, range, zero);
    return divide(at, {arith::SelectOp::create(at, isNone, one, range), constant(at, f32, 255)});
  });
  Tensor zero = elementwise(b, {least, scale}, {}, u8, [&](ImplicitLocOpBuilder &at, ValueRange v) {
    Value none = constant(at, f32, 0);
    Value steps = subtract(at, {none, divide(at, {minimum(at, v[0], none), v[1]})});
    return convertHeld(at, math::RoundEvenOp::create(at, steps), f32, u8);
  });
  Tensor y = elementwise(b, {*x, scale, zero}, x->sizes, u8, [&](ImplicitLocOpBuilder &at, ValueRange v) {
    Value steps = math::RoundEvenOp::create(at, divide(at, {v[0], v[1]}));
    return convertHeld(at, add(at, {steps, convertHeld(at, v[2], u8, f32)}), f32, u8);
  });
  return success(succeeded(node.set(0, y)) && succeeded(node.set(1, scale)) && succeeded(node.set(2, zero)));
}

static constexpr Operator kOperators[] = {
    {"", "DequantizeLinear", importDequantizeLinear, 2, 3, 1, "axis block_size output_dtype", true},
    {"", "QuantizeLinear", importQuantizeLinear, 2, 3, 1, "axis block_size output_dtype precision saturate", true},
    {"", "DynamicQuantizeLinear", importDynamicQuantizeLinear, 1, 1, 3, ""},
};

ArrayRef<Operator> quantizeOperators() { return kOperators; }

} // namespace whit
