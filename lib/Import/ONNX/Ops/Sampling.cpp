// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements of images between their places: GridSample, AffineGrid, RoiAlign and DeformConv. Each element of the result
// reads its neighbours and weighs them.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/SpatialAttributes.h"
#include "Import/ONNX/Ops/Tables.h"
#include "Import/Semantics/Loops.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
/// Arithmetic on coordinates of one float type.
struct Coordinates {
  ImplicitLocOpBuilder &b;
  Type type;

  Value number(double value) { return constant(b, type, value); }
  Value of(Value index) {
    Value integer = arith::IndexCastOp::create(b, b.getI64Type(), index);
    return arith::SIToFPOp::create(b, type, integer);
  }
  Value of(OpFoldResult size) {
    if (std::optional<int64_t> known = getConstantIntValue(size))
      return number(double(*known));
    return of(asValue(b, size));
  }
  Value index(Value x) { // of a whole number that is not far outside
    Value integer = arith::FPToSIOp::create(b, b.getI64Type(), x);
    return arith::IndexCastOp::create(b, b.getIndexType(), integer);
  }
  Value plus(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value minus(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value times(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value over(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
  Value floor(Value x) { return math::FloorOp::create(b, x); }
  Value choose(Value condition, Value yes, Value no) { return arith::SelectOp::create(b, condition, yes, no); }
  Value is(Compare how, Value x, Value y) { return compare(b, how, x, y); }
  /// Within [low, high]; NaN becomes low.
  Value clamp(Value x, Value low, Value high) {
    return arith::MinNumFOp::create(b, arith::MaxNumFOp::create(b, x, low), high);
  }
};
} // namespace

static Type coordinateType(ImplicitLocOpBuilder &b, Type type) { return type.isF64() ? type : Type(b.getF32Type()); }

/// The sum of products of weights and elements at all corners: one index and weight of each dimension.
static Value weighed(Coordinates &c, ArrayRef<SmallVector<std::pair<Value, Value>>> corners,
                     llvm::function_ref<Value(ArrayRef<Value>)> at) {
  SmallVector<size_t> pick(corners.size(), 0);
  Value sum;
  while (true) {
    SmallVector<Value> place;
    Value weight;
    for (auto [list, i] : llvm::zip(corners, pick)) {
      place.push_back(list[i].first);
      if (list[i].second)
        weight = weight ? c.times(weight, list[i].second) : list[i].second;
    }
    Value term = at(place);
    term = weight ? c.times(weight, term) : term;
    sum = sum ? c.plus(sum, term) : term;
    size_t d = 0;
    while (d < pick.size() && ++pick[d] == corners[d].size())
      pick[d++] = 0;
    if (d == pick.size())
      return sum;
  }
}

// ------------------------------------------------------------------------------------------------ grids

namespace {
enum class Padding { Zeros, Border, Reflection };
enum class Mode { Nearest, Linear, Cubic };
} // namespace

/// x mirrored at the borders until it is within them.
static Value reflected(Coordinates &c, Value x, Value low, Value high) {
  Value range = c.minus(high, low), none = c.number(0);
  Value width = c.choose(c.is(Compare::Greater, range, none), range, c.number(1));
  Value below = c.is(Compare::Less, x, low);
  Value distance = c.choose(below, c.minus(low, x), c.minus(x, high));
  Value turns = c.floor(c.over(distance, width)), rest = c.minus(distance, c.times(turns, width));
  Value half = c.times(turns, c.number(0.5)), isEven = c.is(Compare::Equal, half, c.floor(half));
  Value fromLow = c.plus(low, rest), fromHigh = c.minus(high, rest);
  Value isFromLow = compare(c.b, Compare::Equal, below, isEven); // at the border that it left, after an even number
  Value mirrored = c.choose(isFromLow, fromLow, fromHigh);
  Value isOutside = arith::OrIOp::create(c.b, below, c.is(Compare::Greater, x, high));
  return c.choose(isOutside, mirrored, x);
}

/// Weights of the four elements around a place, of which `x` is the part behind the second; a = -0.75.
static SmallVector<Value> cubicWeights(Coordinates &c, Value x) {
  auto polynomial = [&](Value t, ArrayRef<double> coefficients) {
    Value y = c.number(coefficients[0]);
    for (double k : coefficients.drop_front())
      y = c.plus(c.times(y, t), c.number(k));
    return y;
  };
  const double a = -0.75, near[] = {a + 2, -(a + 3), 0, 1}, far[] = {a, -5 * a, 8 * a, -4 * a};
  Value one = c.number(1), rest = c.minus(one, x);
  return {polynomial(c.plus(x, one), far), polynomial(x, near), polynomial(rest, near),
          polynomial(c.plus(rest, one), far)};
}

static LogicalResult importGridSample(Node &node) {
  FailureOr<std::string> mode = node.text("mode", "linear"), padding = node.text("padding_mode", "zeros");
  FailureOr<int64_t> align = node.integer("align_corners", 0);
  FailureOr<Tensor> x = node.tensor(0, "X"), grid = node.tensor(1, "grid");
  if (failed(mode) || failed(padding) || failed(align) || failed(x) || failed(grid) ||
      failed(requireElements(node, *x, "X", Elements::Floats)) ||
      failed(requireElements(node, *grid, "grid", Elements::Floats)))
    return failure();
  auto how = llvm::StringSwitch<std::optional<Mode>>(*mode)
                 .Case("nearest", Mode::Nearest)
                 .Cases({"linear", "bilinear"}, Mode::Linear)
                 .Cases({"cubic", "bicubic"}, Mode::Cubic)
                 .Default(std::nullopt);
  auto outside = llvm::StringSwitch<std::optional<Padding>>(*padding)
                     .Case("zeros", Padding::Zeros)
                     .Case("border", Padding::Border)
                     .Case("reflection", Padding::Reflection)
                     .Default(std::nullopt);
  if (!how)
    return node.badAttribute("attribute 'mode' is '" + shown(*mode) + "'; it must be nearest, linear or cubic");
  if (!outside)
    return node.badAttribute("attribute 'padding_mode' is '" + shown(*padding) +
                             "'; it must be zeros, border or reflection");
  int64_t count = x->rank() - 2;
  if (count < 1 || count > 3 || grid->rank() != x->rank() || !isConstantIntValue(grid->sizes.back(), count))
    return node.badOperand("inputs X and grid must be [N, C, places...] and [N, outputs..., n] with n from 1 to 3 " +
                           Twine("dimensions of places"));
  if (!node.graph.unify(x->sizes[0], grid->sizes[0]))
    return node.badOperand("inputs X and grid have different batches");
  Sizes sizes{x->sizes[0], x->sizes[1]};
  sizes.append(grid->sizes.begin() + 1, grid->sizes.end() - 1);
  Type type = x->element(), wide = coordinateType(node.b, type);
  return node.set(0, computed(node.b, sizes, type, [&](ImplicitLocOpBuilder &b, ValueRange loops) {
                    Coordinates c{b, wide};
                    SmallVector<SmallVector<std::pair<Value, Value>>> corners;
                    SmallVector<std::pair<Value, Value>> borders;
                    for (int64_t i = 0; i < count; ++i) {
                      SmallVector<Value> from{loops[0]};
                      llvm::append_range(from, loops.drop_front(2));
                      from.push_back(indexConstant(b, count - 1 - i)); // the last dimension comes first
                      Value length = c.of(x->sizes[2 + i]), last = c.minus(length, c.number(1));
                      Value moved = c.plus(convert(b, elementAt(b, *grid, from), wide), c.number(1)); // from 0 to 2
                      Value at = *align ? c.times(c.times(moved, c.number(0.5)), last)
                                        : c.times(c.minus(c.times(moved, length), c.number(1)), c.number(0.5));
                      Value low = c.number(*align ? 0 : -0.5), high = c.minus(length, c.number(*align ? 1 : 0.5));
                      borders.push_back({low, high});
                      at = *how == Mode::Nearest ? Value(math::RoundEvenOp::create(b, at)) : at;
                      if (*outside == Padding::Border)
                        at = c.clamp(at, c.number(0), last);
                      else if (*outside == Padding::Reflection)
                        at = reflected(c, at, low, high);
                      at = c.clamp(at, c.number(-4), c.plus(length, c.number(4))); // all of them are as far outside
                      SmallVector<std::pair<Value, Value>> &list = corners.emplace_back();
                      if (*how == Mode::Nearest) {
                        list.push_back({at, Value()});
                        continue;
                      }
                      Value whole = c.floor(at), part = c.minus(at, whole);
                      SmallVector<Value> weights = *how == Mode::Cubic
                                                       ? cubicWeights(c, part)
                                                       : SmallVector<Value>{c.minus(c.number(1), part), part};
                      for (auto [k, weight] : llvm::enumerate(weights))
                        list.push_back({c.plus(whole, c.number(double(k) - (*how == Mode::Cubic))), weight});
                    }
                    Value sum = weighed(c, corners, [&](ArrayRef<Value> place) {
                      SmallVector<Value> from{loops[0], loops[1]};
                      Value inside;
                      for (int64_t i = 0; i < count; ++i) {
                        Value at = place[i];
                        if (*outside == Padding::Reflection) // toward zero; what lies between -0.5 and 0 is 0
                          at = reflected(c, at, borders[i].first, borders[i].second);
                        Value index = c.index(at);
                        if (*outside == Padding::Zeros)
                          inside = both(b, inside, isWithin(b, index, x->sizes[2 + i]));
                        from.push_back(nearestWithin(b, index, x->sizes[2 + i]));
                      }
                      Value element = convert(b, elementAt(b, *x, from), wide);
                      return inside ? c.choose(inside, element, c.number(0)) : element;
                    });
                    return convert(b, sum, type);
                  }));
}

/// Where each place of an image comes from: theta times its coordinates between -1 and 1, and 1.
static LogicalResult importAffineGrid(Node &node) {
  FailureOr<int64_t> align = node.integer("align_corners", 0);
  FailureOr<Tensor> theta = node.tensor(0, "theta");
  FailureOr<Sizes> size = node.sizes(1, "size");
  if (failed(align) || failed(theta) || failed(size) ||
      failed(requireElements(node, *theta, "theta", Elements::Floats)))
    return failure();
  int64_t count = int64_t(size->size()) - 2;
  if (count != 2 && count != 3)
    return node.badOperand("input size has " + Twine(size->size()) + " numbers; it must have 4 or 5");
  for (OpFoldResult number : *size)
    if (!node.graph.algebra.isNonNegative(number))
      return node.badOperand("input size has a number that is negative or may be");
  if (theta->rank() != 3 || !isConstantIntValue(theta->sizes[1], count) ||
      !isConstantIntValue(theta->sizes[2], count + 1) || !node.graph.unify(theta->sizes[0], (*size)[0]))
    return node.badOperand("input theta must be [N, " + Twine(count) + ", " + Twine(count + 1) + "]");
  Sizes sizes{theta->sizes[0]};
  sizes.append(size->begin() + 2, size->end());
  sizes.push_back(node.b.getIndexAttr(count));
  Type type = theta->element(), wide = coordinateType(node.b, type);
  return node.set(0, computed(node.b, sizes, type, [&](ImplicitLocOpBuilder &b, ValueRange loops) {
                    Coordinates c{b, wide};
                    auto factor = [&](int64_t j) {
                      return convert(b, elementAt(b, *theta, {loops[0], loops.back(), indexConstant(b, j)}), wide);
                    };
                    Value sum = factor(count);
                    for (int64_t j = 0; j < count; ++j) { // the last dimension comes first
                      Value place = c.of(loops[count - j]), steps = c.of((*size)[2 + count - 1 - j]);
                      Value twice = c.plus(place, place), one = c.number(1);
                      Value ends = c.clamp(c.minus(steps, one), one, steps); // one element has no ends
                      Value at =
                          *align ? c.minus(c.over(twice, ends), one) : c.minus(c.over(c.plus(twice, one), steps), one);
                      sum = c.plus(sum, c.times(factor(j), at));
                    }
                    return convert(b, sum, type);
                  }));
}

// ------------------------------------------------------------------------------------------------ images

/// Indices and weights of the two elements around a coordinate.
static SmallVector<std::pair<Value, Value>> between(Coordinates &c, Value at) {
  Value whole = c.floor(at), part = c.minus(at, whole);
  return {{whole, c.minus(c.number(1), part)}, {c.plus(whole, c.number(1)), part}};
}

/// The mean, or the largest, of samples within each of a grid of cells of a region.
static LogicalResult importRoiAlign(Node &node) {
  FailureOr<std::string> transform = node.text("coordinate_transformation_mode",
                                               node.graph.opset < 16 ? "output_half_pixel" : "half_pixel"),
                         mode = node.text("mode", "avg");
  FailureOr<int64_t> height = node.integer("output_height", 1), width = node.integer("output_width", 1),
                     ratio = node.integer("sampling_ratio", 0);
  FailureOr<double> scale = node.number("spatial_scale", 1);
  auto given = operandsOf(node, {"X", "rois"}, Elements::Floats);
  FailureOr<Tensor> batches = node.tensor(2, "batch_indices");
  if (failed(transform) || failed(mode) || failed(height) || failed(width) || failed(ratio) || failed(scale) ||
      failed(given) || failed(batches))
    return failure();
  if (*transform != "half_pixel" && *transform != "output_half_pixel")
    return node.badAttribute("attribute 'coordinate_transformation_mode' is '" + shown(*transform) +
                             "'; it must be half_pixel or output_half_pixel");
  if (*mode != "avg" && *mode != "max")
    return node.badAttribute("attribute 'mode' is '" + shown(*mode) + "'; it must be avg or max");
  if (*ratio < 0 || *ratio > 65536 || *height < 1 || *width < 1)
    return node.badAttribute(
        "attributes 'output_height' and 'output_width' must be positive, 'sampling_ratio' from 0 to "
        "65536");
  if (*ratio == 0)
    return node.unsupported("attribute 'sampling_ratio' is 0; the number of samples would depend on data",
                            "export the model with a fixed sampling_ratio");
  Tensor x = (*given)[0], rois = (*given)[1];
  if (x.rank() != 4 || rois.rank() != 2 || !isConstantIntValue(rois.sizes[1], 4) || batches->rank() != 1 ||
      !batches->numbers().isSignlessInteger(64) || !node.graph.unify(batches->sizes[0], rois.sizes[0]))
    return node.badOperand("inputs X, rois and batch_indices must be [N, C, H, W], [R, 4] and [R] of i64");
  ImplicitLocOpBuilder &b = node.b;
  Type type = x.element(), wide = coordinateType(b, type);
  bool isMean = *mode == "avg", isHalf = *transform == "half_pixel";
  Sizes sizes{rois.sizes[0], x.sizes[1], b.getIndexAttr(*height), b.getIndexAttr(*width)},
      samples{b.getIndexAttr(*ratio), b.getIndexAttr(*ratio)};
  int64_t counts[] = {*height, *width};
  TypedAttr start = isMean ? b.getFloatAttr(wide, 0) : lowestOf(b, wide);
  Tensor y = accumulated(b, sizes, samples, wide, start, [&](ImplicitLocOpBuilder &at, ValueRange l, Value soFar) {
    Coordinates c{at, wide};
    SmallVector<SmallVector<std::pair<Value, Value>>> corners;
    Value isSeen;
    for (int64_t i : {0, 1}) { // rows, then columns; regions are x1, y1, x2, y2
      auto edge = [&](int64_t place) {
        Value number = convert(at, elementAt(at, rois, {l[0], indexConstant(at, place)}), wide);
        return c.minus(c.times(number, c.number(*scale)), c.number(isHalf ? 0.5 : 0));
      };
      Value from = edge(1 - i), extent = c.minus(edge(3 - i), from);
      if (!isHalf)
        extent = arith::MaximumFOp::create(at, extent, c.number(1));
      Value cell = c.over(extent, c.number(double(counts[i])));
      Value place = c.over(c.times(c.plus(c.of(l[4 + i]), c.number(0.5)), cell), c.number(double(*ratio)));
      place = c.plus(c.plus(from, c.times(c.of(l[2 + i]), cell)), place);
      Value size = c.of(x.sizes[2 + i]), last = c.minus(size, c.number(1));
      Value inside = arith::AndIOp::create(at, c.is(Compare::GreaterOrEqual, place, c.number(-1)),
                                           c.is(Compare::LessOrEqual, place, size));
      isSeen = both(at, isSeen, inside);
      corners.push_back(between(c, c.clamp(place, c.number(0), last)));
    }
    Value image = wrapIndex(at, elementAt(at, *batches, l[0]), x.sizes[0]);
    auto element = [&](ArrayRef<Value> place) {
      SmallVector<Value> from{image, l[1]};
      for (int64_t i : {0, 1})
        from.push_back(nearestWithin(at, c.index(place[i]), x.sizes[2 + i]));
      return convert(at, elementAt(at, x, from), wide);
    };
    Value sample;
    if (isMean) {
      sample = weighed(c, corners, element);
    } else { // the largest of the weighed neighbours
      for (auto &row : corners[0])
        for (auto &column : corners[1]) {
          Value term = c.times(c.times(row.second, column.second), element({row.first, column.first}));
          sample = sample ? maximum(at, sample, term) : term;
        }
    }
    sample = c.choose(isSeen, sample, c.number(0));
    return isMean ? c.plus(soFar, c.times(sample, c.number(1.0 / (double(*ratio) * double(*ratio)))))
                  : maximum(at, soFar, sample);
  });
  return node.set(0, convert(b, y, type));
}

/// A convolution whose kernel sees each element at an offset of its own, and as much of it as a mask says.
static LogicalResult importDeformConv(Node &node) {
  auto operands = operandsOf(node, {"X", "W", "offset"}, Elements::Floats);
  FailureOr<int64_t> group = node.integer("group", 1), share = node.integer("offset_group", 1);
  auto strides = spatialNumbers(node, "strides", 2, 1, 1), dilations = spatialNumbers(node, "dilations", 2, 1, 1),
       pads = spatialNumbers(node, "pads", 4, 0, 0), shape = spatialNumbers(node, "kernel_shape", 2, 0, 1);
  if (failed(operands) || failed(group) || failed(share) || failed(strides) || failed(dilations) || failed(pads) ||
      failed(shape))
    return failure();
  Tensor x = (*operands)[0], w = (*operands)[1], offset = (*operands)[2];
  if (x.rank() != 4 || w.rank() != 4 || offset.rank() != 4)
    return node.unsupported("inputs X, W and offset must have rank 4; only images are supported");
  SmallVector<int64_t> kernel = shapeOf(w.sizes);
  std::optional<int64_t> channels = getConstantIntValue(x.sizes[1]);
  if (!channels || llvm::any_of(kernel, [](int64_t size) { return ShapedType::isDynamic(size) || size < 1; }))
    return node.unsupported("inputs X and W must have known channels and a known kernel");
  int64_t filters = kernel[0], seen = kernel[1], places = kernel[2] * kernel[3];
  if (node.hasAttribute("kernel_shape") && ((*shape)[0] != kernel[2] || (*shape)[1] != kernel[3]))
    return node.badAttribute("attribute 'kernel_shape' differs from the shape of input W");
  if (*group < 1 || filters % *group || seen * *group != *channels || *share < 1 || *channels % *share)
    return node.badAttribute("attributes 'group' and 'offset_group' are " + Twine(*group) + " and " + Twine(*share) +
                             "; they must divide the channels, " + Twine(*channels));
  ImplicitLocOpBuilder &b = node.b;
  Sizes sizes{x.sizes[0], b.getIndexAttr(filters)};
  for (int64_t i : {0, 1}) {
    int64_t span = (*dilations)[i] * (kernel[2 + i] - 1) + 1;
    OpFoldResult room = indexOp(b, IndexOp::Add, x.sizes[2 + i], b.getIndexAttr((*pads)[i] + (*pads)[2 + i] - span));
    if (std::optional<int64_t> known = getConstantIntValue(room); known && *known < 0)
      return node.badOperand("the kernel spans " + Twine(span) + " elements in dimension " + Twine(2 + i) +
                             ", more than the padded input X has");
    OpFoldResult steps = indexOp(b, IndexOp::Div, room, b.getIndexAttr((*strides)[i]));
    sizes.push_back(indexOp(b, IndexOp::Add, steps, b.getIndexAttr(1)));
  }
  auto fits = [&](const Tensor &tensor, int64_t count) {
    return tensor.rank() == 4 && isConstantIntValue(tensor.sizes[1], count) &&
           node.graph.unify(tensor.sizes[0], x.sizes[0]) && node.graph.unify(tensor.sizes[2], sizes[2]) &&
           node.graph.unify(tensor.sizes[3], sizes[3]);
  };
  if (!fits(offset, 2 * places * *share))
    return node.badOperand("input offset must be [N, " + Twine(2 * places * *share) + ", rows, columns] of the result");
  std::optional<Tensor> mask;
  if (node.has(4)) {
    FailureOr<Tensor> given = node.tensor(4, "mask");
    if (failed(given))
      return failure();
    if (!fits(*given, places * *share) || given->element() != x.element())
      return node.badOperand("input mask must be [N, " + Twine(places * *share) +
                             ", rows, columns] of the result, with elements of the type of X");
    mask = *given;
  }
  Type type = x.element(), wide = coordinateType(b, type);
  Sizes over{b.getIndexAttr(seen), b.getIndexAttr(kernel[2]), b.getIndexAttr(kernel[3])};
  Tensor y = accumulated(
      b, sizes, over, wide, b.getFloatAttr(wide, 0), [&](ImplicitLocOpBuilder &at, ValueRange l, Value soFar) {
        Coordinates c{at, wide};
        auto divided = [&](Value v, int64_t by) -> Value {
          return arith::DivUIOp::create(at, v, indexConstant(at, by));
        };
        auto scaled = [&](Value v, int64_t by) { return times(at, v, indexConstant(at, by)); };
        Value channel = plus(at, scaled(divided(l[1], filters / *group), seen), l[4]);
        Value set = divided(channel, *channels / *share);
        Value place = plus(at, scaled(set, places), plus(at, scaled(l[5], kernel[3]), l[6]));
        SmallVector<SmallVector<std::pair<Value, Value>>> corners;
        for (int64_t i : {0, 1}) {
          Value moved = convert(
              at, elementAt(at, offset, {l[0], plus(at, scaled(place, 2), indexConstant(at, i)), l[2], l[3]}), wide);
          Value grid = plus(at, plus(at, scaled(l[2 + i], (*strides)[i]), scaled(l[5 + i], (*dilations)[i])),
                            indexConstant(at, -(*pads)[i]));
          Value size = c.of(x.sizes[2 + i]); // what is further outside is as much 0
          corners.push_back(between(c, c.clamp(c.plus(c.of(grid), moved), c.number(-2), c.plus(size, c.number(1)))));
        }
        Value sample = weighed(c, corners, [&](ArrayRef<Value> where) {
          SmallVector<Value> from{l[0], channel};
          Value inside;
          for (int64_t i : {0, 1}) {
            Value index = c.index(where[i]);
            inside = both(at, inside, isWithin(at, index, x.sizes[2 + i]));
            from.push_back(nearestWithin(at, index, x.sizes[2 + i]));
          }
          return c.choose(inside, convert(at, elementAt(at, x, from), wide), c.number(0));
        });
        if (mask)
          sample = c.times(sample, convert(at, elementAt(at, *mask, {l[0], place, l[2], l[3]}), wide));
        Value weight = convert(at, elementAt(at, w, {l[1], l[4], l[5], l[6]}), wide);
        return c.plus(soFar, c.times(weight, sample));
      });
  if (node.has(3)) {
    FailureOr<Tensor> bias = node.tensor(3, "B");
    if (failed(bias))
      return failure();
    if (bias->rank() != 1 || !isConstantIntValue(bias->sizes[0], filters) || bias->element() != type)
      return node.badOperand("input B must have " + Twine(filters) + " elements of the type of X in one dimension");
    OpFoldResult one = b.getIndexAttr(1);
    Tensor column = reshape(b, convert(b, *bias, wide), {b.getIndexAttr(filters), one, one});
    y = elementwise(b, {y, column}, y.sizes, wide, add);
  }
  return node.set(0, convert(b, y, type));
}

static constexpr Operator kOperators[] = {
    {"", "GridSample", importGridSample, 2, 2, 1, "align_corners mode padding_mode"},
    {"", "AffineGrid", importAffineGrid, 2, 2, 1, "align_corners"},
    {"", "RoiAlign", importRoiAlign, 3, 3, 1,
     "coordinate_transformation_mode mode output_height output_width sampling_ratio spatial_scale"},
    {"", "DeformConv", importDeformConv, 3, 5, 1, "dilations group kernel_shape offset_group pads strides"},
};

ArrayRef<Operator> samplingOperators() { return kOperators; }

} // namespace whit
