// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Pooling: one number for what a window sees at each position.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/SpatialAttributes.h"
#include "Import/Semantics/Loops.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
/// How the window moves along one dimension.
struct Side {
  int64_t kernel, stride, dilation, before, after;
  OpFoldResult input, output;
};

struct Windows {
  Tensor x;
  SmallVector<Side> sides;
  Sizes result, spatial, kernel; ///< [N, C, outputs...], [outputs...], [kernel...]
};
} // namespace

/// How many steps fit; with `ceil` also one that begins within the input or the padding before it, and ends outside.
static OpFoldResult stepsOf(Node &node, const Side &side, bool ceil) {
  int64_t span = side.dilation * (side.kernel - 1) + 1;
  OpFoldResult room = indexOp(node.b, IndexOp::Add, side.input, node.b.getIndexAttr(side.before + side.after - span));
  std::optional<int64_t> known = getConstantIntValue(room);
  if (known && ceil) {
    int64_t size = *getConstantIntValue(side.input),
            steps = llvm::divideCeil(std::max<int64_t>(*known, 0), side.stride) + 1;
    if ((steps - 1) * side.stride >= size + side.before)
      --steps;
    return node.b.getIndexAttr(steps);
  }
  OpFoldResult steps = side.stride == 1 ? room : indexOp(node.b, IndexOp::Div, room, node.b.getIndexAttr(side.stride));
  return indexOp(node.b, IndexOp::Add, steps, node.b.getIndexAttr(1));
}

static FailureOr<Windows> windowsOf(Node &node, Elements allowed) {
  FailureOr<Tensor> x = node.tensor(0, "X");
  if (failed(x) || failed(requireElements(node, *x, "X", allowed)))
    return failure();
  if (x->rank() < 3)
    return LogicalResult(node.badOperand("input X has rank " + Twine(x->rank()) + "; it must have rank 3 or more"));
  size_t count = x->rank() - 2;
  if (!node.hasAttribute("kernel_shape"))
    return LogicalResult(node.badAttribute("attribute 'kernel_shape' is missing"));
  auto kernel = spatialNumbers(node, "kernel_shape", count, 1, 1),
       strides = spatialNumbers(node, "strides", count, 1, 1),
       dilations = spatialNumbers(node, "dilations", count, 1, 1), pads = spatialNumbers(node, "pads", 2 * count, 0, 0);
  FailureOr<std::string> automatic = node.text("auto_pad", "NOTSET");
  FailureOr<int64_t> ceil = node.integer("ceil_mode", 0);
  if (failed(kernel) || failed(strides) || failed(dilations) || failed(pads) || failed(automatic) || failed(ceil))
    return failure();
  bool isSame = *automatic == "SAME_UPPER" || *automatic == "SAME_LOWER";
  if (!isSame && *automatic != "NOTSET" && *automatic != "VALID")
    return LogicalResult(node.badAttribute("attribute 'auto_pad' is '" + shown(*automatic) +
                                           "'; it must be NOTSET, VALID, SAME_UPPER or SAME_LOWER"));
  if (*automatic == "VALID")
    pads->assign(2 * count, 0);
  Windows windows{*x, {}, {x->sizes[0], x->sizes[1]}, {}, {}};
  for (size_t i = 0; i < count; ++i) {
    Side side{(*kernel)[i], (*strides)[i], (*dilations)[i], (*pads)[i], (*pads)[count + i], x->sizes[2 + i], {}};
    std::optional<int64_t> size = getConstantIntValue(side.input);
    int64_t span = side.dilation * (side.kernel - 1) + 1;
    if ((isSame || *ceil) && !size)
      return LogicalResult(node.unsupported("input X has a symbolic size in dimension " + Twine(2 + i) +
                                                "; auto_pad and ceil_mode need a known one",
                                            "fix it with --dim NAME=N"));
    if (isSame) {
      int64_t total = std::max<int64_t>((llvm::divideCeil(*size, side.stride) - 1) * side.stride + span - *size, 0);
      side.before = *automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      side.after = total - side.before;
    }
    if (size && *size + side.before + side.after < span)
      return LogicalResult(node.badOperand("the kernel spans " + Twine(span) + " elements in dimension " +
                                           Twine(2 + i) + ", more than the padded input X has"));
    side.output = stepsOf(node, side, *ceil != 0);
    windows.result.push_back(side.output);
    windows.spatial.push_back(side.output);
    windows.kernel.push_back(node.b.getIndexAttr(side.kernel));
    windows.sides.push_back(side);
  }
  return windows;
}

/// Where the window's element lies along each dimension, from the loops [..., outputs, kernel].
static SmallVector<Value> placesOf(ImplicitLocOpBuilder &b, const Windows &windows, ValueRange outputs,
                                   ValueRange kernel) {
  SmallVector<Value> places;
  for (auto [i, side] : llvm::enumerate(windows.sides)) {
    Value step = times(b, outputs[i], indexConstant(b, side.stride)),
          place = times(b, kernel[i], indexConstant(b, side.dilation));
    places.push_back(plus(b, plus(b, step, place), indexConstant(b, -side.before)));
  }
  return places;
}

/// Folds what each window sees of x; what lies outside of x is not seen.
using Fold = llvm::function_ref<Value(ImplicitLocOpBuilder &, Value soFar, Value element, Value position)>;
static Tensor foldWindows(Node &node, const Windows &windows, Type numbers, TypedAttr start, Fold fold,
                          bool columnMajor = false) {
  size_t count = windows.sides.size();
  return accumulated(node.b, windows.result, windows.kernel, numbers, start,
                     [&](ImplicitLocOpBuilder &b, ValueRange loops, Value soFar) -> Value {
                       SmallVector<Value> places =
                           placesOf(b, windows, loops.slice(2, count), loops.drop_front(2 + count));
                       SmallVector<Value> at(loops.take_front(2));
                       Value inside;
                       for (auto [place, side] : llvm::zip(places, windows.sides)) {
                         inside = both(b, inside, isWithin(b, place, side.input));
                         at.push_back(nearestWithin(b, place, side.input));
                       }
                       // The element's number in x, in row-major order, or with the last dimensions in column-major order.
                       Value position = plus(b, times(b, at[0], asValue(b, windows.x.sizes[1])), at[1]);
                       Value within = indexConstant(b, 0), whole = indexConstant(b, 1);
                       for (size_t i = 0; i < count; ++i) {
                         size_t d = 2 + (columnMajor ? count - 1 - i : i);
                         within = plus(b, times(b, within, asValue(b, windows.x.sizes[d])), at[d]);
                         whole = times(b, whole, asValue(b, windows.x.sizes[d]));
                       }
                       position = plus(b, times(b, position, whole), within);
                       Value next = fold(b, soFar, elementAt(b, windows.x, at), position);
                       return arith::SelectOp::create(b, inside, next, soFar);
                     });
}

static LogicalResult importMaxPool(Node &node) {
  FailureOr<Windows> windows = windowsOf(node, Elements::Numbers);
  FailureOr<int64_t> order = node.integer("storage_order", 0);
  if (failed(windows) || failed(order))
    return failure();
  const Tensor &x = windows->x;
  Sign sign = signOfType(x.numbers());
  Tensor most = foldWindows(
      node, *windows, x.numbers(), lowestOf(node.b, x.numbers()),
      [&](ImplicitLocOpBuilder &b, Value soFar, Value element, Value) { return maximum(b, soFar, element, sign); });
  if (node.wants(1)) {
    // The first position of the largest; of a window of nothing but NaN, the first that it sees.
    Tensor first = foldWindows(
        node, *windows, node.b.getI64Type(), node.b.getI64IntegerAttr(-1),
        [&](ImplicitLocOpBuilder &b, Value soFar, Value element, Value position) -> Value {
          SmallVector<Value> at;
          for (size_t i = 0; i < windows->result.size(); ++i)
            at.push_back(linalg::IndexOp::create(b, i));
          Value here = arith::IndexCastOp::create(b, b.getI64Type(), position);
          Value isFirst = compare(b, Compare::Less, soFar, constant(b, b.getI64Type(), 0));
          Value isMost = compare(b, Compare::Equal, element, elementAt(b, most, at));
          return arith::SelectOp::create(b, arith::AndIOp::create(b, isMost, isFirst), here, soFar);
        },
        *order != 0);
    if (failed(node.set(1, first)))
      return failure();
  }
  return node.set(0, most);
}

static Type wideType(OpBuilder &b, Type type) {
  return isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32 ? Type(b.getF32Type()) : type;
}

static LogicalResult importAveragePool(Node &node) {
  FailureOr<Windows> windows = windowsOf(node, Elements::Floats);
  FailureOr<int64_t> withPads = node.integer("count_include_pad", 0);
  if (failed(windows) || failed(withPads))
    return failure();
  Type type = windows->x.element(), wide = wideType(node.b, type);
  Tensor sum = foldWindows(node, *windows, wide, numberAttribute(node.b, wide, 0),
                           [&](ImplicitLocOpBuilder &b, Value soFar, Value element, Value) {
                             return add(b, {soFar, convert(b, element, wide)});
                           });
  size_t count = windows->sides.size();
  // How many elements a window sees: of x, or of x with its pads.
  Tensor seen = accumulated(node.b, windows->spatial, windows->kernel, wide, numberAttribute(node.b, wide, 0),
                            [&](ImplicitLocOpBuilder &b, ValueRange loops, Value soFar) -> Value {
                              SmallVector<Value> places =
                                  placesOf(b, *windows, loops.take_front(count), loops.drop_front(count));
                              Value inside;
                              for (auto [place, side] : llvm::zip(places, windows->sides)) {
                                OpFoldResult size = side.input;
                                if (*withPads) {
                                  place = plus(b, place, indexConstant(b, side.before));
                                  size = indexOp(b, IndexOp::Add, size, b.getIndexAttr(side.before + side.after));
                                }
                                inside = both(b, inside, isWithin(b, place, size));
                              }
                              Value next = add(b, {soFar, constant(b, wide, 1)});
                              return arith::SelectOp::create(b, inside, next, soFar);
                            });
  Tensor mean = elementwise(node.b, {sum, seen}, sum.sizes, wide, divide);
  return node.set(0, convert(node.b, mean, type));
}

/// (sum of |x|^p)^(1/p)
static LogicalResult importLpPool(Node &node) {
  FailureOr<Windows> windows = windowsOf(node, Elements::Floats);
  FailureOr<int64_t> p = node.integer("p", 2);
  if (failed(windows) || failed(p))
    return failure();
  if (*p < 1)
    return node.badAttribute("attribute 'p' is " + Twine(*p) + "; it must be at least 1");
  Type type = windows->x.element(), wide = wideType(node.b, type);
  Tensor sum = foldWindows(node, *windows, wide, numberAttribute(node.b, wide, 0),
                           [&](ImplicitLocOpBuilder &b, Value soFar, Value element, Value) {
                             Value size = absolute(b, convert(b, element, wide));
                             Value term = *p == 1   ? size
                                          : *p == 2 ? multiply(b, {size, size})
                                                    : power(b, size, constant(b, wide, double(*p)));
                             return add(b, {soFar, term});
                           });
  Tensor root = elementwise(node.b, sum, sum.sizes, wide, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    return *p == 1   ? v[0]
           : *p == 2 ? Value(math::SqrtOp::create(b, v[0]))
                     : power(b, v[0], constant(b, wide, 1 / double(*p)));
  });
  return node.set(0, convert(node.b, root, type));
}

// ------------------------------------------------------------------------------------------------ global

/// One number for all elements of each channel.
static LogicalResult importGlobal(Node &node, bool isMax) {
  FailureOr<Tensor> x = node.tensor(0, "X");
  if (failed(x) || failed(requireElements(node, *x, "X", Elements::Floats)))
    return failure();
  if (x->rank() < 3)
    return node.badOperand("input X has rank " + Twine(x->rank()) + "; it must have rank 3 or more");
  Type type = x->element(), wide = wideType(node.b, type);
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(2, x->rank()));
  if (isMax)
    return node.set(0, reduce(node.b, *x, Reduction::Max, axes, /*keep=*/true));
  OpFoldResult count = node.b.getIndexAttr(1);
  for (int64_t axis : axes)
    count = indexOp(node.b, IndexOp::Mul, count, x->sizes[axis]);
  Tensor sum = reduce(node.b, convert(node.b, *x, wide), Reduction::Sum, axes, /*keep=*/true);
  Tensor mean = elementwise(node.b, sum, sum.sizes, wide, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    Value number = arith::IndexCastOp::create(b, b.getI64Type(), asValue(b, count));
    return divide(b, {v[0], convert(b, number, wide)});
  });
  return node.set(0, convert(node.b, mean, type));
}
static LogicalResult importGlobalAveragePool(Node &node) { return importGlobal(node, false); }
static LogicalResult importGlobalMaxPool(Node &node) { return importGlobal(node, true); }

static constexpr Operator kOperators[] = {
    {"", "MaxPool", importMaxPool, 1, 1, 2, "auto_pad ceil_mode dilations kernel_shape pads storage_order strides",
     true},
    {"", "AveragePool", importAveragePool, 1, 1, 1,
     "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides"},
    {"", "LpPool", importLpPool, 1, 1, 1, "auto_pad ceil_mode dilations kernel_shape p pads strides"},
    {"", "GlobalAveragePool", importGlobalAveragePool, 1, 1, 1, ""},
    {"", "GlobalMaxPool", importGlobalMaxPool, 1, 1, 1, ""},
};

ArrayRef<Operator> poolingOperators() { return kOperators; }

} // namespace whit
