// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators on shapes, and those that only move elements. Shape arithmetic never becomes tensors if it can be index
// values.

#include "Import/ONNX/Graph.h"

#include "Import/Semantics/Transformer.h"

#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;

namespace whit {

using namespace semantics;

static constexpr size_t kMaxElements = 64;

static LogicalResult importConstant(Node &node) {
  MLIRContext *context = node.b.getContext();
  if (node.proto.attribute_size() != 1)
    return node.badAttribute("has " + Twine(node.proto.attribute_size()) + " attributes; a constant has exactly one");
  const auto &attribute = node.proto.attribute(0);
  StringRef name = attribute.name();
  if (name == "value") {
    WireTensor wire;
    if (attribute.type() != ::onnx::AttributeProto::TENSOR ||
        !cutAttributeTensor(node.graph.source.bytes, node.graph.source.nodes[node.index], "value", wire))
      return node.badAttribute("attribute 'value' must be a tensor");
    auto tensor =
        readTensor(wire, node.proto.output(0), node.graph.source.file, node.graph.files, node.graph.diagnostics);
    return tensor ? node.setValue(0, node.graph.fromStored(tensor)) : failure();
  }
  if (name == "value_int" || name == "value_ints") {
    Sizes elements;
    if (name == "value_int")
      elements.push_back(node.b.getIndexAttr(attribute.i()));
    else if (size_t(attribute.ints_size()) <= kMaxElements)
      for (int64_t value : attribute.ints())
        elements.push_back(node.b.getIndexAttr(value));
    else
      return node.unsupported("attribute 'value_ints' has " + Twine(attribute.ints_size()) +
                              " integers; at most 64 are supported");
    return node.setElements(0, elements, name == "value_int", IntegerType::get(context, 64));
  }
  if (name == "value_float") {
    auto type = RankedTensorType::get({}, node.b.getF32Type());
    return node.set(0, {arith::ConstantOp::create(node.b, DenseElementsAttr::get(type, APFloat(attribute.f()))), {}});
  }
  return node.unsupported("attribute '" + shown(name) +
                          "' is not supported; only value, value_int, value_ints and value_float are");
}

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
  if (data.elements && indices.elements) {
    Sizes result;
    int64_t count = data.elements->size();
    for (OpFoldResult index : *indices.elements) {
      std::optional<int64_t> at = getConstantIntValue(index);
      if (!at)
        return node.unsupported(
            "input indices is not known before the model runs; it must be a constant to pick from a shape");
      if (*at < -count || *at >= count)
        return node.badOperand("input indices has " + Twine(*at) + "; data has " + Twine(count) + " elements");
      result.push_back((*data.elements)[*at < 0 ? *at + count : *at]);
    }
    return node.setElements(0, result, indices.rank() == 0, data.element);
  }
  // Rows of a float table: an embedding.
  if (!data.stored || data.rank() != 2 || (*axis != 0 && *axis != -2) || !data.element || !data.element.isF32() ||
      !data.stored->count || data.stored->file.empty())
    return node.unsupported("only picking from a shape and rows of a constant float table [N, K] is supported");
  FailureOr<Tensor> rows = node.tensor(1, "indices");
  if (failed(rows))
    return failure();
  if (!rows->element().isInteger(64) && !rows->element().isInteger(32))
    return node.badOperand("input indices must have integer elements");
  const StoredTensor &stored = *data.stored;
  Encoding encoding; // plain f32
  auto shape = shapeOf(data.sizes);
  auto type = mlir::whit::EncodedTensorType::get(node.b.getContext(), shape, data.element,
                                                 mlir::whit::FormatAttr::get(node.b.getContext(), nameOf(encoding)));
  auto blob = node.graph.weights->blob(stored.file, stored.offset, stored.length, data.element);
  auto part = mlir::whit::SourceAttr::get(node.b.getContext(), "rows", shape[0], blob);
  return node.set(0, gatherRows(node.b, node.graph.weights->constant(node.b, stored.name, type, part), *rows));
}

/// Gives a value other sizes: by the numbers alone for constants, as views for tensors.
static LogicalResult reshapeTo(Node &node, Sizes sizes) {
  GraphValue &x = node.input(0);
  if (x.stored || x.elements) {
    GraphValue value = x;
    value.sizes = sizes;
    value.value = {};
    if (sizes.size() > 1 && value.elements && !value.stored) {
      FailureOr<Tensor> tensor = node.tensor(0, "data");
      return failed(tensor) ? failure() : node.set(0, reshape(node.b, *tensor, sizes));
    }
    if (sizes.size() > 1)
      value.elements.reset();
    return node.setValue(0, value);
  }
  FailureOr<Tensor> tensor = node.tensor(0, "data");
  return failed(tensor) ? failure() : node.set(0, reshape(node.b, *tensor, sizes));
}

/// The product of sizes as a constant and a list of symbols, sorted so that equal products are equal lists.
static std::optional<std::pair<int64_t, SmallVector<void *>>> productOf(ArrayRef<OpFoldResult> sizes) {
  std::pair<int64_t, SmallVector<void *>> result{1, {}};
  SmallVector<OpFoldResult> factors(sizes);
  for (size_t i = 0; i < factors.size() && i < kMaxElements; ++i) { // grows
    OpFoldResult size = factors[i];
    if (std::optional<int64_t> constant = getConstantIntValue(size)) {
      std::optional<int64_t> product = llvm::checkedMul(result.first, *constant);
      if (!product)
        return std::nullopt;
      result.first = *product;
    } else if (auto multiply = cast<Value>(size).getDefiningOp<arith::MulIOp>()) {
      factors.push_back(multiply.getLhs());
      factors.push_back(multiply.getRhs());
    } else {
      result.second.push_back(cast<Value>(size).getAsOpaquePointer());
    }
  }
  if (factors.size() > kMaxElements)
    return std::nullopt;
  llvm::sort(result.second);
  return result;
}

static LogicalResult importReshape(Node &node) {
  GraphValue &x = node.input(0), &target = node.input(1);
  FailureOr<int64_t> allowZero = node.integer("allowzero", 0);
  if (failed(allowZero))
    return failure();
  if (!target.elements)
    return node.unsupported("input shape is not known before the model runs; it must be made of constants and sizes");
  Sizes sizes = *target.elements;
  std::optional<size_t> open;
  for (auto [i, size] : llvm::enumerate(sizes)) {
    std::optional<int64_t> constant = getConstantIntValue(size);
    if (!constant)
      continue;
    if (*constant == 0 && !*allowZero) {
      if (i >= x.sizes.size())
        return node.badOperand("input shape copies dimension " + Twine(i) + "; data has rank " + Twine(x.rank()));
      size = x.sizes[i];
    } else if (*constant == -1) {
      if (open)
        return node.badOperand("input shape has -1 twice; at most one size can be left open");
      open = i;
    } else if (*constant < 0) {
      return node.badOperand("input shape has " + Twine(*constant) + "; a size is -1, 0 or positive");
    }
  }
  auto whole = productOf(x.sizes);
  Sizes others = sizes;
  if (open)
    others.erase(others.begin() + *open);
  auto rest = productOf(others);
  if (!whole || !rest)
    return node.badOperand("input shape has more elements than can be counted");
  if (open) {
    // What both sides share cancels; what is left of data is the open size.
    SmallVector<void *> left = whole->second;
    for (void *symbol : rest->second)
      if (auto *found = llvm::find(left, symbol); found != left.end())
        left.erase(found);
      else
        return node.unsupported(
            "input shape has a symbolic size that data does not have; its elements cannot be counted");
    if (rest->first == 0 || whole->first % rest->first) {
      if (!left.empty() && rest->first)
        return node.unsupported("input shape may not divide the elements of data, whose sizes are symbolic");
      return node.badOperand("input shape does not divide the " + Twine(whole->first) + " elements of data");
    }
    OpFoldResult quotient = node.b.getIndexAttr(whole->first / rest->first);
    for (void *symbol : left)
      quotient = isConstantIntValue(quotient, 1)
                     ? OpFoldResult(Value::getFromOpaquePointer(symbol))
                     : indexOp(node.b, IndexOp::Mul, quotient, Value::getFromOpaquePointer(symbol));
    sizes[*open] = quotient;
  } else if (whole->second != rest->second) {
    return node.unsupported("input shape has other symbolic sizes than data; their elements cannot be compared");
  } else if (whole->first != rest->first) {
    return node.badOperand("input shape has " + Twine(rest->first) + " elements (times symbols); data has " +
                           Twine(whole->first));
  }
  if (sizes.size() > 6)
    return node.unsupported("input shape has rank " + Twine(sizes.size()) + "; at most 6 is supported");
  return reshapeTo(node, sizes);
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
  if (rank > 6)
    return node.unsupported("the result has rank " + Twine(rank) + "; at most 6 is supported");
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

static LogicalResult importTranspose(Node &node) {
  FailureOr<Tensor> x = node.tensor(0, "data");
  if (failed(x))
    return failure();
  SmallVector<int64_t> permutation = llvm::to_vector(llvm::reverse(llvm::seq<int64_t>(0, x->rank())));
  if (node.hasAttribute("perm")) {
    FailureOr<SmallVector<int64_t>> perm = node.integerList("perm");
    if (failed(perm))
      return failure();
    permutation = *perm;
  }
  if (int64_t(permutation.size()) != x->rank() || !isPermutationVector(permutation))
    return node.badAttribute("attribute 'perm' is no permutation of the " + Twine(x->rank()) + " dimensions of data");
  return node.set(0, transpose(node.b, *x, permutation));
}

static LogicalResult importConcat(Node &node) {
  Sizes elements;
  for (int i = 0; i < node.proto.input_size(); ++i) {
    GraphValue *x = node.has(i) ? &node.input(i) : nullptr;
    if (!x || !x->elements || x->rank() != 1 || x->element != node.input(0).element)
      return node.unsupported("only shapes and small integer constants can be joined");
    llvm::append_range(elements, *x->elements);
  }
  if (elements.size() > kMaxElements)
    return node.unsupported("the result has " + Twine(elements.size()) + " integers; at most 64 are supported");
  return node.setElements(0, elements, false, node.input(0).element);
}

static LogicalResult importSlice(Node &node) {
  GraphValue &x = node.input(0);
  if (!x.elements || x.rank() != 1)
    return node.unsupported("only shapes can be cut");
  FailureOr<SmallVector<int64_t>> starts = node.integers(1, "starts"), ends = node.integers(2, "ends");
  SmallVector<int64_t> axis{0}, step{1};
  for (auto [i, into] : {std::pair(3u, &axis), {4u, &step}})
    if (node.has(i)) {
      FailureOr<SmallVector<int64_t>> list = node.integers(i, i == 3 ? "axes" : "steps");
      if (failed(list))
        return failure();
      *into = *list;
    }
  if (failed(starts) || failed(ends))
    return failure();
  if (starts->size() != 1 || ends->size() != 1 || axis.size() != 1 || step.size() != 1 ||
      (axis[0] != 0 && axis[0] != -1))
    return node.badOperand("starts, ends, axes and steps of a shape must have one element each, and axes must be 0");
  if (step[0] < 1)
    return node.unsupported("input steps is " + Twine(step[0]) + "; it must be positive");
  int64_t count = x.elements->size();
  auto clamp = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + count : at, 0, count); };
  Sizes result;
  int64_t end = clamp((*ends)[0]);
  for (int64_t i = clamp((*starts)[0]); i < end; i += std::min(step[0], count))
    result.push_back((*x.elements)[i]);
  return node.setElements(0, result, false, x.element);
}

static LogicalResult importReduceSum(Node &node) {
  FailureOr<Tensor> x = node.tensor(0, "data");
  FailureOr<int64_t> keep = node.integer("keepdims", 1), noop = node.integer("noop_with_empty_axes", 0);
  if (failed(x) || failed(keep) || failed(noop))
    return failure();
  auto axes = axesOf(node, x->rank());
  if (failed(axes))
    return failure();
  if (x->element().isInteger(1))
    return node.badOperand("input data is bool; it must have numbers");
  SmallVector<int64_t> over = axes->value_or(SmallVector<int64_t>());
  if (over.empty() && *noop)
    return node.set(0, *x);
  if (over.empty())
    over = llvm::to_vector(llvm::seq<int64_t>(0, x->rank()));
  return node.set(0, reduce(node.b, *x, Reduction::Sum, over, *keep));
}

static constexpr Operator kOperators[] = {
    {"", "Constant", importConstant, 0, 0, 1, "value value_int value_ints value_float"},
    {"", "Shape", importShape, 1, 1, 1, "start end"},
    {"", "Gather", importGather, 2, 2, 1, "axis"},
    {"", "Concat", importConcat, 1, 64, 1, "axis"},
    {"", "Slice", importSlice, 3, 5, 1, ""},
    {"", "Reshape", importReshape, 2, 2, 1, "allowzero"},
    {"", "Squeeze", importSqueeze, 1, 2, 1, "axes"},
    {"", "Unsqueeze", importUnsqueeze, 1, 2, 1, "axes"},
    {"", "Transpose", importTranspose, 1, 1, 1, "perm"},
    {"", "ReduceSum", importReduceSum, 1, 2, 1, "axes keepdims noop_with_empty_axes"},
};

ArrayRef<Operator> shapeOperators() { return kOperators; }

} // namespace whit
