// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Normalizations. SimplifiedLayerNormalization, of ONNX Runtime, lives in the default domain in files of its exporters.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"

#include "Import/Semantics/Transformer.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace whit {

using namespace semantics;

static LogicalResult normalize(Node &node, const Tensor &x, unsigned gammaInput) {
  FailureOr<Tensor> gamma = node.f32(gammaInput, "gamma");
  FailureOr<double> epsilon = node.number("epsilon", 1e-5);
  if (failed(gamma) || failed(epsilon))
    return failure();
  if (gamma->rank() != 1 || !sameSize(gamma->sizes[0], x.sizes.back()))
    return node.badOperand("input gamma must have one element for each of the last dimension of the input");
  return node.set(0, rmsNorm(node.b, x, *gamma, *epsilon));
}

static LogicalResult importSimplifiedLayerNormalization(Node &node) {
  FailureOr<Tensor> x = node.f32(0, "X");
  FailureOr<int64_t> axis = node.integer("axis", -1);
  if (failed(x) || failed(axis) || failed(node.requireOnly("stash_type", {1})))
    return failure();
  if (x->rank() == 0 || (*axis != -1 && *axis != x->rank() - 1))
    return node.unsupported("attribute 'axis' is " + Twine(*axis) + "; only the last dimension is supported");
  return normalize(node, *x, 1);
}

static LogicalResult importSkipSimplifiedLayerNormalization(Node &node) {
  FailureOr<Tensor> x = node.f32(0, "input"), skip = node.f32(1, "skip");
  if (failed(x) || failed(skip))
    return failure();
  for (unsigned i : {1, 2})
    if (node.wants(i))
      return node.unsupported("output " + Twine(i) + (i == 1 ? " (mean)" : " (inv_std_var)") + " is not supported");
  auto plus = [&](const Tensor &a, const Tensor &b) -> FailureOr<Tensor> {
    FailureOr<Sizes> sizes = node.broadcast({a, b});
    if (succeeded(sizes) && !llvm::equal(*sizes, x->sizes, sameSize))
      return LogicalResult(node.badOperand("inputs skip and bias are larger than the input"));
    if (failed(sizes))
      return failure();
    return elementwise(node.b, {a, b}, *sizes, a.element(), add);
  };
  if (x->rank() == 0)
    return node.badOperand("input has rank 0; it must have rank 1 or more");
  FailureOr<Tensor> sum = plus(*x, *skip);
  if (failed(sum))
    return failure();
  if (node.has(3)) {
    FailureOr<Tensor> bias = node.f32(3, "bias");
    if (failed(bias) || failed(sum = plus(*sum, *bias)))
      return failure();
  }
  if (failed(normalize(node, *sum, 2)))
    return failure();
  return node.set(3, *sum);
}

// ------------------------------------------------------------------------------------------------ of ONNX

namespace {
/// An input whose dimensions from an axis on are normalized together: as rows [leading..., K] in f32.
struct NormalizedRows {
  Tensor x;       ///< as given
  Tensor rows;    ///< [leading..., K] f32
  int64_t axis;   ///< from 0 on
  OpFoldResult k; ///< elements that are normalized together
  double epsilon;
};
} // namespace

static FailureOr<NormalizedRows> normalizedRows(Node &node) {
  FailureOr<Tensor> x = node.tensor(0, "X");
  FailureOr<int64_t> axis = node.integer("axis", -1), stash = node.integer("stash_type", 1);
  FailureOr<double> epsilon = node.number("epsilon", 1e-5);
  if (failed(x) || failed(axis) || failed(stash) || failed(epsilon) ||
      failed(requireElements(node, *x, "X", Elements::Floats)))
    return failure();
  if (*stash != 1 && *stash != 10 && *stash != 16)
    return LogicalResult(node.unsupported("attribute 'stash_type' is " + Twine(*stash) +
                                          "; only 1 (f32), and 10 and 16, which are computed as f32, are supported"));
  if (x->element().isF64())
    return LogicalResult(node.unsupported("input X has elements of type f64; at most f32 is supported"));
  if (*axis < -x->rank() || *axis >= x->rank())
    return LogicalResult(
        node.badAttribute("attribute 'axis' is " + Twine(*axis) + "; input X has rank " + Twine(x->rank())));
  NormalizedRows result{*x, {}, *axis < 0 ? *axis + x->rank() : *axis, node.b.getIndexAttr(1), *epsilon};
  Sizes sizes(x->sizes.begin(), x->sizes.begin() + result.axis);
  for (OpFoldResult size : ArrayRef(x->sizes).drop_front(result.axis))
    result.k = node.graph.algebra.multiply(node.b, result.k, size);
  sizes.push_back(result.k);
  result.rows = reshape(node.b, convert(node.b, *x, node.b.getF32Type()), sizes);
  return result;
}

/// A factor or summand of the normalized dimensions as one row [K] in f32.
static FailureOr<Tensor> rowOf(Node &node, const NormalizedRows &n, unsigned i, StringRef role) {
  FailureOr<Tensor> row = node.tensor(i, role);
  if (failed(row) || failed(requireElements(node, *row, role, Elements::Floats)))
    return failure();
  Sizes whole(n.x.sizes.begin() + n.axis, n.x.sizes.end());
  Tensor shape{row->value, whole};
  FailureOr<Sizes> sizes = node.broadcast({*row, shape});
  if (failed(sizes))
    return failure();
  if (sizes->size() != whole.size() || !llvm::equal(*sizes, whole, sameSize))
    return LogicalResult(node.badOperand("input " + role + " is larger than what is normalized"));
  return reshape(node.b, broadcastTo(node.b, convert(node.b, *row, node.b.getF32Type()), whole), {n.k});
}

static LogicalResult setRows(Node &node, unsigned i, const NormalizedRows &n, const Tensor &rows) {
  return node.set(i, convert(node.b, reshape(node.b, rows, n.x.sizes), n.x.element()));
}

static LogicalResult importRMSNormalization(Node &node) {
  FailureOr<NormalizedRows> n = normalizedRows(node);
  if (failed(n))
    return failure();
  FailureOr<Tensor> scale = rowOf(node, *n, 1, "scale");
  return failed(scale) ? failure() : setRows(node, 0, *n, rmsNorm(node.b, n->rows, *scale, n->epsilon));
}

static LogicalResult importLayerNormalization(Node &node) {
  FailureOr<NormalizedRows> n = normalizedRows(node);
  if (failed(n))
    return failure();
  FailureOr<Tensor> scale = rowOf(node, *n, 1, "Scale");
  std::optional<Tensor> bias;
  if (failed(scale))
    return failure();
  if (node.has(2)) {
    FailureOr<Tensor> row = rowOf(node, *n, 2, "B");
    if (failed(row))
      return failure();
    bias = *row;
  }
  if (failed(setRows(node, 0, *n, layerNorm(node.b, n->rows, *scale, bias, n->epsilon))))
    return failure();
  if (!node.wants(1) && !node.wants(2))
    return success();
  // Mean and 1 / sqrt(variance + epsilon) of each row, as training wants them.
  if (!getConstantIntValue(n->k))
    return node.unsupported("outputs Mean and InvStdDev need a known number of normalized elements");
  double k = double(*getConstantIntValue(n->k));
  int64_t last = n->rows.rank() - 1;
  Type f32 = node.b.getF32Type();
  auto meanOf = [&](const Tensor &t) {
    Tensor sum = reduce(node.b, t, Reduction::Sum, last, /*keep=*/true);
    return elementwise(node.b, sum, sum.sizes, f32,
                       [&](ImplicitLocOpBuilder &b, ValueRange v) { return divide(b, {v[0], constant(b, f32, k)}); });
  };
  Tensor mean = meanOf(n->rows);
  Tensor squares = elementwise(node.b, {n->rows, mean}, n->rows.sizes, f32, [](ImplicitLocOpBuilder &b, ValueRange v) {
    Value distance = subtract(b, v);
    return multiply(b, {distance, distance});
  });
  Tensor deviation = meanOf(squares);
  deviation = elementwise(node.b, deviation, deviation.sizes, f32, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Value sum = add(b, {v[0], constant(b, f32, n->epsilon)});
    return arith::DivFOp::create(b, constant(b, f32, 1), squareRoot(b, sum));
  });
  Sizes sizes(n->x.sizes.begin(), n->x.sizes.begin() + n->axis);
  sizes.append(n->x.rank() - n->axis, node.b.getIndexAttr(1));
  if (failed(node.set(1, reshape(node.b, mean, sizes))))
    return failure();
  return node.set(2, reshape(node.b, deviation, sizes));
}

static constexpr Operator kOperators[] = {
    {"", "SimplifiedLayerNormalization", importSimplifiedLayerNormalization, 2, 2, 1, "axis epsilon stash_type"},
    {"", "RMSNormalization", importRMSNormalization, 2, 2, 1, "axis epsilon stash_type"},
    {"", "LayerNormalization", importLayerNormalization, 2, 3, 3, "axis epsilon stash_type"},
    {"com.microsoft", "SimplifiedLayerNormalization", importSimplifiedLayerNormalization, 2, 2, 1,
     "axis epsilon stash_type"},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", importSkipSimplifiedLayerNormalization, 3, 4, 4, "epsilon"},
};

ArrayRef<Operator> normOperators() { return kOperators; }

} // namespace whit
