// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Convolutions as products: the elements under each position of the kernel become a row, which is multiplied by the
// kernel as a matrix. A constant kernel is a weight like that of any other matmul.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Constants.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Products.h"
#include "Import/ONNX/Ops/SpatialAttributes.h"
#include "Import/Semantics/Transformer.h"

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
/// How the kernel moves along one dimension.
struct Move {
  int64_t kernel, stride, dilation, before;
  OpFoldResult input, output;
};
} // namespace

static FailureOr<SmallVector<Move>> movesOf(Node &node, const Tensor &x, ArrayRef<int64_t> kernel) {
  size_t count = kernel.size();
  auto strides = spatialNumbers(node, "strides", count, 1, 1),
       dilations = spatialNumbers(node, "dilations", count, 1, 1), pads = spatialNumbers(node, "pads", 2 * count, 0, 0),
       shape = spatialNumbers(node, "kernel_shape", count, 0, 1);
  FailureOr<std::string> automatic = node.text("auto_pad", "NOTSET");
  if (failed(strides) || failed(dilations) || failed(pads) || failed(shape) || failed(automatic))
    return failure();
  if (node.hasAttribute("kernel_shape") && ArrayRef(*shape) != kernel)
    return LogicalResult(node.badAttribute("attribute 'kernel_shape' differs from the shape of input W"));
  bool isSame = *automatic == "SAME_UPPER" || *automatic == "SAME_LOWER";
  if (!isSame && *automatic != "NOTSET" && *automatic != "VALID")
    return LogicalResult(node.badAttribute("attribute 'auto_pad' is '" + shown(*automatic) +
                                           "'; it must be NOTSET, VALID, SAME_UPPER or SAME_LOWER"));
  if (*automatic == "VALID")
    pads->assign(2 * count, 0);
  SmallVector<Move> moves;
  for (size_t i = 0; i < count; ++i) {
    int64_t stride = (*strides)[i], span = (*dilations)[i] * (kernel[i] - 1) + 1;
    int64_t before = (*pads)[i], after = (*pads)[count + i];
    OpFoldResult input = x.sizes[2 + i];
    if (isSame) {
      std::optional<int64_t> size = getConstantIntValue(input);
      if (!size)
        return LogicalResult(node.unsupported("attribute 'auto_pad' is '" + *automatic +
                                                  "', but input X has a symbolic size in dimension " + Twine(2 + i),
                                              "export the model with explicit pads"));
      int64_t total = std::max<int64_t>((llvm::divideCeil(*size, stride) - 1) * stride + span - *size, 0);
      before = *automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      after = total - before;
    }
    // (input + pads - span) / stride + 1
    OpFoldResult room = indexOp(node.b, IndexOp::Add, input, node.b.getIndexAttr(before + after - span));
    if (std::optional<int64_t> known = getConstantIntValue(room); known && *known < 0)
      return LogicalResult(node.badOperand("the kernel spans " + Twine(span) + " elements in dimension " +
                                           Twine(2 + i) + ", more than the padded input X has"));
    OpFoldResult steps = stride == 1 ? room : indexOp(node.b, IndexOp::Div, room, node.b.getIndexAttr(stride));
    moves.push_back({kernel[i], stride, (*dilations)[i], before, input,
                     indexOp(node.b, IndexOp::Add, steps, node.b.getIndexAttr(1))});
  }
  return moves;
}

/// x [N, C, spatial...] as [N, outputs..., C, kernel...]: what the kernel sees at each position, 0 outside of x.
static Tensor patches(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<Move> moves) {
  int64_t count = moves.size();
  Sizes sizes{x.sizes[0]};
  for (const Move &move : moves)
    sizes.push_back(move.output);
  sizes.push_back(x.sizes[1]);
  for (const Move &move : moves)
    sizes.push_back(b.getIndexAttr(move.kernel));
  Value init = empty(b, sizes, x.element());
  SmallVector<utils::IteratorType> loops(sizes.size(), utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, init.getType(), ValueRange(), init, b.getMultiDimIdentityMap(sizes.size()), loops,
      [&](OpBuilder &inner, Location loc, ValueRange) {
        ImplicitLocOpBuilder at(loc, inner);
        SmallVector<Value> from{linalg::IndexOp::create(at, 0), linalg::IndexOp::create(at, 1 + count)};
        Value inside;
        for (auto [i, move] : llvm::enumerate(moves)) {
          auto times = [&](Value x, int64_t factor) -> Value {
            return factor == 1 ? x : Value(arith::MulIOp::create(at, x, arith::ConstantIndexOp::create(at, factor)));
          };
          Value step = times(linalg::IndexOp::create(at, 1 + i), move.stride);
          Value place = times(linalg::IndexOp::create(at, 2 + count + i), move.dilation);
          Value index = arith::AddIOp::create(at, step, place);
          if (move.before)
            index = arith::SubIOp::create(at, index, arith::ConstantIndexOp::create(at, move.before));
          Value zero = arith::ConstantIndexOp::create(at, 0), size = asValue(at, move.input);
          Value isIn = arith::AndIOp::create(at, compare(at, Compare::GreaterOrEqual, index, zero),
                                             compare(at, Compare::Less, index, size));
          inside = inside ? Value(arith::AndIOp::create(at, inside, isIn)) : isIn;
          Value last = arith::SubIOp::create(at, size, arith::ConstantIndexOp::create(at, 1));
          from.push_back(arith::MaxSIOp::create(at, arith::MinSIOp::create(at, index, last), zero));
        }
        Value element = tensor::ExtractOp::create(at, x.value, from);
        linalg::YieldOp::create(at,
                                arith::SelectOp::create(at, inside, element, constant(at, x.element(), 0)).getResult());
      });
  return {generic.getResult(0), sizes};
}

/// What is seen [N, outputs..., C, kernel...] times w [F, C / groups, kernel...], as [N, positions, F].
static Tensor timesFilters(ImplicitLocOpBuilder &b, const Tensor &seen, const Tensor &w, int64_t group,
                           OpFoldResult positions, int64_t depth) {
  OpFoldResult batch = seen.sizes[0], k = b.getIndexAttr(depth), groups = b.getIndexAttr(group),
               share = b.getIndexAttr(w.dim(0) / group);
  Tensor left = reshape(b, seen, {batch, positions, groups, k});
  Tensor right = reshape(b, w, {groups, share, k});
  Tensor y = contract(b, left, right, DimPair(2, 0), DimPair(3, 2), seen.element()); // [groups, N, positions, share]
  return reshape(b, transpose(b, y, {1, 2, 0, 3}), {batch, positions, w.sizes[0]});
}

FailureOr<Tensor> convolve(Node &node, const Tensor &x, const Tensor &w) {
  FailureOr<int64_t> group = node.integer("group", 1);
  if (failed(group))
    return failure();
  if ((x.rank() != 3 && x.rank() != 4) || w.rank() != x.rank())
    return LogicalResult(node.unsupported("inputs x and w have ranks " + Twine(x.rank()) + " and " + Twine(w.rank()) +
                                          "; both must be 3 or 4 (1-D and 2-D)"));
  SmallVector<int64_t> kernel = shapeOf(w.sizes);
  if (llvm::any_of(kernel, [](int64_t size) { return ShapedType::isDynamic(size) || size < 1; }))
    return LogicalResult(node.unsupported("input w must have known sizes of at least 1"));
  int64_t filters = kernel[0], depth = kernel[1];
  kernel.erase(kernel.begin(), kernel.begin() + 2);
  if (*group < 1 || filters % *group)
    return LogicalResult(node.badAttribute("attribute 'group' is " + Twine(*group) + "; it must divide the " +
                                           Twine(filters) + " filters of input w"));
  if (failed(node.requireDim(0, "x", 1, depth * *group)))
    return failure();
  FailureOr<SmallVector<Move>> moves = movesOf(node, x, kernel);
  if (failed(moves))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  OpFoldResult positions = b.getIndexAttr(1);
  Sizes sizes{x.sizes[0], w.sizes[0]};
  for (const Move &move : *moves) {
    positions = indexOp(b, IndexOp::Mul, positions, move.output);
    sizes.push_back(move.output);
    depth *= move.kernel;
  }
  Tensor y = timesFilters(b, patches(b, x, *moves), w, *group, positions, depth);
  return reshape(b, transpose(b, y, {0, 2, 1}), sizes);
}

static LogicalResult importConv(Node &node) {
  FailureOr<Tensor> x = node.tensor(0, "X");
  FailureOr<int64_t> group = node.integer("group", 1);
  if (failed(x) || failed(group) || failed(requireElements(node, *x, "X", Elements::Floats)))
    return failure();
  GraphValue &weight = node.input(1);
  if (x->rank() != 3 && x->rank() != 4)
    return node.unsupported("input X has rank " + Twine(x->rank()) + "; only 3 and 4 (1-D and 2-D) are supported");
  if (weight.rank() != x->rank())
    return node.badOperand("input W has rank " + Twine(weight.rank()) + "; X has " + Twine(x->rank()));
  SmallVector<int64_t> kernel = shapeOf(weight.sizes);
  if (llvm::any_of(kernel, [](int64_t size) { return ShapedType::isDynamic(size) || size < 1; }))
    return node.unsupported("input W must have known sizes of at least 1");
  int64_t filters = kernel[0], channels = kernel[1];
  kernel.erase(kernel.begin(), kernel.begin() + 2);
  if (*group < 1 || filters % *group)
    return node.badAttribute("attribute 'group' is " + Twine(*group) + "; it must divide the " + Twine(filters) +
                             " filters of input W");
  if (failed(node.requireDim(0, "X", 1, channels * *group)))
    return failure();
  if (weight.element != x->element())
    return node.badOperand("inputs X and W have different element types; they must have one");
  FailureOr<SmallVector<Move>> moves = movesOf(node, *x, kernel);
  if (failed(moves))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  Tensor seen = patches(b, *x, *moves);
  // Rows of what a group of filters sees: [N, positions, groups, C/groups * kernel].
  OpFoldResult positions = b.getIndexAttr(1);
  int64_t depth = channels;
  Sizes outputs;
  for (const Move &move : *moves) {
    positions = indexOp(b, IndexOp::Mul, positions, move.output);
    outputs.push_back(move.output);
    depth *= move.kernel;
  }
  OpFoldResult k = b.getIndexAttr(depth), f = b.getIndexAttr(filters);
  Tensor y; // [N, positions, F]
  Sizes rows{x->sizes[0], positions};
  Value matrix;
  if (*group == 1 && !x->element().isF64()) {
    GraphValue flat = weight;
    flat.sizes = {f, k};
    matrix = matrixOf(node, flat, Stored::Rows);
  }
  if (matrix) {
    Tensor wide = convert(b, reshape(b, seen, {x->sizes[0], positions, k}), b.getF32Type());
    y = convert(b, matmul(b, wide, matrix), x->element());
  } else {
    FailureOr<Tensor> w = node.tensor(1, "W");
    if (failed(w))
      return failure();
    y = timesFilters(b, seen, *w, *group, positions, depth);
  }
  if (node.has(2)) {
    FailureOr<Tensor> bias = node.tensor(2, "B");
    if (failed(bias))
      return failure();
    if (bias->rank() != 1 || !isConstantIntValue(bias->sizes[0], filters) || bias->element() != x->element())
      return node.badOperand("input B must have " + Twine(filters) + " elements of the type of X in one dimension");
    y = elementwise(b, {y, *bias}, y.sizes, y.element(),
                    [](ImplicitLocOpBuilder &at, ValueRange v) { return inF32(at, v, add); });
  }
  Sizes sizes{x->sizes[0], f};
  llvm::append_range(sizes, outputs);
  return node.set(0, reshape(b, transpose(b, y, {0, 2, 1}), sizes));
}

static constexpr Operator kOperators[] = {
    {"", "Conv", importConv, 2, 3, 1, "auto_pad dilations group kernel_shape pads strides"},
};

ArrayRef<Operator> convolutionOperators() { return kOperators; }

} // namespace whit
