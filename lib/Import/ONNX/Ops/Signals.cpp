// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Signals and their frequencies. Transforms are sums over the whole signal, with angles from a table.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Tables.h"
#include "Import/Semantics/Loops.h"

#include <cmath>
#include <numbers>

using namespace mlir;

namespace whit {

using namespace semantics;

/// Longer transforms are refused: they would be sums of as many terms for each frequency.
static constexpr int64_t kMaxTransform = 65536;

/// cos and sin of 2 pi i / n.
static Tensor circle(ImplicitLocOpBuilder &b, int64_t n, FloatType type) {
  SmallVector<Attribute> numbers;
  for (int64_t i = 0; i < n; ++i) {
    double angle = 2 * std::numbers::pi * double(i) / double(n);
    numbers.push_back(b.getFloatAttr(type, std::cos(angle)));
    numbers.push_back(b.getFloatAttr(type, std::sin(angle)));
  }
  auto values = DenseElementsAttr::get(RankedTensorType::get({n, 2}, type), ArrayRef<Attribute>(numbers));
  return {arith::ConstantOp::create(b, values), {b.getIndexAttr(n), b.getIndexAttr(2)}};
}

namespace {
/// One term of a transform: the real or the imaginary part of x times the unit at an angle.
struct SpectrumTerm {
  const Tensor &units;
  int64_t length;
  bool isInverse;

  /// `part` is 0 for the real part of the product and 1 for the imaginary one; `imaginary` is null for real signals.
  Value operator()(ImplicitLocOpBuilder &b, Value frequency, Value time, Value part, Value real,
                   Value imaginary) const {
    Value turn = arith::RemUIOp::create(b, times(b, frequency, time), indexConstant(b, length));
    Value cosine = elementAt(b, units, {turn, indexConstant(b, 0)}),
          sine = elementAt(b, units, {turn, indexConstant(b, 1)});
    if (!isInverse)
      sine = negate(b, sine);
    Value ofReal = multiply(b, {real, cosine}), ofImaginary = multiply(b, {real, sine});
    if (imaginary) {
      ofReal = subtract(b, {ofReal, multiply(b, {imaginary, sine})});
      ofImaginary = add(b, {ofImaginary, multiply(b, {imaginary, cosine})});
    }
    Value isReal = compare(b, Compare::Equal, part, indexConstant(b, 0));
    return arith::SelectOp::create(b, isReal, ofReal, ofImaginary);
  }
};
} // namespace

static Type wideType(ImplicitLocOpBuilder &b, Type type) { return type.isF64() ? type : Type(b.getF32Type()); }

/// One constant number of an input; nothing if it is absent.
static FailureOr<std::optional<int64_t>> numberAt(Node &node, unsigned i, StringRef role) {
  if (!node.has(i))
    return std::optional<int64_t>();
  FailureOr<SmallVector<int64_t>> list = node.integers(i, role);
  if (failed(list))
    return failure();
  if (list->size() != 1)
    return LogicalResult(node.badOperand("input " + role + " must have one element"));
  return std::optional<int64_t>((*list)[0]);
}

static LogicalResult importDFT(Node &node) {
  FailureOr<int64_t> inverse = node.integer("inverse", 0), onesided = node.integer("onesided", 0);
  FailureOr<Tensor> x = node.tensor(0, "input");
  FailureOr<std::optional<int64_t>> length = numberAt(node, 1, "dft_length"), axisInput = numberAt(node, 2, "axis");
  FailureOr<int64_t> axisAttribute = node.integer("axis", node.graph.opset < 20 ? 1 : -2);
  if (failed(inverse) || failed(onesided) || failed(x) || failed(length) || failed(axisInput) ||
      failed(axisAttribute) || failed(requireElements(node, *x, "input", Elements::Floats)))
    return failure();
  int64_t rank = x->rank(), axis = axisInput->value_or(*axisAttribute);
  if (rank < 2 || axis < -rank || axis >= rank || (axis < 0 ? axis + rank : axis) == rank - 1)
    return node.badOperand("the axis is " + Twine(axis) + "; it must be a dimension of input, which has rank " +
                           Twine(rank) + ", and not the last one");
  axis = axis < 0 ? axis + rank : axis;
  bool isReal = isConstantIntValue(x->sizes.back(), 1), toReal = *inverse && *onesided;
  if (!isReal && !isConstantIntValue(x->sizes.back(), 2))
    return node.badOperand("input must have 1 or 2 elements in its last dimension: real and imaginary parts");
  std::optional<int64_t> given = getConstantIntValue(x->sizes[axis]);
  if (!given)
    return node.unsupported("input has a symbolic size along the axis", "fix it with --dim NAME=N");
  int64_t n = length->value_or(toReal ? 2 * (*given - 1) : *given);
  if (n < 1 || n > kMaxTransform)
    return node.unsupported("the transform has length " + Twine(n) + "; 1 to " + Twine(kMaxTransform) +
                            " are supported");
  ImplicitLocOpBuilder &b = node.b;
  Type type = x->element(), wide = wideType(b, type);
  Tensor units = circle(b, n, cast<FloatType>(wide));
  // Of a one-sided spectrum, all but the first and the middle frequency stand for two.
  int64_t terms = std::min(*given, toReal ? n / 2 + 1 : n);
  Sizes sizes = x->sizes;
  sizes[axis] = b.getIndexAttr(*onesided && !toReal ? n / 2 + 1 : n);
  sizes[rank - 1] = b.getIndexAttr(toReal ? 1 : 2);
  SpectrumTerm term{units, n, *inverse != 0};
  Tensor y = accumulated(b, sizes, OpFoldResult(b.getIndexAttr(terms)), wide, b.getFloatAttr(wide, 0),
                         [&](ImplicitLocOpBuilder &at, ValueRange loops, Value soFar) -> Value {
                           SmallVector<Value> from(loops.drop_back());
                           from[axis] = loops.back();
                           auto part = [&](int64_t i) {
                             from[rank - 1] = indexConstant(at, i);
                             return convert(at, elementAt(at, *x, from), wide);
                           };
                           Value real = part(0), imaginary = isReal ? Value() : part(1);
                           Value next = term(at, loops[axis], loops.back(), loops[rank - 1], real, imaginary);
                           if (toReal) {
                             Value isFirst = compare(at, Compare::Equal, loops.back(), indexConstant(at, 0));
                             Value isMiddle = compare(at, Compare::Equal, plus(at, loops.back(), loops.back()),
                                                      indexConstant(at, n));
                             Value isAlone = arith::OrIOp::create(at, isFirst, isMiddle);
                             next = arith::SelectOp::create(at, isAlone, next, add(at, {next, next}));
                           }
                           return add(at, {soFar, next});
                         });
  if (*inverse)
    y = elementwise(b, y, sizes, wide, [&](ImplicitLocOpBuilder &at, ValueRange v) {
      return multiply(at, {v[0], constant(at, wide, 1.0 / double(n))});
    });
  return node.set(0, convert(b, y, type));
}

/// The spectrum of each frame of a signal, through a window.
static LogicalResult importSTFT(Node &node) {
  FailureOr<int64_t> onesided = node.integer("onesided", 1);
  FailureOr<Tensor> x = node.tensor(0, "signal");
  FailureOr<std::optional<int64_t>> step = numberAt(node, 1, "frame_step"), length = numberAt(node, 3, "frame_length");
  if (failed(onesided) || failed(x) || failed(step) || failed(length) ||
      failed(requireElements(node, *x, "signal", Elements::Floats)))
    return failure();
  bool isReal = x->rank() == 3 && isConstantIntValue(x->sizes[2], 1);
  if (x->rank() != 3 || (!isReal && !isConstantIntValue(x->sizes[2], 2)))
    return node.badOperand("input signal must be [batch, length, 1] or [batch, length, 2]");
  std::optional<Tensor> window;
  if (node.has(2)) {
    FailureOr<Tensor> given = node.tensor(2, "window");
    if (failed(given) || failed(requireElements(node, *given, "window", Elements::Floats)))
      return failure();
    window = *given;
  }
  std::optional<int64_t> ofWindow =
                             window && window->rank() == 1 ? getConstantIntValue(window->sizes[0]) : std::nullopt,
                         size = getConstantIntValue(x->sizes[1]);
  if (!*length && !ofWindow)
    return node.badOperand("one of inputs window and frame_length is required, with a known length");
  int64_t n = length->value_or(ofWindow.value_or(0));
  if (window && ofWindow != n)
    return node.badOperand("input window must have " + Twine(n) + " elements in one dimension");
  if (!*step || **step < 1 || n < 1 || n > kMaxTransform)
    return node.badOperand("inputs frame_step and frame_length must be positive numbers, frames of at most " +
                           Twine(kMaxTransform));
  if (!size || *size < n)
    return node.unsupported("input signal must have a known length of at least one frame", "fix it with --dim NAME=N");
  ImplicitLocOpBuilder &b = node.b;
  Type type = x->element(), wide = wideType(b, type);
  Tensor units = circle(b, n, cast<FloatType>(wide));
  SpectrumTerm term{units, n, false};
  Sizes sizes{x->sizes[0], b.getIndexAttr((*size - n) / **step + 1), b.getIndexAttr(*onesided ? n / 2 + 1 : n),
              b.getIndexAttr(2)};
  Tensor y = accumulated(b, sizes, OpFoldResult(b.getIndexAttr(n)), wide, b.getFloatAttr(wide, 0),
                         [&](ImplicitLocOpBuilder &at, ValueRange l, Value soFar) -> Value {
                           Value place = plus(at, times(at, l[1], indexConstant(at, **step)), l[4]);
                           auto part = [&](int64_t i) {
                             Value element = elementAt(at, *x, {l[0], place, indexConstant(at, i)});
                             element = convert(at, element, wide);
                             if (!window)
                               return element;
                             return multiply(at, {element, convert(at, elementAt(at, *window, l[4]), wide)});
                           };
                           Value real = part(0), imaginary = isReal ? Value() : part(1);
                           return add(at, {soFar, term(at, l[2], l[4], l[3], real, imaginary)});
                         });
  return node.set(0, convert(b, y, type));
}

/// Triangles over frequencies that are equally far apart on the mel scale.
static LogicalResult importMelWeightMatrix(Node &node) {
  FailureOr<std::optional<int64_t>> bins = numberAt(node, 0, "num_mel_bins"), length = numberAt(node, 1, "dft_length"),
                                    rate = numberAt(node, 2, "sample_rate");
  FailureOr<int64_t> number = node.integer("output_datatype", 1);
  if (failed(bins) || failed(length) || failed(rate) || failed(number))
    return failure();
  double edges[2];
  for (auto [i, role] : {std::pair(3u, "lower_edge_hertz"), {4u, "upper_edge_hertz"}}) {
    GraphValue &value = node.input(i);
    auto known = value.elements && value.elements->size() == 1
                     ? dyn_cast_if_present<FloatAttr>(dyn_cast<Attribute>(value.elements->front()))
                     : FloatAttr();
    if (!known)
      return node.unsupported(Twine("input ") + role + " must be one constant");
    edges[i - 3] = known.getValueAsDouble();
  }
  auto type = dyn_cast_or_null<FloatType>(valueType(node.b.getContext(), *number));
  if (!type || type.getWidth() < 16)
    return node.unsupported("attribute 'output_datatype' is " + Twine(*number) +
                            "; only floats of 16 bits or more are supported");
  int64_t count = **bins, rows = **length / 2 + 1;
  if (count < 1 || **length < 1 || **rate < 1 || edges[0] < 0 || edges[1] < edges[0] || 2 * edges[1] > double(**rate) ||
      rows > kMaxTransform || count > kMaxTransform || rows * count > (int64_t(1) << 24))
    return node.badOperand("num_mel_bins, dft_length and sample_rate must be positive and not too large, and the edges "
                           "from 0 to half the sample rate");
  auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  double low = mel(edges[0]), step = (mel(edges[1]) - low) / double(count + 2);
  SmallVector<int64_t> places;
  for (int64_t i = 0; i < count + 2; ++i) {
    double hertz = 700 * (std::pow(10, (low + double(i) * step) / 2595) - 1);
    places.push_back(int64_t(std::floor(double(**length + 1) * hertz / double(**rate))));
  }
  std::vector<double> weights(rows * count, 0);
  for (int64_t i = 0; i < count; ++i) {
    int64_t left = places[i], middle = places[i + 1], right = places[i + 2];
    auto put = [&](int64_t row, double weight) {
      if (row < rows)
        weights[row * count + i] = weight;
    };
    if (left == middle)
      put(middle, 1);
    else
      for (int64_t row = left; row <= middle; ++row)
        put(row, double(row - left) / double(middle - left));
    for (int64_t row = middle; row < right; ++row)
      put(row, double(right - row) / double(right - middle));
  }
  SmallVector<Attribute> numbers;
  for (double weight : weights)
    numbers.push_back(node.b.getFloatAttr(type, weight));
  auto values = DenseElementsAttr::get(RankedTensorType::get({rows, count}, type), ArrayRef<Attribute>(numbers));
  return node.set(0,
                  {arith::ConstantOp::create(node.b, values), {node.b.getIndexAttr(rows), node.b.getIndexAttr(count)}});
}

static constexpr Operator kOperators[] = {
    {"", "DFT", importDFT, 1, 3, 1, "axis inverse onesided"},
    {"", "STFT", importSTFT, 2, 4, 1, "onesided"},
    {"", "MelWeightMatrix", importMelWeightMatrix, 5, 5, 1, "output_datatype"},
};

ArrayRef<Operator> signalOperators() { return kOperators; }

} // namespace whit
