// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Integers are index values, and SizeAlgebra computes with them; floats are APFloat of the element type, so every result
// is rounded as the operator's own would be. What is not certain (the sign of a difference of symbols, say) is not
// folded.

#include "Import/ONNX/KnownValues.h"

#include "Import/ONNX/Graph.h"
#include "Import/Semantics/SmallFloats.h"

#include "llvm/ADT/APFloat.h"

#include <cmath>

using namespace mlir;

namespace whit {

using semantics::Sizes;

static int64_t countOfShape(ArrayRef<int64_t> shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

std::optional<SmallVector<int64_t>> staticShape(const GraphValue &value) {
  SmallVector<int64_t> shape = semantics::shapeOf(value.sizes);
  if (llvm::is_contained(shape, ShapedType::kDynamic))
    return std::nullopt;
  return shape;
}

// ------------------------------------------------------------------------------------------------ making, reading

/// An integer of a type; unsigned ones of 64 bits have none beyond 2^63, where an index ends.
static OpFoldResult integerOf(MLIRContext *context, Type element, int64_t value) {
  unsigned bits = element.getIntOrFloatBitWidth();
  if (element.isUnsignedInteger())
    value = bits == 64 ? value : int64_t(uint64_t(value) & ((uint64_t(1) << bits) - 1));
  else
    value = bits == 1 ? value != 0 : llvm::SignExtend64(uint64_t(value), bits);
  return element.isUnsignedInteger() && value < 0 ? OpFoldResult() : Builder(context).getIndexAttr(value);
}

static OpFoldResult floatOf(FloatType element, APFloat value) {
  bool loses;
  value.convert(element.getFloatSemantics(), APFloat::rmNearestTiesToEven, &loses);
  return FloatAttr::get(element, value);
}

Sizes storedElements(const StoredTensor &tensor, Type element) {
  Sizes elements;
  if (auto type = dyn_cast<FloatType>(element)) {
    SmallVector<double> values = *tensor.floats();
    for (double value : values)
      elements.push_back(floatOf(type, APFloat(value)));
  } else if (tensor.type->kind == OnnxType::Other) { // codes of floats, of which 4 bits stand two in a byte
    for (int64_t i = 0; i < tensor.count; ++i) {
      int code = tensor.type->bits == 8 ? tensor.bytes[i] : tensor.bytes[i / 2] >> (i % 2 * 4) & 15;
      elements.push_back(integerOf(element.getContext(), element, code));
    }
  } else {
    SmallVector<int64_t> values = *tensor.integers();
    for (int64_t value : values)
      elements.push_back(integerOf(element.getContext(), element, value));
  }
  return elements;
}

Value knownTensor(ImplicitLocOpBuilder &b, RankedTensorType type, ArrayRef<OpFoldResult> elements) {
  Type element = type.getElementType();
  SmallVector<Attribute> constants;
  for (OpFoldResult known : elements)
    if (auto number = dyn_cast_if_present<FloatAttr>(dyn_cast<Attribute>(known)))
      constants.push_back(number);
    else if (std::optional<int64_t> integer = getConstantIntValue(known))
      constants.push_back(b.getIntegerAttr(element, APInt(element.getIntOrFloatBitWidth(), *integer, true, true)));
  if (constants.size() == elements.size())
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, constants));
  SmallVector<Value> values;
  for (OpFoldResult known : elements)
    values.push_back(arith::IndexCastOp::create(b, element, semantics::asValue(b, known)));
  return tensor::FromElementsOp::create(b, type, values);
}

namespace {
/// What a fold sees. Scalars that cannot be known are null.
struct Folding {
  Node &node;
  SizeAlgebra &algebra;
  Type element; ///< of the first input

  ImplicitLocOpBuilder &b() { return node.b; }
  OpFoldResult integer(int64_t value, Type type) { return integerOf(node.b.getContext(), type, value); }
  OpFoldResult boolean(std::optional<bool> value) {
    return value ? OpFoldResult(node.b.getIndexAttr(*value)) : OpFoldResult();
  }
};
using Scalars = ArrayRef<OpFoldResult>;
using ScalarFold = OpFoldResult (*)(Folding &f, Scalars v);
} // namespace

static std::optional<APFloat> floatOf(OpFoldResult known) {
  if (auto number = dyn_cast_if_present<FloatAttr>(dyn_cast_if_present<Attribute>(known)))
    return number.getValue();
  return std::nullopt;
}

// ------------------------------------------------------------------------------------------------ scalars

/// Constants are computed in the element type, with its overflow; with symbols, sizes are taken to fit.
template <typename Integer, typename Symbolic, typename Float>
static OpFoldResult arithmetic(Folding &f, Scalars v, Integer integer, Symbolic symbolic, Float onFloats) {
  if (auto x = floatOf(v[0]), y = floatOf(v[1]); x && y) {
    if (!onFloats(*x, *y))
      return {};
    return FloatAttr::get(cast<FloatType>(f.element), *x);
  }
  if (!f.element.isInteger() || f.element.isInteger(1))
    return {};
  if (auto x = getConstantIntValue(v[0]), y = getConstantIntValue(v[1]); x && y) {
    std::optional<int64_t> result = integer(uint64_t(*x), uint64_t(*y));
    return result ? f.integer(*result, f.element) : OpFoldResult();
  }
  return f.element.isUnsignedInteger() ? OpFoldResult() : symbolic(f.algebra, f.b(), v[0], v[1]);
}

static constexpr auto kRound = APFloat::rmNearestTiesToEven;

static OpFoldResult foldAdd(Folding &f, Scalars v) {
  return arithmetic(
      f, v, [](uint64_t x, uint64_t y) { return std::optional(int64_t(x + y)); },
      [](auto &a, auto &b, auto x, auto y) { return a.add(b, x, y); },
      [](APFloat &x, const APFloat &y) { return x.add(y, kRound), true; });
}

static OpFoldResult foldSub(Folding &f, Scalars v) {
  return arithmetic(
      f, v, [](uint64_t x, uint64_t y) { return std::optional(int64_t(x - y)); },
      [](auto &a, auto &b, auto x, auto y) { return a.subtract(b, x, y); },
      [](APFloat &x, const APFloat &y) { return x.subtract(y, kRound), true; });
}

static OpFoldResult foldMul(Folding &f, Scalars v) {
  return arithmetic(
      f, v, [](uint64_t x, uint64_t y) { return std::optional(int64_t(x * y)); },
      [](auto &a, auto &b, auto x, auto y) { return a.multiply(b, x, y); },
      [](APFloat &x, const APFloat &y) { return x.multiply(y, kRound), true; });
}

/// Integers are divided toward zero; by zero, the program may do as it likes.
static OpFoldResult foldDiv(Folding &f, Scalars v) {
  return arithmetic(
      f, v,
      [](uint64_t x, uint64_t y) -> std::optional<int64_t> {
        if (!y || int64_t(y) == -1)
          return y ? std::optional(int64_t(0 - x)) : std::nullopt;
        return int64_t(x) / int64_t(y);
      },
      [](auto &a, auto &b, auto x, auto y) { return a.divide(b, x, y); },
      [](APFloat &x, const APFloat &y) { return x.divide(y, kRound), true; });
}

/// With fmod 0 the result has the sign of the divisor, else that of the dividend.
static OpFoldResult foldMod(Folding &f, Scalars v) {
  const auto *fmod = f.node.find("fmod");
  bool likeC = fmod && fmod->i();
  return arithmetic(
      f, v,
      [&](uint64_t x, uint64_t y) -> std::optional<int64_t> {
        if (!y || int64_t(y) == -1)
          return y ? std::optional(int64_t(0)) : std::nullopt;
        int64_t rest = int64_t(x) % int64_t(y);
        return !likeC && rest && (rest < 0) != (int64_t(y) < 0) ? rest + int64_t(y) : rest;
      },
      [](auto &a, auto &b, auto x, auto y) { return a.remainder(b, x, y); },
      [&](APFloat &x, const APFloat &y) { return likeC && x.mod(y) == APFloat::opOK; });
}

template <bool Most> static OpFoldResult foldExtreme(Folding &f, Scalars v) {
  OpFoldResult result = v[0];
  for (OpFoldResult next : v.drop_front()) {
    OpFoldResult pair[] = {result, next};
    result = arithmetic(
        f, pair,
        [](uint64_t x, uint64_t y) {
          return std::optional(Most ? std::max(int64_t(x), int64_t(y)) : std::min(int64_t(x), int64_t(y)));
        },
        [](auto &a, auto &b, auto x, auto y) { return Most ? a.maximum(b, x, y) : a.minimum(b, x, y); },
        [](APFloat &x, const APFloat &y) { return x = Most ? maximum(x, y) : minimum(x, y), true; });
    if (!result)
      return {};
  }
  return result;
}

static OpFoldResult foldNeg(Folding &f, Scalars v) {
  if (auto x = floatOf(v[0]))
    return FloatAttr::get(f.element, neg(*x));
  OpFoldResult zero = f.integer(0, f.element), pair[] = {zero, v[0]};
  return foldSub(f, pair);
}

static OpFoldResult foldAbs(Folding &f, Scalars v) {
  if (auto x = floatOf(v[0]))
    return FloatAttr::get(f.element, abs(*x));
  if (f.algebra.isNonNegative(v[0]))
    return v[0];
  return getConstantIntValue(v[0]) ? foldNeg(f, v) : OpFoldResult();
}

/// The root of a double, rounded again: exact for all narrower types, since a double has more than twice their digits.
static OpFoldResult foldSqrt(Folding &f, Scalars v) {
  auto x = floatOf(v[0]);
  if (!x)
    return {};
  bool loses;
  x->convert(APFloat::IEEEdouble(), kRound, &loses);
  return floatOf(cast<FloatType>(f.element), APFloat(std::sqrt(x->convertToDouble())));
}

/// Floats to whole numbers.
template <APFloat::roundingMode mode> static OpFoldResult foldRound(Folding &f, Scalars v) {
  auto x = floatOf(v[0]);
  if (!x)
    return {};
  x->roundToIntegral(mode);
  return FloatAttr::get(f.element, *x);
}

static OpFoldResult foldRelu(Folding &f, Scalars v) {
  auto x = floatOf(v[0]);
  return x ? OpFoldResult(FloatAttr::get(f.element, x->isNegative() ? APFloat::getZero(x->getSemantics()) : *x))
           : OpFoldResult();
}

/// Exponents for which the power is exact or a correctly rounded operation.
static OpFoldResult foldPow(Folding &f, Scalars v) {
  auto exponent = floatOf(v[1]);
  std::optional<int64_t> whole = getConstantIntValue(v[1]);
  if (exponent) {
    bool loses;
    exponent->convert(APFloat::IEEEdouble(), kRound, &loses);
    double value = exponent->convertToDouble();
    if (value == 0.5)
      return floatOf(v[0]) ? foldSqrt(f, v) : OpFoldResult();
    if (value != 0 && value != 1 && value != 2)
      return {};
    whole = int64_t(value);
  }
  if (!whole || *whole < 0 || (floatOf(v[0]) && *whole > 2) || *whole > 64)
    return {};
  if (*whole == 0)
    return floatOf(v[0]) ? OpFoldResult(FloatAttr::get(f.element, 1.0)) : f.integer(1, f.element);
  OpFoldResult result = v[0];
  for (int64_t i = 1; i < *whole && result; ++i) {
    OpFoldResult pair[] = {result, v[0]};
    result = foldMul(f, pair);
  }
  return result;
}

enum class Relation { Equal, Less, LessOrEqual };

static std::optional<bool> compare(Folding &f, Relation relation, OpFoldResult x, OpFoldResult y) {
  if (auto l = floatOf(x), r = floatOf(y); l && r) {
    APFloat::cmpResult order = l->compare(*r);
    return (relation != Relation::Less && order == APFloat::cmpEqual) ||
           (relation != Relation::Equal && order == APFloat::cmpLessThan);
  }
  if (floatOf(x) || floatOf(y))
    return std::nullopt;
  if (relation == Relation::Equal)
    return f.algebra.equal(x, y);
  if (relation == Relation::Less)
    return f.algebra.less(x, y);
  std::optional<bool> above = f.algebra.less(y, x);
  return above ? std::optional(!*above) : std::nullopt;
}

static OpFoldResult foldEqual(Folding &f, Scalars v) { return f.boolean(compare(f, Relation::Equal, v[0], v[1])); }
static OpFoldResult foldLess(Folding &f, Scalars v) { return f.boolean(compare(f, Relation::Less, v[0], v[1])); }
static OpFoldResult foldGreater(Folding &f, Scalars v) { return f.boolean(compare(f, Relation::Less, v[1], v[0])); }
static OpFoldResult foldLessOrEqual(Folding &f, Scalars v) {
  return f.boolean(compare(f, Relation::LessOrEqual, v[0], v[1]));
}
static OpFoldResult foldGreaterOrEqual(Folding &f, Scalars v) {
  return f.boolean(compare(f, Relation::LessOrEqual, v[1], v[0]));
}

template <typename Op> static OpFoldResult logic(Folding &f, Scalars v, Op op) {
  auto x = getConstantIntValue(v[0]), y = getConstantIntValue(v[1]);
  return x && y && f.element.isInteger(1) ? f.boolean(op(*x != 0, *y != 0)) : OpFoldResult();
}
static OpFoldResult foldAnd(Folding &f, Scalars v) {
  return logic(f, v, [](bool x, bool y) { return x && y; });
}
static OpFoldResult foldOr(Folding &f, Scalars v) {
  return logic(f, v, [](bool x, bool y) { return x || y; });
}
static OpFoldResult foldXor(Folding &f, Scalars v) {
  return logic(f, v, [](bool x, bool y) { return x != y; });
}
static OpFoldResult foldNot(Folding &f, Scalars v) {
  auto x = getConstantIntValue(v[0]);
  return x && f.element.isInteger(1) ? f.boolean(!*x) : OpFoldResult();
}

static OpFoldResult foldWhere(Folding &, Scalars v) {
  auto condition = getConstantIntValue(v[0]);
  return condition ? v[*condition ? 1 : 2] : OpFoldResult();
}

/// A known scalar in another element type; null where that depends on symbols or is not defined.
static OpFoldResult castTo(Folding &f, OpFoldResult x, Type to) {
  if (auto number = floatOf(x)) {
    if (auto type = dyn_cast<FloatType>(to))
      return floatOf(type, *number);
    if (to.isInteger(1))
      return f.boolean(!number->isZero());
    APSInt whole(to.getIntOrFloatBitWidth(), to.isUnsignedInteger());
    bool exact;
    if (number->convertToInteger(whole, APFloat::rmTowardZero, &exact) & APFloat::opInvalidOp)
      return {};
    return f.integer(whole.getExtValue(), to);
  }
  std::optional<int64_t> constant = getConstantIntValue(x);
  if (auto type = dyn_cast<FloatType>(to)) {
    if (!constant)
      return {};
    APFloat number(type.getFloatSemantics());
    number.convertFromAPInt(APInt(64, *constant, true), /*IsSigned=*/true, kRound);
    return FloatAttr::get(type, number);
  }
  if (to.isInteger(1)) {
    std::optional<bool> isZero = f.algebra.equal(x, f.b().getIndexAttr(0));
    return f.boolean(isZero ? std::optional(!*isZero) : std::nullopt);
  }
  if (constant)
    return f.integer(*constant, to);
  // Sizes fit every integer type of 32 bits and more.
  return to.getIntOrFloatBitWidth() >= 32 ? x : OpFoldResult();
}

// ------------------------------------------------------------------------------------------------ tensors

/// The known inputs of a node; nothing if one is not.
static std::optional<SmallVector<GraphValue *>> knownInputs(Node &node) {
  SmallVector<GraphValue *> values;
  for (int i = 0; i < node.proto.input_size(); ++i) {
    GraphValue *value = node.has(i) ? &node.input(i) : nullptr;
    if (!value || !value->elements || !staticShape(*value))
      return std::nullopt;
    values.push_back(value);
  }
  return values;
}

static LogicalResult setKnown(Node &node, unsigned output, ArrayRef<int64_t> shape, Sizes elements, Type element) {
  GraphValue value;
  value.element = element;
  for (int64_t size : shape)
    value.sizes.push_back(node.b.getIndexAttr(size));
  value.elements = std::move(elements);
  return node.setValue(output, std::move(value));
}

/// Calls `each` with every index of a shape, in row-major order, until it says false.
static bool forEachIndex(ArrayRef<int64_t> shape, function_ref<bool(ArrayRef<int64_t>)> each) {
  SmallVector<int64_t> index(shape.size(), 0);
  for (int64_t left = countOfShape(shape); left > 0; --left) {
    if (!each(index))
      return false;
    for (size_t d = shape.size(); d-- > 0 && ++index[d] == shape[d];)
      index[d] = 0;
  }
  return true;
}

static std::optional<LogicalResult> foldElementwise(Node &node, ScalarFold fold, Type result) {
  auto inputs = knownInputs(node);
  if (!inputs || inputs->empty())
    return std::nullopt;
  SmallVector<SmallVector<int64_t>> shapes;
  SmallVector<int64_t> shape;
  for (GraphValue *value : *inputs) {
    shapes.push_back(*staticShape(*value));
    ArrayRef<int64_t> next = shapes.back();
    if (next.size() > shape.size())
      shape.insert(shape.begin(), next.size() - shape.size(), 1);
    for (size_t d = 1; d <= next.size(); ++d) {
      int64_t &into = shape[shape.size() - d], size = next[next.size() - d];
      if (into != size && into != 1 && size != 1)
        return std::nullopt; // reported by the operator's own function
      into = into == 1 ? size : into;
    }
  }
  std::optional<int64_t> count = countOf(shape);
  if (!count || *count > kMaxKnownElements)
    return std::nullopt;
  Folding folding{node, node.graph.algebra, (*inputs)[0]->element};
  Sizes elements;
  bool known = forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    Sizes scalars;
    for (auto [value, own] : llvm::zip(*inputs, shapes)) {
      int64_t at = 0;
      for (size_t d = 0; d < own.size(); ++d)
        at = at * own[d] + (own[d] == 1 ? 0 : index[index.size() - own.size() + d]);
      scalars.push_back((*value->elements)[at]);
    }
    elements.push_back(fold(folding, scalars));
    return bool(elements.back());
  });
  if (!known)
    return std::nullopt;
  return setKnown(node, 0, shape, std::move(elements), result);
}

static std::optional<LogicalResult> foldCast(Node &node) {
  auto inputs = knownInputs(node);
  const auto *to = node.find("to");
  Type element = to ? valueType(node.b.getContext(), int32_t(to->i())) : Type();
  if (!inputs || inputs->size() != 1 || !element || to->i() != int32_t(to->i()) || semantics::isSmallFloat(element))
    return std::nullopt;
  Folding folding{node, node.graph.algebra, (*inputs)[0]->element};
  Sizes elements;
  for (OpFoldResult known : *(*inputs)[0]->elements) {
    elements.push_back(castTo(folding, known, element));
    if (!elements.back())
      return std::nullopt;
  }
  return setKnown(node, 0, *staticShape(*(*inputs)[0]), std::move(elements), element);
}

/// Sums, products and extrema of integers, whose order does not matter.
static std::optional<LogicalResult> foldReduce(Node &node, ScalarFold fold, std::optional<int64_t> neutral) {
  GraphValue *data = node.has(0) ? &node.input(0) : nullptr;
  if (!data || !data->elements || !staticShape(*data) || !data->element.isInteger() || data->element.isInteger(1))
    return std::nullopt;
  SmallVector<int64_t> shape = *staticShape(*data), axes;
  if (node.has(1)) {
    if (!node.input(1).elements)
      return std::nullopt;
    for (OpFoldResult axis : *node.input(1).elements)
      axes.push_back(getConstantIntValue(axis).value_or(INT64_MIN));
  } else if (const auto *list = node.find("axes")) {
    axes.assign(list->ints().begin(), list->ints().end());
  }
  const auto *keep = node.find("keepdims"), *noop = node.find("noop_with_empty_axes");
  if (axes.empty() && noop && noop->i())
    return std::nullopt;
  int64_t rank = shape.size();
  llvm::SmallBitVector reduced(rank, axes.empty());
  for (int64_t axis : axes) {
    if (axis < -rank || axis >= rank)
      return std::nullopt; // reported by the operator's own function
    reduced.set(axis < 0 ? axis + rank : axis);
  }
  SmallVector<int64_t> kept, result;
  for (int64_t d = 0; d < rank; ++d) {
    kept.push_back(reduced[d] ? 1 : shape[d]);
    if (!reduced[d] || !keep || keep->i())
      result.push_back(kept.back());
  }
  Folding folding{node, node.graph.algebra, data->element};
  Sizes elements(countOfShape(kept), OpFoldResult());
  int64_t next = 0;
  bool known = forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    int64_t at = 0;
    for (int64_t d = 0; d < rank; ++d)
      at = at * kept[d] + (reduced[d] ? 0 : index[d]);
    OpFoldResult pair[] = {elements[at], (*data->elements)[next++]};
    elements[at] = pair[0] ? fold(folding, pair) : pair[1];
    return bool(elements[at]);
  });
  for (OpFoldResult &element : elements)
    if (known && !element && neutral)
      element = node.b.getIndexAttr(*neutral);
  if (!known || llvm::is_contained(elements, OpFoldResult()))
    return std::nullopt;
  return setKnown(node, 0, result, std::move(elements), data->element);
}

static std::optional<LogicalResult> foldSize(Node &node) {
  if (!node.has(0))
    return std::nullopt;
  OpFoldResult count = node.graph.algebra.product(node.b, node.input(0).sizes);
  if (!count)
    return std::nullopt;
  return setKnown(node, 0, {}, {count}, node.b.getI64Type());
}

std::optional<LogicalResult> moveKnown(Node &node, unsigned output, const GraphValue &data, ArrayRef<int64_t> shape,
                                       function_ref<int64_t(ArrayRef<int64_t>)> from) {
  std::optional<int64_t> count = countOf(shape);
  if (!data.elements || !count || *count > kMaxKnownElements)
    return std::nullopt;
  Sizes elements;
  forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    elements.push_back((*data.elements)[from(index)]);
    return true;
  });
  return setKnown(node, output, shape, std::move(elements), data.element);
}

// ------------------------------------------------------------------------------------------------ operands that do nothing

/// Whether all elements of an operand are `number`.
static bool isAll(GraphValue &value, double number) {
  return value.elements && llvm::all_of(*value.elements, [&](OpFoldResult known) {
           if (auto x = floatOf(known))
             return x->isExactlyValue(number);
           return isConstantIntValue(known, int64_t(number));
         });
}

/// The other operand itself, if one changes nothing: x * 1, x / 1, x + 0 of integers, x - 0, x and true, x or false.
static std::optional<LogicalResult> dropNeutral(Node &node) {
  StringRef type = node.proto.op_type();
  if (node.proto.input_size() != 2 || !node.has(0) || !node.has(1))
    return std::nullopt;
  for (unsigned i : {1u, 0u}) {
    GraphValue &neutral = node.input(i), &x = node.input(1 - i);
    if (neutral.element != x.element || !x.element || neutral.rank() > x.rank())
      continue;
    bool isFloat = isa<FloatType>(x.element), isBool = x.element.isInteger(1), isLast = i == 1;
    bool drops = type == "Mul"             ? !isBool && isAll(neutral, 1)
                 : type == "Div"           ? !isBool && isLast && isAll(neutral, 1)
                 : type == "Sub"           ? !isBool && isLast && isAll(neutral, 0)
                 : type == "Add"           ? !isBool && isAll(neutral, 0) && !isFloat
                 : type == "And" && isBool ? isAll(neutral, 1)
                 : type == "Or" && isBool  ? isAll(neutral, 0)
                                           : false;
    // The other must not stretch.
    for (int64_t d = 1; drops && d <= neutral.rank(); ++d)
      drops = isConstantIntValue(neutral.sizes[neutral.rank() - d], 1) ||
              semantics::sameSize(neutral.sizes[neutral.rank() - d], x.sizes[x.rank() - d]);
    if (drops)
      return node.setValue(0, x);
  }
  return std::nullopt;
}

// ------------------------------------------------------------------------------------------------ the table

namespace {
struct FoldRow {
  StringLiteral type;
  enum Kind { Elementwise, Compare, Where, Reduce, Other } kind;
  ScalarFold scalar;
  std::optional<int64_t> neutral; ///< of Reduce
  std::optional<LogicalResult> (*other)(Node &);
};
} // namespace

static constexpr FoldRow kFolds[] = {
    {"Add", FoldRow::Elementwise, foldAdd, {}, nullptr},
    {"Sub", FoldRow::Elementwise, foldSub, {}, nullptr},
    {"Mul", FoldRow::Elementwise, foldMul, {}, nullptr},
    {"Div", FoldRow::Elementwise, foldDiv, {}, nullptr},
    {"Mod", FoldRow::Elementwise, foldMod, {}, nullptr},
    {"Neg", FoldRow::Elementwise, foldNeg, {}, nullptr},
    {"Abs", FoldRow::Elementwise, foldAbs, {}, nullptr},
    {"Min", FoldRow::Elementwise, foldExtreme<false>, {}, nullptr},
    {"Max", FoldRow::Elementwise, foldExtreme<true>, {}, nullptr},
    {"Sqrt", FoldRow::Elementwise, foldSqrt, {}, nullptr},
    {"Pow", FoldRow::Elementwise, foldPow, {}, nullptr},
    {"Ceil", FoldRow::Elementwise, foldRound<APFloat::rmTowardPositive>, {}, nullptr},
    {"Floor", FoldRow::Elementwise, foldRound<APFloat::rmTowardNegative>, {}, nullptr},
    {"Relu", FoldRow::Elementwise, foldRelu, {}, nullptr},
    {"And", FoldRow::Compare, foldAnd, {}, nullptr},
    {"Or", FoldRow::Compare, foldOr, {}, nullptr},
    {"Xor", FoldRow::Compare, foldXor, {}, nullptr},
    {"Not", FoldRow::Compare, foldNot, {}, nullptr},
    {"Equal", FoldRow::Compare, foldEqual, {}, nullptr},
    {"Less", FoldRow::Compare, foldLess, {}, nullptr},
    {"LessOrEqual", FoldRow::Compare, foldLessOrEqual, {}, nullptr},
    {"Greater", FoldRow::Compare, foldGreater, {}, nullptr},
    {"GreaterOrEqual", FoldRow::Compare, foldGreaterOrEqual, {}, nullptr},
    {"Where", FoldRow::Where, foldWhere, {}, nullptr},
    {"ReduceSum", FoldRow::Reduce, foldAdd, 0, nullptr},
    {"ReduceProd", FoldRow::Reduce, foldMul, 1, nullptr},
    {"ReduceMin", FoldRow::Reduce, foldExtreme<false>, {}, nullptr},
    {"ReduceMax", FoldRow::Reduce, foldExtreme<true>, {}, nullptr},
    {"Cast", FoldRow::Other, nullptr, {}, foldCast},
    {"Size", FoldRow::Other, nullptr, {}, foldSize},
};

/// What is left of an operator that has no other function than its fold.
static LogicalResult refuseUnknown(Node &node) {
  return node.report(code::NoOperator,
                     "operator '" + node.opName() +
                         "' is only supported on shapes and other values that are known while importing");
}

ArrayRef<Operator> knownOperators() {
  static const std::vector<Operator> rows = [] {
    std::vector<Operator> rows;
    for (const FoldRow &row : kFolds)
      rows.push_back({"", row.type, refuseUnknown, 1, row.kind == FoldRow::Elementwise ? 64u : 3u, 1,
                      "axes keepdims noop_with_empty_axes fmod"});
    return rows;
  }();
  return rows;
}

std::optional<LogicalResult> foldKnown(Node &node) {
  if (!node.proto.domain().empty() && node.proto.domain() != "ai.onnx")
    return std::nullopt;
  const FoldRow *row = llvm::find_if(kFolds, [&](const FoldRow &row) { return row.type == node.proto.op_type(); });
  if (row == std::end(kFolds))
    return std::nullopt;
  std::optional<LogicalResult> result;
  switch (row->kind) {
  case FoldRow::Elementwise:
  case FoldRow::Compare:
    // Operands of different types are an error, which the operator's own function reports.
    for (int i = 1; i < node.proto.input_size(); ++i)
      if (!node.has(0) || !node.has(i) || (node.input(i).element != node.input(0).element && row->type != "Pow"))
        return std::nullopt;
    if (node.has(0))
      result = foldElementwise(node, row->scalar,
                               row->kind == FoldRow::Compare ? Type(node.b.getI1Type()) : node.input(0).element);
    break;
  case FoldRow::Where:
    if (node.has(0) && node.has(1) && node.has(2) && node.input(0).element == Type(node.b.getI1Type()) &&
        node.input(1).element == node.input(2).element)
      result = foldElementwise(node, row->scalar, node.input(1).element);
    break;
  case FoldRow::Reduce:
    result = foldReduce(node, row->scalar, row->neutral);
    break;
  case FoldRow::Other:
    result = row->other(node);
    break;
  }
  return result ? result : dropNeutral(node);
}

} // namespace whit
