// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention and RotaryEmbedding of ONNX (since opset 23). Attention is whit.attention wherever that can say it; what
// training and debugging ask for (the scores as an output, values of another width) is built from contractions.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/Semantics/Transformer.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
enum Input : unsigned { Query, Key, Value_, Mask, PastKey, PastValue, ValidLength };
enum Output : unsigned { Y, PresentKey, PresentValue, Scores };

/// The operator with its inputs checked, in f32, heads apart: q [B, HQ, S, D], k [B, HK, T, D], v [B, HK, T, DV].
struct Call {
  Type element;
  bool isFlat = false, isCausal = false; ///< flat: [B, S, H*D]
  Tensor q, k, v;
  std::optional<Tensor> pastK, pastV, mask, valid; ///< mask [B|1, HQ|1, S|1, T']; valid i32 [B]
  OpFoldResult past, total;
  double scale = 1, softcap = 0;
  int64_t scoresAfter = 0;       ///< which scores are an output
  bool isPrecise = false;        ///< softmax in f64
  int64_t left = -1, right = -1; ///< how many tokens before and behind its own a row sees; -1: all
};
} // namespace

static std::optional<int64_t> known(OpFoldResult size) { return getConstantIntValue(size); }

/// An input with its heads apart, [B, H, S, D].
static FailureOr<Tensor> headsOf(Node &node, unsigned i, StringRef role, StringRef attribute, Call &call) {
  FailureOr<Tensor> x = node.tensor(i, role);
  if (failed(x) || failed(requireElements(node, *x, role, Elements::Floats)))
    return failure();
  if (x->element().isF64())
    return LogicalResult(node.unsupported("input " + role + " has elements of type f64; at most f32 is supported"));
  if (x->rank() != 3 && x->rank() != 4)
    return LogicalResult(
        node.badOperand("input " + role + " has rank " + Twine(x->rank()) + "; it must have rank 3 or 4"));
  if (i == Query) {
    call.element = x->element();
    call.isFlat = x->rank() == 3;
  } else if (call.isFlat != (x->rank() == 3)) {
    return LogicalResult(node.badOperand("inputs Q and " + role + " must have one rank"));
  } else if (x->element() != call.element && i == Key) {
    return LogicalResult(node.badOperand("inputs Q and K have different element types; they must have one"));
  }
  Tensor wide = convert(node.b, *x, node.b.getF32Type());
  if (!call.isFlat) {
    if (!known(x->sizes[1]) || !known(x->sizes[3]) || *known(x->sizes[1]) < 1 || *known(x->sizes[3]) < 1)
      return LogicalResult(node.unsupported("input " + role + " must have a known number of heads and head size"));
    return wide;
  }
  FailureOr<int64_t> heads = node.integer(attribute);
  if (failed(heads))
    return failure();
  std::optional<int64_t> width = known(x->sizes[2]);
  if (!width)
    return LogicalResult(node.unsupported("input " + role + " has a symbolic size in dimension 2; it must be known"));
  if (*heads < 1 || *heads > 65536 || *width < 1 || *width % *heads)
    return LogicalResult(node.badAttribute("attribute '" + attribute + "' is " + Twine(*heads) + "; input " + role +
                                           " has " + Twine(*width) + " elements for them in dimension 2"));
  return transpose(node.b, splitHeads(node.b, wide, *heads), {0, 2, 1, 3});
}

/// The mask as numbers that are added, aligned at the last dimension.
static LogicalResult readMask(Node &node, Call &call) {
  if (!node.has(Mask))
    return success();
  FailureOr<Tensor> mask = node.tensor(Mask, "attn_mask");
  if (failed(mask))
    return failure();
  if (mask->rank() < 1 || mask->rank() > 4)
    return node.badOperand("input attn_mask has rank " + Twine(mask->rank()) + "; it must have rank 1 to 4");
  Type f32 = node.b.getF32Type();
  Tensor numbers = *mask;
  if (mask->element().isInteger(1)) {
    numbers = elementwise(node.b, *mask, mask->sizes, f32, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
      Value lowest = constant(b, f32, -std::numeric_limits<double>::infinity());
      return arith::SelectOp::create(b, v[0], constant(b, f32, 0), lowest);
    });
  } else if (failed(requireElements(node, *mask, "attn_mask", Elements::Floats))) {
    return failure();
  }
  Sizes sizes(4 - mask->rank(), node.b.getIndexAttr(1));
  llvm::append_range(sizes, mask->sizes);
  call.mask = reshape(node.b, convert(node.b, numbers, f32), sizes);
  OpFoldResult wanted[] = {call.q.sizes[0], call.q.sizes[1], call.q.sizes[2]};
  for (auto [i, size] : llvm::enumerate(wanted))
    if (!isConstantIntValue(sizes[i], 1) && !sameSize(sizes[i], size) && !node.graph.unify(sizes[i], size))
      return node.badOperand("input attn_mask has " + shownSize(node.graph, sizes[i]) + " where Q has " +
                             shownSize(node.graph, size) + "; it must be the same or 1");
  if (isConstantIntValue(sizes[3], 1) && !isConstantIntValue(call.total, 1))
    call.mask = broadcastTo(node.b, *call.mask, {sizes[0], sizes[1], sizes[2], call.total});
  else if (known(sizes[3]) && known(call.total) && *known(sizes[3]) > *known(call.total))
    return node.badOperand("input attn_mask has " + Twine(*known(sizes[3])) + " tokens; keys have " +
                           Twine(*known(call.total)));
  return success();
}

static LogicalResult readPast(Node &node, Call &call) {
  if (node.has(PastKey) != node.has(PastValue))
    return node.badOperand("past_key and past_value must both be given, or neither");
  call.past = node.b.getIndexAttr(0);
  if (!node.has(PastKey)) {
    call.total = call.k.sizes[2];
    return success();
  }
  for (auto [i, role, x, past] : {std::tuple(unsigned(PastKey), "past_key", &call.k, &call.pastK),
                                  {unsigned(PastValue), "past_value", &call.v, &call.pastV}}) {
    FailureOr<Tensor> given = node.tensor(i, role);
    if (failed(given) || failed(requireElements(node, *given, role, Elements::Floats)))
      return failure();
    if (given->rank() != 4)
      return node.badOperand(Twine("input ") + role + " has rank " + Twine(given->rank()) + "; it must have rank 4");
    if (failed(node.requireDim(i, role, 1, *known(x->sizes[1]))) ||
        failed(node.requireDim(i, role, 3, *known(x->sizes[3]))))
      return failure();
    if (!sameSize(given->sizes[0], x->sizes[0]) && !node.graph.unify(given->sizes[0], x->sizes[0]))
      return node.badOperand(Twine("input ") + role + " has another batch size than the new tokens");
    *past = convert(node.b, *given, node.b.getF32Type());
  }
  call.past = call.pastK->sizes[2];
  if (!sameSize(call.past, call.pastV->sizes[2]) && !node.graph.unify(call.past, call.pastV->sizes[2]))
    return node.badOperand("inputs past_key and past_value must have the same number of tokens");
  call.total = node.graph.algebra.add(node.b, call.past, call.k.sizes[2]);
  return success();
}

static LogicalResult readCall(Node &node, Call &call) {
  FailureOr<int64_t> causal = node.integer("is_causal", 0), mode = node.integer("qk_matmul_output_mode", 0),
                     precision = node.integer("softmax_precision", 1), left = node.integer("left_window_size", -1),
                     right = node.integer("right_window_size", -1);
  FailureOr<double> scale = node.number("scale", 0), softcap = node.number("softcap", 0);
  if (failed(causal) || failed(mode) || failed(precision) || failed(scale) || failed(softcap) || failed(left) ||
      failed(right))
    return failure();
  for (auto [name, size] : {std::pair("left_window_size", *left), {"right_window_size", *right}})
    if (size < -1)
      return node.badAttribute(Twine("attribute '") + name + "' is " + Twine(size) +
                               "; it must be -1, or a number of tokens");
  call.left = *left;
  call.right = *right;
  if (*softcap < 0)
    return node.badAttribute("attribute 'softcap' is negative");
  if (*mode < 0 || *mode > 3)
    return node.badAttribute("attribute 'qk_matmul_output_mode' is " + Twine(*mode) + "; it must be from 0 to 3");
  if (!llvm::is_contained({1, 10, 11, 16}, *precision))
    return node.badAttribute("attribute 'softmax_precision' is " + Twine(*precision) +
                             "; it must be float (1), float16 (10), double (11) or bfloat16 (16)");
  call.isPrecise = *precision == 11;
  for (auto [i, role, attribute, into] : {std::tuple(unsigned(Query), "Q", "q_num_heads", &call.q),
                                          {unsigned(Key), "K", "kv_num_heads", &call.k},
                                          {unsigned(Value_), "V", "kv_num_heads", &call.v}}) {
    FailureOr<Tensor> x = headsOf(node, i, role, attribute, call);
    if (failed(x))
      return failure();
    *into = *x;
  }
  call.isCausal = *causal;
  call.softcap = *softcap;
  call.scoresAfter = *mode;
  call.scale = *scale == 0 ? 1 / std::sqrt(double(*known(call.q.sizes[3]))) : *scale;
  int64_t heads = *known(call.q.sizes[1]), kvHeads = *known(call.k.sizes[1]);
  if (heads % kvHeads || *known(call.v.sizes[1]) != kvHeads)
    return node.badOperand("Q has " + Twine(heads) + " heads, K " + Twine(kvHeads) + " and V " +
                           Twine(*known(call.v.sizes[1])) +
                           "; K and V must have the same number, and Q a multiple of it");
  if (*known(call.q.sizes[3]) != *known(call.k.sizes[3]))
    return node.badOperand("inputs Q and K have heads of " + Twine(*known(call.q.sizes[3])) + " and " +
                           Twine(*known(call.k.sizes[3])) + " elements; they must be the same");
  for (auto [a, b, dim] : {std::tuple(&call.q, &call.k, 0), {&call.k, &call.v, 0}, {&call.k, &call.v, 2}})
    if (!sameSize(a->sizes[dim], b->sizes[dim]) && !node.graph.unify(a->sizes[dim], b->sizes[dim]))
      return node.badOperand("inputs Q, K and V do not fit together in dimension " + Twine(dim));
  if (failed(readPast(node, call)))
    return failure();
  if (node.has(ValidLength)) {
    FailureOr<Tensor> valid = node.tensor(ValidLength, "nonpad_kv_seqlen");
    if (failed(valid))
      return failure();
    if (node.has(PastKey))
      return node.badOperand("nonpad_kv_seqlen and past_key are both given; only one may be");
    if (!valid->element().isInteger(64) || valid->rank() != 1 || !sameSize(valid->sizes[0], call.q.sizes[0]))
      return node.badOperand("input nonpad_kv_seqlen must have one i64 for each sequence of the batch");
    call.valid = convert(node.b, *valid, node.b.getI32Type());
  }
  return readMask(node, call);
}

// ------------------------------------------------------------------------------------------------ as whit.attention

/// The same number in each element, i32 [B].
static Tensor sameForAll(Node &node, OpFoldResult batch, OpFoldResult number) {
  ImplicitLocOpBuilder &b = node.b;
  if (std::optional<int64_t> constant = known(number))
    return splat(b, {batch}, b.getI32IntegerAttr(*constant));
  Value integer = arith::IndexCastOp::create(b, b.getI32Type(), asValue(b, number));
  return {linalg::FillOp::create(b, integer, empty(b, {batch}, b.getI32Type())).getResult(0), {batch}};
}

static LogicalResult setOutputs(Node &node, const Call &call, const Tensor &y, const Tensor &k, const Tensor &v) {
  if (failed(node.set(Y, convert(node.b, y, call.element))) ||
      failed(node.set(PresentKey, convert(node.b, k, call.element))))
    return failure();
  return node.set(PresentValue, convert(node.b, v, call.element));
}

static LogicalResult asWhole(Node &node, const Call &call) {
  auto tokensFirst = [&](const Tensor &x) { return transpose(node.b, x, {0, 2, 1, 3}); };
  CachedAttention a;
  a.q = tokensFirst(call.q);
  a.k = tokensFirst(call.k);
  a.v = tokensFirst(call.v);
  a.pastK = call.pastK;
  a.pastV = call.pastV;
  a.start = sameForAll(node, call.q.sizes[0], call.past);
  a.total = call.total;
  a.scale = call.scale;
  a.softcap = call.softcap;
  a.mask = call.mask;
  a.bidirectional = !call.isCausal;
  CachedAttentionResults results = cachedAttention(node.b, a);
  Tensor y = call.isFlat ? joinHeads(node.b, results.y) : tokensFirst(results.y);
  return setOutputs(node, call, y, results.presentK, results.presentV);
}

// ------------------------------------------------------------------------------------------------ in parts

/// Adds -infinity where a row does not see a token.
static Tensor hide(Node &node, const Call &call, Tensor scores) {
  Type f32 = node.b.getF32Type();
  double infinity = std::numeric_limits<double>::infinity();
  if (call.mask) {
    Tensor mask = *call.mask;
    bool isShort = !sameSize(mask.sizes[3], call.total);
    if (isShort) { // tokens behind its end are not seen
      Sizes sizes{mask.sizes[0], mask.sizes[1], mask.sizes[2], call.total};
      OpFoldResult length = mask.sizes[3];
      Tensor narrow = mask;
      Value init = empty(node.b, sizes, f32);
      SmallVector<utils::IteratorType> loops(4, utils::IteratorType::parallel);
      auto generic = linalg::GenericOp::create(
          node.b, init.getType(), ValueRange(), init, node.b.getMultiDimIdentityMap(4), loops,
          [&](OpBuilder &inner, Location loc, ValueRange) {
            ImplicitLocOpBuilder b(loc, inner);
            SmallVector<Value> at;
            for (int64_t i = 0; i < 4; ++i)
              at.push_back(linalg::IndexOp::create(b, i));
            Value isIn = compare(b, Compare::Less, at[3], asValue(b, length));
            at[3] = wrapIndex(b, at[3], length);
            Value number = tensor::ExtractOp::create(b, narrow.value, at);
            linalg::YieldOp::create(b,
                                    arith::SelectOp::create(b, isIn, number, constant(b, f32, -infinity)).getResult());
          });
      mask = {generic.getResult(0), sizes};
    }
    scores = elementwise(node.b, {scores, mask}, scores.sizes, f32, add);
  }
  bool hasWindow = call.left >= 0 || call.right >= 0;
  if (!call.isCausal && !call.valid && !hasWindow)
    return scores;
  Value past = asValue(node.b, call.past), rows = asValue(node.b, call.q.sizes[2]);
  SmallVector<Tensor> operands{scores};
  if (call.valid)
    operands.push_back(
        reshape(node.b, *call.valid,
                {call.valid->sizes[0], node.b.getIndexAttr(1), node.b.getIndexAttr(1), node.b.getIndexAttr(1)}));
  return elementwise(node.b, operands, scores.sizes, f32, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Value row = linalg::IndexOp::create(b, 2), token = linalg::IndexOp::create(b, 3), seen, before = past;
    if (call.valid) {
      Value length = arith::IndexCastOp::create(b, b.getIndexType(), v[1]);
      seen = compare(b, Compare::Less, token, length);
      before = arith::SubIOp::create(b, length, rows);
    }
    Value own = arith::AddIOp::create(b, row, before);
    auto require = [&](Compare how, int64_t distance) {
      Value bound = arith::AddIOp::create(b, own, arith::ConstantIndexOp::create(b, distance));
      Value holds = compare(b, how, token, bound);
      seen = seen ? Value(arith::AndIOp::create(b, seen, holds)) : holds;
    };
    if (call.isCausal)
      require(Compare::LessOrEqual, 0);
    if (call.left >= 0)
      require(Compare::GreaterOrEqual, -call.left);
    if (call.right >= 0)
      require(Compare::LessOrEqual, call.right);
    return arith::SelectOp::create(b, seen, v[0], constant(b, f32, -infinity));
  });
}

static Tensor preciseSoftmax(ImplicitLocOpBuilder &b, const Tensor &scores) {
  Type f64 = b.getF64Type();
  Tensor x = convert(b, scores, f64), most = reduce(b, x, Reduction::Max, 3, /*keep=*/true);
  Tensor powers = elementwise(b, {x, most}, x.sizes, f64, [](ImplicitLocOpBuilder &at, ValueRange v) {
    return exponential(at, subtract(at, {v[0], v[1]}));
  });
  Tensor sum = reduce(b, powers, Reduction::Sum, 3, /*keep=*/true);
  return convert(b, elementwise(b, {powers, sum}, x.sizes, f64, divide), b.getF32Type());
}

static LogicalResult inParts(Node &node, const Call &call) {
  ImplicitLocOpBuilder &b = node.b;
  Type f32 = b.getF32Type();
  auto joined = [&](const Tensor &x, const std::optional<Tensor> &past) {
    return past ? concat(b, {*past, x}, 2, call.total) : x;
  };
  Tensor k = joined(call.k, call.pastK), v = joined(call.v, call.pastV);
  int64_t groups = *known(call.k.sizes[1]), heads = *known(call.q.sizes[1]);
  OpFoldResult batch = call.q.sizes[0], rows = call.q.sizes[2], group = b.getIndexAttr(groups),
               share = b.getIndexAttr(heads / groups);
  Tensor q = reshape(b, call.q, {batch, group, share, rows, call.q.sizes[3]});
  DimPair same[] = {{0, 0}, {1, 1}};
  Tensor scores = contract(b, q, k, same, DimPair(4, 3), f32);
  scores = reshape(b, scores, {batch, call.q.sizes[1], rows, call.total});
  scores = elementwise(b, scores, scores.sizes, f32, [&](ImplicitLocOpBuilder &at, ValueRange x) {
    return multiply(at, {x[0], constant(at, f32, call.scale)});
  });
  SmallVector<Tensor> stages{scores};
  if (call.softcap > 0)
    scores = elementwise(b, scores, scores.sizes, f32, [&](ImplicitLocOpBuilder &at, ValueRange x) {
      Value cap = constant(at, f32, call.softcap);
      return multiply(at, {math::TanhOp::create(at, divide(at, {x[0], cap})), cap});
    });
  stages.push_back(scores);
  scores = hide(node, call, scores);
  stages.push_back(scores);
  Tensor most = reduce(b, scores, Reduction::Max, 3, /*keep=*/true);
  Tensor weights = call.isPrecise ? preciseSoftmax(b, scores) : softmax(b, scores);
  // A row that sees nothing has no weights: 0, not NaN.
  weights = elementwise(b, {weights, most}, weights.sizes, f32, [&](ImplicitLocOpBuilder &at, ValueRange x) -> Value {
    Value lowest = constant(at, f32, -std::numeric_limits<double>::infinity());
    return arith::SelectOp::create(at, compare(at, Compare::Equal, x[1], lowest), constant(at, f32, 0), x[0]);
  });
  stages.push_back(weights);
  if (failed(node.set(Scores, convert(b, stages[call.scoresAfter], call.element))))
    return failure();
  Tensor apart = reshape(b, weights, {batch, group, share, rows, call.total});
  Tensor y = contract(b, apart, v, same, DimPair(4, 2), f32);
  y = reshape(b, y, {batch, call.q.sizes[1], rows, v.sizes[3]});
  if (call.isFlat)
    y = joinHeads(b, transpose(b, y, {0, 2, 1, 3}));
  return setOutputs(node, call, y, k, v);
}

static LogicalResult importAttention(Node &node) {
  Call call;
  if (failed(readCall(node, call)))
    return failure();
  bool isWhole = !node.wants(Scores) && !call.valid && !call.isPrecise && call.left < 0 && call.right < 0 &&
                 *known(call.q.sizes[3]) == *known(call.v.sizes[3]);
  return isWhole ? asWhole(node, call) : inParts(node, call);
}

// ------------------------------------------------------------------------------------------------ RotaryEmbedding

static LogicalResult importRotaryEmbedding(Node &node) {
  FailureOr<int64_t> interleaved = node.integer("interleaved", 0), heads = node.integer("num_heads", 0),
                     rotated = node.integer("rotary_embedding_dim", 0);
  FailureOr<Tensor> x = node.tensor(0, "X");
  if (failed(interleaved) || failed(heads) || failed(rotated) || failed(x) ||
      failed(requireElements(node, *x, "X", Elements::Floats)))
    return failure();
  if (x->rank() != 3 && x->rank() != 4)
    return node.badOperand("input X has rank " + Twine(x->rank()) + "; it must have rank 3 or 4");
  ImplicitLocOpBuilder &b = node.b;
  bool isFlat = x->rank() == 3;
  Tensor apart = *x; // [B, H, S, D], or [B, S, H, D] of a flat one
  if (isFlat) {
    std::optional<int64_t> width = known(x->sizes[2]);
    if (!width || *heads < 1 || *width % *heads)
      return node.badAttribute("attribute 'num_heads' is " + Twine(*heads) +
                               "; it must divide the last dimension of input X, which must be known");
    apart = splitHeads(b, *x, *heads);
  }
  std::optional<int64_t> depth = known(apart.sizes[3]);
  int64_t width = *rotated ? *rotated : depth.value_or(0);
  if (!depth || width < 2 || width % 2 || width > *depth)
    return node.badAttribute("attribute 'rotary_embedding_dim' is " + Twine(*rotated) +
                             "; an even number of the elements of a head is rotated");
  auto anglesOf = [&](unsigned i, StringRef role) -> FailureOr<Tensor> {
    FailureOr<Tensor> table = node.tensor(i, role);
    if (failed(table) || failed(requireElements(node, *table, role, Elements::Floats)))
      return failure();
    Tensor angles = *table;
    if (node.has(3)) {
      FailureOr<Tensor> positions = node.tensor(3, "position_ids");
      if (failed(positions))
        return failure();
      if (!positions->element().isInteger(64) || positions->rank() != 2 || angles.rank() != 2)
        return LogicalResult(
            node.badOperand("input position_ids must be i64 [B, S], and " + role + " have rank 2 beside it"));
      angles = take(b, angles, *positions, 0);
    }
    if (angles.rank() != 3 || !isConstantIntValue(angles.sizes[2], width / 2))
      return LogicalResult(node.badOperand("input " + role + " must have " + Twine(width / 2) +
                                           " angles for each position, in rank " + (node.has(3) ? "2" : "3")));
    Sizes sizes = angles.sizes;
    sizes.insert(sizes.begin() + (isFlat ? 2 : 1), b.getIndexAttr(1));
    return reshape(b, angles, sizes);
  };
  FailureOr<Tensor> cos = anglesOf(1, "cos_cache"), sin = anglesOf(2, "sin_cache");
  if (failed(cos) || failed(sin))
    return failure();
  Tensor whole = width == *depth ? apart : sliceLast(b, apart, 0, width);
  Sizes half = whole.sizes;
  half.back() = b.getIndexAttr(width / 2);
  Tensor first, second;
  Sizes pairs = half;
  pairs.push_back(b.getIndexAttr(2));
  if (*interleaved) {
    Tensor split = reshape(b, whole, pairs);
    first = reshape(b, sliceLast(b, split, 0, 1), half);
    second = reshape(b, sliceLast(b, split, 1, 1), half);
  } else {
    first = sliceLast(b, whole, 0, width / 2);
    second = sliceLast(b, whole, width / 2, width / 2);
  }
  auto turn = [&](const Tensor &p, const Tensor &q, Body sum) -> FailureOr<Tensor> {
    FailureOr<Sizes> sizes = node.broadcast({p, *cos});
    if (failed(sizes))
      return failure();
    return elementwise(b, {p, q, *cos, *sin}, half, x->element(), [&](ImplicitLocOpBuilder &at, ValueRange v) {
      return inF32(at, v, [&](ImplicitLocOpBuilder &in, ValueRange w) {
        return sum(in, {multiply(in, {w[0], w[2]}), multiply(in, {w[1], w[3]})});
      });
    });
  };
  FailureOr<Tensor> left = turn(first, second, subtract), right = turn(second, first, add);
  if (failed(left) || failed(right))
    return failure();
  Tensor result;
  if (*interleaved) {
    Sizes single = half;
    single.push_back(b.getIndexAttr(1));
    result = concat(b, {reshape(b, *left, single), reshape(b, *right, single)}, 4, b.getIndexAttr(2));
    result = reshape(b, result, whole.sizes);
  } else {
    result = concat(b, {*left, *right}, 3, b.getIndexAttr(width));
  }
  if (width != *depth)
    result = concat(b, {result, sliceLast(b, apart, width, *depth - width)}, 3, b.getIndexAttr(*depth));
  return node.set(0, isFlat ? joinHeads(b, result) : result);
}

static constexpr Operator kOperators[] = {
    {"", "Attention", importAttention, 3, 7, 4,
     "is_causal q_num_heads kv_num_heads scale softcap softmax_precision qk_matmul_output_mode left_window_size "
     "right_window_size"},
    {"", "RotaryEmbedding", importRotaryEmbedding, 3, 4, 1, "interleaved num_heads rotary_embedding_dim"},
};

ArrayRef<Operator> standardAttentionOperators() { return kOperators; }

} // namespace whit
