// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// FlexAttention of ai.onnx.preview: attention whose scores and probabilities are changed by graphs.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Tables.h"

#include <cmath>

using namespace mlir;

namespace whit {

using namespace semantics;

/// What a graph of one input and one output makes of x, of the same shape and type; x if there is no such attribute.
static FailureOr<Tensor> changed(Node &node, StringRef name, const Tensor &x) {
  const auto *attribute = node.find(name);
  if (!attribute)
    return x;
  if (attribute->type() != ::onnx::AttributeProto::GRAPH || attribute->g().input_size() != 1 ||
      attribute->g().output_size() != 1)
    return LogicalResult(node.badAttribute("attribute '" + name + "' must be a graph of one input and one output"));
  const ::onnx::GraphProto &graph = attribute->g();
  GraphValue given;
  given.element = x.numbers();
  given.sizes = x.sizes;
  given.value = x.value;
  if (failed(node.graph.define(graph.input(0).name(), given, node)))
    return failure();
  FailureOr<SmallVector<GraphValue>> results = node.graph.importBranch(node, graph);
  if (failed(results))
    return failure();
  std::string why;
  FailureOr<Tensor> y = node.graph.materialize(results->front(), node.b, why);
  if (failed(y))
    return LogicalResult(node.unsupported("the result of attribute '" + name + "' " + why));
  bool fits = y->rank() == x.rank() && y->numbers() == x.numbers();
  for (int64_t i = 0; fits && i < x.rank(); ++i)
    fits = node.graph.unify(y->sizes[i], x.sizes[i]);
  if (!fits)
    return LogicalResult(node.badAttribute("attribute '" + name + "' must give the shape and the type that it takes"));
  return Tensor{y->value, x.sizes};
}

static LogicalResult importFlexAttention(Node &node) {
  auto operands = operandsOf(node, {"Q", "K", "V"}, Elements::Floats);
  FailureOr<int64_t> precision = node.integer("softmax_precision", 0);
  FailureOr<double> scale = node.number("scale", 0);
  if (failed(operands) || failed(precision) || failed(scale))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  Tensor q = (*operands)[0], k = (*operands)[1], v = (*operands)[2];
  for (auto [x, role] : {std::pair(&q, "Q"), {&k, "K"}, {&v, "V"}})
    if (x->rank() != 4 || !getConstantIntValue(x->sizes[1]) || !getConstantIntValue(x->sizes[3]))
      return node.badOperand(Twine("input ") + role + " must have rank 4, with known heads and head sizes");
  int64_t heads = q.dim(1), kvHeads = k.dim(1), depth = q.dim(3);
  if (kvHeads < 1 || heads % kvHeads || v.dim(1) != kvHeads || k.dim(3) != depth)
    return node.badOperand("inputs Q, K and V have heads " + Twine(heads) + ", " + Twine(kvHeads) + " and " +
                           Twine(v.dim(1)) +
                           "; K and V must have as many, Q a multiple of them, and K the head size of Q");
  for (auto [x, y, dim] : {std::tuple(&q, &k, 0), {&k, &v, 0}, {&k, &v, 2}})
    if (!node.graph.unify(x->sizes[dim], y->sizes[dim]))
      return node.badOperand("inputs Q, K and V do not fit together in dimension " + Twine(dim));
  Type type = q.element(), wide = type.isF64() ? type : Type(b.getF32Type());
  Type asked = *precision ? valueType(b.getContext(), *precision) : wide;
  if (!isa_and_nonnull<FloatType>(asked) || asked.getIntOrFloatBitWidth() < 16)
    return node.badAttribute("attribute 'softmax_precision' is " + Twine(*precision) +
                             "; it must be float (1), float16 (10), double (11) or bfloat16 (16)");
  Type sums = asked.isF64() ? asked : wide;
  double factor = node.hasAttribute("scale") ? *scale : 1 / std::sqrt(double(depth));
  OpFoldResult batch = q.sizes[0], rows = q.sizes[2], tokens = k.sizes[2], group = b.getIndexAttr(kvHeads),
               share = b.getIndexAttr(heads / kvHeads);
  DimPair same[] = {{0, 0}, {1, 1}};
  Tensor apart = reshape(b, convert(b, q, wide), {batch, group, share, rows, q.sizes[3]});
  Tensor scores = contract(b, apart, convert(b, Tensor{k.value, {batch, group, tokens, k.sizes[3]}}, wide), same,
                           DimPair(4, 3), wide);
  scores = reshape(b, scores, {batch, q.sizes[1], rows, tokens});
  scores = elementwise(b, scores, scores.sizes, wide, [&](ImplicitLocOpBuilder &at, ValueRange x) {
    return multiply(at, {x[0], constant(at, wide, factor)});
  });
  FailureOr<Tensor> modified = changed(node, "score_mod", convert(b, scores, asked));
  if (failed(modified))
    return failure();
  Tensor x = convert(b, *modified, sums), most = reduce(b, x, Reduction::Max, 3, /*keep=*/true);
  Tensor powers = elementwise(b, {x, most}, x.sizes, sums, [](ImplicitLocOpBuilder &at, ValueRange w) {
    return exponential(at, subtract(at, {w[0], w[1]}));
  });
  Tensor total = reduce(b, powers, Reduction::Sum, 3, /*keep=*/true);
  Tensor weights = elementwise(b, {powers, total}, x.sizes, sums, divide);
  FailureOr<Tensor> chosen = changed(node, "prob_mod", convert(b, weights, asked));
  if (failed(chosen))
    return failure();
  Tensor each = reshape(b, convert(b, *chosen, sums), {batch, group, share, rows, tokens});
  Tensor values = convert(b, Tensor{v.value, {batch, group, tokens, v.sizes[3]}}, sums);
  Tensor y = contract(b, each, values, same, DimPair(4, 2), sums);
  return node.set(0, convert(b, reshape(b, y, {batch, q.sizes[1], rows, v.sizes[3]}), type));
}

static constexpr Operator kOperators[] = {
    {"ai.onnx.preview", "FlexAttention", importFlexAttention, 3, 3, 1, "prob_mod scale score_mod softmax_precision"},
};

ArrayRef<Operator> flexAttentionOperators() { return kOperators; }

} // namespace whit
