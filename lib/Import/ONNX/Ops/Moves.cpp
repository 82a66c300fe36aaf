// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators that move elements without changing them: Concat, Slice, Split, Transpose, Expand, Tile. On shapes and other
// known values that happens while importing, on data it becomes one operation.

#include "Import/ONNX/Graph.h"

#include "Import/ONNX/KnownValues.h"

#include "mlir/Dialect/Utils/IndexingUtils.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// An axis from 0 on; failure, reported, if the rank has no such axis.
static FailureOr<int64_t> axisOf(Node &node, StringRef name, int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    return node.badAttribute(name + " is " + Twine(axis) + "; data has rank " + Twine(rank));
  return axis < 0 ? axis + rank : axis;
}

/// Where an index lies in a row-major tensor.
static int64_t positionOf(ArrayRef<int64_t> shape, ArrayRef<int64_t> index) {
  int64_t at = 0;
  for (auto [size, i] : llvm::zip(shape, index))
    at = at * size + i;
  return at;
}

/// Moves the elements of a known value: result[index] = x[from(index)]. Nothing if the elements or sizes are not known.
static std::optional<LogicalResult>
moveElements(Node &node, unsigned output, const GraphValue &x, ArrayRef<OpFoldResult> sizes,
             function_ref<SmallVector<int64_t>(ArrayRef<int64_t> index, ArrayRef<int64_t> shape)> from) {
  std::optional<SmallVector<int64_t>> shape = staticShape(x);
  SmallVector<int64_t> result = shapeOf(sizes);
  if (!shape || llvm::is_contained(result, ShapedType::kDynamic))
    return std::nullopt;
  return moveKnown(node, output, x, result,
                   [&](ArrayRef<int64_t> index) { return positionOf(*shape, from(index, *shape)); });
}

// ------------------------------------------------------------------------------------------------ Concat

/// Known parts, one after the other; nothing if one is not known.
static std::optional<LogicalResult> concatKnown(Node &node, int64_t axis) {
  SmallVector<SmallVector<int64_t>> shapes;
  GraphValue &first = node.input(0);
  GraphValue joined = first;
  int64_t rows = 1, along = 0, count = 0;
  for (int i = 0; i < node.proto.input_size(); ++i) {
    GraphValue &x = node.input(i);
    auto shape = staticShape(x);
    if (!x.elements || !shape || x.element != first.element || x.rank() != first.rank())
      return std::nullopt;
    for (int64_t d = 0; d < x.rank(); ++d)
      if (d != axis && !sameSize(x.sizes[d], first.sizes[d]))
        return std::nullopt; // reported by the caller
    along += (*shape)[axis];
    count += x.elements->size();
    shapes.push_back(*shape);
  }
  if (count > kMaxKnownElements)
    return std::nullopt;
  for (int64_t d = 0; d < axis; ++d)
    rows *= shapes[0][d];
  Sizes elements;
  for (int64_t row = 0; row < rows; ++row)
    for (int i = 0; i < node.proto.input_size(); ++i) {
      Sizes &part = *node.input(i).elements;
      int64_t size = part.size() / rows;
      elements.append(part.begin() + row * size, part.begin() + (row + 1) * size);
    }
  joined.sizes[axis] = node.b.getIndexAttr(along);
  joined.elements = elements;
  joined.stored = nullptr;
  joined.value = {};
  return node.setValue(0, joined);
}

static LogicalResult importConcat(Node &node) {
  FailureOr<int64_t> attribute = node.integer("axis");
  if (failed(attribute))
    return failure();
  for (int i = 0; i < node.proto.input_size(); ++i)
    if (!node.has(i))
      return node.badOperand("input " + Twine(i) + " is missing");
  FailureOr<int64_t> axis = axisOf(node, "attribute 'axis'", *attribute, node.input(0).rank());
  if (failed(axis))
    return failure();
  if (auto known = concatKnown(node, *axis))
    return *known;
  SmallVector<Tensor> parts;
  OpFoldResult along = node.b.getIndexAttr(0);
  for (int i = 0; i < node.proto.input_size(); ++i) {
    FailureOr<Tensor> x = node.tensor(i, "inputs");
    if (failed(x))
      return failure();
    std::string name = "input '" + shown(node.proto.input(i)) + "' ";
    Tensor &first = parts.empty() ? *x : parts.front();
    if (x->numbers() != first.numbers())
      return node.badOperand(name + "has another element type than the first; all must have one");
    if (x->rank() != first.rank())
      return node.badOperand(name + "has rank " + Twine(x->rank()) + "; the first has rank " + Twine(first.rank()));
    for (int64_t d = 0; d < x->rank(); ++d)
      if (d != *axis && !node.graph.unify(x->sizes[d], first.sizes[d]))
        return node.report(getConstantIntValue(x->sizes[d]) && getConstantIntValue(first.sizes[d]) ? code::Operand
                                                                                                   : code::NoFeature,
                           name + "has size " + shownSize(node.graph, x->sizes[d]) + " in dimension " + Twine(d) +
                               ", the first input " + shownSize(node.graph, first.sizes[d]) + "; they must be equal");
    along = node.graph.algebra.add(node.b, along, x->sizes[*axis]);
    if (!along)
      return node.badOperand("the result has more elements than can be counted");
    parts.push_back(*x);
  }
  // Nothing is joined with an empty tensor.
  if (parts.size() > 1)
    llvm::erase_if(parts, [&](const Tensor &part) { return isConstantIntValue(part.sizes[*axis], 0); });
  if (parts.empty())
    return node.unsupported("all inputs are empty");
  return node.set(0, parts.size() == 1 ? parts[0] : concat(node.b, parts, *axis, along));
}

// ------------------------------------------------------------------------------------------------ Slice

/// One dimension of a slice.
namespace {
struct Cut {
  OpFoldResult start, size;
  int64_t step = 1;
};
} // namespace

/// A position that counts from the end if it is negative, between `low` and `high`; null if its sign is not known.
static OpFoldResult clampPosition(Node &node, OpFoldResult at, OpFoldResult count, OpFoldResult low,
                                  OpFoldResult high) {
  SizeAlgebra &algebra = node.graph.algebra;
  std::optional<int64_t> constant = getConstantIntValue(at);
  if (constant && *constant < 0)
    at = *constant < -(int64_t(1) << 41) ? low : algebra.add(node.b, count, at);
  else if (constant && *constant > (int64_t(1) << 41)) // beyond every size
    at = high;
  else if (!algebra.isNonNegative(at))
    return {};
  at = at ? algebra.minimum(node.b, at, high) : at;
  return at ? algebra.maximum(node.b, at, low) : at;
}

static constexpr int64_t kMaxStep = int64_t(1) << 40;

static FailureOr<Cut> cutOf(Node &node, OpFoldResult start, OpFoldResult end, int64_t step, OpFoldResult count) {
  SizeAlgebra &algebra = node.graph.algebra;
  ImplicitLocOpBuilder &b = node.b;
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(-1), last = algebra.add(b, count, one);
  OpFoldResult from =
      step > 0 ? clampPosition(node, start, count, zero, count) : clampPosition(node, start, count, zero, last);
  OpFoldResult to =
      step > 0 ? clampPosition(node, end, count, zero, count) : clampPosition(node, end, count, one, last);
  if (!from || !to)
    return node.unsupported(
        "inputs starts and ends are not known well enough; a position must be a constant or a size");
  OpFoldResult length = step > 0 ? algebra.subtract(b, to, from) : algebra.subtract(b, from, to);
  length = length ? algebra.maximum(b, length, zero) : length;
  length = length ? algebra.add(b, length, b.getIndexAttr(std::abs(step) - 1)) : length;
  length = length ? algebra.divide(b, length, b.getIndexAttr(std::abs(step))) : length;
  if (!length)
    return node.badOperand("the result has more elements than can be counted");
  return Cut{from, length, step};
}

/// The parts of data that `cuts` name, one cut for each dimension.
static LogicalResult setSlice(Node &node, unsigned output, ArrayRef<Cut> cuts) {
  GraphValue &x = node.input(0);
  Sizes offsets, sizes;
  SmallVector<int64_t> strides, starts;
  bool isStatic = true;
  for (const Cut &cut : cuts) {
    offsets.push_back(cut.start);
    sizes.push_back(cut.size);
    strides.push_back(cut.step);
    starts.push_back(getConstantIntValue(cut.start).value_or(-1));
    isStatic &= getConstantIntValue(cut.start) && getConstantIntValue(cut.size);
  }
  if (llvm::equal(sizes, x.sizes, sameSize) && llvm::all_of(strides, [](int64_t step) { return step == 1; }))
    return node.setValue(output, x);
  if (isStatic) {
    auto known = moveElements(node, output, x, sizes, [&](ArrayRef<int64_t> index, ArrayRef<int64_t>) {
      SmallVector<int64_t> from;
      for (auto [i, start, step] : llvm::zip(index, starts, strides))
        from.push_back(start + i * step);
      return from;
    });
    if (known)
      return *known;
  }
  if (x.progression) {
    auto [dim, start, step] = *x.progression;
    OpFoldResult skipped = node.graph.algebra.multiply(node.b, cuts[dim].start, node.b.getIndexAttr(step));
    OpFoldResult first = skipped ? node.graph.algebra.add(node.b, start, skipped) : skipped;
    if (first) {
      GraphValue value;
      value.element = x.element;
      value.sizes = sizes;
      value.progression = Progression{dim, first, step * cuts[dim].step};
      return node.setValue(output, value);
    }
  }
  // Nothing is cut out of nothing; its position may lie outside.
  if (llvm::any_of(sizes, [](OpFoldResult size) { return isConstantIntValue(size, 0); }) && x.element)
    return node.set(output, makeTensor(empty(node.b, sizes, x.element), sizes, x.element));
  FailureOr<Tensor> tensor = node.tensor(0, "data");
  return failed(tensor) ? failure() : node.set(output, slice(node.b, *tensor, offsets, sizes, strides));
}

/// Lists of positions: inputs since opset 10, attributes before.
static LogicalResult importSlice(Node &node) {
  GraphValue &x = node.input(0);
  auto positions = [&](unsigned i, StringRef name) -> FailureOr<Sizes> {
    if (node.has(i) || node.graph.opset >= 10)
      return node.sizes(i, name);
    FailureOr<SmallVector<int64_t>> list = node.integerList(name);
    if (failed(list))
      return failure();
    return llvm::map_to_vector(*list, [&](int64_t at) { return OpFoldResult(node.b.getIndexAttr(at)); });
  };
  FailureOr<Sizes> starts = positions(1, "starts"), ends = positions(2, "ends");
  if (failed(starts) || failed(ends))
    return failure();
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, starts->size())), steps(starts->size(), 1);
  if (node.has(3) || node.hasAttribute("axes")) {
    FailureOr<SmallVector<int64_t>> list = node.has(3) ? node.integers(3, "axes") : node.integerList("axes");
    if (failed(list))
      return failure();
    axes = *list;
  }
  if (node.has(4)) {
    FailureOr<SmallVector<int64_t>> list = node.integers(4, "steps");
    if (failed(list))
      return failure();
    steps = *list;
  }
  if (ends->size() != starts->size() || axes.size() != starts->size() || steps.size() != starts->size())
    return node.badOperand("starts, ends, axes and steps have " + Twine(starts->size()) + ", " + Twine(ends->size()) +
                           ", " + Twine(axes.size()) + " and " + Twine(steps.size()) +
                           " elements; they must have the same number");
  SmallVector<Cut> cuts;
  for (OpFoldResult size : x.sizes)
    cuts.push_back({node.b.getIndexAttr(0), size});
  llvm::SmallBitVector named(x.rank());
  for (auto [start, end, listed, step] : llvm::zip(*starts, *ends, axes, steps)) {
    FailureOr<int64_t> axis = axisOf(node, "input axes", listed, x.rank());
    if (failed(axis))
      return failure();
    if (named.test(*axis))
      return node.badOperand("axis " + Twine(*axis) + " is named twice");
    named.set(*axis);
    if (step == 0 || std::abs(step) > kMaxStep)
      return node.badOperand("input steps has " + Twine(step) + "; a step must not be 0, nor beyond 2^40");
    FailureOr<Cut> cut = cutOf(node, start, end, step, x.sizes[*axis]);
    if (failed(cut))
      return failure();
    cuts[*axis] = *cut;
  }
  return setSlice(node, 0, cuts);
}

/// In parts of given sizes, or in as many equal ones as there are outputs (the last may be smaller).
static LogicalResult importSplit(Node &node) {
  GraphValue &x = node.input(0);
  FailureOr<int64_t> attribute = node.integer("axis", 0);
  if (failed(attribute))
    return failure();
  FailureOr<int64_t> axis = axisOf(node, "attribute 'axis'", *attribute, x.rank());
  if (failed(axis))
    return failure();
  int64_t count = node.proto.output_size();
  FailureOr<int64_t> outputs = node.integer("num_outputs", count);
  if (failed(outputs))
    return failure();
  if (*outputs != count)
    return node.badAttribute("attribute 'num_outputs' is " + Twine(*outputs) + "; the node has " + Twine(count) +
                             " outputs");
  SizeAlgebra &algebra = node.graph.algebra;
  ImplicitLocOpBuilder &b = node.b;
  OpFoldResult whole = x.sizes[*axis], zero = b.getIndexAttr(0);
  Sizes parts;
  if (node.has(1)) {
    FailureOr<Sizes> sizes = node.sizes(1, "split");
    if (failed(sizes))
      return failure();
    parts = *sizes;
  } else if (node.hasAttribute("split")) {
    FailureOr<SmallVector<int64_t>> sizes = node.integerList("split");
    if (failed(sizes))
      return failure();
    for (int64_t size : *sizes)
      parts.push_back(b.getIndexAttr(size));
  } else {
    // ceil(whole / count) each; the rest for the last.
    OpFoldResult each = algebra.quotient(b, whole, b.getIndexAttr(count));
    if (std::optional<int64_t> constant = getConstantIntValue(whole); constant && !each)
      each = b.getIndexAttr((*constant + count - 1) / count);
    if (!each)
      return node.unsupported("axis " + Twine(*axis) + " has a symbolic size that " + Twine(count) +
                              " outputs do not divide; give their sizes, in input split");
    parts.assign(count - 1, each);
    OpFoldResult taken = algebra.multiply(b, each, b.getIndexAttr(count - 1));
    OpFoldResult rest = taken ? algebra.subtract(b, whole, taken) : taken;
    if (!rest || !algebra.isNonNegative(rest))
      return node.badOperand("axis " + Twine(*axis) + " cannot be split in " + Twine(count) + " parts");
    parts.push_back(rest);
  }
  if (int64_t(parts.size()) != count)
    return node.badOperand("input split has " + Twine(parts.size()) + " sizes; the node has " + Twine(count) +
                           " outputs");
  OpFoldResult at = zero;
  for (unsigned i = 0; i < count; ++i) {
    if (!algebra.isNonNegative(parts[i]))
      return node.badOperand("input split has a size that is negative or may be");
    SmallVector<Cut> cuts;
    for (OpFoldResult size : x.sizes)
      cuts.push_back({zero, size});
    cuts[*axis] = {at, parts[i]};
    if (node.wants(i) && failed(setSlice(node, i, cuts)))
      return failure();
    at = algebra.add(b, at, parts[i]);
    if (!at)
      return node.badOperand("input split has more elements than can be counted");
  }
  if (algebra.equal(at, whole) != true)
    return node.badOperand("the sizes of input split add up to " + shownSize(node.graph, at) + "; axis " +
                           Twine(*axis) + " has " + shownSize(node.graph, whole));
  return success();
}

// ------------------------------------------------------------------------------------------------ Transpose

static LogicalResult importTranspose(Node &node) {
  GraphValue &x = node.input(0);
  SmallVector<int64_t> permutation = llvm::to_vector(llvm::reverse(llvm::seq<int64_t>(0, x.rank())));
  if (node.hasAttribute("perm")) {
    FailureOr<SmallVector<int64_t>> perm = node.integerList("perm");
    if (failed(perm))
      return failure();
    permutation = *perm;
  }
  if (int64_t(permutation.size()) != x.rank() || !isPermutationVector(permutation))
    return node.badAttribute("attribute 'perm' is no permutation of the " + Twine(x.rank()) + " dimensions of data");
  if (llvm::is_sorted(permutation))
    return node.setValue(0, x);
  Sizes sizes = applyPermutation(ArrayRef(x.sizes), permutation);
  auto known = moveElements(node, 0, x, sizes, [&](ArrayRef<int64_t> index, ArrayRef<int64_t>) {
    SmallVector<int64_t> from(index.size());
    for (auto [i, to] : llvm::zip(index, permutation))
      from[to] = i;
    return from;
  });
  if (known)
    return *known;
  FailureOr<Tensor> tensor = node.tensor(0, "data");
  return failed(tensor) ? failure() : node.set(0, transpose(node.b, *tensor, permutation));
}

// ------------------------------------------------------------------------------------------------ Expand, Tile

static LogicalResult importExpand(Node &node) {
  GraphValue &x = node.input(0);
  FailureOr<Sizes> target = node.sizes(1, "shape");
  if (failed(target))
    return failure();
  Sizes sizes(std::max<size_t>(x.rank(), target->size()), node.b.getIndexAttr(1));
  if (int64_t(sizes.size()) > kMaxTensorRank)
    return node.unsupported("the result has rank " + Twine(sizes.size()) + "; at most " + Twine(kMaxTensorRank) +
                            " is supported");
  llvm::copy(*target, sizes.end() - target->size());
  for (OpFoldResult size : sizes)
    if (!node.graph.algebra.isNonNegative(size))
      return node.badOperand("input shape has a size that is negative or may be");
  for (int64_t d = 1; d <= x.rank(); ++d) {
    OpFoldResult own = x.sizes[x.rank() - d], &size = sizes[sizes.size() - d];
    if (isConstantIntValue(own, 1))
      continue;
    if (!isConstantIntValue(size, 1) && !node.graph.unify(own, size))
      return node.report(getConstantIntValue(own) && getConstantIntValue(size) ? code::Operand : code::NoFeature,
                         shownSize(node.graph, own) + " and " + shownSize(node.graph, size) + " meet in dimension " +
                             Twine(sizes.size() - d) + "; they must be equal, or one of them 1");
    size = own;
  }
  if (llvm::equal(sizes, x.sizes, sameSize))
    return node.setValue(0, x);
  auto known = moveElements(node, 0, x, sizes, [](ArrayRef<int64_t> index, ArrayRef<int64_t> shape) {
    SmallVector<int64_t> from;
    for (auto [i, size] : llvm::zip(index.take_back(shape.size()), shape))
      from.push_back(size == 1 ? 0 : i);
    return from;
  });
  if (known)
    return *known;
  FailureOr<Tensor> tensor = node.tensor(0, "input");
  return failed(tensor) ? failure() : node.set(0, broadcastTo(node.b, *tensor, sizes));
}

static LogicalResult importTile(Node &node) {
  GraphValue &x = node.input(0);
  FailureOr<Sizes> repeats = node.sizes(1, "repeats");
  if (failed(repeats))
    return failure();
  if (int64_t(repeats->size()) != x.rank())
    return node.badOperand("input repeats has " + Twine(repeats->size()) + " elements; data has rank " +
                           Twine(x.rank()));
  Sizes sizes;
  for (auto [size, times] : llvm::zip(x.sizes, *repeats)) {
    if (!node.graph.algebra.isNonNegative(times))
      return node.badOperand("input repeats has a number that is negative or may be");
    sizes.push_back(node.graph.algebra.multiply(node.b, size, times));
    if (!sizes.back())
      return node.badOperand("the result has more elements than can be counted");
  }
  auto known = moveElements(node, 0, x, sizes, [](ArrayRef<int64_t> index, ArrayRef<int64_t> shape) {
    SmallVector<int64_t> from;
    for (auto [i, size] : llvm::zip(index, shape))
      from.push_back(i % size);
    return from;
  });
  if (known)
    return *known;
  FailureOr<Tensor> tensor = node.tensor(0, "input");
  return failed(tensor) ? failure() : node.set(0, tile(node.b, *tensor, *repeats, sizes));
}

static constexpr Operator kOperators[] = {
    {"", "Concat", importConcat, 1, 1024, 1, "axis", true},
    {"", "Slice", importSlice, 1, 5, 1, "starts ends axes", true},
    {"", "Split", importSplit, 1, 2, 1024, "axis split num_outputs", true},
    {"", "Transpose", importTranspose, 1, 1, 1, "perm", true},
    {"", "Expand", importExpand, 2, 2, 1, "", true},
    {"", "Tile", importTile, 2, 2, 1, "", true},
};

ArrayRef<Operator> moveOperators() { return kOperators; }

} // namespace whit
