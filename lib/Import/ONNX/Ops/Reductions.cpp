// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reductions over axes, which are an attribute in older operator sets and an input in newer ones, and softmax.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/Semantics/Transformer.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
/// What a reduction runs over, and what becomes of its axes.
struct Axes {
  SmallVector<int64_t> over;
  bool keep, noop;
};
} // namespace

static FailureOr<Axes> axesOf(Node &node, int64_t rank) {
  FailureOr<int64_t> keep = node.integer("keepdims", 1), noop = node.integer("noop_with_empty_axes", 0);
  if (failed(keep) || failed(noop))
    return failure();
  SmallVector<int64_t> over;
  if (node.has(1) || node.hasAttribute("axes")) {
    if (node.has(1) && node.hasAttribute("axes"))
      return LogicalResult(node.badAttribute("attribute 'axes' and input axes are both given; only one may be"));
    FailureOr<SmallVector<int64_t>> list = node.has(1) ? node.integers(1, "axes") : node.integerList("axes");
    if (failed(list))
      return failure();
    over = *list;
  }
  for (int64_t &axis : over) {
    if (axis < -rank || axis >= rank)
      return LogicalResult(node.badOperand("axis " + Twine(axis) + " is outside of rank " + Twine(rank)));
    axis = axis < 0 ? axis + rank : axis;
  }
  llvm::sort(over);
  if (std::adjacent_find(over.begin(), over.end()) != over.end())
    return LogicalResult(node.badOperand("an axis is named twice"));
  Axes axes{over, *keep != 0, over.empty() && *noop};
  if (over.empty() && !axes.noop)
    axes.over = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  return axes;
}

namespace {
/// f(reduction of g(x)).
struct Form {
  Reduction kind = Reduction::Sum;
  Elements allowed = Elements::Numbers;
  Value (*before)(ImplicitLocOpBuilder &, Value) = nullptr;
  Value (*after)(ImplicitLocOpBuilder &, Value) = nullptr;
};
} // namespace

static Value square(ImplicitLocOpBuilder &b, Value x) { return multiply(b, {x, x}); }
static Value exponentialOf(ImplicitLocOpBuilder &b, Value x) { return math::ExpOp::create(b, x); }
static Value logarithmOf(ImplicitLocOpBuilder &b, Value x) { return math::LogOp::create(b, x); }
/// Of integers toward zero.
static Value rootOf(ImplicitLocOpBuilder &b, Value x) {
  Type type = x.getType(), wide = isa<FloatType>(type) ? type : Type(b.getF32Type());
  return convert(b, math::SqrtOp::create(b, convert(b, x, wide)), type);
}

/// The type that sums of a type are made in.
static Type sumType(OpBuilder &b, Type type) {
  return isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32 ? Type(b.getF32Type()) : type;
}

static Tensor mapped(ImplicitLocOpBuilder &b, const Tensor &x, Value (*function)(ImplicitLocOpBuilder &, Value)) {
  if (!function)
    return x;
  return elementwise(b, x, x.sizes, x.numbers(),
                     [&](ImplicitLocOpBuilder &at, ValueRange v) { return function(at, v[0]); });
}

/// What is reduced, checked, and over which axes.
static LogicalResult readOperands(Node &node, Elements allowed, Tensor &x, Axes &axes) {
  FailureOr<Tensor> data = node.tensor(0, "data");
  if (failed(data) || failed(requireElements(node, *data, "data", allowed)))
    return failure();
  FailureOr<Axes> over = axesOf(node, data->rank());
  if (failed(over))
    return failure();
  x = *data;
  axes = *over;
  return success();
}

static LogicalResult importReduce(Node &node, const Form &form) {
  Tensor x;
  Axes axes;
  if (failed(readOperands(node, form.allowed, x, axes)))
    return failure();
  Type type = x.numbers();
  Tensor wide = mapped(node.b, convert(node.b, x, sumType(node.b, type)), form.before);
  if (!axes.over.empty())
    wide = reduce(node.b, wide, form.kind, axes.over, axes.keep);
  return node.set(0, convert(node.b, mapped(node.b, wide, form.after), type));
}

static LogicalResult importReduceSum(Node &node) { return importReduce(node, {}); }
static LogicalResult importReduceProd(Node &node) { return importReduce(node, {Reduction::Product}); }
static LogicalResult importReduceMax(Node &node) { return importReduce(node, {Reduction::Max, Elements::Any}); }
static LogicalResult importReduceMin(Node &node) { return importReduce(node, {Reduction::Min, Elements::Any}); }
static LogicalResult importReduceL1(Node &node) {
  return importReduce(node, {Reduction::Sum, Elements::Numbers, absolute});
}
static LogicalResult importReduceL2(Node &node) {
  return importReduce(node, {Reduction::Sum, Elements::Numbers, square, rootOf});
}
static LogicalResult importReduceSumSquare(Node &node) {
  return importReduce(node, {Reduction::Sum, Elements::Numbers, square});
}
static LogicalResult importReduceLogSum(Node &node) {
  return importReduce(node, {Reduction::Sum, Elements::Floats, nullptr, logarithmOf});
}

/// The number of elements that axes have together, as a value of a type.
static Value countOf(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<int64_t> axes, Type type) {
  OpFoldResult count = b.getIndexAttr(1);
  for (int64_t axis : axes)
    count = indexOp(b, IndexOp::Mul, count, x.sizes[axis]);
  if (std::optional<int64_t> number = getConstantIntValue(count))
    return constant(b, type, double(*number));
  Value integer = arith::IndexCastOp::create(b, b.getI64Type(), asValue(b, count));
  return convert(b, integer, type);
}

static LogicalResult importReduceMean(Node &node) {
  Tensor x;
  Axes axes;
  if (failed(readOperands(node, Elements::Numbers, x, axes)))
    return failure();
  if (axes.over.empty())
    return node.set(0, x);
  Type type = x.element(), wideType = sumType(node.b, type);
  Tensor sum = reduce(node.b, convert(node.b, x, wideType), Reduction::Sum, axes.over, axes.keep);
  Value known = countOf(node.b, x, axes.over, wideType);
  auto number = known.getDefiningOp<arith::ConstantOp>();
  Tensor mean = elementwise(node.b, sum, sum.sizes, wideType, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    Value count = number ? arith::ConstantOp::create(b, number.getValue()).getResult() : known;
    return isa<FloatType>(wideType) ? divide(b, {v[0], count}) : divideIntegers(b, v[0], count);
  });
  return node.set(0, convert(node.b, mean, type));
}

/// The largest element of each row, as what the others are compared with: exp of the differences cannot overflow.
static LogicalResult importReduceLogSumExp(Node &node) {
  Tensor x;
  Axes axes;
  if (failed(readOperands(node, Elements::Floats, x, axes)))
    return failure();
  if (axes.over.empty())
    return node.set(0, x);
  Type type = x.element(), wideType = sumType(node.b, type);
  Tensor wide = convert(node.b, x, wideType);
  Tensor most = reduce(node.b, wide, Reduction::Max, axes.over, /*keep=*/true);
  // A row of nothing but -infinity has no differences.
  most = elementwise(node.b, most, most.sizes, wideType, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Value lowest = constant(b, wideType, -std::numeric_limits<double>::infinity());
    Value isLowest = compare(b, Compare::Equal, v[0], lowest);
    return arith::SelectOp::create(b, isLowest, constant(b, wideType, 0), v[0]);
  });
  Tensor powers = elementwise(node.b, {wide, most}, wide.sizes, wideType,
                              [](ImplicitLocOpBuilder &b, ValueRange v) { return exponentialOf(b, subtract(b, v)); });
  Tensor sum = reduce(node.b, powers, Reduction::Sum, axes.over, /*keep=*/true);
  Tensor result = elementwise(node.b, {sum, most}, sum.sizes, wideType, [](ImplicitLocOpBuilder &b, ValueRange v) {
    return add(b, {logarithmOf(b, v[0]), v[1]});
  });
  if (!axes.keep) {
    Sizes sizes;
    for (auto [i, size] : llvm::enumerate(x.sizes))
      if (!llvm::is_contained(axes.over, int64_t(i)))
        sizes.push_back(size);
    result = reshape(node.b, result, sizes);
  }
  return node.set(0, convert(node.b, result, type));
}

// ------------------------------------------------------------------------------------------------ softmax

/// The input in f32, or f64, with the axis last, and how to take that back.
static LogicalResult alongAxis(Node &node, function_ref<Tensor(const Tensor &)> function) {
  FailureOr<int64_t> given = node.integer("axis", -1);
  FailureOr<Tensor> x = node.tensor(0, "input");
  if (failed(given) || failed(x) || failed(requireElements(node, *x, "input", Elements::Floats)))
    return failure();
  if (node.graph.opset < 13)
    return node.unsupported("operator sets before 13 take the softmax of several dimensions together",
                            "convert the model to opset 13 or newer");
  if (*given < -x->rank() || *given >= x->rank())
    return node.badAttribute("attribute 'axis' is " + Twine(*given) + "; input has rank " + Twine(x->rank()));
  int64_t axis = *given < 0 ? *given + x->rank() : *given, last = x->rank() - 1;
  SmallVector<int64_t> order = llvm::to_vector(llvm::seq<int64_t>(0, x->rank()));
  std::swap(order[axis], order[last]); // which is its own inverse
  Tensor wide = x->element().isF64() ? *x : convert(node.b, *x, node.b.getF32Type());
  Tensor y = function(axis == last ? wide : transpose(node.b, wide, order));
  return node.set(0, convert(node.b, axis == last ? y : transpose(node.b, y, order), x->element()));
}

static LogicalResult importSoftmax(Node &node) {
  return alongAxis(node, [&](const Tensor &x) {
    if (!x.element().isF64())
      return softmax(node.b, x);
    int64_t last = x.rank() - 1;
    Tensor most = reduce(node.b, x, Reduction::Max, last, /*keep=*/true);
    Tensor powers = elementwise(node.b, {x, most}, x.sizes, x.element(),
                                [](ImplicitLocOpBuilder &b, ValueRange v) { return exponential(b, subtract(b, v)); });
    Tensor sum = reduce(node.b, powers, Reduction::Sum, last, /*keep=*/true);
    return elementwise(node.b, {powers, sum}, x.sizes, x.element(), divide);
  });
}

/// x - max - log(sum of exp(x - max))
static LogicalResult importLogSoftmax(Node &node) {
  return alongAxis(node, [&](const Tensor &x) {
    int64_t last = x.rank() - 1;
    Tensor most = reduce(node.b, x, Reduction::Max, last, /*keep=*/true);
    Tensor shifted = elementwise(node.b, {x, most}, x.sizes, x.element(), subtract);
    Tensor sum = reduce(node.b, mapped(node.b, shifted, exponentialOf), Reduction::Sum, last, /*keep=*/true);
    return elementwise(node.b, {shifted, sum}, x.sizes, x.element(),
                       [](ImplicitLocOpBuilder &b, ValueRange v) { return subtract(b, {v[0], logarithmOf(b, v[1])}); });
  });
}

static constexpr Operator kOperators[] = {
    {"", "ReduceSum", importReduceSum, 1, 2, 1, "axes keepdims noop_with_empty_axes", true},
    {"", "ReduceMean", importReduceMean, 1, 2, 1, "axes keepdims noop_with_empty_axes"},
    {"", "ReduceMax", importReduceMax, 1, 2, 1, "axes keepdims noop_with_empty_axes", true},
    {"", "ReduceMin", importReduceMin, 1, 2, 1, "axes keepdims noop_with_empty_axes", true},
    {"", "ReduceProd", importReduceProd, 1, 2, 1, "axes keepdims noop_with_empty_axes", true},
    {"", "ReduceL1", importReduceL1, 1, 2, 1, "axes keepdims noop_with_empty_axes"},
    {"", "ReduceL2", importReduceL2, 1, 2, 1, "axes keepdims noop_with_empty_axes"},
    {"", "ReduceSumSquare", importReduceSumSquare, 1, 2, 1, "axes keepdims noop_with_empty_axes"},
    {"", "ReduceLogSum", importReduceLogSum, 1, 2, 1, "axes keepdims noop_with_empty_axes"},
    {"", "Softmax", importSoftmax, 1, 1, 1, "axis"},
    {"", "LogSoftmax", importLogSoftmax, 1, 1, 1, "axis"},
    {"", "ReduceLogSumExp", importReduceLogSumExp, 1, 2, 1, "axes keepdims noop_with_empty_axes"},
};

ArrayRef<Operator> reductionOperators() { return kOperators; }

} // namespace whit
