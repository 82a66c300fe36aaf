// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What language models without attention, or with caches of their own, are made of: linear attention, convolutions that
// remember, caches that are written in place.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Iterations.h"
#include "Import/ONNX/Ops/Tables.h"
#include "Import/Semantics/Loops.h"

#include <cmath>

using namespace mlir;

namespace whit {

using namespace semantics;

static Value swish(ImplicitLocOpBuilder &b, Value x, double alpha) {
  return multiply(b, {x, sigmoid(b, multiply(b, {x, constant(b, x.getType(), alpha)}))});
}

static LogicalResult importSwiGLU(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 1);
  auto operands = operandsOf(node, {"A", "B"}, Elements::Floats);
  if (failed(alpha) || failed(operands))
    return failure();
  return setElementwise(node, *operands, [&](ImplicitLocOpBuilder &b, ValueRange v) {
    return inF32(b, v,
                 [&](ImplicitLocOpBuilder &at, ValueRange w) { return multiply(at, {swish(at, w[0], *alpha), w[1]}); });
  });
}

// ------------------------------------------------------------------------------------------------ linear attention

namespace {
/// A state [B, HK, DK, DV] that every token decays, corrects, adds to and reads.
struct LinearAttention {
  Node &node;
  int64_t heads = 0, group = 1, keys = 0, values = 0; ///< heads of k and v, queries for each of them, sizes of heads
  OpFoldResult batch;

  ImplicitLocOpBuilder &b() { return node.b; }
  Sizes sizes(ArrayRef<int64_t> rest) {
    Sizes all{batch};
    for (int64_t size : rest)
      all.push_back(b().getIndexAttr(size));
    return all;
  }
  /// One token [B, heads * n] of an input [B, T, heads * n], as `rest`.
  Tensor token(const Tensor &x, int64_t t, ArrayRef<int64_t> rest) {
    return reshape(b(), pick(b(), x, 1, t), sizes(rest));
  }
  Tensor map(ArrayRef<Tensor> operands, ArrayRef<int64_t> rest, Body body) {
    return elementwise(b(), operands, sizes(rest), b().getF32Type(), body);
  }
};
} // namespace

static LogicalResult importLinearAttention(Node &node) {
  FailureOr<std::string> rule = node.text("update_rule", "gated_delta");
  FailureOr<int64_t> queryHeads = node.integer("q_num_heads"), heads = node.integer("kv_num_heads"),
                     chunk = node.integer("chunk_size", 64);
  FailureOr<double> scale = node.number("scale", 0);
  auto given = operandsOf(node, {"query", "key", "value"}, Elements::Floats);
  if (failed(rule) || failed(queryHeads) || failed(heads) || failed(chunk) || failed(scale) || failed(given))
    return failure();
  if (!llvm::is_contained({"linear", "gated", "delta", "gated_delta"}, *rule))
    return node.badAttribute("attribute 'update_rule' is '" + shown(*rule) +
                             "'; it must be linear, gated, delta or gated_delta");
  if (*heads < 1 || *queryHeads < 1 || *queryHeads % *heads)
    return node.badAttribute("attribute 'q_num_heads' is " + Twine(*queryHeads) + "; it must be a multiple of " +
                             "'kv_num_heads', which is " + Twine(*heads));
  bool isGated = StringRef(*rule).starts_with("gated"), isDelta = StringRef(*rule).ends_with("delta");
  if (node.has(4) != isGated || node.has(5) != isDelta)
    return node.badOperand("update rule '" + *rule + "' " + (isGated ? "needs" : "takes no") + " input decay and " +
                           (isDelta ? "needs" : "takes no") + " input beta");
  Type f32 = node.b.getF32Type(), type = (*given)[0].element();
  SmallVector<Tensor> x;
  int64_t counts[] = {*queryHeads, *heads, *heads};
  int64_t dims[3];
  for (auto [i, role] : llvm::enumerate(ArrayRef<StringRef>{"query", "key", "value"})) {
    const Tensor &tensor = (*given)[i];
    std::optional<int64_t> size = tensor.rank() == 3 ? getConstantIntValue(tensor.sizes[2]) : std::nullopt;
    if (!size || *size % counts[i])
      return node.badOperand("input " + role + " must be [batch, tokens, elements] with elements for each of " +
                             Twine(counts[i]) + " heads");
    if (i && (!node.graph.unify(tensor.sizes[0], (*given)[0].sizes[0]) ||
              !node.graph.unify(tensor.sizes[1], (*given)[0].sizes[1])))
      return node.badOperand("input " + role + " has another batch or other tokens than query");
    dims[i] = *size / counts[i];
    x.push_back(convert(node.b, tensor, f32));
  }
  if (dims[0] != dims[1])
    return node.badOperand("heads of query have " + Twine(dims[0]) + " elements; those of key have " + Twine(dims[1]));
  LinearAttention a{node, *heads, *queryHeads / *heads, dims[0], dims[2], x[0].sizes[0]};
  FailureOr<int64_t> tokens = stepsOf(node, x[0], "query", 1);
  if (failed(tokens))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  int64_t h = a.heads, k = a.keys, v = a.values;

  /// Decay and beta: one number for each head, or as many as keys, or for all heads one.
  auto extra = [&](unsigned i, StringRef role, ArrayRef<int64_t> allowed, int64_t &size) -> FailureOr<Tensor> {
    FailureOr<Tensor> tensor = node.tensor(i, role);
    if (failed(tensor) || failed(requireElements(node, *tensor, role, Elements::Floats)))
      return failure();
    std::optional<int64_t> last = tensor->rank() == 3 ? getConstantIntValue(tensor->sizes[2]) : std::nullopt;
    if (!last || !llvm::is_contained(allowed, *last) || !node.graph.unify(tensor->sizes[0], a.batch) ||
        !node.graph.unify(tensor->sizes[1], x[0].sizes[1]))
      return LogicalResult(node.badOperand("input " + role + " must be [batch, tokens, n] with n one of " +
                                           Twine(allowed[0]) + " and " + Twine(allowed[1])));
    size = *last;
    return convert(b, *tensor, f32);
  };
  FailureOr<Tensor> decay = Tensor(), beta = Tensor();
  int64_t ofDecay = 0, ofBeta = 0;
  if ((isGated && failed(decay = extra(4, "decay", {h, h * k}, ofDecay))) ||
      (isDelta && failed(beta = extra(5, "beta", {h, 1}, ofBeta))))
    return failure();
  Tensor state = splat(b, a.sizes({h, k, v}), b.getF32FloatAttr(0));
  Type ofState = type;
  if (node.has(3)) {
    FailureOr<Tensor> past = node.tensor(3, "past_state");
    if (failed(past) || failed(requireElements(node, *past, "past_state", Elements::Floats)))
      return failure();
    if (past->rank() != 4 || !node.graph.unify(past->sizes[0], a.batch) ||
        !llvm::equal(ArrayRef(past->sizes).drop_front(), ArrayRef(a.sizes({h, k, v})).drop_front(), sameSize))
      return node.badOperand("input past_state must be [batch, " + Twine(h) + ", " + Twine(k) + ", " + Twine(v) + "]");
    ofState = past->element();
    state = convert(b, Tensor{past->value, a.sizes({h, k, v})}, f32);
  }
  double factor = *scale == 0 ? 1 / std::sqrt(double(k)) : *scale;
  SmallVector<Tensor> outputs;
  for (int64_t t = 0; t < *tokens; ++t) {
    Tensor key = a.token(x[1], t, {h, k}), value = a.token(x[2], t, {h, v});
    if (isGated) {
      Tensor rate = a.token(*decay, t, {h, ofDecay == h ? 1 : k, 1});
      state = a.map({state, rate}, {h, k, v},
                    [](ImplicitLocOpBuilder &at, ValueRange w) { return multiply(at, {w[0], exponential(at, w[1])}); });
    }
    if (isDelta) { // only what the state does not say yet is added
      Tensor known = contract(b, state, key, {{0, 0}, {1, 1}}, DimPair(2, 2), f32);
      Tensor strength = a.token(*beta, t, {ofBeta == h ? h : 1, 1});
      value = a.map({strength, value, known}, {h, v}, [](ImplicitLocOpBuilder &at, ValueRange w) {
        return multiply(at, {w[0], subtract(at, {w[1], w[2]})});
      });
    }
    Tensor column = reshape(b, key, a.sizes({h, k, 1})), row = reshape(b, value, a.sizes({h, 1, v}));
    state = a.map({state, column, row}, {h, k, v},
                  [](ImplicitLocOpBuilder &at, ValueRange w) { return add(at, {w[0], multiply(at, {w[1], w[2]})}); });
    Tensor query = a.token(x[0], t, {h, a.group, k});
    Tensor read = contract(b, query, state, {{0, 0}, {1, 1}}, DimPair(3, 2), f32);
    Tensor scaled = a.map(read, {h, a.group, v}, [&](ImplicitLocOpBuilder &at, ValueRange w) {
      return multiply(at, {w[0], constant(at, f32, factor)});
    });
    outputs.push_back(reshape(b, scaled, a.sizes({h * a.group * v})));
  }
  if (failed(node.set(0, convert(b, stack(b, outputs, 1), type))))
    return failure();
  return node.set(1, convert(b, state, ofState));
}

// ------------------------------------------------------------------------------------------------ convolution

/// Each channel sees its last elements, of which the first come from the past.
static LogicalResult importCausalConvWithState(Node &node) {
  FailureOr<std::string> activation = node.text("activation", "none");
  auto operands = operandsOf(node, {"input", "weight"}, Elements::Floats);
  if (failed(activation) || failed(operands))
    return failure();
  if (*activation != "none" && *activation != "silu" && *activation != "swish")
    return node.badAttribute("attribute 'activation' is '" + shown(*activation) + "'; it must be none, silu or swish");
  Tensor x = (*operands)[0], w = (*operands)[1];
  std::optional<int64_t> kernel = w.rank() == 3 ? getConstantIntValue(w.sizes[2]) : std::nullopt;
  if (x.rank() != 3 || !kernel || *kernel < 1 || !isConstantIntValue(w.sizes[1], 1) ||
      !node.graph.unify(w.sizes[0], x.sizes[1]))
    return node.badOperand("inputs input and weight must be [batch, channels, length] and [channels, 1, kernel]");
  ImplicitLocOpBuilder &b = node.b;
  OpFoldResult past = b.getIndexAttr(*kernel - 1);
  Sizes ofState{x.sizes[0], x.sizes[1], past};
  Tensor before;
  if (node.has(3)) {
    FailureOr<Tensor> given = node.tensor(3, "past_state");
    if (failed(given))
      return failure();
    if (given->rank() != 3 || given->element() != x.element() || !node.graph.unify(given->sizes[0], x.sizes[0]) ||
        !node.graph.unify(given->sizes[1], x.sizes[1]) || !sameSize(given->sizes[2], past))
      return node.badOperand("input past_state must be [batch, channels, " + Twine(*kernel - 1) +
                             "] with elements of the type of input");
    before = Tensor{given->value, ofState};
  } else {
    before = splat(b, ofState, cast<TypedAttr>(b.getZeroAttr(x.element())));
  }
  OpFoldResult length = node.graph.algebra.add(b, x.sizes[2], past);
  Tensor all = *kernel == 1 ? x : concat(b, {before, x}, 2, length);
  Type f32 = b.getF32Type(), wide = x.element().isF64() ? x.element() : f32;
  Tensor y = accumulated(b, x.sizes, OpFoldResult(b.getIndexAttr(*kernel)), wide, b.getFloatAttr(wide, 0),
                         [&](ImplicitLocOpBuilder &at, ValueRange l, Value soFar) {
                           Value seen = elementAt(at, all, {l[0], l[1], plus(at, l[2], l[3])}),
                                 weight = elementAt(at, w, {l[1], indexConstant(at, 0), l[3]});
                           return add(at, {soFar, multiply(at, {convert(at, seen, wide), convert(at, weight, wide)})});
                         });
  if (node.has(2)) {
    FailureOr<Tensor> bias = node.tensor(2, "bias");
    if (failed(bias))
      return failure();
    if (bias->rank() != 1 || bias->element() != x.element() || !node.graph.unify(bias->sizes[0], x.sizes[1]))
      return node.badOperand("input bias must have one element of the type of input for each channel");
    Tensor column = convert(b, reshape(b, {bias->value, {x.sizes[1]}}, {x.sizes[1], b.getIndexAttr(1)}), wide);
    y = elementwise(b, {y, column}, x.sizes, wide, add);
  }
  if (*activation != "none")
    y = elementwise(b, y, x.sizes, wide, [](ImplicitLocOpBuilder &at, ValueRange v) { return swish(at, v[0], 1); });
  if (failed(node.set(0, convert(b, y, x.element()))))
    return failure();
  if (!node.wants(1))
    return success();
  if (*kernel == 1) // nothing
    return node.set(1, before);
  Sizes offsets{b.getIndexAttr(0), b.getIndexAttr(0), x.sizes[2]};
  return node.set(1, slice(b, all, offsets, ofState, {1, 1, 1}));
}

// ------------------------------------------------------------------------------------------------ caches

/// The cache, with new tokens from where each of the batch is written.
static LogicalResult importTensorScatter(Node &node) {
  FailureOr<std::string> mode = node.text("mode", "linear");
  FailureOr<int64_t> given = node.integer("axis", -2);
  FailureOr<Tensor> cache = node.tensor(0, "past_cache"), update = node.tensor(1, "update");
  if (failed(mode) || failed(given) || failed(cache) || failed(update))
    return failure();
  if (*mode != "linear" && *mode != "circular")
    return node.badAttribute("attribute 'mode' is '" + shown(*mode) + "'; it must be linear or circular");
  int64_t rank = cache->rank(), axis = *given < 0 ? *given + rank : *given;
  if (axis < 1 || axis >= rank)
    return node.badAttribute("attribute 'axis' is " + Twine(*given) + "; it must be a dimension of past_cache, which " +
                             "has rank " + Twine(rank) + ", and not that of the batch");
  bool fits = update->rank() == rank && update->numbers() == cache->numbers();
  for (int64_t i = 0; fits && i < rank; ++i)
    fits = i == axis || node.graph.unify(update->sizes[i], cache->sizes[i]);
  if (!fits)
    return node.badOperand("input update must have the type and the shape of past_cache, but along the axis");
  std::optional<Tensor> first;
  if (node.has(2)) {
    FailureOr<Tensor> indices = node.tensor(2, "write_indices");
    if (failed(indices))
      return failure();
    if (indices->rank() != 1 || !indices->numbers().isSignlessInteger(64) ||
        !node.graph.unify(indices->sizes[0], cache->sizes[0]))
      return node.badOperand("input write_indices must have an i64 for each of the batch");
    first = *indices;
  }
  OpFoldResult length = cache->sizes[axis], count = update->sizes[axis];
  bool isCircular = *mode == "circular";
  return node.set(
      0, computed(node.b, cache->sizes, cache->numbers(), [&](ImplicitLocOpBuilder &b, ValueRange loops) {
        Value place = loops[axis];
        if (first) {
          Value from = elementAt(b, *first, loops[0]);
          from = arith::IndexCastOp::create(b, b.getIndexType(), from);
          place = arith::SubIOp::create(b, place, from);
        }
        if (isCircular) { // the cache has at least one token here
          Value size = asValue(b, length), over = arith::RemSIOp::create(b, place, size);
          Value isBelow = compare(b, Compare::Less, over, indexConstant(b, 0));
          place = arith::SelectOp::create(b, isBelow, plus(b, over, size), over);
        }
        SmallVector<Value> at(loops);
        at[axis] = nearestWithin(b, place, count);
        Value isNew = isWithin(b, place, count);
        return arith::SelectOp::create(b, isNew, elementAt(b, *update, at), elementAt(b, *cache, loops)).getResult();
      }));
}

static constexpr Operator kOperators[] = {
    {"", "SwiGLU", importSwiGLU, 2, 2, 1, "alpha"},
    {"", "LinearAttention", importLinearAttention, 3, 6, 2, "chunk_size kv_num_heads q_num_heads scale update_rule"},
    {"", "CausalConvWithState", importCausalConvWithState, 2, 4, 2, "activation"},
    {"", "TensorScatter", importTensorScatter, 2, 3, 1, "axis mode", true},
};

ArrayRef<Operator> stateOperators() { return kOperators; }

} // namespace whit
