// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// MoE and QMoE: a router chooses k experts for each token, and what they make of it is added up. Which ones these are is only known at the
// call, so every expert is a product over all tokens here, and its results are weighted with 0 where it was not chosen. Not handled: a
// third matrix, and all formats of codes but unsigned integers of 2, 4 or 8 bits.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Constants.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Tables.h"
#include "Import/Semantics/Loops.h"
#include "Import/Semantics/Transformer.h"
#include "runtime/encoding/CodeSource.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// More experts are no model of today; each of them is a part of the program.
static constexpr int64_t kMaxExperts = 256;

namespace {
/// One of the matrices of all experts [E, N, K], its inputs by number; -1: floats have none.
struct Bank {
  unsigned codes;
  int scales, bias, zeros;
  int64_t experts, n, k, bits;
};

struct Activation {
  std::string name;
  double alpha, beta, limit;
};
} // namespace

/// `count` elements of `bits` for each expert, those of number `expert`.
static mlir::whit::BlobAttr partOf(Node &node, const StoredTensor &tensor, const Bank &bank, int64_t expert,
                                   Type element) {
  uint64_t length = tensor.length / bank.experts;
  return node.graph.weights->blob(tensor.file, tensor.offset + expert * length, length, element);
}

/// A constant with `needed` bytes, mapped from the file.
static FailureOr<std::shared_ptr<const StoredTensor>> mapped(Node &node, unsigned i, StringRef role, int64_t needed) {
  auto tensor = node.stored(i, role);
  if (failed(tensor))
    return failure();
  if ((*tensor)->file.empty())
    return LogicalResult(node.unsupported("input '" + shown((*tensor)->name) + "' (" + role +
                                              ") has its values in a field that cannot be mapped",
                                          "save the model with raw_data or external data"));
  if (int64_t((*tensor)->length) != needed)
    return LogicalResult(node.badOperand("input '" + shown((*tensor)->name) + "' (" + role + ") has " +
                                         Twine((*tensor)->length) + " bytes; " + Twine(needed) + " are needed"));
  return tensor;
}

/// The weight N x K of one expert.
static FailureOr<Value> expertWeight(Node &node, const Bank &bank, int64_t block, int64_t expert) {
  MLIRContext *context = node.b.getContext();
  Weights &weights = *node.graph.weights;
  GraphValue &matrix = node.input(bank.codes);
  if (bank.bits == 0) {
    std::optional<ScaleType> type = matrix.stored ? scaleTypeOf(*matrix.stored) : std::nullopt;
    if (!type)
      return LogicalResult(
          node.unsupported("input " + Twine(bank.codes) + " (experts_weights) is no constant of floats"));
    auto tensor = mapped(node, bank.codes, "experts_weights", bank.experts * bank.n * bank.k * scaleBytes(*type));
    if (failed(tensor))
      return failure();
    auto blob = partOf(node, **tensor, bank, expert, storedType(context, (*tensor)->type->number));
    return weights.matrix(node.b, (*tensor)->name, bank.n, bank.k, "rows", blob);
  }
  int64_t blocks = block ? bank.k / block : 1;
  auto codes = mapped(node, bank.codes, "experts_weights", bank.experts * bank.n * bank.k * bank.bits / 8);
  if (failed(codes))
    return failure();
  if ((*codes)->type->number != 2)
    return LogicalResult(node.report(code::NoType, "input '" + shown((*codes)->name) + "' has elements of type " +
                                                       (*codes)->type->name + "; only uint8 is supported"));
  const GraphValue &scale = node.input(bank.scales);
  std::optional<ScaleType> scaleType = scale.stored ? scaleTypeOf(*scale.stored) : std::nullopt;
  if (!scaleType)
    return LogicalResult(node.unsupported("input " + Twine(bank.scales) + " (scales) is no constant of floats"));
  auto scales = mapped(node, bank.scales, "scales", bank.experts * bank.n * blocks * scaleBytes(*scaleType));
  if (failed(scales))
    return failure();
  Type codeType = IntegerType::get(context, bank.bits, IntegerType::Unsigned);
  CodeSource source{};
  source.bits = bank.bits;
  source.block = {1, block};
  source.scaleType = *scaleType;
  SmallVector<mlir::whit::BlobAttr> blobs{
      partOf(node, **codes, bank, expert, codeType),
      partOf(node, **scales, bank, expert, storedType(context, (*scales)->type->number))};
  if (node.has(bank.zeros)) {
    if ((block ? blocks : bank.n) * bank.bits % 8)
      return LogicalResult(node.unsupported("zero points of " + Twine(bank.bits) + " bits fill no whole bytes"));
    auto zeros = mapped(node, bank.zeros, "zero_points", bank.experts * bank.n * blocks * bank.bits / 8);
    if (failed(zeros))
      return failure();
    source.zero = CodeZero::Stored;
    blobs.push_back(partOf(node, **zeros, bank, expert, codeType));
  }
  std::string format = nameOf(encodingOf(source));
  if (format.empty())
    return LogicalResult(
        node.unsupported("no format holds " + Twine(bank.bits) + " bits in blocks of " + Twine(block)));
  auto type = mlir::whit::EncodedTensorType::get(context, {bank.n, bank.k}, node.b.getF32Type(),
                                                 mlir::whit::FormatAttr::get(context, format));
  auto part = mlir::whit::SourceAttr::get(context, "coded_rows", bank.n, blobs);
  return weights.constant(node.b, (*codes)->name, type, part);
}

/// x [T, K] times the matrix of one expert, and its bias.
static FailureOr<Tensor> project(Node &node, const Bank &bank, int64_t block, int64_t expert, const Tensor &x) {
  FailureOr<Value> weight = expertWeight(node, bank, block, expert);
  if (failed(weight))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  Tensor y = matmul(b, x, *weight);
  if (!node.has(bank.bias))
    return y;
  FailureOr<Tensor> biases = node.f32(bank.bias, "experts_bias");
  if (failed(biases))
    return failure();
  if (biases->rank() != 2 || !isConstantIntValue(biases->sizes[0], bank.experts) ||
      !isConstantIntValue(biases->sizes[1], bank.n))
    return LogicalResult(
        node.badOperand("input experts_bias must have the shape [" + Twine(bank.experts) + ", " + Twine(bank.n) + "]"));
  Tensor bias = gatherElements(b, *biases, {}, {b.getIndexAttr(bank.n)},
                               [&](ImplicitLocOpBuilder &at, ValueRange, ValueRange loops) -> SmallVector<Value> {
                                 return {indexConstant(at, expert), loops[0]};
                               });
  return elementwise(b, {y, bias}, y.sizes, y.element(), add);
}

/// Gates g and numbers l lie side by side: min(g, limit) * sigmoid(alpha * g) * (clamp(l) + beta).
static Tensor swiglu(ImplicitLocOpBuilder &b, const Tensor &x, const Activation &how) {
  int64_t half = x.dim(1) / 2;
  Sizes sizes{x.sizes[0], b.getIndexAttr(half)}, zero(2, b.getIndexAttr(0)), one{b.getIndexAttr(0), b.getIndexAttr(1)};
  auto every = [&](int64_t first) {
    return gatherElements(
        b, x, {}, sizes, [&](ImplicitLocOpBuilder &at, ValueRange, ValueRange loops) -> SmallVector<Value> {
          return {loops[0], plus(at, times(at, loops[1], indexConstant(at, 2)), indexConstant(at, first))};
        });
  };
  return elementwise(b, {every(0), every(1)}, sizes, x.element(), [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
    Type f32 = at.getF32Type();
    Value gate = v[0], linear = v[1];
    if (std::isfinite(how.limit)) {
      gate = minimum(at, gate, constant(at, f32, how.limit));
      linear = maximum(at, minimum(at, linear, constant(at, f32, how.limit)), constant(at, f32, -how.limit));
    }
    Value opened = multiply(at, {gate, sigmoid(at, multiply(at, {gate, constant(at, f32, how.alpha)}))});
    return multiply(at, {opened, add(at, {linear, constant(at, f32, how.beta)})});
  });
}

static Tensor activate(ImplicitLocOpBuilder &b, const Tensor &x, const Activation &how) {
  if (how.name == "swiglu")
    return swiglu(b, x, how);
  if (how.name == "identity")
    return x;
  return elementwise(b, x, x.sizes, x.element(), [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
    Type f32 = at.getF32Type();
    if (how.name == "relu")
      return maximum(at, v[0], constant(at, f32, 0));
    if (how.name == "silu")
      return multiply(at, {v[0], sigmoid(at, v[0])});
    // gelu, by tanh
    Value cube = multiply(at, {v[0], multiply(at, {v[0], v[0]})});
    Value inner = add(at, {v[0], multiply(at, {cube, constant(at, f32, 0.044715)})});
    Value tanh = tangensHyperbolicus(at, multiply(at, {inner, constant(at, f32, 0.7978845608028654)}));
    return multiply(at, {multiply(at, {v[0], constant(at, f32, 0.5)}), add(at, {tanh, constant(at, f32, 1)})});
  });
}

/// How much each expert counts for each token, [T, E]: 0 unless it is one of the k with the most of `scores`; of equal ones, those of
/// higher number are taken.
static Tensor routing(ImplicitLocOpBuilder &b, const Tensor &scores, const Tensor &shares, int64_t k, bool normalize) {
  Type f32 = b.getF32Type();
  Tensor before =
      accumulated(b, scores.sizes, {scores.sizes[1]}, f32, b.getF32FloatAttr(0),
                  [&](ImplicitLocOpBuilder &at, ValueRange loops, Value soFar) -> Value {
                    Value mine = elementAt(at, scores, loops.take_front(2)),
                          other = elementAt(at, scores, {loops[0], loops[2]});
                    Value isLater = arith::CmpIOp::create(at, arith::CmpIPredicate::sgt, loops[2], loops[1]);
                    Value equal = arith::AndIOp::create(at, compare(at, Compare::Equal, other, mine), isLater);
                    Value wins = arith::OrIOp::create(at, compare(at, Compare::Greater, other, mine), equal);
                    return add(at, {soFar, convert(at, wins, f32)});
                  });
  Tensor chosen = elementwise(b, {before, shares}, shares.sizes, f32, [&](ImplicitLocOpBuilder &at, ValueRange v) {
    Value isIn = compare(at, Compare::Less, v[0], constant(at, f32, double(k)));
    return arith::SelectOp::create(at, isIn, v[1], constant(at, f32, 0)).getResult();
  });
  if (!normalize)
    return chosen;
  Tensor sum = reduce(b, chosen, Reduction::Sum, {1}, /*keep=*/true);
  return elementwise(b, {chosen, sum}, chosen.sizes, f32, [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
    Value isNone = compare(at, Compare::Equal, v[1], constant(at, f32, 0)); // shares of the model's own may all be 0
    return divide(at, {v[0], arith::SelectOp::create(at, isNone, constant(at, f32, 1), v[1])});
  });
}

static FailureOr<Activation> activationOf(Node &node) {
  FailureOr<std::string> name = node.text("activation_type", "relu");
  FailureOr<double> alpha = node.number("activation_alpha", 1), beta = node.number("activation_beta", 0),
                    limit = node.number("swiglu_limit", std::numeric_limits<double>::infinity());
  FailureOr<int64_t> fusion = node.integer("swiglu_fusion", 0);
  if (failed(name) || failed(alpha) || failed(beta) || failed(limit) || failed(fusion))
    return failure();
  if (!llvm::is_contained({"relu", "gelu", "silu", "identity", "swiglu"}, StringRef(*name)))
    return LogicalResult(node.badAttribute("attribute 'activation_type' is '" + shown(*name) +
                                           "'; it must be relu, gelu, silu, identity or swiglu"));
  if (*name == "swiglu" && *fusion != 1)
    return LogicalResult(node.unsupported("attribute 'swiglu_fusion' is " + Twine(*fusion) +
                                          "; only 1, gates beside what they let through, is supported"));
  return Activation{*name, *alpha, *beta, *limit};
}

static LogicalResult importExperts(Node &node, Bank first, Bank second, int64_t block, bool normalize, bool ofChosen,
                                   unsigned sharesInput) {
  FailureOr<int64_t> k = node.integer("k", 1);
  FailureOr<Activation> how = activationOf(node);
  FailureOr<Tensor> x = node.f32(0, "input"), router = node.f32(1, "router_probs");
  if (failed(k) || failed(how) || failed(x) || failed(router) || failed(node.requireOnly("use_sparse_mixer", {0})) ||
      failed(node.requireOnly("swiglu_limit_after_activation", {0})))
    return failure();
  for (auto [i, bank] : {std::pair(first.codes, &first), {second.codes, &second}}) {
    SmallVector<int64_t> dims = shapeOf(node.input(i).sizes);
    if (dims.size() != 3 || llvm::any_of(dims, [](int64_t size) { return ShapedType::isDynamic(size) || size < 1; }))
      return node.badOperand("input " + Twine(i) + " (experts_weights) must be a constant [experts, rows, columns]");
    bank->experts = dims[0];
    bank->n = dims[1];
    bank->k = dims[2] * (bank->bits ? 8 / bank->bits : 1);
  }
  bool isDouble = how->name == "swiglu";
  if (first.experts > kMaxExperts || *k < 1 || *k > first.experts)
    return node.unsupported("k is " + Twine(*k) + " of " + Twine(first.experts) + " experts; 1 to all of at most " +
                            Twine(kMaxExperts) + " are supported");
  if (second.experts != first.experts || second.n != first.k || second.k * (isDouble ? 2 : 1) != first.n)
    return node.badOperand("the experts' matrices are " + Twine(first.n) + "x" + Twine(first.k) + " and " +
                           Twine(second.n) + "x" + Twine(second.k) + "; the second must undo the first");
  if (block && (block < 16 || block > kMaxGroup || (block & (block - 1)) || first.k % block || second.k % block))
    return node.badAttribute("attribute 'block_size' is " + Twine(block) +
                             "; it must be a power of two from 16 that divides the rows of the experts' matrices");
  if ((x->rank() != 2 && x->rank() != 3) || router->rank() != 2)
    return node.badOperand("input has rank " + Twine(x->rank()) + " and router_probs " + Twine(router->rank()) +
                           "; they must be 2 or 3, and 2");
  if (failed(node.requireDim(0, "input", x->rank() - 1, first.k)) ||
      failed(node.requireDim(1, "router_probs", 1, first.experts)))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  OpFoldResult rows = b.getIndexAttr(1);
  for (OpFoldResult size : ArrayRef(x->sizes).drop_back())
    rows = indexOp(b, IndexOp::Mul, rows, size);
  if (!node.graph.unify(rows, router->sizes[0]))
    return node.badOperand("input has " + shownSize(node.graph, rows) + " tokens, and router_probs " +
                           shownSize(node.graph, router->sizes[0]));
  Tensor flat = reshape(b, *x, {rows, b.getIndexAttr(first.k)});
  Tensor scores = reshape(b, *router, {rows, b.getIndexAttr(first.experts)});
  Tensor shares = softmax(b, scores);
  if (node.has(sharesInput)) {
    FailureOr<Tensor> given = node.f32(sharesInput, "router_weights");
    if (failed(given) || failed(node.requireDim(sharesInput, "router_weights", 1, first.experts)))
      return failure();
    shares = reshape(b, *given, scores.sizes);
    ofChosen = false;
  }
  Tensor weights = routing(b, scores, shares, *k, normalize || ofChosen);
  std::optional<Tensor> sum;
  for (int64_t expert = 0; expert < first.experts; ++expert) {
    FailureOr<Tensor> hidden = project(node, first, block, expert, flat);
    if (failed(hidden))
      return failure();
    FailureOr<Tensor> y = project(node, second, block, expert, activate(b, *hidden, *how));
    if (failed(y))
      return failure();
    Tensor share = gatherElements(b, weights, {}, {rows, b.getIndexAttr(1)},
                                  [&](ImplicitLocOpBuilder &at, ValueRange, ValueRange loops) -> SmallVector<Value> {
                                    return {loops[0], indexConstant(at, expert)};
                                  });
    SmallVector<Tensor> operands{*y, share};
    if (sum)
      operands.push_back(*sum);
    sum = elementwise(b, operands, y->sizes, y->element(), [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
      Value term = multiply(at, v.take_front(2));
      return v.size() > 2 ? add(at, {v[2], term}) : term;
    });
  }
  return node.set(0, reshape(b, *sum, x->sizes));
}

static LogicalResult importMoE(Node &node) {
  FailureOr<int64_t> normalize = node.integer("normalize_routing_weights", 0);
  if (failed(normalize))
    return failure();
  if (node.has(6) || node.has(7))
    return node.unsupported("a third matrix of experts (fc3) is not supported");
  return importExperts(node, {2, -1, 3, -1, 0, 0, 0, 0}, {4, -1, 5, -1, 0, 0, 0, 0}, 0, *normalize != 0, false, 1000);
}

static LogicalResult importQMoE(Node &node) {
  FailureOr<int64_t> bits = node.integer("expert_weight_bits", 4), block = node.integer("block_size", 0),
                     normalize = node.integer("normalize_routing_weights", 0),
                     level = node.integer("accuracy_level", 0);
  FailureOr<std::string> kind = node.text("quant_type", "int");
  if (failed(bits) || failed(block) || failed(normalize) || failed(level) || failed(kind) ||
      failed(node.requireOnly("weights_prepacked", {-1, 0})))
    return failure();
  if (*kind != "int")
    return node.unsupported("attribute 'quant_type' is '" + shown(*kind) + "'; only int is supported");
  if (*bits != 2 && *bits != 4 && *bits != 8)
    return node.badAttribute("attribute 'expert_weight_bits' is " + Twine(*bits) + "; it must be 2, 4 or 8");
  for (StringRef name : {"fc1_expert_weight_bits", "fc2_expert_weight_bits"})
    if (failed(node.requireOnly(name, {*bits})))
      return failure();
  for (unsigned i : {8, 9, 10, 13})
    if (node.has(i))
      return node.unsupported("a third matrix of experts (fc3) is not supported");
  if (!node.has(3) || !node.has(5) || !node.has(6))
    return node.badOperand(
        "inputs fc1_scales, fc2_experts_weights and fc2_scales are required where quant_type is int");
  return importExperts(node, {2, 3, 4, 11, 0, 0, 0, *bits}, {5, 6, 7, 12, 0, 0, 0, *bits}, std::max<int64_t>(*block, 0),
                       *normalize != 0, true, 14);
}

static constexpr Operator kOperators[] = {
    {"com.microsoft", "MoE", importMoE, 5, 8, 1,
     "k activation_type activation_alpha activation_beta normalize_routing_weights swiglu_fusion swiglu_limit "
     "swiglu_limit_after_activation use_sparse_mixer"},
    {"com.microsoft", "QMoE", importQMoE, 3, 15, 1,
     "k activation_type activation_alpha activation_beta normalize_routing_weights swiglu_fusion swiglu_limit "
     "swiglu_limit_after_activation use_sparse_mixer expert_weight_bits fc1_expert_weight_bits fc2_expert_weight_bits "
     "block_size "
     "quant_type accuracy_level weights_prepacked",
     true},
};

ArrayRef<Operator> expertOperators() { return kOperators; }

} // namespace whit
