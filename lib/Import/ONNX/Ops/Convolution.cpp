// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Convolutions as products: the elements under each position of the kernel become a row, which is multiplied by the
// kernel as a matrix. A constant kernel is a weight like that of any other matmul, also one of codes. A kernel for each channel is no
// matrix: its few products are summed where they are.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/CodeProducts.h"
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

/// x with `outside` around it, as much as the moves reach.
static Tensor padded(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<Move> moves, Value outside) {
  Sizes low(2, b.getIndexAttr(0)), high = low, sizes(x.sizes.begin(), x.sizes.begin() + 2);
  bool isWhole = true;
  for (const Move &move : moves) {
    // (output - 1) * stride + span elements are seen, which may be fewer than x has.
    int64_t span = move.dilation * (move.kernel - 1) + 1;
    OpFoldResult steps = indexOp(b, IndexOp::Sub, move.output, b.getIndexAttr(1));
    OpFoldResult seen =
        indexOp(b, IndexOp::Add, indexOp(b, IndexOp::Mul, steps, b.getIndexAttr(move.stride)), b.getIndexAttr(span));
    OpFoldResult held = indexOp(b, IndexOp::Add, move.input, b.getIndexAttr(move.before));
    std::optional<int64_t> known = getConstantIntValue(seen), have = getConstantIntValue(held);
    OpFoldResult after = indexOp(b, IndexOp::Sub, seen, held);
    if (known && have)
      after = b.getIndexAttr(std::max<int64_t>(*known - *have, 0));
    else if (!sameSize(seen, held))
      after = arith::MaxSIOp::create(b, asValue(b, after), arith::ConstantIndexOp::create(b, 0)).getResult();
    low.push_back(b.getIndexAttr(move.before));
    high.push_back(after);
    sizes.push_back(indexOp(b, IndexOp::Add, held, after));
    isWhole &= move.before == 0 && isConstantIntValue(after, 0);
  }
  if (isWhole)
    return x;
  auto type = RankedTensorType::get(shapeOf(sizes), x.element());
  return {tensor::PadOp::create(b, type, x.value, low, high, outside), sizes, x.meaning};
}

/// Where a window sees x along each dimension: output * stride + kernel * dilation.
static SmallVector<AffineExpr> placesOf(ImplicitLocOpBuilder &b, ArrayRef<Move> moves, unsigned output,
                                        unsigned kernel) {
  SmallVector<AffineExpr> places;
  for (auto [i, move] : llvm::enumerate(moves))
    places.push_back(b.getAffineDimExpr(output + i) * move.stride + b.getAffineDimExpr(kernel + i) * move.dilation);
  return places;
}

/// The same as `patches` of what is padded already: [N, outputs..., C, kernel...].
static Tensor windows(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<Move> moves) {
  // Along dimensions where the kernel has one element there is nothing to go through: loops of one iteration have one lane.
  if (llvm::all_of(moves, [](const Move &move) { return move.kernel == 1 && move.stride == 1; })) {
    OpFoldResult positions = b.getIndexAttr(1);
    Sizes all{x.sizes[0]};
    for (const Move &move : moves) {
      positions = indexOp(b, IndexOp::Mul, positions, move.output);
      all.push_back(move.output);
    }
    all.push_back(x.sizes[1]);
    all.append(moves.size(), b.getIndexAttr(1));
    return reshape(b, transpose(b, reshape(b, x, {x.sizes[0], x.sizes[1], positions}), {0, 2, 1}), all);
  }
  unsigned count = moves.size(), rank = 2 + 2 * count;
  Sizes sizes{x.sizes[0]};
  for (const Move &move : moves)
    sizes.push_back(move.output);
  sizes.push_back(x.sizes[1]);
  for (const Move &move : moves)
    sizes.push_back(b.getIndexAttr(move.kernel));
  SmallVector<AffineExpr> from{b.getAffineDimExpr(0), b.getAffineDimExpr(1 + count)};
  llvm::append_range(from, placesOf(b, moves, 1, 2 + count));
  Value init = empty(b, sizes, x.element());
  AffineMap maps[] = {AffineMap::get(rank, 0, from, b.getContext()), b.getMultiDimIdentityMap(rank)};
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, init.getType(), x.value, init, maps, loops,
      [](OpBuilder &inner, Location loc, ValueRange v) { linalg::YieldOp::create(inner, loc, v[0]); });
  return {generic.getResult(0), sizes, x.meaning};
}

/// A kernel for each channel: y[n, c, o...] = sum over j of (x[n, c, o * stride + j * dilation] - xZero) * (w[c, j...] - wZero), in
/// `sum`; x is padded, w [C, 1, kernel...], zeros have rank 0 and may be absent.
static Tensor byChannel(ImplicitLocOpBuilder &b, const Tensor &x, const std::optional<Tensor> &xZero, const Tensor &w,
                        const std::optional<Tensor> &wZero, ArrayRef<Move> moves, Type sum) {
  unsigned count = moves.size(), rank = 2 + 2 * count;
  Sizes sizes{x.sizes[0], x.sizes[1]}, kernel{w.sizes[0]};
  for (const Move &move : moves) {
    sizes.push_back(move.output);
    kernel.push_back(b.getIndexAttr(move.kernel));
  }
  Tensor flat = reshape(b, w, kernel);
  SmallVector<AffineExpr> ofX{b.getAffineDimExpr(0), b.getAffineDimExpr(1)}, ofW{b.getAffineDimExpr(1)}, ofY = ofX;
  llvm::append_range(ofX, placesOf(b, moves, 2, 2 + count));
  for (unsigned i = 0; i < count; ++i) {
    ofY.push_back(b.getAffineDimExpr(2 + i));
    ofW.push_back(b.getAffineDimExpr(2 + count + i));
  }
  MLIRContext *context = b.getContext();
  SmallVector<Value> inputs{x.value, flat.value};
  SmallVector<AffineMap> maps{AffineMap::get(rank, 0, ofX, context), AffineMap::get(rank, 0, ofW, context)};
  for (const std::optional<Tensor> &zero : {xZero, wZero})
    if (zero) {
      inputs.push_back(zero->value);
      maps.push_back(AffineMap::get(rank, 0, context));
    }
  maps.push_back(AffineMap::get(rank, 0, ofY, context));
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  std::fill(loops.begin() + 2 + count, loops.end(), utils::IteratorType::reduction);
  Value init = zeros(b, sizes, sum);
  auto generic = linalg::GenericOp::create(
      b, init.getType(), inputs, init, maps, loops, [&](OpBuilder &inner, Location loc, ValueRange v) {
        ImplicitLocOpBuilder at(loc, inner);
        unsigned next = 2;
        Value factors[] = {v[0], v[1]};
        for (auto [factor, tensor, zero] : {std::tuple(&factors[0], &x, &xZero), {&factors[1], &w, &wZero}}) {
          *factor = convertHeld(at, *factor, tensor->numbers(), sum);
          if (*zero)
            *factor = subtract(at, {*factor, convertHeld(at, v[next++], (*zero)->numbers(), sum)});
        }
        linalg::YieldOp::create(at, add(at, {v.back(), multiply(at, factors)}));
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

FailureOr<std::optional<Tensor>> convolveCodes(Node &node, const CodeConvolution &inputs, Finish finish) {
  FailureOr<Tensor> x = node.tensor(inputs.x, "x");
  FailureOr<int64_t> group = node.integer("group", 1);
  if (failed(x) || failed(group))
    return failure();
  auto zeroOf = [&](unsigned i, const Tensor &like, StringRef role) -> FailureOr<std::optional<Tensor>> {
    if (!node.has(i))
      return std::optional<Tensor>();
    FailureOr<Tensor> zero = node.tensor(i, role);
    if (failed(zero))
      return failure();
    bool isOne = zero->rank() == 0 || (zero->rank() == 1 && isConstantIntValue(zero->sizes[0], 1));
    if (!isOne || zero->numbers() != like.numbers())
      return LogicalResult(
          node.badOperand("input " + role + " must be one number of type " + typeName(like.numbers())));
    return std::optional(reshape(node.b, *zero, {}));
  };
  if (!x->numbers().isInteger(8))
    return LogicalResult(
        node.badOperand("input x has elements of type " + typeName(x->numbers()) + "; they must be i8 or uint8"));
  FailureOr<std::optional<Tensor>> xZero = zeroOf(inputs.xZero, *x, "x_zero_point");
  if (failed(xZero))
    return failure();
  const GraphValue &w = node.input(inputs.w);
  if ((x->rank() != 3 && x->rank() != 4) || w.rank() != x->rank())
    return LogicalResult(node.unsupported("inputs x and w have ranks " + Twine(x->rank()) + " and " + Twine(w.rank()) +
                                          "; both must be 3 or 4 (1-D and 2-D)"));
  SmallVector<int64_t> kernel = shapeOf(w.sizes);
  if (llvm::any_of(kernel, [](int64_t size) { return ShapedType::isDynamic(size) || size < 1; }))
    return LogicalResult(node.unsupported("input w must have known sizes of at least 1"));
  int64_t filters = kernel[0], depth = kernel[1];
  kernel.erase(kernel.begin(), kernel.begin() + 2);
  if (*group < 1 || filters % *group)
    return LogicalResult(node.badAttribute("attribute 'group' is " + Twine(*group) + "; it must divide the " +
                                           Twine(filters) + " filters of input w"));
  if (failed(node.requireDim(inputs.x, "x", 1, depth * *group)))
    return failure();
  FailureOr<SmallVector<Move>> moves = movesOf(node, *x, kernel);
  if (failed(moves))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  Value outside =
      *xZero ? tensor::ExtractOp::create(b, (*xZero)->value, ValueRange()).getResult() : constant(b, x->element(), 0);
  Sizes sizes{x->sizes[0], w.sizes[0]};
  OpFoldResult positions = b.getIndexAttr(1);
  for (const Move &move : *moves) {
    sizes.push_back(move.output);
    positions = indexOp(b, IndexOp::Mul, positions, move.output);
    depth *= move.kernel;
  }
  std::optional<CodeMatrix> matrix =
      *group == 1 ? codeMatrixOf(node, inputs.w, inputs.wZero, filters, Stored::Rows) : std::nullopt;
  if (matrix) {
    OpFoldResult rows = indexOp(b, IndexOp::Mul, x->sizes[0], positions);
    Tensor seen = windows(b, padded(b, *x, *moves, outside), *moves);
    FailureOr<Tensor> y = finish(multiplyCodes(b, reshape(b, seen, {rows, b.getIndexAttr(depth)}), *xZero, *matrix), 1);
    if (failed(y))
      return failure();
    Tensor split = reshape(b, *y, {x->sizes[0], positions, w.sizes[0]});
    return std::optional(reshape(b, transpose(b, split, {0, 2, 1}), sizes));
  }
  // Exporters write a zero point for each channel, all of them 0.
  const StoredTensor *zeros = node.has(inputs.wZero) ? node.input(inputs.wZero).stored.get() : nullptr;
  bool isOne =
      !node.has(inputs.wZero) || (zeros && zeros->count && zeros->type->bits == 8 &&
                                  llvm::all_of(zeros->bytes, [&](uint8_t byte) { return byte == zeros->bytes[0]; }));
  if (*group != filters || !isConstantIntValue(w.sizes[1], 1) || !isOne)
    return std::optional<Tensor>();
  FailureOr<Tensor> filter = node.tensor(inputs.w, "w");
  if (failed(filter))
    return failure();
  if (!filter->numbers().isInteger(8) || (zeros && node.input(inputs.wZero).element != filter->numbers()))
    return LogicalResult(node.badOperand("inputs w and w_zero_point must both be i8 or uint8"));
  std::optional<Tensor> wZero;
  if (zeros && zeros->bytes[0] != 0) {
    auto type = RankedTensorType::get({}, b.getI8Type());
    auto number = DenseElementsAttr::get(type, int8_t(zeros->bytes[0]));
    wZero = makeTensor(arith::ConstantOp::create(b, number), {}, filter->numbers());
  }
  Tensor sums = byChannel(b, padded(b, *x, *moves, outside), *xZero, *filter, wZero, *moves, b.getI32Type());
  FailureOr<Tensor> y = finish(sums, 1);
  return failed(y) ? FailureOr<std::optional<Tensor>>(failure()) : std::optional(*y);
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
  std::optional<Tensor> bias;
  if (node.has(2)) {
    FailureOr<Tensor> given = node.tensor(2, "B");
    if (failed(given))
      return failure();
    if (given->rank() != 1 || !isConstantIntValue(given->sizes[0], filters) || given->element() != x->element())
      return node.badOperand("input B must have " + Twine(filters) + " elements of the type of X in one dimension");
    bias = *given;
  }
  auto plusBias = [&](const Tensor &y, int64_t channel) {
    if (!bias)
      return y;
    Sizes sizes(y.rank() - channel, b.getIndexAttr(1));
    sizes[0] = bias->sizes[0];
    return elementwise(b, {y, reshape(b, *bias, sizes)}, y.sizes, y.element(),
                       [](ImplicitLocOpBuilder &at, ValueRange v) { return inF32(at, v, add); });
  };
  if (*group == filters && channels == 1 && x->element().isF32()) {
    FailureOr<Tensor> w = node.tensor(1, "W");
    if (failed(w))
      return failure();
    Tensor around = padded(b, *x, *moves, constant(b, x->element(), 0));
    return node.set(0, plusBias(byChannel(b, around, {}, *w, {}, *moves, x->element()), 1));
  }
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
  y = plusBias(y, 2);
  Sizes sizes{x->sizes[0], f};
  llvm::append_range(sizes, outputs);
  return node.set(0, reshape(b, transpose(b, y, {0, 2, 1}), sizes));
}

static constexpr Operator kOperators[] = {
    {"", "Conv", importConv, 2, 3, 1, "auto_pad dilations group kernel_shape pads strides"},
};

ArrayRef<Operator> convolutionOperators() { return kOperators; }

} // namespace whit
