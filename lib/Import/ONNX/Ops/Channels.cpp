// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What image models do to channels [N, C, places...]: normalizations over places, groups or neighbours, blocks of places
// that become channels, and padding.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Tables.h"
#include "Import/Semantics/Loops.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace whit {

using namespace semantics;

static Type wideType(OpBuilder &b, Type type) {
  return isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32 ? Type(b.getF32Type()) : type;
}

static FailureOr<Tensor> imageOf(Node &node, StringRef role, int64_t leastRank) {
  FailureOr<Tensor> x = node.tensor(0, role);
  if (failed(x) || failed(requireElements(node, *x, role, Elements::Floats)))
    return failure();
  if (x->rank() < leastRank)
    return LogicalResult(node.badOperand("input " + role + " has rank " + Twine(x->rank()) + "; it must have rank " +
                                         Twine(leastRank) + " or more"));
  return x;
}

/// One number for each channel of x [N, C, places...] as [C, 1...] in `wide`.
static FailureOr<Tensor> perChannel(Node &node, unsigned i, StringRef role, const Tensor &x, Type wide) {
  FailureOr<Tensor> row = node.tensor(i, role);
  if (failed(row) || failed(requireElements(node, *row, role, Elements::Floats)))
    return failure();
  if (row->rank() != 1 || !node.graph.unify(row->sizes[0], x.sizes[1]))
    return LogicalResult(node.badOperand("input " + role + " must have one number for each channel"));
  Sizes sizes(x.rank() - 1, node.b.getIndexAttr(1));
  sizes[0] = x.sizes[1];
  return reshape(node.b, convert(node.b, *row, wide), sizes);
}

/// The mean over axes, which stay with size 1.
static Tensor meanOver(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<int64_t> axes) {
  OpFoldResult count = b.getIndexAttr(1);
  for (int64_t axis : axes)
    count = indexOp(b, IndexOp::Mul, count, x.sizes[axis]);
  Tensor sum = reduce(b, x, Reduction::Sum, axes, /*keep=*/true);
  return elementwise(b, sum, sum.sizes, x.element(), [&](ImplicitLocOpBuilder &at, ValueRange v) {
    Value number = arith::IndexCastOp::create(at, at.getI64Type(), asValue(at, count));
    return divide(at, {v[0], convert(at, number, x.element())});
  });
}

namespace {
struct Moments {
  Tensor mean, variance;
};
} // namespace

static Moments momentsOver(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<int64_t> axes) {
  Tensor mean = meanOver(b, x, axes);
  Tensor squares = elementwise(b, {x, mean}, x.sizes, x.element(), [](ImplicitLocOpBuilder &at, ValueRange v) {
    Value distance = subtract(at, v);
    return multiply(at, {distance, distance});
  });
  return {mean, meanOver(b, squares, axes)};
}

/// (x - mean) / sqrt(variance + epsilon)
static Tensor normalized(ImplicitLocOpBuilder &b, const Tensor &x, const Moments &m, double epsilon) {
  return elementwise(b, {x, m.mean, m.variance}, x.sizes, x.element(),
                     [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
                       Value sum = add(at, {v[2], constant(at, x.element(), epsilon)});
                       return arith::DivFOp::create(at, subtract(at, {v[0], v[1]}), squareRoot(at, sum));
                     });
}

static Tensor scaled(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &scale, const Tensor &shift) {
  return elementwise(b, {x, scale, shift}, x.sizes, x.element(), [](ImplicitLocOpBuilder &at, ValueRange v) {
    return add(at, {multiply(at, {v[0], v[1]}), v[2]});
  });
}

// ------------------------------------------------------------------------------------------------ normalizations

static LogicalResult importBatchNormalization(Node &node) {
  FailureOr<Tensor> x = imageOf(node, "X", 2);
  FailureOr<double> epsilon = node.number("epsilon", 1e-5), momentum = node.number("momentum", 0.9);
  FailureOr<int64_t> training = node.integer("training_mode", 0);
  if (failed(x) || failed(epsilon) || failed(momentum) || failed(training) || failed(node.requireOnly("spatial", {1})))
    return failure();
  if (!*training && (node.wants(1) || node.wants(2)))
    return node.unsupported("outputs of running statistics need attribute 'training_mode' to be 1");
  ImplicitLocOpBuilder &b = node.b;
  Type wide = wideType(b, x->element());
  FailureOr<Tensor> scale = perChannel(node, 1, "scale", *x, wide), shift = perChannel(node, 2, "B", *x, wide),
                    mean = perChannel(node, 3, "input_mean", *x, wide),
                    variance = perChannel(node, 4, "input_var", *x, wide);
  if (failed(scale) || failed(shift) || failed(mean) || failed(variance))
    return failure();
  Tensor data = convert(b, *x, wide);
  Moments moments{*mean, *variance};
  if (*training) {
    SmallVector<int64_t> axes{0};
    llvm::append_range(axes, llvm::seq<int64_t>(2, x->rank()));
    Moments found = momentsOver(b, data, axes);
    for (auto [i, before, now] : {std::tuple(1u, &*mean, &found.mean), {2u, &*variance, &found.variance}}) {
      Tensor flat = reshape(b, *now, before->sizes);
      Tensor running =
          elementwise(b, {*before, flat}, before->sizes, wide, [&](ImplicitLocOpBuilder &at, ValueRange v) {
            return add(at, {multiply(at, {v[0], constant(at, wide, *momentum)}),
                            multiply(at, {v[1], constant(at, wide, 1 - *momentum)})});
          });
      if (failed(node.set(i, convert(b, reshape(b, running, {x->sizes[1]}), node.input(2 + i).element))))
        return failure();
      *now = flat;
    }
    moments = found;
  }
  return node.set(0, convert(b, scaled(b, normalized(b, data, moments, *epsilon), *scale, *shift), x->element()));
}

static LogicalResult importInstanceNormalization(Node &node) {
  FailureOr<Tensor> x = imageOf(node, "input", 3);
  FailureOr<double> epsilon = node.number("epsilon", 1e-5);
  if (failed(x) || failed(epsilon))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  Type wide = wideType(b, x->element());
  FailureOr<Tensor> scale = perChannel(node, 1, "scale", *x, wide), shift = perChannel(node, 2, "B", *x, wide);
  if (failed(scale) || failed(shift))
    return failure();
  Tensor data = convert(b, *x, wide);
  Moments moments = momentsOver(b, data, llvm::to_vector(llvm::seq<int64_t>(2, x->rank())));
  return node.set(0, convert(b, scaled(b, normalized(b, data, moments, *epsilon), *scale, *shift), x->element()));
}

/// Each group of channels together with all their places.
static LogicalResult importGroupNormalization(Node &node) {
  FailureOr<Tensor> x = imageOf(node, "X", 2);
  FailureOr<double> epsilon = node.number("epsilon", 1e-5);
  FailureOr<int64_t> groups = node.integer("num_groups"), stash = node.integer("stash_type", 1);
  if (failed(x) || failed(epsilon) || failed(groups) || failed(stash))
    return failure();
  if (node.graph.opset < 21)
    return node.unsupported("operator sets before 21 scale groups instead of channels",
                            "convert the model to opset 21 or newer");
  std::optional<int64_t> channels = getConstantIntValue(x->sizes[1]);
  if (!channels || *groups < 1 || *channels % *groups)
    return node.badAttribute("attribute 'num_groups' is " + Twine(*groups) +
                             "; it must divide the number of channels, which must be known");
  ImplicitLocOpBuilder &b = node.b;
  Type wide = wideType(b, x->element());
  FailureOr<Tensor> scale = perChannel(node, 1, "scale", *x, wide), shift = perChannel(node, 2, "bias", *x, wide);
  if (failed(scale) || failed(shift))
    return failure();
  OpFoldResult rest = b.getIndexAttr(*channels / *groups);
  for (OpFoldResult size : ArrayRef(x->sizes).drop_front(2))
    rest = node.graph.algebra.multiply(b, rest, size);
  if (!rest)
    return node.badOperand("input X has more elements than can be counted");
  Tensor data = reshape(b, convert(b, *x, wide), {x->sizes[0], b.getIndexAttr(*groups), rest});
  Tensor y = reshape(b, normalized(b, data, momentsOver(b, data, 2), *epsilon), x->sizes);
  return node.set(0, convert(b, scaled(b, y, *scale, *shift), x->element()));
}

static LogicalResult importMeanVarianceNormalization(Node &node) {
  FailureOr<Tensor> x = imageOf(node, "X", 1);
  if (failed(x))
    return failure();
  SmallVector<int64_t> axes{0, 2, 3};
  if (node.hasAttribute("axes")) {
    FailureOr<SmallVector<int64_t>> list = node.integerList("axes");
    if (failed(list))
      return failure();
    axes = *list;
  }
  for (int64_t &axis : axes) {
    if (axis < -x->rank() || axis >= x->rank())
      return node.badAttribute("axis " + Twine(axis) + " is outside of rank " + Twine(x->rank()));
    axis = axis < 0 ? axis + x->rank() : axis;
  }
  llvm::sort(axes);
  axes.erase(llvm::unique(axes), axes.end());
  Tensor data = convert(node.b, *x, wideType(node.b, x->element()));
  // The standard deviation has 1e-9 added to it, which only matters where it is 0: so does its square, to the variance.
  return node.set(0, convert(node.b, normalized(node.b, data, momentsOver(node.b, data, axes), 1e-18), x->element()));
}

/// x / (its norm along the axis); 0 where that is 0.
static LogicalResult importLpNormalization(Node &node) {
  FailureOr<Tensor> x = imageOf(node, "input", 1);
  FailureOr<int64_t> axis = node.integer("axis", -1), p = node.integer("p", 2);
  if (failed(x) || failed(axis) || failed(p))
    return failure();
  if (*axis < -x->rank() || *axis >= x->rank())
    return node.badAttribute("attribute 'axis' is " + Twine(*axis) + "; input has rank " + Twine(x->rank()));
  if (*p != 1 && *p != 2)
    return node.badAttribute("attribute 'p' is " + Twine(*p) + "; it must be 1 or 2");
  ImplicitLocOpBuilder &b = node.b;
  Type wide = wideType(b, x->element());
  Tensor data = convert(b, *x, wide);
  Tensor terms = elementwise(b, data, data.sizes, wide, [&](ImplicitLocOpBuilder &at, ValueRange v) {
    return *p == 1 ? absolute(at, v[0]) : multiply(at, {v[0], v[0]});
  });
  Tensor sum = reduce(b, terms, Reduction::Sum, *axis < 0 ? *axis + x->rank() : *axis, /*keep=*/true);
  Tensor y = elementwise(b, {data, sum}, data.sizes, wide, [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
    Value norm = *p == 1 ? v[1] : squareRoot(at, v[1]), zero = constant(at, wide, 0);
    Value isZero = compare(at, Compare::Equal, norm, zero);
    return arith::SelectOp::create(at, isZero, zero, divide(at, {v[0], norm}));
  });
  return node.set(0, convert(b, y, x->element()));
}

/// x / (bias + alpha / size * sum of squares of `size` neighbouring channels)^beta
static LogicalResult importLRN(Node &node) {
  FailureOr<Tensor> x = imageOf(node, "X", 2);
  FailureOr<int64_t> size = node.integer("size");
  FailureOr<double> alpha = node.number("alpha", 1e-4), beta = node.number("beta", 0.75), bias = node.number("bias", 1);
  if (failed(x) || failed(size) || failed(alpha) || failed(beta) || failed(bias))
    return failure();
  if (*size < 1)
    return node.badAttribute("attribute 'size' is " + Twine(*size) + "; it must be at least 1");
  ImplicitLocOpBuilder &b = node.b;
  Type wide = wideType(b, x->element());
  Tensor sum = accumulated(b, x->sizes, OpFoldResult(b.getIndexAttr(*size)), wide, numberAttribute(b, wide, 0),
                           [&](ImplicitLocOpBuilder &at, ValueRange loops, Value soFar) -> Value {
                             SmallVector<Value> from(loops.drop_back());
                             Value channel =
                                 plus(at, plus(at, loops[1], loops.back()), indexConstant(at, -((*size - 1) / 2)));
                             from[1] = nearestWithin(at, channel, x->sizes[1]);
                             Value element = convert(at, elementAt(at, *x, from), wide);
                             Value next = add(at, {soFar, multiply(at, {element, element})});
                             return arith::SelectOp::create(at, isWithin(at, channel, x->sizes[1]), next, soFar);
                           });
  Tensor y = elementwise(b, {convert(b, *x, wide), sum}, x->sizes, wide, [&](ImplicitLocOpBuilder &at, ValueRange v) {
    Value share = multiply(at, {v[1], constant(at, wide, *alpha / double(*size))});
    Value base = add(at, {share, constant(at, wide, *bias)});
    return divide(at, {v[0], power(at, base, constant(at, wide, *beta))});
  });
  return node.set(0, convert(b, y, x->element()));
}

// ------------------------------------------------------------------------------------------------ blocks

/// [N, C, H, W] with blocks of channels as places, or the other way.
static LogicalResult importBlocks(Node &node, bool toSpace) {
  FailureOr<Tensor> x = node.tensor(0, "input");
  FailureOr<int64_t> block = node.integer("blocksize");
  FailureOr<std::string> mode = node.text("mode", "DCR");
  if (failed(x) || failed(block) || failed(mode))
    return failure();
  if (x->rank() != 4)
    return node.badOperand("input has rank " + Twine(x->rank()) + "; it must have rank 4");
  if (*block < 1 || *block > 65536)
    return node.badAttribute("attribute 'blocksize' is " + Twine(*block) + "; it must be at least 1");
  if (*mode != "DCR" && *mode != "CRD")
    return node.badAttribute("attribute 'mode' is '" + shown(*mode) + "'; it must be DCR or CRD");
  ImplicitLocOpBuilder &b = node.b;
  SizeAlgebra &algebra = node.graph.algebra;
  OpFoldResult n = x->sizes[0], c = x->sizes[1], h = x->sizes[2], w = x->sizes[3], side = b.getIndexAttr(*block),
               area = b.getIndexAttr(*block * *block);
  bool depthFirst = *mode == "DCR";
  if (toSpace) {
    OpFoldResult left = algebra.quotient(b, c, area), tall = algebra.multiply(b, h, side),
                 broad = algebra.multiply(b, w, side);
    if (!left || !tall || !broad)
      return node.badOperand("attribute 'blocksize' squared must divide the channels of input");
    Tensor split = reshape(b, *x, depthFirst ? Sizes{n, side, side, left, h, w} : Sizes{n, left, side, side, h, w});
    Tensor moved =
        transpose(b, split, depthFirst ? ArrayRef<int64_t>{0, 3, 4, 1, 5, 2} : ArrayRef<int64_t>{0, 1, 4, 2, 5, 3});
    return node.set(0, reshape(b, moved, {n, left, tall, broad}));
  }
  OpFoldResult rows = algebra.quotient(b, h, side), columns = algebra.quotient(b, w, side),
               channels = algebra.multiply(b, c, area);
  if (!rows || !columns || !channels)
    return node.badOperand("attribute 'blocksize' must divide the height and width of input");
  Tensor split = reshape(b, *x, {n, c, rows, side, columns, side});
  Tensor moved =
      transpose(b, split, depthFirst ? ArrayRef<int64_t>{0, 3, 5, 1, 2, 4} : ArrayRef<int64_t>{0, 1, 3, 5, 2, 4});
  return node.set(0, reshape(b, moved, {n, channels, rows, columns}));
}
static LogicalResult importDepthToSpace(Node &node) { return importBlocks(node, true); }
static LogicalResult importSpaceToDepth(Node &node) { return importBlocks(node, false); }

// ------------------------------------------------------------------------------------------------ Pad

/// Elements around x, or less of it where a pad is negative.
static LogicalResult importPad(Node &node) {
  FailureOr<std::string> mode = node.text("mode", "constant");
  FailureOr<Tensor> x = node.tensor(0, "data");
  if (failed(mode) || failed(x))
    return failure();
  if (node.graph.opset < 11)
    return node.unsupported("the pads are attributes, as before opset 11; they must be inputs",
                            "convert the model to opset 13 or newer");
  if (!llvm::is_contained({"constant", "reflect", "edge", "wrap"}, *mode))
    return node.badAttribute("attribute 'mode' is '" + shown(*mode) + "'; it must be constant, reflect, edge or wrap");
  FailureOr<Sizes> pads = node.sizes(1, "pads");
  if (failed(pads))
    return failure();
  int64_t rank = x->rank();
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (node.has(3)) {
    FailureOr<SmallVector<int64_t>> list = node.integers(3, "axes");
    if (failed(list))
      return failure();
    axes = *list;
  }
  if (pads->size() != 2 * axes.size())
    return node.badOperand("input pads has " + Twine(pads->size()) + " numbers; it must have " +
                           Twine(2 * axes.size()) + ", two for each axis");
  ImplicitLocOpBuilder &b = node.b;
  SizeAlgebra &algebra = node.graph.algebra;
  Sizes before(rank, b.getIndexAttr(0)), sizes = x->sizes;
  for (auto [i, axis] : llvm::enumerate(axes)) {
    int64_t d = axis < 0 ? axis + rank : axis;
    if (d < 0 || d >= rank)
      return node.badOperand("input axes has " + Twine(axis) + "; data has rank " + Twine(rank));
    before[d] = (*pads)[i];
    sizes[d] = algebra.add(b, sizes[d], (*pads)[i]);
    sizes[d] = sizes[d] ? algebra.add(b, sizes[d], (*pads)[axes.size() + i]) : sizes[d];
    if (!sizes[d] || !algebra.isNonNegative(sizes[d]))
      return node.badOperand("input pads gives dimension " + Twine(d) + " a size that is or may be negative");
  }
  bool isConstant = *mode == "constant";
  std::optional<Tensor> filler;
  if (isConstant && node.has(2)) {
    FailureOr<Tensor> given = node.tensor(2, "constant_value");
    if (failed(given))
      return failure();
    if (given->numbers() != x->numbers() ||
        llvm::any_of(given->sizes, [](OpFoldResult size) { return !isConstantIntValue(size, 1); }))
      return node.badOperand("input constant_value must be one element of the type of data");
    filler = reshape(b, *given, {});
  }
  return node.set(0, computed(b, sizes, x->numbers(), [&](ImplicitLocOpBuilder &at, ValueRange loops) -> Value {
                    SmallVector<Value> from;
                    Value inside = constant(at, at.getI1Type(), 1), zero = indexConstant(at, 0);
                    for (auto [loop, pad, size] : llvm::zip(loops, before, x->sizes)) {
                      if (isConstantIntValue(pad, 0) && sameSize(size, sizes[from.size()])) {
                        from.push_back(loop);
                        continue;
                      }
                      Value place = arith::SubIOp::create(at, loop, asValue(at, pad)), count = asValue(at, size);
                      if (isConstant) {
                        inside = both(at, inside, isWithin(at, place, size));
                      } else if (*mode == "wrap") {
                        Value rest = arith::RemSIOp::create(at, place, count);
                        Value isLow = compare(at, Compare::Less, rest, zero);
                        place = arith::SelectOp::create(at, isLow, plus(at, rest, count), rest);
                      } else if (*mode == "reflect") {
                        // Back and forth with period 2 (count - 1).
                        Value last = arith::SubIOp::create(at, count, indexConstant(at, 1));
                        Value period = arith::MaxSIOp::create(at, plus(at, last, last), indexConstant(at, 1));
                        Value distance = arith::MaxSIOp::create(at, place, arith::SubIOp::create(at, zero, place));
                        Value rest = arith::RemSIOp::create(at, distance, period);
                        place = arith::MinSIOp::create(at, rest, arith::SubIOp::create(at, period, rest));
                      }
                      from.push_back(nearestWithin(at, place, size));
                    }
                    Value element = elementAt(at, *x, from);
                    if (!isConstant)
                      return element;
                    Value other = filler ? elementAt(at, *filler, {}) : constant(at, x->element(), 0);
                    return arith::SelectOp::create(at, inside, element, other);
                  }));
}

static constexpr Operator kOperators[] = {
    {"", "BatchNormalization", importBatchNormalization, 5, 5, 3, "epsilon momentum spatial training_mode"},
    {"", "InstanceNormalization", importInstanceNormalization, 3, 3, 1, "epsilon"},
    {"", "GroupNormalization", importGroupNormalization, 3, 3, 1, "epsilon num_groups stash_type"},
    {"", "MeanVarianceNormalization", importMeanVarianceNormalization, 1, 1, 1, "axes"},
    {"", "LpNormalization", importLpNormalization, 1, 1, 1, "axis p"},
    {"", "LRN", importLRN, 1, 1, 1, "alpha beta bias size"},
    {"", "DepthToSpace", importDepthToSpace, 1, 1, 1, "blocksize mode", true},
    {"", "SpaceToDepth", importSpaceToDepth, 1, 1, 1, "blocksize mode", true},
    {"", "Pad", importPad, 1, 4, 1, "mode", true},
};

ArrayRef<Operator> channelOperators() { return kOperators; }

} // namespace whit
