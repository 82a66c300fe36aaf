// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Windows put back into images: Col2Im and ConvTranspose, each element of whose result looks for the windows that it is
// in; MaxUnpool; and CenterCropPad.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/SpatialAttributes.h"
#include "Import/ONNX/Ops/Tables.h"
#include "Import/Semantics/Loops.h"

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
/// How windows lie along one dimension of an image.
struct Along {
  int64_t kernel, stride, dilation, before;
  OpFoldResult windows, image;
};
} // namespace

/// The sum of what windows have at each element: result[n, c, i...] of `element(n, c, place in the window, windows)`.
static Tensor
fold(ImplicitLocOpBuilder &b, OpFoldResult batch, OpFoldResult channels, ArrayRef<Along> sides, Type wide,
     llvm::function_ref<Value(ImplicitLocOpBuilder &, ValueRange nc, ArrayRef<Value> kernel, ArrayRef<Value> window)>
         element) {
  Sizes sizes{batch, channels}, over;
  for (const Along &side : sides) {
    sizes.push_back(side.image);
    over.push_back(b.getIndexAttr(side.kernel));
  }
  return accumulated(b, sizes, over, wide, numberAttribute(b, wide, 0),
                     [&](ImplicitLocOpBuilder &at, ValueRange loops, Value soFar) -> Value {
                       SmallVector<Value> kernel, window;
                       Value inside;
                       for (auto [i, side] : llvm::enumerate(sides)) {
                         Value place = loops[2 + sides.size() + i], stride = indexConstant(at, side.stride);
                         // image + before = window * stride + place * dilation
                         Value from = plus(at, loops[2 + i], indexConstant(at, side.before));
                         from = arith::SubIOp::create(at, from, times(at, place, indexConstant(at, side.dilation)));
                         Value index = side.stride == 1 ? from : Value(arith::DivSIOp::create(at, from, stride));
                         if (side.stride != 1)
                           inside = both(at, inside, compare(at, Compare::Equal, times(at, index, stride), from));
                         inside = both(at, inside, compare(at, Compare::GreaterOrEqual, from, indexConstant(at, 0)));
                         inside = both(at, inside, compare(at, Compare::Less, index, asValue(at, side.windows)));
                         kernel.push_back(place);
                         window.push_back(nearestWithin(at, index, side.windows));
                       }
                       Value term = element(at, loops.take_front(2), kernel, window);
                       return arith::SelectOp::create(at, inside, add(at, {soFar, term}), soFar);
                     });
}

/// The place of indices in row-major order.
static Value flat(ImplicitLocOpBuilder &b, ArrayRef<Value> indices, ArrayRef<OpFoldResult> sizes) {
  Value place = indices[0];
  for (auto [index, size] : llvm::zip(indices.drop_front(), sizes.drop_front()))
    place = plus(b, times(b, place, asValue(b, size)), index);
  return place;
}

static Type sumType(ImplicitLocOpBuilder &b, Type type) {
  return isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32 ? Type(b.getF32Type()) : type;
}

static LogicalResult importCol2Im(Node &node) {
  FailureOr<Tensor> x = node.tensor(0, "input");
  FailureOr<SmallVector<int64_t>> image = node.integers(1, "image_shape"), block = node.integers(2, "block_shape");
  if (failed(x) || failed(image) || failed(block) || failed(requireElements(node, *x, "input", Elements::Numbers)))
    return failure();
  size_t count = image->size();
  auto strides = spatialNumbers(node, "strides", count, 1, 1),
       dilations = spatialNumbers(node, "dilations", count, 1, 1), pads = spatialNumbers(node, "pads", 2 * count, 0, 0);
  if (failed(strides) || failed(dilations) || failed(pads))
    return failure();
  auto isBad = [](int64_t n) { return n < 1 || n > (int64_t(1) << 31); };
  std::optional<int64_t> elements = countOf(*block);
  if (!count || block->size() != count || !elements || *elements > (int64_t(1) << 31) || llvm::any_of(*image, isBad) ||
      llvm::any_of(*block, isBad))
    return node.badOperand("inputs image_shape and block_shape must have as many positive numbers");
  ImplicitLocOpBuilder &b = node.b;
  SmallVector<Along> sides;
  Sizes windows, kernel;
  int64_t blocks = 1, places = 1;
  for (size_t i = 0; i < count; ++i) {
    int64_t span = (*dilations)[i] * ((*block)[i] - 1) + 1, room = (*image)[i] + (*pads)[i] + (*pads)[count + i] - span;
    if (room < 0)
      return node.badOperand("blocks span " + Twine(span) + " elements in dimension " + Twine(i) +
                             " of the image, more than it has with its padding");
    int64_t steps = room / (*strides)[i] + 1;
    sides.push_back(
        {(*block)[i], (*strides)[i], (*dilations)[i], (*pads)[i], b.getIndexAttr(steps), b.getIndexAttr((*image)[i])});
    windows.push_back(sides.back().windows);
    kernel.push_back(b.getIndexAttr((*block)[i]));
    blocks *= (*block)[i];
    places *= steps;
  }
  std::optional<int64_t> rows = x->rank() == 3 ? getConstantIntValue(x->sizes[1]) : std::nullopt;
  if (!rows || *rows % blocks || !node.graph.bind(x->sizes[2], places))
    return node.badOperand("input must be [N, channels * " + Twine(blocks) + ", " + Twine(places) + "]");
  Type type = x->numbers(), wide = sumType(b, type);
  Tensor y = fold(b, x->sizes[0], b.getIndexAttr(*rows / blocks), sides, wide,
                  [&](ImplicitLocOpBuilder &at, ValueRange nc, ArrayRef<Value> place, ArrayRef<Value> window) {
                    Value row = plus(at, times(at, nc[1], indexConstant(at, blocks)), flat(at, place, kernel));
                    return convertHeld(at, elementAt(at, *x, {nc[0], row, flat(at, window, windows)}), type, wide);
                  });
  return node.set(0, convert(b, y, type));
}

/// Each element of X times the kernel, a window of the result.
static LogicalResult importConvTranspose(Node &node) {
  auto operands = operandsOf(node, {"X", "W"}, Elements::Floats);
  FailureOr<int64_t> group = node.integer("group", 1);
  FailureOr<std::string> automatic = node.text("auto_pad", "NOTSET");
  if (failed(operands) || failed(group) || failed(automatic))
    return failure();
  Tensor x = (*operands)[0], w = (*operands)[1];
  if (x.rank() < 3 || x.rank() > 5 || w.rank() != x.rank())
    return node.unsupported("inputs X and W have ranks " + Twine(x.rank()) + " and " + Twine(w.rank()) +
                            "; both must be 3, 4 or 5");
  size_t count = x.rank() - 2;
  auto strides = spatialNumbers(node, "strides", count, 1, 1),
       dilations = spatialNumbers(node, "dilations", count, 1, 1), pads = spatialNumbers(node, "pads", 2 * count, 0, 0),
       more = spatialNumbers(node, "output_padding", count, 0, 0),
       shape = spatialNumbers(node, "kernel_shape", count, 0, 1),
       wanted = spatialNumbers(node, "output_shape", count, 0, 1);
  if (failed(strides) || failed(dilations) || failed(pads) || failed(more) || failed(shape) || failed(wanted))
    return failure();
  SmallVector<int64_t> kernel = shapeOf(w.sizes);
  if (llvm::any_of(kernel, [](int64_t size) { return ShapedType::isDynamic(size) || size < 1; }))
    return node.unsupported("input W must have known sizes of at least 1");
  int64_t channels = kernel[0], filters = kernel[1];
  kernel.erase(kernel.begin(), kernel.begin() + 2);
  if (node.hasAttribute("kernel_shape") && *shape != kernel)
    return node.badAttribute("attribute 'kernel_shape' differs from the shape of input W");
  if (*group < 1 || channels % *group)
    return node.badAttribute("attribute 'group' is " + Twine(*group) + "; it must divide the " + Twine(channels) +
                             " channels of input W");
  if (failed(node.requireDim(0, "X", 1, channels)))
    return failure();
  bool isSame = *automatic == "SAME_UPPER" || *automatic == "SAME_LOWER";
  if (!isSame && *automatic != "NOTSET" && *automatic != "VALID")
    return node.badAttribute("attribute 'auto_pad' is '" + shown(*automatic) +
                             "'; it must be NOTSET, VALID, SAME_UPPER or SAME_LOWER");
  if (*automatic == "VALID")
    pads->assign(2 * count, 0);
  ImplicitLocOpBuilder &b = node.b;
  SmallVector<Along> sides;
  Sizes windows, places;
  OpFoldResult positions = b.getIndexAttr(1);
  int64_t blocks = 1;
  for (size_t i = 0; i < count; ++i) {
    int64_t stride = (*strides)[i], span = (*dilations)[i] * (kernel[i] - 1) + 1, before = (*pads)[i];
    OpFoldResult size = x.sizes[2 + i], image;
    auto sizeWith = [&](int64_t padding) { // stride * (size - 1) + span + more - padding
      OpFoldResult steps = indexOp(b, IndexOp::Mul, size, b.getIndexAttr(stride));
      return indexOp(b, IndexOp::Add, steps, b.getIndexAttr(span + (*more)[i] - stride - padding));
    };
    if (isSame || node.hasAttribute("output_shape")) {
      std::optional<int64_t> known = getConstantIntValue(sizeWith(0)), steps = getConstantIntValue(size);
      if (!known)
        return node.unsupported("input X has a symbolic size in dimension " + Twine(2 + i) +
                                    "; auto_pad and output_shape need a known one",
                                "fix it with --dim NAME=N");
      int64_t target = node.hasAttribute("output_shape") ? (*wanted)[i] : *steps * stride;
      int64_t total = std::max<int64_t>(*known - target, 0); // what is missing is at the end
      before = *automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      image = b.getIndexAttr(target);
    } else {
      image = sizeWith(before + (*pads)[count + i]);
    }
    if (std::optional<int64_t> known = getConstantIntValue(image); known && *known < 1)
      return node.badOperand("the result would have size " + Twine(*known) + " in dimension " + Twine(2 + i));
    sides.push_back({kernel[i], stride, (*dilations)[i], before, size, image});
    windows.push_back(size);
    places.push_back(b.getIndexAttr(kernel[i]));
    positions = indexOp(b, IndexOp::Mul, positions, size);
    blocks *= kernel[i];
  }
  Type type = x.element(), wide = sumType(b, type);
  OpFoldResult groups = b.getIndexAttr(*group), depth = b.getIndexAttr(channels / *group),
               columns = b.getIndexAttr(filters * blocks);
  // [groups, N, positions, filters * kernel]
  Tensor products = contract(b, reshape(b, x, {x.sizes[0], groups, depth, positions}),
                             reshape(b, w, {groups, depth, columns}), DimPair(1, 0), DimPair(2, 1), wide);
  Tensor y = fold(b, x.sizes[0], b.getIndexAttr(*group * filters), sides, wide,
                  [&](ImplicitLocOpBuilder &at, ValueRange nc, ArrayRef<Value> place, ArrayRef<Value> window) {
                    Value size = indexConstant(at, filters), of = arith::DivUIOp::create(at, nc[1], size),
                          filter = arith::RemUIOp::create(at, nc[1], size);
                    Value column = plus(at, times(at, filter, indexConstant(at, blocks)), flat(at, place, places));
                    return elementAt(at, products, {of, nc[0], flat(at, window, windows), column});
                  });
  if (node.has(2)) {
    FailureOr<Tensor> bias = node.tensor(2, "B");
    if (failed(bias))
      return failure();
    if (bias->rank() != 1 || !isConstantIntValue(bias->sizes[0], *group * filters) || bias->element() != type)
      return node.badOperand("input B must have " + Twine(*group * filters) +
                             " elements of the type of X in one dimension");
    Sizes sizes(count + 1, b.getIndexAttr(1));
    sizes[0] = bias->sizes[0];
    y = elementwise(b, {y, reshape(b, convert(b, *bias, wide), sizes)}, y.sizes, wide, add);
  }
  return node.set(0, convert(b, y, type));
}

/// Elements where MaxPool found them; the last one that is for a place wins, and 0 where there is none.
static LogicalResult importMaxUnpool(Node &node) {
  FailureOr<Tensor> x = node.tensor(0, "X"), indices = node.tensor(1, "I");
  if (failed(x) || failed(indices) || failed(requireElements(node, *x, "X", Elements::Numbers)))
    return failure();
  if (x->rank() < 3 || indices->rank() != x->rank() || !indices->numbers().isSignlessInteger(64) ||
      !llvm::equal(indices->sizes, x->sizes, sameSize))
    return node.badOperand("input X must have rank 3 or more, and I an i64 for each of its elements");
  size_t count = x->rank() - 2;
  if (!node.hasAttribute("kernel_shape"))
    return node.badAttribute("attribute 'kernel_shape' is missing");
  auto kernel = spatialNumbers(node, "kernel_shape", count, 1, 1),
       strides = spatialNumbers(node, "strides", count, 1, 1), pads = spatialNumbers(node, "pads", 2 * count, 0, 0);
  if (failed(kernel) || failed(strides) || failed(pads))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  Sizes pooled{x->sizes[0], x->sizes[1]}, over(x->sizes.begin() + 2, x->sizes.end());
  for (size_t i = 0; i < count; ++i) { // (size - 1) * stride + kernel - pads
    OpFoldResult steps = indexOp(b, IndexOp::Mul, x->sizes[2 + i], b.getIndexAttr((*strides)[i]));
    int64_t rest = (*kernel)[i] - (*strides)[i] - (*pads)[i] - (*pads)[count + i];
    pooled.push_back(indexOp(b, IndexOp::Add, steps, b.getIndexAttr(rest)));
  }
  Sizes sizes = pooled;
  if (node.has(2)) {
    FailureOr<Sizes> given = node.sizes(2, "output_shape");
    if (failed(given))
      return failure();
    if (given->size() != sizes.size())
      return node.badOperand("input output_shape has " + Twine(given->size()) + " numbers; it must have " +
                             Twine(sizes.size()));
    for (OpFoldResult size : *given)
      if (!node.graph.algebra.isNonNegative(size))
        return node.badOperand("input output_shape has a number that is negative or may be");
    sizes = *given;
    sizes[0] = pooled[0];
    sizes[1] = pooled[1];
  }
  Type type = x->numbers();
  Tensor y = accumulated(b, sizes, over, type, numberAttribute(b, type, 0),
                         [&](ImplicitLocOpBuilder &at, ValueRange loops, Value soFar) -> Value {
                           SmallVector<Value> here(loops.take_front(2 + count)), from(loops.take_front(2));
                           llvm::append_range(from, loops.drop_front(2 + count));
                           Value place = arith::IndexCastOp::create(at, at.getI64Type(), flat(at, here, pooled));
                           Value isHere = compare(at, Compare::Equal, elementAt(at, *indices, from), place);
                           for (size_t i = 0; i < count; ++i) // what is beyond the pooled image has no place in it
                             isHere = both(at, isHere, isWithin(at, loops[2 + i], pooled[2 + i]));
                           return arith::SelectOp::create(at, isHere, elementAt(at, *x, from), soFar);
                         });
  return node.set(0, y);
}

/// The middle of the input, or the input in the middle of zeros.
static LogicalResult importCenterCropPad(Node &node) {
  FailureOr<Tensor> x = node.tensor(0, "input_data");
  FailureOr<SmallVector<int64_t>> shape = node.integers(1, "shape");
  if (failed(x) || failed(shape))
    return failure();
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, x->rank()));
  if (node.hasAttribute("axes")) {
    FailureOr<SmallVector<int64_t>> list = node.integerList("axes");
    if (failed(list))
      return failure();
    axes = *list;
  }
  if (axes.size() != shape->size())
    return node.badOperand("input shape has " + Twine(shape->size()) + " numbers; it must have one for each of " +
                           Twine(axes.size()) + " axes");
  ImplicitLocOpBuilder &b = node.b;
  Sizes sizes = x->sizes;
  SmallVector<int64_t> offsets(x->rank(), 0); // of the result in the input
  for (auto [axis, size] : llvm::zip(axes, *shape)) {
    if (axis < -x->rank() || axis >= x->rank())
      return node.badAttribute("attribute 'axes' has " + Twine(axis) + "; the input has rank " + Twine(x->rank()));
    int64_t at = axis < 0 ? axis + x->rank() : axis;
    std::optional<int64_t> known = getConstantIntValue(x->sizes[at]);
    if (!known)
      return node.unsupported("input input_data has a symbolic size in dimension " + Twine(at) +
                                  ", which is cropped or padded",
                              "fix it with --dim NAME=N");
    if (size < 1)
      return node.badOperand("input shape has " + Twine(size) + "; it must be positive");
    offsets[at] = *known > size ? (*known - size) / 2 : -((size - *known) / 2);
    sizes[at] = b.getIndexAttr(size);
  }
  return node.set(0, computed(b, sizes, x->numbers(), [&](ImplicitLocOpBuilder &at, ValueRange loops) -> Value {
                    SmallVector<Value> from;
                    Value inside;
                    for (auto [i, offset] : llvm::enumerate(offsets)) {
                      Value index = offset ? plus(at, loops[i], indexConstant(at, offset)) : loops[i];
                      if (!sameSize(sizes[i], x->sizes[i]))
                        inside = both(at, inside, isWithin(at, index, x->sizes[i]));
                      from.push_back(offset || inside ? nearestWithin(at, index, x->sizes[i]) : index);
                    }
                    Value element = elementAt(at, *x, from);
                    return inside ? Value(arith::SelectOp::create(at, inside, element, constant(at, x->element(), 0)))
                                  : element;
                  }));
}

static constexpr Operator kOperators[] = {
    {"", "Col2Im", importCol2Im, 3, 3, 1, "dilations pads strides", true},
    {"", "ConvTranspose", importConvTranspose, 2, 3, 1,
     "auto_pad dilations group kernel_shape output_padding output_shape pads strides"},
    {"", "MaxUnpool", importMaxUnpool, 2, 3, 1, "kernel_shape pads strides", true},
    {"", "CenterCropPad", importCenterCropPad, 2, 2, 1, "axes", true},
};

ArrayRef<Operator> foldOperators() { return kOperators; }

} // namespace whit
