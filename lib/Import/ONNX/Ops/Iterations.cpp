// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Scan and Loop: the body is imported once for each step, with what is known at that step.

#include "Import/ONNX/Ops/Iterations.h"

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Tables.h"

using namespace mlir;

namespace whit {

using namespace semantics;

FailureOr<int64_t> stepsOf(Node &node, const Tensor &x, StringRef role, int64_t axis) {
  std::optional<int64_t> count = getConstantIntValue(x.sizes[axis]);
  if (!count)
    return LogicalResult(node.unsupported("input " + role + " has a symbolic size in dimension " + Twine(axis) +
                                              ", which is how many steps are made; they are part of the program",
                                          "fix it with --dim NAME=N"));
  if (*count < 1 || *count > kMaxIterations)
    return LogicalResult(node.unsupported("input " + role + " asks for " + Twine(*count) + " steps; 1 to " +
                                          Twine(kMaxIterations) + " are supported"));
  return *count;
}

Tensor pick(ImplicitLocOpBuilder &b, const Tensor &x, int64_t axis, int64_t place) {
  Sizes offsets(x.rank(), b.getIndexAttr(0)), sizes = x.sizes;
  offsets[axis] = b.getIndexAttr(place);
  sizes[axis] = b.getIndexAttr(1);
  Sizes strides(x.rank(), b.getIndexAttr(1)), rest = sizes;
  rest.erase(rest.begin() + axis);
  // A view, where a slice that is reshaped would be copied.
  auto type = RankedTensorType::get(shapeOf(rest), x.element());
  return {tensor::ExtractSliceOp::create(b, type, x.value, offsets, sizes, strides), rest, x.meaning};
}

Tensor stack(ImplicitLocOpBuilder &b, ArrayRef<Tensor> parts, int64_t axis) {
  SmallVector<Tensor> layers;
  for (const Tensor &part : parts) {
    Sizes sizes = parts[0].sizes;
    sizes.insert(sizes.begin() + axis, b.getIndexAttr(1));
    layers.push_back(reshape(b, part, sizes));
  }
  return layers.size() == 1 ? layers[0] : concat(b, layers, axis, b.getIndexAttr(layers.size()));
}

/// The attribute `body` with as many inputs and outputs as the node asks for.
static const ::onnx::GraphProto *bodyOf(Node &node, int inputs, int outputs) {
  const auto *attribute = node.find("body");
  if (!attribute || attribute->type() != ::onnx::AttributeProto::GRAPH) {
    (void)node.badAttribute("attribute 'body' must be a graph");
    return nullptr;
  }
  const ::onnx::GraphProto &body = attribute->g();
  if (body.input_size() == inputs && body.output_size() == outputs)
    return &body;
  (void)node.badAttribute("attribute 'body' has " + Twine(body.input_size()) + " inputs and " +
                          Twine(body.output_size()) + " outputs; the node needs " + Twine(inputs) + " and " +
                          Twine(outputs));
  return nullptr;
}

/// One step with the body's inputs in order.
static FailureOr<SmallVector<GraphValue>> step(Node &node, const ::onnx::GraphProto &body,
                                               ArrayRef<GraphValue> inputs) {
  for (auto [input, value] : llvm::zip(body.input(), inputs))
    if (failed(node.graph.define(input.name(), value, node)))
      return failure();
  return node.graph.importBranch(node, body);
}

static GraphValue valueOf(const Tensor &x) {
  GraphValue value;
  value.element = x.numbers();
  value.sizes = x.sizes;
  value.value = x.value;
  return value;
}

/// Adds what a step gives to what the others gave, all of one shape.
static LogicalResult collect(Node &node, SmallVectorImpl<Tensor> &parts, GraphValue &value, StringRef name) {
  std::string why;
  FailureOr<Tensor> part = node.graph.materialize(value, node.b, why);
  if (failed(part))
    return node.unsupported("output '" + shown(name) + "' of the body " + why);
  bool fits = parts.empty() || (part->rank() == parts[0].rank() && part->numbers() == parts[0].numbers());
  for (int64_t i = 0; fits && !parts.empty() && i < part->rank(); ++i)
    fits = node.graph.unify(part->sizes[i], parts[0].sizes[i]);
  if (!fits)
    return node.unsupported("output '" + shown(name) + "' of the body has another shape or type than before");
  parts.push_back(*part);
  return success();
}

/// Numbers of an attribute, as many as `count`; all 0 if it is absent.
static FailureOr<SmallVector<int64_t>> numbersFor(Node &node, StringRef name, size_t count) {
  if (!node.hasAttribute(name))
    return SmallVector<int64_t>(count, 0);
  FailureOr<SmallVector<int64_t>> list = node.integerList(name);
  if (succeeded(list) && list->size() != count)
    return LogicalResult(node.badAttribute("attribute '" + name + "' has " + Twine(list->size()) +
                                           " numbers; it must have " + Twine(count)));
  return list;
}

static LogicalResult importScan(Node &node) {
  if (node.graph.opset < 9)
    return node.unsupported("operator sets before 9 scan batches of sequences",
                            "convert the model to opset 9 or newer");
  FailureOr<int64_t> scanned = node.integer("num_scan_inputs");
  if (failed(scanned))
    return failure();
  int64_t inputs = node.proto.input_size(), outputs = node.proto.output_size(), states = inputs - *scanned;
  if (*scanned < 1 || states < 0 || outputs < states)
    return node.badAttribute("attribute 'num_scan_inputs' is " + Twine(*scanned) + "; the node has " + Twine(inputs) +
                             " inputs and " + Twine(outputs) + " outputs");
  const ::onnx::GraphProto *body = bodyOf(node, int(inputs), int(outputs));
  auto axes = numbersFor(node, "scan_input_axes", *scanned),
       directions = numbersFor(node, "scan_input_directions", *scanned),
       outputAxes = numbersFor(node, "scan_output_axes", outputs - states),
       outputDirections = numbersFor(node, "scan_output_directions", outputs - states);
  if (!body || failed(axes) || failed(directions) || failed(outputAxes) || failed(outputDirections))
    return failure();
  SmallVector<Tensor> sequences;
  std::optional<int64_t> count;
  for (int64_t i = 0; i < *scanned; ++i) {
    std::string role = "scan_" + std::to_string(i + 1);
    FailureOr<Tensor> x = node.tensor(states + i, role);
    if (failed(x))
      return failure();
    int64_t &axis = (*axes)[i];
    if (axis < -x->rank() || axis >= x->rank())
      return node.badAttribute("attribute 'scan_input_axes' has " + Twine(axis) + "; input " + role + " has rank " +
                               Twine(x->rank()));
    axis = axis < 0 ? axis + x->rank() : axis;
    FailureOr<int64_t> steps = stepsOf(node, *x, role, axis);
    if (failed(steps))
      return failure();
    if (count && *count != *steps)
      return node.badOperand("input " + role + " has " + Twine(*steps) + " elements along its axis; others have " +
                             Twine(*count));
    count = *steps;
    sequences.push_back(*x);
  }
  SmallVector<GraphValue> state;
  for (int64_t i = 0; i < states; ++i)
    state.push_back(node.input(i));
  SmallVector<SmallVector<Tensor>> parts(outputs - states);
  for (int64_t t = 0; t < *count; ++t) {
    SmallVector<GraphValue> given(state);
    for (auto [i, x] : llvm::enumerate(sequences))
      given.push_back(valueOf(pick(node.b, x, (*axes)[i], (*directions)[i] ? *count - 1 - t : t)));
    FailureOr<SmallVector<GraphValue>> results = step(node, *body, given);
    if (failed(results))
      return failure();
    for (int64_t i = 0; i < outputs; ++i)
      if (i >= states && failed(collect(node, parts[i - states], (*results)[i], body->output(i).name())))
        return failure();
    state.assign(results->begin(), results->begin() + states);
  }
  for (int64_t i = 0; i < states; ++i)
    if (failed(node.setValue(i, state[i])))
      return failure();
  for (auto [i, list] : llvm::enumerate(parts)) {
    int64_t rank = list[0].rank() + 1, axis = (*outputAxes)[i];
    if (axis < -rank || axis >= rank)
      return node.badAttribute("attribute 'scan_output_axes' has " + Twine(axis) + "; the output has rank " +
                               Twine(rank));
    if ((*outputDirections)[i])
      std::reverse(list.begin(), list.end());
    if (failed(node.set(states + i, stack(node.b, list, axis < 0 ? axis + rank : axis))))
      return failure();
  }
  return success();
}

/// The only element of a value, if it is known.
static std::optional<int64_t> known(const GraphValue &value) {
  return value.elements && value.elements->size() == 1 ? getConstantIntValue((*value.elements)[0]) : std::nullopt;
}

static GraphValue scalar(Type element, OpFoldResult number) {
  GraphValue value;
  value.element = element;
  value.elements = Sizes{number};
  return value;
}

static LogicalResult importLoop(Node &node) {
  int64_t states = std::max(node.proto.input_size() - 2, 0), outputs = node.proto.output_size();
  const ::onnx::GraphProto *body = bodyOf(node, int(states + 2), int(outputs + 1));
  if (!body)
    return failure();
  if (outputs < states)
    return node.badOperand("has " + Twine(outputs) + " outputs; it must have one for each of " + Twine(states) +
                           " values that the loop hands on");
  std::optional<int64_t> count = node.has(0) ? known(node.input(0)) : std::nullopt,
                         goesOn = node.has(1) ? known(node.input(1)) : 1;
  if ((node.has(0) && !count) || !goesOn)
    return node.unsupported("inputs M and cond are not known before the model runs; steps are part of the program",
                            "make them constants, or sizes that are fixed with --dim NAME=N");
  ImplicitLocOpBuilder &b = node.b;
  SmallVector<GraphValue> state;
  for (int64_t i = 0; i < states; ++i) {
    if (!node.has(2 + i))
      return node.unsupported("input " + Twine(2 + i) + " is absent; optional values are not supported");
    state.push_back(node.input(2 + i));
  }
  SmallVector<SmallVector<Tensor>> parts(outputs - states);
  for (int64_t t = 0; *goesOn && (!count || t < *count); ++t) {
    if (t == kMaxIterations)
      return node.unsupported("more than " + Twine(kMaxIterations) + " steps are not supported");
    SmallVector<GraphValue> given{scalar(b.getI64Type(), b.getIndexAttr(t)), scalar(b.getI1Type(), b.getIndexAttr(1))};
    llvm::append_range(given, state);
    FailureOr<SmallVector<GraphValue>> results = step(node, *body, given);
    if (failed(results))
      return failure();
    goesOn = known((*results)[0]);
    if (!goesOn)
      return node.unsupported("output '" + shown(body->output(0).name()) +
                              "' of the body, whether the loop goes on, depends on data");
    state.assign(results->begin() + 1, results->begin() + 1 + states);
    for (int64_t i = states; i < outputs; ++i)
      if (failed(collect(node, parts[i - states], (*results)[1 + i], body->output(1 + i).name())))
        return failure();
  }
  for (int64_t i = 0; i < states; ++i)
    if (failed(node.setValue(i, state[i])))
      return failure();
  for (auto [i, list] : llvm::enumerate(parts)) {
    if (list.empty())
      return node.unsupported("the loop makes no step; output " + Twine(states + i) + " would have no elements");
    if (failed(node.set(states + i, stack(b, list, 0))))
      return failure();
  }
  return success();
}

static constexpr Operator kOperators[] = {
    {"", "Scan", importScan, 0, 1024, 1024,
     "body num_scan_inputs scan_input_axes scan_input_directions scan_output_axes scan_output_directions", true},
    {"", "Loop", importLoop, 0, 1024, 1024, "body", true},
};

ArrayRef<Operator> iterationOperators() { return kOperators; }

} // namespace whit
