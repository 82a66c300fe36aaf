// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of codes of 8 bits, summed in i32: exact, whatever the order. What the codes stand for is rounded to the
// codes of the result once, in the way that ONNX Runtime does it.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/CodeProducts.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Products.h"
#include "Import/ONNX/Ops/Tables.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// One number for all, or one for each element along `axis` of a tensor of rank `rank`, shaped to be broadcast with it.
static FailureOr<Tensor> along(Node &node, unsigned i, StringRef role, const Tensor &like, int64_t axis) {
  FailureOr<Tensor> x = node.tensor(i, role);
  if (failed(x))
    return failure();
  if (x->rank() == 0 || (x->rank() == 1 && isConstantIntValue(x->sizes[0], 1)))
    return reshape(node.b, *x, {});
  if (x->rank() != 1 || axis < 0 || !node.graph.unify(x->sizes[0], like.sizes[axis]))
    return LogicalResult(node.badOperand(
        "input " + role + " must have one element" +
        (axis < 0 ? std::string()
                  : ", or one for each along dimension " + std::to_string(axis) + " of what it is for")));
  Sizes sizes(like.rank() - axis, node.b.getIndexAttr(1));
  sizes[0] = like.sizes[axis];
  return reshape(node.b, *x, sizes);
}

/// Codes less their zero points, as i32.
static FailureOr<Tensor> codesOf(Node &node, unsigned i, StringRef role, unsigned zero, StringRef zeroRole,
                                 int64_t axis) {
  FailureOr<Tensor> x = node.tensor(i, role);
  if (failed(x))
    return failure();
  Type type = x->numbers(), i32 = node.b.getI32Type();
  if (!type.isInteger(8))
    return LogicalResult(
        node.badOperand("input " + role + " has elements of type " + typeName(type) + "; they must be i8 or uint8"));
  if (axis < 0)
    axis += x->rank();
  if (!node.has(zero))
    return convert(node.b, *x, i32);
  FailureOr<Tensor> z = along(node, zero, zeroRole, *x, axis);
  if (failed(z))
    return failure();
  if (z->numbers() != type)
    return LogicalResult(node.badOperand("inputs " + role + " and " + zeroRole + " have element types " +
                                         typeName(type) + " and " + typeName(z->numbers()) + "; they must have one"));
  return elementwise(node.b, {*x, *z}, x->sizes, i32, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    return subtract(b, {convertHeld(b, v[0], type, i32), convertHeld(b, v[1], type, i32)});
  });
}

namespace {
/// Inputs of a node by number: the scales of two factors and of what is made of their sums, its zero point, and, if not -1, i32 that are
/// added to the sums.
struct Requantization {
  unsigned x, w, y, zero;
  int bias = -1;
};
} // namespace

static FailureOr<Tensor> scaleAt(Node &node, unsigned i, StringRef role, const Tensor &like, int64_t axis) {
  FailureOr<Tensor> scale = along(node, i, role, like, axis);
  if (failed(scale) || failed(requireElements(node, *scale, role, Elements::Floats)))
    return failure();
  return scale;
}

/// scale of x * scale of w / scale of y in f32, where the file holds all of them.
static std::optional<Tensor> knownFactors(Node &node, const Requantization &r, const Tensor &sums, int64_t channel) {
  SmallVector<double> numbers[3];
  unsigned inputs[] = {r.x, r.w, r.y};
  for (auto [i, list] : llvm::zip(inputs, numbers)) {
    const GraphValue &value = node.input(i);
    std::optional<SmallVector<double>> floats =
        value.stored && value.element.isF32() ? value.stored->floats() : std::nullopt;
    if (!floats)
      return std::nullopt;
    list = *floats;
  }
  if (numbers[0].size() != 1 || numbers[2].size() != 1 || numbers[1].empty())
    return std::nullopt;
  SmallVector<float> factors;
  for (double w : numbers[1]) {
    float product = float(numbers[0][0]) * float(w);
    factors.push_back(product / float(numbers[2][0]));
  }
  Sizes sizes(factors.size() == 1 ? 0 : sums.rank() - channel, node.b.getIndexAttr(1));
  if (!sizes.empty() && !node.graph.unify(node.b.getIndexAttr(factors.size()), sums.sizes[channel]))
    return std::nullopt; // which is reported where the scales are placed
  if (!sizes.empty())
    sizes[0] = node.b.getIndexAttr(factors.size());
  auto type = RankedTensorType::get(shapeOf(sizes), node.b.getF32Type());
  return Tensor{arith::ConstantOp::create(node.b, DenseElementsAttr::get(type, ArrayRef(factors))), sizes};
}

/// Sums as codes: (sum + bias) * (scale of x * scale of w / scale of y), rounded to even, plus a zero point. Scales of x may be those of
/// rows, the dimension `row` of the sums.
static FailureOr<Tensor> toCodes(Node &node, const Tensor &sums, const Requantization &r, int64_t row,
                                 int64_t channel) {
  FailureOr<Tensor> z = along(node, r.zero, "y_zero_point", sums, -1);
  if (failed(z))
    return failure();
  Type type = z->numbers(), f32 = node.b.getF32Type();
  if (!type.isInteger(8))
    return LogicalResult(
        node.badOperand("input y_zero_point has elements of type " + typeName(type) + "; they must be i8 or uint8"));
  SmallVector<Tensor> operands{sums, *z};
  if (r.bias >= 0) {
    FailureOr<Tensor> bias = along(node, r.bias, "B", sums, channel);
    if (failed(bias))
      return failure();
    if (!bias->numbers().isSignlessInteger(32))
      return LogicalResult(
          node.badOperand("input B has elements of type " + typeName(bias->numbers()) + "; they must be i32"));
    operands.push_back(*bias);
  }
  std::optional<Tensor> factors = knownFactors(node, r, sums, channel);
  if (factors) {
    operands.push_back(*factors);
  } else {
    for (auto [i, role, axis] :
         {std::tuple(r.x, "the scale of x", row), {r.w, "the scale of w", channel}, {r.y, "y_scale", int64_t(-1)}}) {
      FailureOr<Tensor> scale = scaleAt(node, i, role, sums, axis);
      if (failed(scale))
        return failure();
      operands.push_back(convert(node.b, *scale, f32));
    }
  }
  return elementwise(node.b, operands, sums.sizes, type, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    Value sum = r.bias >= 0 ? add(b, {v[0], v[2]}) : v[0];
    ValueRange scales = v.drop_front(r.bias >= 0 ? 3 : 2);
    Value factor = factors ? scales[0] : divide(b, {multiply(b, {scales[0], scales[1]}), scales[2]});
    Value steps = math::RoundEvenOp::create(b, multiply(b, {convert(b, sum, f32), factor}));
    return convertHeld(b, add(b, {steps, convertHeld(b, v[1], type, f32)}), f32, type);
  });
}

/// x [rows..., K] times a constant matrix, both of codes, as [R, N]; nothing if it is none.
static FailureOr<std::optional<Tensor>> timesConstant(Node &node, unsigned i, unsigned zero, unsigned w, unsigned wZero,
                                                      Stored stored) {
  const GraphValue &matrix = node.input(w), &codes = node.input(i);
  bool hasRows = !node.has(zero) || node.input(zero).rank() == 0 || isConstantIntValue(node.input(zero).sizes[0], 1);
  if (matrix.rank() != 2 || codes.rank() < 2 || !codes.element || !codes.element.isInteger(8) || !hasRows)
    return std::optional<Tensor>();
  SmallVector<int64_t> dims = shapeOf(matrix.sizes);
  if (stored == Stored::Columns)
    std::swap(dims[0], dims[1]);
  std::optional<CodeMatrix> known =
      ShapedType::isDynamic(dims[0]) ? std::nullopt : codeMatrixOf(node, w, wZero, dims[0], stored);
  if (!known)
    return std::optional<Tensor>();
  if (failed(node.requireDim(i, "a", codes.rank() - 1, known->k)))
    return failure();
  FailureOr<Tensor> x = node.tensor(i, "a");
  if (failed(x))
    return failure();
  std::optional<Tensor> z;
  if (node.has(zero)) {
    FailureOr<Tensor> given = along(node, zero, "a_zero_point", *x, -1);
    if (failed(given))
      return failure();
    if (given->numbers() != x->numbers())
      return LogicalResult(node.badOperand("inputs a and a_zero_point have element types " + typeName(x->numbers()) +
                                           " and " + typeName(given->numbers()) + "; they must have one"));
    z = *given;
  }
  OpFoldResult rows = node.b.getIndexAttr(1);
  for (OpFoldResult size : ArrayRef(x->sizes).drop_back())
    rows = indexOp(node.b, IndexOp::Mul, rows, size);
  return std::optional(multiplyCodes(node.b, reshape(node.b, *x, {rows, x->sizes.back()}), z, *known));
}

/// Rows [R, N] as the input had them.
static Tensor inRows(Node &node, const Tensor &y, unsigned i) {
  Sizes sizes = node.input(i).sizes;
  sizes.back() = y.sizes.back();
  return reshape(node.b, y, sizes);
}

static LogicalResult importMatMulInteger(Node &node) {
  FailureOr<std::optional<Tensor>> known = timesConstant(node, 0, 2, 1, 3, Stored::Columns);
  if (failed(known))
    return failure();
  if (*known)
    return node.set(0, inRows(node, **known, 0));
  FailureOr<Tensor> x = codesOf(node, 0, "A", 2, "a_zero_point", -2), y = codesOf(node, 1, "B", 3, "b_zero_point", -1);
  if (failed(x) || failed(y))
    return failure();
  FailureOr<Tensor> z = multiplyMatrices(node, *x, *y);
  return failed(z) ? failure() : node.set(0, *z);
}

static LogicalResult importQLinearMatMul(Node &node) {
  Requantization r{1, 4, 6, 7};
  const GraphValue &scale = node.input(1);
  bool hasRows = scale.rank() && !isConstantIntValue(scale.sizes[0], 1);
  FailureOr<std::optional<Tensor>> known =
      hasRows ? std::optional<Tensor>() : timesConstant(node, 0, 2, 3, 5, Stored::Columns);
  if (failed(known))
    return failure();
  if (*known) {
    FailureOr<Tensor> codes = toCodes(node, **known, r, -1, 1);
    return failed(codes) ? failure() : node.set(0, inRows(node, *codes, 0));
  }
  FailureOr<Tensor> x = codesOf(node, 0, "a", 2, "a_zero_point", -2), y = codesOf(node, 3, "b", 5, "b_zero_point", -1);
  if (failed(x) || failed(y))
    return failure();
  FailureOr<Tensor> z = multiplyMatrices(node, *x, *y);
  if (failed(z))
    return failure();
  FailureOr<Tensor> codes =
      toCodes(node, *z, r, x->rank() > 1 && y->rank() > 1 ? z->rank() - 2 : -1, y->rank() > 1 ? z->rank() - 1 : -1);
  return failed(codes) ? failure() : node.set(0, *codes);
}

static LogicalResult convolveAll(Node &node, const CodeConvolution &inputs, Finish finish) {
  FailureOr<std::optional<Tensor>> known = convolveCodes(node, inputs, finish);
  if (failed(known))
    return failure();
  if (*known)
    return node.set(0, **known);
  FailureOr<Tensor> x = codesOf(node, inputs.x, "x", inputs.xZero, "x_zero_point", 0),
                    w = codesOf(node, inputs.w, "w", inputs.wZero, "w_zero_point", 0);
  if (failed(x) || failed(w))
    return failure();
  FailureOr<Tensor> y = convolve(node, *x, *w);
  if (succeeded(y))
    y = finish(*y, 1);
  return failed(y) ? failure() : node.set(0, *y);
}

static LogicalResult importConvInteger(Node &node) {
  // Sums of rows have their channels last, and are put in place with the codes of others: here they are what is asked for.
  return convolveAll(node, {0, 2, 1, 3}, [](const Tensor &sums, int64_t) { return FailureOr<Tensor>(sums); });
}

static LogicalResult importQLinearConv(Node &node) {
  Requantization r{1, 4, 6, 7, node.has(8) ? 8 : -1};
  return convolveAll(node, {0, 2, 3, 5},
                     [&](const Tensor &sums, int64_t channel) { return toCodes(node, sums, r, -1, channel); });
}

/// a * b + C as Gemm writes it, of codes.
static LogicalResult importQGemm(Node &node) {
  FailureOr<int64_t> transA = node.integer("transA", 0), transB = node.integer("transB", 0);
  FailureOr<double> alpha = node.number("alpha", 1);
  if (failed(transA) || failed(transB) || failed(alpha))
    return failure();
  if (*transA || *alpha != 1)
    return node.unsupported("transA is " + Twine(*transA) + " and alpha " + std::to_string(*alpha) +
                            "; only 0 and 1 are supported");
  if (!node.has(7) || !node.has(8))
    return node.unsupported("inputs y_scale and y_zero_point are missing; results in f32 are not supported");
  if (node.input(0).rank() != 2 || node.input(3).rank() != 2)
    return node.badOperand("inputs A and B have ranks " + Twine(node.input(0).rank()) + " and " +
                           Twine(node.input(3).rank()) + "; both must be 2");
  FailureOr<std::optional<Tensor>> known = timesConstant(node, 0, 2, 3, 5, *transB ? Stored::Rows : Stored::Columns);
  if (failed(known))
    return failure();
  if (!*known) {
    FailureOr<Tensor> x = codesOf(node, 0, "A", 2, "a_zero_point", -2),
                      y = codesOf(node, 3, "B", 5, "b_zero_point", *transB ? 0 : 1);
    if (failed(x) || failed(y))
      return failure();
    FailureOr<Tensor> z = multiplyMatrices(node, *x, *transB ? transpose(node.b, *y, {1, 0}) : *y);
    if (failed(z))
      return failure();
    *known = *z;
  }
  FailureOr<Tensor> codes = toCodes(node, **known, {1, 4, 7, 8, node.has(6) ? 6 : -1}, -1, 1);
  return failed(codes) ? failure() : node.set(0, *codes);
}

static constexpr Operator kOperators[] = {
    {"com.microsoft", "QGemm", importQGemm, 6, 9, 1, "transA transB alpha", true},
    {"", "MatMulInteger", importMatMulInteger, 2, 4, 1, "", true},
    {"", "QLinearMatMul", importQLinearMatMul, 8, 8, 1, "", true},
    {"", "ConvInteger", importConvInteger, 2, 4, 1, "auto_pad dilations group kernel_shape pads strides", true},
    {"", "QLinearConv", importQLinearConv, 8, 9, 1, "auto_pad dilations group kernel_shape pads strides", true},
};

ArrayRef<Operator> integerProductOperators() { return kOperators; }

} // namespace whit
