// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators that walk along an axis: running sums, the largest elements and where they are, and elements picked or put
// there by indices.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/Semantics/Loops.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// The attribute `axis` from 0 on.
static FailureOr<int64_t> axisAttribute(Node &node, int64_t byDefault, int64_t rank) {
  FailureOr<int64_t> axis = node.integer("axis", byDefault);
  if (failed(axis))
    return failure();
  if (*axis < -rank || *axis >= rank)
    return LogicalResult(
        node.badAttribute("attribute 'axis' is " + Twine(*axis) + "; the input has rank " + Twine(rank)));
  return *axis < 0 ? *axis + rank : *axis;
}

static SmallVector<Value> replaced(ValueRange loops, int64_t axis, Value index) {
  SmallVector<Value> at(loops);
  at[axis] = index;
  return at;
}

static Value asIndex(ImplicitLocOpBuilder &b, Value integer) {
  return arith::IndexCastOp::create(b, b.getIndexType(), integer);
}

static FailureOr<Tensor> indicesAt(Node &node, unsigned i, StringRef role) {
  FailureOr<Tensor> indices = node.tensor(i, role);
  if (succeeded(indices) && !indices->numbers().isSignlessInteger(64) && !indices->numbers().isSignlessInteger(32))
    return LogicalResult(node.badOperand("input " + role + " has elements of type " + typeName(indices->numbers()) +
                                         "; they must be i32 or i64"));
  return indices;
}

// ------------------------------------------------------------------------------------------------ running sums

static LogicalResult importRunning(Node &node, bool isSum) {
  FailureOr<int64_t> exclusive = node.integer("exclusive", 0), reverse = node.integer("reverse", 0);
  FailureOr<Tensor> x = node.tensor(0, "x");
  FailureOr<SmallVector<int64_t>> list = node.integers(1, "axis");
  if (failed(exclusive) || failed(reverse) || failed(x) || failed(list) ||
      failed(requireElements(node, *x, "x", Elements::Numbers)))
    return failure();
  int64_t rank = x->rank();
  if (list->size() != 1 || (*list)[0] < -rank || (*list)[0] >= rank)
    return node.badOperand("input axis must be one dimension of input x, which has rank " + Twine(rank));
  int64_t axis = (*list)[0] < 0 ? (*list)[0] + rank : (*list)[0];
  Type type = x->numbers();
  Type wide = isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32 ? Type(node.b.getF32Type()) : type;
  Tensor y = accumulated(node.b, x->sizes, x->sizes[axis], wide, numberAttribute(node.b, wide, isSum ? 0 : 1),
                         [&](ImplicitLocOpBuilder &b, ValueRange loops, Value soFar) -> Value {
                           Value term = convert(b, elementAt(b, *x, replaced(loops.drop_back(), axis, loops.back())),
                                                held(wide));
                           Compare how = *reverse     ? *exclusive ? Compare::Greater : Compare::GreaterOrEqual
                                         : *exclusive ? Compare::Less
                                                      : Compare::LessOrEqual;
                           Value isIn = compare(b, how, loops.back(), loops[axis]);
                           Value next = isSum ? add(b, {soFar, term}) : multiply(b, {soFar, term});
                           return arith::SelectOp::create(b, isIn, next, soFar);
                         });
  return node.set(0, convert(node.b, y, type));
}
static LogicalResult importCumSum(Node &node) { return importRunning(node, true); }
static LogicalResult importCumProd(Node &node) { return importRunning(node, false); }

// ------------------------------------------------------------------------------------------------ the largest

/// Where along the axis the largest (or smallest) element is: the first such place, or the last.
static Tensor argument(ImplicitLocOpBuilder &b, const Tensor &x, int64_t axis, bool isMost, bool isLast) {
  Sizes sizes = x.sizes;
  sizes[axis] = b.getIndexAttr(1);
  Sign sign = signOfType(x.numbers());
  Compare how = isMost   ? isLast ? Compare::GreaterOrEqual : Compare::Greater
                : isLast ? Compare::LessOrEqual
                         : Compare::Less;
  return accumulated(b, sizes, x.sizes[axis], b.getI64Type(), b.getI64IntegerAttr(0),
                     [&](ImplicitLocOpBuilder &at, ValueRange loops, Value soFar) -> Value {
                       ValueRange outer = loops.drop_back();
                       Value best = elementAt(at, x, replaced(outer, axis, asIndex(at, soFar)));
                       Value mine = elementAt(at, x, replaced(outer, axis, loops.back()));
                       Value index = arith::IndexCastOp::create(at, at.getI64Type(), loops.back());
                       return arith::SelectOp::create(at, compare(at, how, mine, best, sign), index, soFar);
                     });
}

static LogicalResult importArgument(Node &node, bool isMost) {
  FailureOr<int64_t> keep = node.integer("keepdims", 1), last = node.integer("select_last_index", 0);
  FailureOr<Tensor> x = node.tensor(0, "data");
  if (failed(keep) || failed(last) || failed(x) || failed(requireElements(node, *x, "data", Elements::Numbers)))
    return failure();
  FailureOr<int64_t> axis = axisAttribute(node, 0, x->rank());
  if (failed(axis))
    return failure();
  Tensor y = argument(node.b, *x, *axis, isMost, *last != 0);
  if (!*keep) {
    Sizes sizes = y.sizes;
    sizes.erase(sizes.begin() + *axis);
    y = reshape(node.b, y, sizes);
  }
  return node.set(0, y);
}
static LogicalResult importArgMax(Node &node) { return importArgument(node, true); }
static LogicalResult importArgMin(Node &node) { return importArgument(node, false); }

/// 1 at the first largest element, else 0.
static LogicalResult importHardmax(Node &node) {
  FailureOr<Tensor> x = node.tensor(0, "input");
  if (failed(x) || failed(requireElements(node, *x, "input", Elements::Floats)))
    return failure();
  if (node.graph.opset < 13)
    return node.unsupported("operator sets before 13 take several dimensions together",
                            "convert the model to opset 13 or newer");
  FailureOr<int64_t> axis = axisAttribute(node, -1, x->rank());
  if (failed(axis))
    return failure();
  Tensor most = argument(node.b, *x, *axis, true, false);
  Type type = x->element();
  return node.set(0, elementwise(node.b, most, x->sizes, type, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                    Value index = arith::IndexCastOp::create(b, b.getI64Type(), linalg::IndexOp::create(b, *axis));
                    return arith::SelectOp::create(b, compare(b, Compare::Equal, index, v[0]), constant(b, type, 1),
                                                   constant(b, type, 0));
                  }));
}

/// Each element's place among the others follows from how many come before it; then each place looks for its element.
static LogicalResult importTopK(Node &node) {
  FailureOr<int64_t> largest = node.integer("largest", 1), sorted = node.integer("sorted", 1);
  FailureOr<Tensor> x = node.tensor(0, "X");
  FailureOr<Sizes> k = node.sizes(1, "K");
  if (failed(largest) || failed(sorted) || failed(x) || failed(k) ||
      failed(requireElements(node, *x, "X", Elements::Numbers)))
    return failure();
  FailureOr<int64_t> axis = axisAttribute(node, -1, x->rank());
  if (failed(axis))
    return failure();
  std::optional<int64_t> count = k->size() == 1 ? getConstantIntValue((*k)[0]) : std::nullopt,
                         size = getConstantIntValue(x->sizes[*axis]);
  if (!count || *count < 0 || (size && *count > *size))
    return node.badOperand("input K must be one constant, from 0 to the size of the axis");
  if (!size)
    return node.unsupported("input X has a symbolic size along the axis, which may be less than K",
                            "fix it with --dim NAME=N");
  Sign sign = signOfType(x->numbers());
  ImplicitLocOpBuilder &b = node.b;
  Type i64 = b.getI64Type();
  Tensor rank = accumulated(b, x->sizes, x->sizes[*axis], i64, b.getI64IntegerAttr(0),
                            [&](ImplicitLocOpBuilder &at, ValueRange loops, Value soFar) -> Value {
                              ValueRange outer = loops.drop_back();
                              Value mine = elementAt(at, *x, outer);
                              Value other = elementAt(at, *x, replaced(outer, *axis, loops.back()));
                              Value isBetter =
                                  compare(at, *largest ? Compare::Greater : Compare::Less, other, mine, sign);
                              Value isSame = compare(at, Compare::Equal, other, mine);
                              Value isEarlier = compare(at, Compare::Less, loops.back(), loops[*axis]);
                              Value before = arith::OrIOp::create(at, isBetter, both(at, isSame, isEarlier));
                              return add(at, {soFar, convert(at, before, i64)});
                            });
  Sizes sizes = x->sizes;
  sizes[*axis] = b.getIndexAttr(*count);
  Tensor places = accumulated(b, sizes, x->sizes[*axis], i64, b.getI64IntegerAttr(0),
                              [&](ImplicitLocOpBuilder &at, ValueRange loops, Value soFar) -> Value {
                                ValueRange outer = loops.drop_back();
                                Value of = asIndex(at, elementAt(at, rank, replaced(outer, *axis, loops.back())));
                                Value index = arith::IndexCastOp::create(at, i64, loops.back());
                                Value isMine = compare(at, Compare::Equal, of, loops[*axis]);
                                return arith::SelectOp::create(at, isMine, index, soFar);
                              });
  if (failed(node.set(1, places)))
    return failure();
  if (!node.wants(0))
    return success();
  return node.set(0, computed(b, sizes, x->numbers(), [&](ImplicitLocOpBuilder &at, ValueRange loops) {
                    return elementAt(at, *x, replaced(loops, *axis, asIndex(at, elementAt(at, places, loops))));
                  }));
}

// ------------------------------------------------------------------------------------------------ by indices

/// result[i...] = data[..., indices[i...], ...]
static LogicalResult importGatherElements(Node &node) {
  FailureOr<Tensor> x = node.tensor(0, "data"), indices = indicesAt(node, 1, "indices");
  if (failed(x) || failed(indices))
    return failure();
  FailureOr<int64_t> axis = axisAttribute(node, 0, x->rank());
  if (failed(axis))
    return failure();
  if (indices->rank() != x->rank())
    return node.badOperand("input indices has rank " + Twine(indices->rank()) + "; data has " + Twine(x->rank()));
  return node.set(0, computed(node.b, indices->sizes, x->numbers(), [&](ImplicitLocOpBuilder &b, ValueRange loops) {
                    SmallVector<Value> at;
                    for (auto [loop, size] : llvm::zip(loops, x->sizes)) // indices may be no larger than data
                      at.push_back(nearestWithin(b, loop, size));
                    at[*axis] = wrapIndex(b, elementAt(b, *indices, loops), x->sizes[*axis]);
                    return elementAt(b, *x, at);
                  }));
}

/// Each element looks along its axis for updates that are for it, in order: the last of several wins.
static LogicalResult importScatterElements(Node &node) {
  FailureOr<std::string> reduction = node.text("reduction", "none");
  FailureOr<Tensor> x = node.tensor(0, "data"), indices = indicesAt(node, 1, "indices"),
                    updates = node.tensor(2, "updates");
  if (failed(reduction) || failed(x) || failed(indices) || failed(updates))
    return failure();
  FailureOr<int64_t> axis = axisAttribute(node, 0, x->rank());
  if (failed(axis))
    return failure();
  if (!llvm::is_contained({"none", "add", "mul", "max", "min"}, *reduction))
    return node.badAttribute("attribute 'reduction' is '" + shown(*reduction) +
                             "'; it must be none, add, mul, max or min");
  if (indices->rank() != x->rank() || updates->rank() != x->rank() || updates->numbers() != x->numbers() ||
      !llvm::equal(indices->sizes, updates->sizes, sameSize))
    return node.badOperand("inputs indices and updates must have one shape, of the rank of data, and updates its type");
  if (*reduction != "none" && failed(requireElements(node, *x, "data", Elements::Numbers)))
    return failure();
  Sign sign = signOfType(x->numbers());
  ImplicitLocOpBuilder &b = node.b;
  int64_t rank = x->rank();
  auto combine = [&](ImplicitLocOpBuilder &at, Value old, Value update) -> Value {
    if (*reduction == "none")
      return update;
    if (*reduction == "add")
      return add(at, {old, update});
    if (*reduction == "mul")
      return multiply(at, {old, update});
    return *reduction == "max" ? maximum(at, old, update, sign) : minimum(at, old, update, sign);
  };
  Tensor extent = splat(b, indices->sizes[*axis], b.getI8IntegerAttr(0));
  AffineMap maps[] = {AffineMap::get(rank + 1, 0, b.getAffineDimExpr(rank)),
                      b.getMultiDimIdentityMap(rank + 1).dropResult(rank)};
  SmallVector<utils::IteratorType> kinds(rank, utils::IteratorType::parallel);
  kinds.push_back(utils::IteratorType::reduction);
  auto generic = linalg::GenericOp::create(
      b, x->value.getType(), extent.value, x->value, maps, kinds, [&](OpBuilder &inner, Location loc, ValueRange v) {
        ImplicitLocOpBuilder at(loc, inner);
        SmallVector<Value> from;
        Value hit;
        for (int64_t i = 0; i < rank; ++i) {
          Value loop = linalg::IndexOp::create(at, i == *axis ? rank : i);
          if (i != *axis && !sameSize(indices->sizes[i], x->sizes[i]))
            hit = both(at, hit, isWithin(at, loop, indices->sizes[i]));
          from.push_back(nearestWithin(at, loop, indices->sizes[i]));
        }
        Value index = asIndex(at, elementAt(at, *indices, from)), here = linalg::IndexOp::create(at, *axis);
        Value fromEnd = plus(at, index, asValue(at, x->sizes[*axis]));
        hit = both(at, hit,
                   arith::OrIOp::create(at, compare(at, Compare::Equal, index, here),
                                        compare(at, Compare::Equal, fromEnd, here)));
        Value next = combine(at, v[1], elementAt(at, *updates, from));
        linalg::YieldOp::create(at, arith::SelectOp::create(at, hit, next, v[1]).getResult());
      });
  return node.set(0, {generic.getResult(0), x->sizes, x->meaning});
}

/// values[1] where the index is the place along the new axis, else values[0].
static LogicalResult importOneHot(Node &node) {
  FailureOr<Tensor> indices = node.tensor(0, "indices"), values = node.tensor(2, "values");
  if (failed(indices) || failed(values) || failed(requireElements(node, *indices, "indices", Elements::Numbers)))
    return failure();
  GraphValue &given = node.input(1);
  std::optional<int64_t> depth;
  if (given.elements && given.elements->size() == 1) {
    if (auto number = dyn_cast_if_present<FloatAttr>(dyn_cast<Attribute>((*given.elements)[0])))
      depth = int64_t(number.getValueAsDouble());
    else
      depth = getConstantIntValue((*given.elements)[0]);
  }
  if (!depth || *depth < 1)
    return node.unsupported("input depth must be one constant of at least 1");
  if (values->rank() != 1 || !isConstantIntValue(values->sizes[0], 2))
    return node.badOperand("input values must have 2 elements");
  FailureOr<int64_t> axis = axisAttribute(node, -1, indices->rank() + 1);
  if (failed(axis))
    return failure();
  Sizes sizes = indices->sizes;
  sizes.insert(sizes.begin() + *axis, node.b.getIndexAttr(*depth));
  if (int64_t(sizes.size()) > kMaxTensorRank)
    return node.unsupported("the result has rank " + Twine(sizes.size()) + "; at most " + Twine(kMaxTensorRank) +
                            " is supported");
  Type from = indices->numbers(), i64 = node.b.getI64Type();
  return node.set(0, computed(node.b, sizes, values->numbers(), [&](ImplicitLocOpBuilder &b, ValueRange loops) {
                    SmallVector<Value> at(loops);
                    at.erase(at.begin() + *axis);
                    Value index = asIndex(b, convertHeld(b, elementAt(b, *indices, at), from, i64));
                    Value fromEnd = plus(b, index, indexConstant(b, *depth));
                    Value isHere = arith::OrIOp::create(b, compare(b, Compare::Equal, index, loops[*axis]),
                                                        compare(b, Compare::Equal, fromEnd, loops[*axis]));
                    Value place = arith::SelectOp::create(b, isHere, indexConstant(b, 1), indexConstant(b, 0));
                    return elementAt(b, *values, place);
                  }));
}

/// The first elements of each sequence in reverse order.
static LogicalResult importReverseSequence(Node &node) {
  FailureOr<int64_t> batch = node.integer("batch_axis", 1), time = node.integer("time_axis", 0);
  FailureOr<Tensor> x = node.tensor(0, "input"), lengths = indicesAt(node, 1, "sequence_lens");
  if (failed(batch) || failed(time) || failed(x) || failed(lengths))
    return failure();
  if (x->rank() < 2 || *batch + *time != 1 || *batch < 0 || *time < 0)
    return node.badAttribute("attributes 'batch_axis' and 'time_axis' must be 0 and 1, in either order");
  if (lengths->rank() != 1 || !node.graph.unify(lengths->sizes[0], x->sizes[*batch]))
    return node.badOperand("input sequence_lens must have one number for each of the batch");
  return node.set(0, computed(node.b, x->sizes, x->numbers(), [&](ImplicitLocOpBuilder &b, ValueRange loops) {
                    Value length = asIndex(b, elementAt(b, *lengths, loops[*batch]));
                    Value last = arith::SubIOp::create(b, length, indexConstant(b, 1));
                    Value mirrored = arith::SubIOp::create(b, last, loops[*time]);
                    Value isIn = compare(b, Compare::Less, loops[*time], length);
                    Value from = arith::SelectOp::create(b, isIn, mirrored, loops[*time]);
                    return elementAt(b, *x, replaced(loops, *time, nearestWithin(b, from, x->sizes[*time])));
                  }));
}

/// Slices whose condition, a constant, is true.
static LogicalResult importCompress(Node &node) {
  FailureOr<SmallVector<int64_t>> condition = node.integers(1, "condition");
  FailureOr<Tensor> x = node.tensor(0, "input");
  if (failed(condition) || failed(x))
    return failure();
  int64_t axis = 0;
  Tensor data = *x;
  if (node.hasAttribute("axis")) {
    FailureOr<int64_t> given = axisAttribute(node, 0, x->rank());
    if (failed(given))
      return failure();
    axis = *given;
  } else {
    OpFoldResult count = node.graph.algebra.product(node.b, x->sizes);
    if (!count)
      return node.badOperand("input has more elements than can be counted");
    data = reshape(node.b, *x, {count});
  }
  SmallVector<Attribute> picks;
  for (auto [i, isKept] : llvm::enumerate(*condition))
    if (isKept)
      picks.push_back(node.b.getI64IntegerAttr(i));
  std::optional<int64_t> size = getConstantIntValue(data.sizes[axis]);
  if (!size || int64_t(condition->size()) > *size)
    return node.unsupported("input condition must be no longer than the axis, whose size must be known");
  if (picks.empty())
    return node.unsupported("input condition is false everywhere; nothing would be left");
  auto type = RankedTensorType::get(int64_t(picks.size()), node.b.getI64Type());
  Value list = arith::ConstantOp::create(node.b, DenseElementsAttr::get(type, picks));
  return node.set(0, take(node.b, data, {list, {node.b.getIndexAttr(picks.size())}}, axis));
}

static constexpr Operator kOperators[] = {
    {"", "CumSum", importCumSum, 2, 2, 1, "exclusive reverse", true},
    {"", "CumProd", importCumProd, 2, 2, 1, "exclusive reverse", true},
    {"", "ArgMax", importArgMax, 1, 1, 1, "axis keepdims select_last_index", true},
    {"", "ArgMin", importArgMin, 1, 1, 1, "axis keepdims select_last_index", true},
    {"", "Hardmax", importHardmax, 1, 1, 1, "axis"},
    {"", "TopK", importTopK, 2, 2, 2, "axis largest sorted", true},
    {"", "GatherElements", importGatherElements, 2, 2, 1, "axis", true},
    {"", "ScatterElements", importScatterElements, 3, 3, 1, "axis reduction", true},
    {"", "Scatter", importScatterElements, 3, 3, 1, "axis", true},
    {"", "OneHot", importOneHot, 3, 3, 1, "axis", true},
    {"", "ReverseSequence", importReverseSequence, 2, 2, 1, "batch_axis time_axis", true},
    {"", "Compress", importCompress, 2, 2, 1, "axis", true},
};

ArrayRef<Operator> selectionOperators() { return kOperators; }

} // namespace whit
