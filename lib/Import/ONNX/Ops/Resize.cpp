// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Resize. Along each dimension, an element of the result is a weighted sum of some of the input's; which and how much
// follows from sizes alone, so it is computed here, in f64, and the program only adds up.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Tables.h"
#include "Import/Semantics/Loops.h"

#include <cmath>

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
/// What all dimensions have in common.
struct Style {
  std::string mode, nearest, coordinates;
  double cubicA, extrapolated;
  bool antialias, excludeOutside;
};

/// One dimension.
struct Stretch {
  int64_t input, output;
  double scale, roiStart, roiEnd;
};

/// Elements [output, taps] of the input and what each counts; rows of `outside` are the extrapolated value.
struct Taps {
  int64_t count = 0;
  SmallVector<int64_t> places;
  SmallVector<double> weights;
  SmallVector<bool> outside;
};
} // namespace

/// Where in the input an element of the result lies.
static double originOf(const Style &style, const Stretch &s, int64_t i) {
  double width = s.scale * double(s.input), last = double(s.input) - 1, x = double(i);
  if (style.coordinates == "align_corners")
    return width == 1 ? 0 : x * last / (width - 1);
  if (style.coordinates == "asymmetric")
    return x / s.scale;
  if (style.coordinates == "tf_crop_and_resize") {
    double part = s.roiEnd - s.roiStart;
    return s.roiStart * last + (width == 1 ? part * last / 2 : x * part * last / (width - 1));
  }
  if (style.coordinates == "pytorch_half_pixel" && width == 1)
    return -0.5;
  double origin = (x + 0.5) / s.scale - 0.5;
  if (style.coordinates == "half_pixel_symmetric")
    origin += double(s.input) / 2 * (1 - double(s.output) / width);
  return origin;
}

static double cubic(double x, double a) {
  x = std::abs(x);
  if (x <= 1)
    return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/// The weights of neighbours at `first`, `first` + 1 ... of floor(origin); `ratio`, above 0 and at most 1, is what origin
/// has beyond the neighbour on its left.
static SmallVector<double> weightsOf(const Style &style, double scale, double ratio, int64_t &first) {
  SmallVector<double> weights;
  double narrow = style.antialias ? std::min(scale, 1.0) : 1;
  if (style.mode == "nearest") {
    first = 0;
    bool isRight = ratio == 1 || (style.nearest == "round_prefer_floor"  ? ratio > 0.5
                                  : style.nearest == "round_prefer_ceil" ? ratio >= 0.5
                                                                         : style.nearest == "ceil");
    return {isRight ? 0.0 : 1.0, isRight ? 1.0 : 0.0};
  }
  int64_t reach = style.mode == "linear" ? 1 : 2;
  first = int64_t(std::floor(-double(reach) / narrow)) + 1;
  double sum = 0;
  for (int64_t i = first; i <= 1 - first; ++i) {
    double distance = (double(i) - ratio) * narrow;
    weights.push_back(reach == 1 ? std::max(0.0, 1 - std::abs(distance)) : cubic(distance, style.cubicA));
    sum += weights.back();
  }
  if (style.antialias)
    for (double &weight : weights)
      weight /= sum;
  return weights;
}

static Taps tapsOf(const Style &style, const Stretch &s) {
  Taps taps;
  for (int64_t i = 0; i < s.output; ++i) {
    double origin = originOf(style, s, i), left = std::floor(origin);
    taps.outside.push_back(style.coordinates == "tf_crop_and_resize" && (origin < 0 || origin > double(s.input) - 1));
    bool isWhole = left == origin;
    int64_t first, base = int64_t(std::clamp(left, -1e9, 1e9)) - isWhole;
    SmallVector<double> weights = weightsOf(style, s.scale, isWhole ? 1 : origin - left, first);
    double sum = 0;
    for (auto [k, weight] : llvm::enumerate(weights)) {
      int64_t place = base + first + int64_t(k), within = std::clamp<int64_t>(place, 0, s.input - 1);
      if (style.excludeOutside && place != within)
        weight = 0;
      sum += weight;
      taps.places.push_back(within);
    }
    for (double weight : weights)
      taps.weights.push_back(style.excludeOutside ? weight / sum : weight);
    taps.count = weights.size();
  }
  return taps;
}

template <typename Range>
static Tensor constantTensor(ImplicitLocOpBuilder &b, ArrayRef<int64_t> shape, Type element, const Range &values,
                             function_ref<Attribute(size_t)> attribute) {
  SmallVector<Attribute> attributes;
  for (size_t i = 0; i < values.size(); ++i)
    attributes.push_back(attribute(i));
  Sizes sizes;
  for (int64_t size : shape)
    sizes.push_back(b.getIndexAttr(size));
  auto type = RankedTensorType::get(shape, element);
  return {arith::ConstantOp::create(b, DenseElementsAttr::get(type, attributes)), sizes};
}

/// x resized along one dimension; a place picked where only one counts, so that integers stay what they are.
static Tensor resizeAlong(ImplicitLocOpBuilder &b, const Style &style, const Tensor &x, int64_t axis,
                          const Stretch &s) {
  Taps taps = tapsOf(style, s);
  Sizes sizes = x.sizes;
  sizes[axis] = b.getIndexAttr(s.output);
  auto moved = [&](ValueRange loops, Value place) {
    SmallVector<Value> at(loops);
    at[axis] = place;
    return at;
  };
  Type i64 = b.getI64Type();
  bool anyOutside = llvm::is_contained(taps.outside, true);
  auto outsideOr = [&](const Tensor &y) {
    if (!anyOutside)
      return y;
    Tensor outside = constantTensor(b, s.output, b.getI1Type(), taps.outside,
                                    [&](size_t i) { return b.getBoolAttr(taps.outside[i]); });
    return computed(b, sizes, x.numbers(), [&](ImplicitLocOpBuilder &at, ValueRange loops) -> Value {
      Value value = constant(at, x.element(), style.extrapolated);
      return arith::SelectOp::create(at, elementAt(at, outside, loops[axis]), value, elementAt(at, y, loops));
    });
  };
  if (style.mode == "nearest") {
    SmallVector<int64_t> picks;
    for (int64_t i = 0; i < s.output; ++i)
      picks.push_back(taps.places[2 * i + (taps.weights[2 * i] == 0)]);
    Tensor places = constantTensor(b, s.output, i64, picks, [&](size_t i) { return b.getI64IntegerAttr(picks[i]); });
    return outsideOr(computed(b, sizes, x.numbers(), [&](ImplicitLocOpBuilder &at, ValueRange loops) {
      Value place = arith::IndexCastOp::create(at, at.getIndexType(), elementAt(at, places, loops[axis]));
      return elementAt(at, x, moved(loops, place));
    }));
  }
  Tensor places = constantTensor(b, {s.output, taps.count}, i64, taps.places,
                                 [&](size_t i) { return b.getI64IntegerAttr(taps.places[i]); });
  Tensor weights = constantTensor(b, {s.output, taps.count}, x.element(), taps.weights,
                                  [&](size_t i) { return b.getFloatAttr(x.element(), taps.weights[i]); });
  return outsideOr(
      accumulated(b, sizes, OpFoldResult(b.getIndexAttr(taps.count)), x.numbers(), numberAttribute(b, x.numbers(), 0),
                  [&](ImplicitLocOpBuilder &at, ValueRange loops, Value soFar) {
                    Value tap[] = {loops[axis], loops.back()};
                    Value place = arith::IndexCastOp::create(at, at.getIndexType(), elementAt(at, places, tap));
                    Value element = elementAt(at, x, moved(loops.drop_back(), place));
                    return add(at, {soFar, multiply(at, {element, elementAt(at, weights, tap)})});
                  }));
}

// ------------------------------------------------------------------------------------------------ the operator

/// Floats that are known while importing.
static FailureOr<SmallVector<double>> knownFloats(Node &node, unsigned i, StringRef role) {
  GraphValue &value = node.input(i);
  SmallVector<double> numbers;
  if (value.elements)
    for (OpFoldResult element : *value.elements)
      if (auto number = dyn_cast_if_present<FloatAttr>(dyn_cast<Attribute>(element)))
        numbers.push_back(number.getValueAsDouble());
  if (!value.elements || numbers.size() != value.elements->size())
    return LogicalResult(node.unsupported("input '" + shown(node.proto.input(i)) + "' (" + role +
                                          ") is not known before the model runs; it must be a constant of floats"));
  return numbers;
}

/// An input that is there and has elements: older exporters leave empty ones.
static bool isGiven(Node &node, unsigned i) {
  return node.has(i) &&
         llvm::none_of(node.input(i).sizes, [](OpFoldResult size) { return isConstantIntValue(size, 0); });
}

static LogicalResult readStyle(Node &node, Style &style) {
  FailureOr<std::string> mode = node.text("mode", "nearest"), nearest = node.text("nearest_mode", "round_prefer_floor"),
                         coordinates = node.text("coordinate_transformation_mode", "half_pixel"),
                         policy = node.text("keep_aspect_ratio_policy", "stretch");
  FailureOr<double> a = node.number("cubic_coeff_a", -0.75), extrapolated = node.number("extrapolation_value", 0);
  FailureOr<int64_t> antialias = node.integer("antialias", 0), exclude = node.integer("exclude_outside", 0);
  if (failed(mode) || failed(nearest) || failed(coordinates) || failed(policy) || failed(a) || failed(extrapolated) ||
      failed(antialias) || failed(exclude))
    return failure();
  if (!llvm::is_contained({"nearest", "linear", "cubic"}, *mode))
    return node.badAttribute("attribute 'mode' is '" + shown(*mode) + "'; it must be nearest, linear or cubic");
  if (!llvm::is_contained({"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}, *nearest))
    return node.badAttribute("attribute 'nearest_mode' is '" + shown(*nearest) +
                             "'; it must be round_prefer_floor, round_prefer_ceil, floor or ceil");
  if (!llvm::is_contained({"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
                           "tf_crop_and_resize"},
                          *coordinates))
    return node.badAttribute("attribute 'coordinate_transformation_mode' is '" + shown(*coordinates) +
                             "'; it must be half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, "
                             "asymmetric or tf_crop_and_resize");
  if (!llvm::is_contained({"stretch", "not_larger", "not_smaller"}, *policy))
    return node.badAttribute("attribute 'keep_aspect_ratio_policy' is '" + shown(*policy) +
                             "'; it must be stretch, not_larger or not_smaller");
  style = {*mode, *nearest, *coordinates, *a, *extrapolated, *antialias != 0 && *mode != "nearest", *exclude != 0};
  return success();
}

static LogicalResult importResize(Node &node) {
  Style style;
  FailureOr<Tensor> x = node.tensor(0, "X");
  if (failed(x) || failed(readStyle(node, style)) || failed(requireElements(node, *x, "X", Elements::Numbers)))
    return failure();
  if (node.graph.opset < 11)
    return node.unsupported("operator sets before 11 have other inputs", "convert the model to opset 13 or newer");
  int64_t rank = x->rank();
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (node.hasAttribute("axes")) {
    FailureOr<SmallVector<int64_t>> list = node.integerList("axes");
    if (failed(list))
      return failure();
    axes = *list;
  }
  SmallVector<double> roi, scales;
  SmallVector<int64_t> sizes;
  if (style.coordinates == "tf_crop_and_resize") {
    if (!isGiven(node, 1))
      return node.badOperand("input 1 (roi) is missing; tf_crop_and_resize needs it");
    FailureOr<SmallVector<double>> list = knownFloats(node, 1, "roi");
    if (failed(list))
      return failure();
    roi = *list;
  }
  if (isGiven(node, 2) == isGiven(node, 3))
    return node.badOperand("one of inputs scales and sizes must be given, and not both");
  if (isGiven(node, 2)) {
    FailureOr<SmallVector<double>> list = knownFloats(node, 2, "scales");
    if (failed(list))
      return failure();
    scales = *list;
  } else {
    FailureOr<SmallVector<int64_t>> list = node.integers(3, "sizes");
    if (failed(list))
      return failure();
    sizes = *list;
  }
  if ((scales.empty() ? sizes.size() : scales.size()) != axes.size() || (!roi.empty() && roi.size() != 2 * axes.size()))
    return node.badOperand("inputs scales, sizes and roi must have one number (roi: two) for each of " +
                           Twine(axes.size()) + " axes");
  SmallVector<std::pair<int64_t, Stretch>> stretches;
  for (auto [i, axis] : llvm::enumerate(axes)) {
    int64_t d = axis < 0 ? axis + rank : axis;
    if (d < 0 || d >= rank)
      return node.badAttribute("attribute 'axes' has " + Twine(axis) + "; X has rank " + Twine(rank));
    std::optional<int64_t> size = getConstantIntValue(x->sizes[d]);
    bool isKept = scales.empty() ? size == sizes[i] : scales[i] == 1;
    if (isKept && roi.empty())
      continue;
    if (!size || *size < 1)
      return node.unsupported("input X has a symbolic size in dimension " + Twine(d) + ", which is resized",
                              "fix it with --dim NAME=N");
    if (scales.empty() ? sizes[i] < 1 || sizes[i] > 65536 : !(scales[i] > 0) || scales[i] * double(*size) > 65536)
      return node.badOperand("dimension " + Twine(d) + " would have no elements, or more than 65,536");
    Stretch s{*size, 0, 0, 0, 1};
    s.scale = scales.empty() ? double(sizes[i]) / double(*size) : scales[i];
    s.output = scales.empty() ? sizes[i] : int64_t(std::floor(scales[i] * double(*size)));
    if (!roi.empty()) {
      s.roiStart = roi[i];
      s.roiEnd = roi[axes.size() + i];
    }
    stretches.push_back({d, s});
  }
  FailureOr<std::string> policy = node.text("keep_aspect_ratio_policy", "stretch");
  if (*policy != "stretch" && scales.empty() && !stretches.empty()) {
    double common = stretches[0].second.scale;
    for (auto &[axis, s] : stretches)
      common = *policy == "not_larger" ? std::min(common, s.scale) : std::max(common, s.scale);
    for (auto &[axis, s] : stretches) {
      s.scale = common;
      s.output = int64_t(std::floor(common * double(s.input) + 0.5));
    }
  }
  // Sums are made in f32 at least; integers are rounded at the end.
  ImplicitLocOpBuilder &b = node.b;
  Type type = x->numbers(), wide = type;
  if (style.mode != "nearest" && (!isa<FloatType>(type) || type.getIntOrFloatBitWidth() < 32))
    wide = b.getF32Type();
  Tensor y = convert(b, *x, wide);
  for (auto &[axis, s] : stretches) {
    if (s.output < 1)
      return node.badOperand("dimension " + Twine(axis) + " would have no elements");
    y = resizeAlong(b, style, y, axis, s);
  }
  return node.set(0, convert(b, y, type));
}

/// Resize as it was first: each element repeated, or linear, without a shift.
static LogicalResult importUpsample(Node &node) {
  FailureOr<std::string> mode = node.text("mode", "nearest");
  FailureOr<Tensor> x = node.tensor(0, "X");
  if (failed(mode) || failed(x) || failed(requireElements(node, *x, "X", Elements::Floats)))
    return failure();
  if (*mode != "nearest" && *mode != "linear")
    return node.badAttribute("attribute 'mode' is '" + shown(*mode) + "'; it must be nearest or linear");
  FailureOr<SmallVector<double>> scales = knownFloats(node, 1, "scales");
  if (failed(scales))
    return failure();
  if (int64_t(scales->size()) != x->rank())
    return node.badOperand("input scales must have one number for each dimension of X");
  Style style{*mode, "floor", "asymmetric", 0, 0, false, false};
  Tensor y = convert(node.b, *x, x->element().getIntOrFloatBitWidth() < 32 ? Type(node.b.getF32Type()) : x->element());
  for (auto [axis, scale] : llvm::enumerate(*scales)) {
    std::optional<int64_t> size = getConstantIntValue(x->sizes[axis]);
    if (scale == 1)
      continue;
    if (!size || !(scale >= 1) || scale * double(*size) > 65536)
      return node.unsupported("dimension " + Twine(axis) + " must have a known size and a scale of at least 1");
    y = resizeAlong(node.b, style, y, axis, {*size, int64_t(std::floor(scale * double(*size))), scale, 0, 1});
  }
  return node.set(0, convert(node.b, y, x->element()));
}

static constexpr Operator kOperators[] = {
    {"", "Resize", importResize, 1, 4, 1,
     "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value "
     "keep_aspect_ratio_policy mode nearest_mode",
     true},
    {"", "Upsample", importUpsample, 2, 2, 1, "mode"},
};

ArrayRef<Operator> resizeOperators() { return kOperators; }

} // namespace whit
