// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators on shapes, and those that give the same elements another shape. Shape arithmetic never becomes tensors if it
// can be index values.

#include "Import/ONNX/Graph.h"

#include "Import/ONNX/KnownValues.h"
#include "Import/ONNX/Ops/Constants.h"
#include "Import/Semantics/SmallFloats.h"

#include <cmath>

using namespace mlir;

namespace whit {

using namespace semantics;

static LogicalResult importConstant(Node &node) {
  if (node.proto.attribute_size() != 1)
    return node.badAttribute("has " + Twine(node.proto.attribute_size()) + " attributes; a constant has exactly one");
  const auto &attribute = node.proto.attribute(0);
  StringRef name = attribute.name();
  if (name == "value") {
    auto tensor = node.tensorAttribute("value");
    return failed(tensor) ? failure() : node.setValue(0, node.graph.fromStored(*tensor));
  }
  bool isInteger = name == "value_int" || name == "value_ints";
  if (!isInteger && name != "value_float" && name != "value_floats")
    return node.unsupported("attribute '" + shown(name) +
                            "' is not supported; only value, value_int, value_ints, value_float and value_floats are");
  Sizes elements;
  if (name == "value_int")
    elements.push_back(node.b.getIndexAttr(attribute.i()));
  else if (name == "value_float")
    elements.push_back(node.b.getF32FloatAttr(attribute.f()));
  for (int64_t value : attribute.ints())
    elements.push_back(node.b.getIndexAttr(value));
  for (float value : attribute.floats())
    elements.push_back(node.b.getF32FloatAttr(value));
  if (elements.size() > kMaxKnownElements)
    return node.unsupported("attribute '" + shown(name) + "' has " + Twine(elements.size()) +
                                " numbers; at most 64 are supported",
                            "save the constant as a tensor, in attribute 'value'");
  return node.setElements(0, elements, !name.ends_with("s"),
                          isInteger ? Type(node.b.getI64Type()) : node.b.getF32Type());
}

static LogicalResult importIdentity(Node &node) { return node.setValue(0, node.input(0)); }

static LogicalResult importShape(Node &node) {
  GraphValue &x = node.input(0);
  FailureOr<int64_t> start = node.integer("start", 0), end = node.integer("end", x.rank());
  if (failed(start) || failed(end))
    return failure();
  auto clamp = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + x.rank() : at, 0, x.rank()); };
  int64_t from = clamp(*start), to = std::max(clamp(*end), from);
  return node.setElements(0, Sizes(x.sizes.begin() + from, x.sizes.begin() + to), false, node.b.getI64Type());
}

static LogicalResult importGather(Node &node) {
  FailureOr<int64_t> axis = node.integer("axis", 0);
  if (failed(axis))
    return failure();
  GraphValue &data = node.input(0), &indices = node.input(1);
  if (*axis < -data.rank() || *axis >= data.rank())
    return node.badAttribute("attribute 'axis' is " + Twine(*axis) + "; data has rank " + Twine(data.rank()));
  std::optional<SmallVector<int64_t>> shape = staticShape(data), indexShape = staticShape(indices);
  if (data.elements && indices.elements && shape && indexShape) {
    size_t at = *axis < 0 ? *axis + data.rank() : *axis;
    int64_t count = (*shape)[at];
    SmallVector<int64_t> picks;
    for (OpFoldResult index : *indices.elements) {
      std::optional<int64_t> pick = getConstantIntValue(index);
      if (!pick)
        return node.unsupported(
            "input indices is not known before the model runs; it must be a constant to pick from a shape");
      if (*pick < -count || *pick >= count)
        return node.badOperand("input indices has " + Twine(*pick) + "; data has " + Twine(count) + " elements");
      picks.push_back(*pick < 0 ? *pick + count : *pick);
    }
    SmallVector<int64_t> result(ArrayRef(*shape).take_front(at));
    llvm::append_range(result, *indexShape);
    llvm::append_range(result, ArrayRef(*shape).drop_front(at + 1));
    auto moved = moveKnown(node, 0, data, result, [&](ArrayRef<int64_t> index) {
      int64_t pick = 0, from = 0;
      for (size_t d = 0; d < indexShape->size(); ++d)
        pick = pick * (*indexShape)[d] + index[at + d];
      for (size_t d = 0; d < shape->size(); ++d)
        from = from * (*shape)[d] + (d == at ? picks[pick] : index[d < at ? d : d + indexShape->size() - 1]);
      return from;
    });
    if (moved)
      return *moved;
  }
  return gatherData(node, *axis < 0 ? *axis + data.rank() : *axis);
}

/// Gives a value other sizes: by the numbers alone for constants, as views for tensors.
static LogicalResult reshapeTo(Node &node, Sizes sizes) {
  GraphValue &x = node.input(0);
  if (int64_t(sizes.size()) > kMaxTensorRank)
    return node.unsupported("the result has rank " + Twine(sizes.size()) + "; at most " + Twine(kMaxTensorRank) +
                            " is supported");
  GraphValue value = x;
  value.sizes = sizes;
  value.value = {};
  if (x.stored || x.elements)
    return node.setValue(0, value);
  if (x.progression) { // if there is one dimension besides ones, it goes on counting
    auto isOne = [](OpFoldResult size) { return isConstantIntValue(size, 1); };
    auto place = llvm::find_if_not(sizes, isOne);
    if (place != sizes.end() && llvm::all_of(llvm::drop_begin(llvm::make_range(place, sizes.end())), isOne) &&
        llvm::count_if(x.sizes, isOne) == x.rank() - 1 && sameSize(*place, x.sizes[x.progression->dim])) {
      value.progression->dim = place - sizes.begin();
      return node.setValue(0, value);
    }
  }
  FailureOr<Tensor> tensor = node.tensor(0, "data");
  return failed(tensor) ? failure() : node.set(0, reshape(node.b, *tensor, sizes));
}

static LogicalResult importReshape(Node &node) {
  GraphValue &x = node.input(0);
  FailureOr<int64_t> allowZero = node.integer("allowzero", 0);
  FailureOr<Sizes> target = node.sizes(1, "shape");
  if (failed(allowZero) || failed(target))
    return failure();
  Sizes sizes = *target, others;
  std::optional<size_t> open;
  for (auto [i, size] : llvm::enumerate(sizes)) {
    std::optional<int64_t> constant = getConstantIntValue(size);
    if (constant == 0 && !*allowZero) {
      if (i >= x.sizes.size())
        return node.badOperand("input shape copies dimension " + Twine(i) + "; data has rank " + Twine(x.rank()));
      size = x.sizes[i];
    } else if (constant == -1) {
      if (open)
        return node.badOperand("input shape has -1 twice; at most one size can be left open");
      open = i;
      continue;
    } else if (constant && *constant < 0) {
      return node.badOperand("input shape has " + Twine(*constant) + "; a size is -1, 0 or positive");
    } else if (!node.graph.algebra.isNonNegative(size)) {
      return node.unsupported("input shape has a size that may be negative; it must be known not to be");
    }
    others.push_back(size);
  }
  SizeAlgebra &algebra = node.graph.algebra;
  OpFoldResult whole = algebra.product(node.b, x.sizes), rest = algebra.product(node.b, others);
  if (!whole || !rest)
    return node.badOperand("input shape has more elements than can be counted");
  auto count = getConstantIntValue(whole), known = getConstantIntValue(rest);
  if (open) {
    sizes[*open] = algebra.quotient(node.b, whole, rest);
    if (!sizes[*open] && count && known)
      return node.badOperand("input shape does not divide the " + Twine(*count) + " elements of data");
    if (!sizes[*open])
      return node.unsupported("input shape does not divide the elements of data, whose sizes are symbolic");
  } else if (count && known && *count != *known) {
    return node.badOperand("input shape has " + Twine(*known) + " elements; data has " + Twine(*count));
  } else if (algebra.equal(whole, rest) != true && !node.graph.unify(whole, rest)) {
    return node.unsupported("input shape has other symbolic sizes than data; their elements cannot be compared");
  }
  return reshapeTo(node, sizes);
}

static LogicalResult importFlatten(Node &node) {
  GraphValue &x = node.input(0);
  FailureOr<int64_t> axis = node.integer("axis", 1);
  if (failed(axis))
    return failure();
  if (*axis < -x.rank() || *axis > x.rank())
    return node.badAttribute("attribute 'axis' is " + Twine(*axis) + "; input has rank " + Twine(x.rank()));
  size_t at = *axis < 0 ? *axis + x.rank() : *axis;
  SizeAlgebra &algebra = node.graph.algebra;
  ArrayRef<OpFoldResult> sizes(x.sizes);
  OpFoldResult rows = algebra.product(node.b, sizes.take_front(at)),
               columns = algebra.product(node.b, sizes.drop_front(at));
  if (!rows || !columns)
    return node.badOperand("input has more elements than can be counted");
  return reshapeTo(node, {rows, columns});
}

/// Axes from the input (since opset 13) or the attribute; nothing if neither is there.
static FailureOr<std::optional<SmallVector<int64_t>>> axesOf(Node &node, int64_t rank) {
  std::optional<SmallVector<int64_t>> axes;
  if (node.has(1) || node.hasAttribute("axes")) {
    FailureOr<SmallVector<int64_t>> list = node.has(1) ? node.integers(1, "axes") : node.integerList("axes");
    if (failed(list))
      return failure();
    axes = *list;
  }
  if (axes)
    for (int64_t &axis : *axes) {
      if (axis < -rank || axis >= rank)
        return node.badOperand("axis " + Twine(axis) + " is outside of rank " + Twine(rank));
      axis = axis < 0 ? axis + rank : axis;
    }
  if (axes) {
    llvm::sort(*axes);
    if (std::adjacent_find(axes->begin(), axes->end()) != axes->end())
      return node.badOperand("an axis is named twice");
  }
  return axes;
}

static LogicalResult importUnsqueeze(Node &node) {
  GraphValue &x = node.input(0);
  FailureOr<SmallVector<int64_t>> list = node.has(1) ? node.integers(1, "axes") : node.integerList("axes");
  if (failed(list))
    return failure();
  int64_t rank = x.rank() + list->size();
  if (rank > kMaxTensorRank)
    return node.unsupported("the result has rank " + Twine(rank) + "; at most " + Twine(kMaxTensorRank) +
                            " is supported");
  auto axes = axesOf(node, rank);
  if (failed(axes))
    return failure();
  Sizes sizes = x.sizes;
  for (int64_t axis : **axes)
    sizes.insert(sizes.begin() + axis, node.b.getIndexAttr(1));
  return reshapeTo(node, sizes);
}

static LogicalResult importSqueeze(Node &node) {
  GraphValue &x = node.input(0);
  auto axes = axesOf(node, x.rank());
  if (failed(axes))
    return failure();
  Sizes sizes;
  for (auto [i, size] : llvm::enumerate(x.sizes)) {
    bool isOne = isConstantIntValue(size, 1);
    bool named = *axes && llvm::is_contained(**axes, i);
    if (named && !isOne)
      return node.badOperand("axis " + Twine(i) + " is squeezed; its size must be 1 and known");
    if (!(named || (!*axes && isOne)))
      sizes.push_back(size);
  }
  return reshapeTo(node, sizes);
}

/// The value of all elements is one number, of any type; float 0 if it is not said.
static LogicalResult importConstantOfShape(Node &node) {
  FailureOr<Sizes> sizes = node.sizes(0, "input");
  if (failed(sizes))
    return failure();
  OpFoldResult known = node.b.getF32FloatAttr(0);
  Type element = node.b.getF32Type();
  if (node.hasAttribute("value")) {
    auto tensor = node.tensorAttribute("value");
    if (failed(tensor))
      return failure();
    element = valueType(node.b.getContext(), (*tensor)->type->number);
    if (!element || isSmallFloat(element))
      return node.report(code::NoType, Twine("attribute 'value' has element type ") + (*tensor)->type->name);
    if ((*tensor)->count != 1)
      return node.badAttribute("attribute 'value' has " + Twine((*tensor)->count) + " elements; it must have one");
    known = storedElements(**tensor, element)[0];
    if (!known)
      return node.unsupported("attribute 'value' is beyond 2^63");
  }
  for (OpFoldResult size : *sizes)
    if (!node.graph.algebra.isNonNegative(size))
      return node.badOperand("input has a size that is negative or may be");
  if (int64_t(sizes->size()) > kMaxTensorRank)
    return node.unsupported("the result has rank " + Twine(sizes->size()) + "; at most " + Twine(kMaxTensorRank) +
                            " is supported");
  SmallVector<int64_t> shape = shapeOf(*sizes);
  std::optional<int64_t> count = llvm::is_contained(shape, ShapedType::kDynamic) ? std::nullopt : countOf(shape);
  if (count && *count <= kMaxKnownElements) {
    GraphValue value;
    value.element = element;
    value.sizes = *sizes;
    value.elements = Sizes(*count, known);
    return node.setValue(0, value);
  }
  auto number = cast<TypedAttr>(cast<Attribute>(known));
  if (element.isInteger())
    number = node.b.getIntegerAttr(
        held(element), APInt(held(element).getIntOrFloatBitWidth(), cast<IntegerAttr>(number).getInt(), true, true));
  return node.set(0, makeTensor(splat(node.b, *sizes, number).value, *sizes, element));
}

/// Integers from start to limit; the number of them must follow from sizes.
static LogicalResult importRange(Node &node) {
  OpFoldResult bounds[3];
  static constexpr StringRef kRoles[] = {"start", "limit", "delta"};
  for (unsigned i : {0, 1, 2}) {
    GraphValue &value = node.input(i);
    if (value.element != node.input(0).element)
      return node.badOperand("inputs start, limit and delta have different element types; they must have one");
    if (value.elements && value.elements->size() != 1)
      return node.badOperand("input " + kRoles[i] + " must have one element");
    if (!value.elements)
      return node.unsupported("input '" + shown(node.proto.input(i)) + "' (" + kRoles[i] +
                              ") is computed from data; it must be a constant or a size of an input");
    bounds[i] = value.elements->front();
  }
  auto [start, limit, delta] = bounds;
  Type element = node.input(0).element;
  if (auto type = dyn_cast_or_null<FloatType>(element)) {
    double from = cast<FloatAttr>(cast<Attribute>(start)).getValueAsDouble(),
           to = cast<FloatAttr>(cast<Attribute>(limit)).getValueAsDouble(),
           by = cast<FloatAttr>(cast<Attribute>(delta)).getValueAsDouble(), count = std::ceil((to - from) / by);
    if (!(std::abs(by) > 0) || !std::isfinite(count))
      return node.badOperand("input delta must not be 0, and the range must have an end");
    if (count > kMaxKnownElements)
      return node.unsupported("the result has " + Twine(int64_t(std::min(count, 1e18))) +
                                  " floats; at most 64 are supported",
                              "compute the range with integers");
    Sizes elements;
    for (int64_t i = 0; i < int64_t(count); ++i) {
      APFloat value(from + double(i) * by);
      bool loses;
      value.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven, &loses);
      elements.push_back(FloatAttr::get(type, value));
    }
    return node.setElements(0, elements, false, element);
  }
  std::optional<int64_t> step = getConstantIntValue(delta);
  if (!step || !*step || *step == INT64_MIN)
    return node.unsupported("input delta must be a constant other than 0");
  SizeAlgebra &algebra = node.graph.algebra;
  ImplicitLocOpBuilder &b = node.b;
  // ceil((limit - start) / step), at least 0.
  OpFoldResult length = *step > 0 ? algebra.subtract(b, limit, start) : algebra.subtract(b, start, limit);
  length = length ? algebra.maximum(b, length, b.getIndexAttr(0)) : length;
  length = length ? algebra.add(b, length, b.getIndexAttr(std::abs(*step) - 1)) : length;
  length = length ? algebra.divide(b, length, b.getIndexAttr(std::abs(*step))) : length;
  if (!length)
    return node.badOperand("the range has more elements than can be counted");
  if (std::optional<int64_t> count = getConstantIntValue(length); count && *count <= kMaxKnownElements) {
    Sizes elements;
    for (int64_t i = 0; i < *count; ++i) {
      elements.push_back(algebra.add(b, start, b.getIndexAttr(i * *step)));
      if (!elements.back())
        return node.badOperand("the range has elements beyond 2^63");
    }
    return node.setElements(0, elements, false, element);
  }
  GraphValue value;
  value.element = element;
  value.sizes = {length};
  value.progression = Progression{0, start, *step};
  return node.setValue(0, value);
}

static constexpr Operator kOperators[] = {
    {"", "Constant", importConstant, 0, 0, 1, "value value_int value_ints value_float value_floats"},
    {"", "Shape", importShape, 1, 1, 1, "start end"},
    {"", "Gather", importGather, 2, 2, 1, "axis", true},
    {"", "Reshape", importReshape, 2, 2, 1, "allowzero", true},
    {"", "Squeeze", importSqueeze, 1, 2, 1, "axes", true},
    {"", "Unsqueeze", importUnsqueeze, 1, 2, 1, "axes", true},
    {"", "Flatten", importFlatten, 1, 1, 1, "axis", true},
    {"", "Identity", importIdentity, 1, 1, 1, "", true},
    {"", "ConstantOfShape", importConstantOfShape, 1, 1, 1, "value"},
    {"", "Range", importRange, 3, 3, 1, ""},
};

ArrayRef<Operator> shapeOperators() { return kOperators; }

} // namespace whit
