// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// GroupQueryAttention of ONNX Runtime: causal attention of new tokens over themselves and a past, with rotary
// positions.

#include "Import/ONNX/Graph.h"

#include "Import/Semantics/Transformer.h"

#include <cmath>

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
/// Inputs of GroupQueryAttention by number.
enum Input : unsigned {
  Query,
  Key,
  Value_,
  PastKey,
  PastValue,
  SeqlensK,
  TotalLength,
  CosCache,
  SinCache,
  PositionIds,
  Bias,
  HeadSink
};

} // namespace

/// q, k and v as [B, S, H, D], from one packed input or from three.
static LogicalResult splitInputs(Node &node, int64_t heads, int64_t kvHeads, CachedAttention &a) {
  FailureOr<Tensor> query = node.f32(Query, "query");
  if (failed(query))
    return failure();
  if (query->rank() != 3)
    return node.badOperand("input query has rank " + Twine(query->rank()) + "; it must have rank 3");
  int64_t width = query->dim(2);
  if (ShapedType::isDynamic(width))
    return node.unsupported("input query has a symbolic size in dimension 2; it must be known");
  bool packed = !node.has(Key) && !node.has(Value_);
  int64_t parts = packed ? heads + 2 * kvHeads : heads;
  if (width == 0 || width % parts)
    return node.badOperand("input query has size " + Twine(width) + " in dimension 2; it must be a multiple of its " +
                           Twine(parts) + " heads");
  int64_t depth = width / parts;
  if (packed) {
    a.q = splitHeads(node.b, sliceLast(node.b, *query, 0, heads * depth), heads);
    a.k = splitHeads(node.b, sliceLast(node.b, *query, heads * depth, kvHeads * depth), kvHeads);
    a.v = splitHeads(node.b, sliceLast(node.b, *query, (heads + kvHeads) * depth, kvHeads * depth), kvHeads);
    return success();
  }
  FailureOr<Tensor> key = node.f32(Key, "key"), value = node.f32(Value_, "value");
  if (failed(key) || failed(value))
    return failure();
  for (auto [i, x, role] : {std::tuple(unsigned(Key), &*key, "key"), {unsigned(Value_), &*value, "value"}}) {
    if (x->rank() != 3)
      return node.badOperand(Twine("input ") + role + " has rank " + Twine(x->rank()) + "; it must have rank 3");
    if (failed(node.requireDim(i, role, 2, kvHeads * depth)))
      return failure();
    if (ShapedType::isDynamic(x->dim(2)))
      return node.unsupported(Twine("input ") + role + " has a symbolic size in dimension 2; it must be known");
    for (int d : {0, 1})
      if (!sameSize(x->sizes[d], query->sizes[d]))
        return node.unsupported(Twine("input ") + role + " and query have different sizes in dimension " + Twine(d) +
                                "; they must be the same");
  }
  a.q = splitHeads(node.b, *query, heads);
  a.k = splitHeads(node.b, *key, kvHeads);
  a.v = splitHeads(node.b, *value, kvHeads);
  return success();
}

static LogicalResult addPast(Node &node, CachedAttention &a) {
  if (node.has(PastKey) != node.has(PastValue))
    return node.badOperand("past_key and past_value must both be given, or neither");
  if (!node.has(PastKey))
    return success();
  FailureOr<Tensor> key = node.f32(PastKey, "past_key"), value = node.f32(PastValue, "past_value");
  if (failed(key) || failed(value))
    return failure();
  for (auto [i, past, role] :
       {std::tuple(unsigned(PastKey), &*key, "past_key"), {unsigned(PastValue), &*value, "past_value"}}) {
    if (past->rank() != 4)
      return node.badOperand(Twine("input ") + role + " has rank " + Twine(past->rank()) + "; it must have rank 4");
    if (failed(node.requireDim(i, role, 1, a.k.dim(2))) || failed(node.requireDim(i, role, 3, a.k.dim(3))))
      return failure();
    std::optional<int64_t> batch = getConstantIntValue(a.k.sizes[0]);
    if (batch && failed(node.requireDim(i, role, 0, *batch)))
      return failure();
  }
  a.pastK = *key;
  a.pastV = *value;
  return success();
}

/// seqlens_k (tokens of each sequence, less one) and total_sequence_length.
static LogicalResult addLengths(Node &node, CachedAttention &a) {
  FailureOr<Tensor> lengths = node.tensor(SeqlensK, "seqlens_k");
  if (failed(lengths))
    return failure();
  if (!lengths->element().isInteger(32))
    return node.badOperand("input seqlens_k must have int32 elements");
  OpFoldResult batch = a.q.sizes[0], count = node.b.getIndexAttr(1);
  for (OpFoldResult size : lengths->sizes)
    count = isConstantIntValue(size, 1)    ? count
            : isConstantIntValue(count, 1) ? size
                                           : OpFoldResult(node.b.getIndexAttr(-1));
  if (!sameSize(count, batch))
    return node.badOperand("input seqlens_k must have one element for each sequence of the batch");
  *lengths = reshape(node.b, *lengths, {batch});
  Tensor &start = node.graph.starts[{lengths->value, a.q.sizes[1].getOpaqueValue()}];
  if (!start.value)
    start = startPositions(node.b, *lengths, a.q.sizes[1], /*lessOne=*/true);
  a.start = start;

  if (!node.has(TotalLength))
    return node.badOperand("input 6 (total_sequence_length) is missing");
  // A size that depends on data could not be reserved before the model runs.
  GraphValue &total = node.input(TotalLength);
  if (!total.elements || total.elements->size() != 1)
    return node.unsupported(
        "input total_sequence_length is computed from data; it must be a size of an input or a constant");
  a.total = total.elements->front();
  if (std::optional<int64_t> constant = getConstantIntValue(a.total); constant && !countOf({*constant}))
    return node.badOperand("input total_sequence_length is " + Twine(*constant) + "; it must be from 0 to 2^40");
  return success();
}

static LogicalResult addRotary(Node &node, CachedAttention &a) {
  FailureOr<int64_t> rotate = node.integer("do_rotary", 0), interleaved = node.integer("rotary_interleaved", 0);
  if (failed(rotate) || failed(interleaved))
    return failure();
  if (!*rotate)
    return success();
  FailureOr<Tensor> cos = node.f32(CosCache, "cos_cache"), sin = node.f32(SinCache, "sin_cache");
  if (failed(cos) || failed(sin))
    return failure();
  int64_t depth = a.q.dim(3);
  if (depth % 2)
    return node.badOperand("rotary positions need an even head size; it is " + Twine(depth));
  for (auto [i, cache, role] :
       {std::tuple(unsigned(CosCache), &*cos, "cos_cache"), {unsigned(SinCache), &*sin, "sin_cache"}}) {
    if (cache->rank() != 2)
      return node.badOperand(Twine("input ") + role + " has rank " + Twine(cache->rank()) + "; it must have rank 2");
    if (std::optional<int64_t> half = getConstantIntValue(cache->sizes[1]); half && *half < depth / 2)
      return node.unsupported(Twine("input ") + role + " rotates " + Twine(2 * *half) + " of " + Twine(depth) +
                              " elements of a head; only whole heads are supported");
    if (failed(node.requireDim(i, role, 1, depth / 2)))
      return failure();
  }
  if (!sameSize(cos->sizes[0], sin->sizes[0]))
    return node.badOperand("inputs cos_cache and sin_cache must have the same number of positions");
  a.cos = *cos;
  a.sin = *sin;
  a.interleaved = *interleaved;
  return success();
}

static LogicalResult importGroupQueryAttention(Node &node) {
  FailureOr<int64_t> heads = node.integer("num_heads"), kvHeads = node.integer("kv_num_heads");
  FailureOr<int64_t> window = node.integer("local_window_size", -1);
  FailureOr<double> scale = node.number("scale", 0), softcap = node.number("softcap", 0);
  FailureOr<std::string> kType = node.text("k_quant_type", "NONE"), vType = node.text("v_quant_type", "NONE");
  bool refused = failed(heads) || failed(kvHeads) || failed(window) || failed(scale) || failed(softcap) ||
                 failed(kType) || failed(vType);
  // All that is not implemented is listed, not only the first.
  for (auto [name, allowed] : {std::pair<StringRef, SmallVector<int64_t>>("smooth_softmax", {0, -1}),
                               {"qk_output", {0}},
                               {"causal", {1}},
                               {"sliding_window_cache", {0}},
                               {"kv_cache_bit_width", {0, 16, 32}}})
    refused |= failed(node.requireOnly(name, allowed));
  for (auto [name, type] : {std::pair("k_quant_type", &kType), {"v_quant_type", &vType}})
    if (succeeded(*type) && **type != "NONE" && !(*type)->empty())
      refused |= failed(
          node.unsupported(Twine("attribute '") + name + "' is '" + shown(**type) + "'; only NONE is supported"));
  for (auto [i, role] : {std::pair(unsigned(PositionIds), "position_ids"),
                         {unsigned(Bias), "attention_bias"},
                         {unsigned(HeadSink), "head_sink"}})
    if (node.has(i))
      refused |= failed(node.unsupported("input " + Twine(i) + " (" + role + ") is not supported"));
  if (refused)
    return failure();
  if (*heads < 1 || *kvHeads < 1 || *heads > 65536 || *heads % *kvHeads)
    return node.badAttribute("attribute 'num_heads' is " + Twine(*heads) + " and 'kv_num_heads' " + Twine(*kvHeads) +
                             "; both must be positive and the first a multiple of the second");
  if (*window != -1 && *window < 1)
    return node.badAttribute("attribute 'local_window_size' is " + Twine(*window) +
                             "; it must be -1 (unlimited) or positive");
  if (*softcap < 0)
    return node.badAttribute("attribute 'softcap' is negative");
  CachedAttention a;
  if (failed(splitInputs(node, *heads, *kvHeads, a)) || failed(addPast(node, a)) || failed(addLengths(node, a)) ||
      failed(addRotary(node, a)))
    return failure();
  a.scale = *scale == 0 ? 1 / std::sqrt(double(a.q.dim(3))) : *scale;
  a.softcap = *softcap;
  a.window = std::max<int64_t>(*window, 0);
  CachedAttentionResults results = cachedAttention(node.b, a);
  if (failed(node.set(0, joinHeads(node.b, results.y))) || failed(node.set(1, results.presentK)))
    return failure();
  return node.set(2, results.presentV);
}

static constexpr Operator kOperators[] = {
    {"com.microsoft", "GroupQueryAttention", importGroupQueryAttention, 1, 12, 3,
     "num_heads kv_num_heads scale softcap local_window_size do_rotary rotary_interleaved smooth_softmax qk_output "
     "causal "
     "sliding_window_cache kv_cache_bit_width k_quant_type v_quant_type"},
};

ArrayRef<Operator> attentionOperators() { return kOperators; }

} // namespace whit
