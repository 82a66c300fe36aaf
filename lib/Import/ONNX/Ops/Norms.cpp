// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Normalizations of ONNX Runtime. SimplifiedLayerNormalization lives in the default domain in files of its exporters.

#include "Import/ONNX/Node.h"

#include "Import/Semantics/Transformer.h"

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

static constexpr Operator kOperators[] = {
    {"", "SimplifiedLayerNormalization", importSimplifiedLayerNormalization, 2, 2, 1, "axis epsilon stash_type"},
    {"com.microsoft", "SimplifiedLayerNormalization", importSimplifiedLayerNormalization, 2, 2, 1,
     "axis epsilon stash_type"},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", importSkipSimplifiedLayerNormalization, 3, 4, 4, "epsilon"},
};

ArrayRef<Operator> normOperators() { return kOperators; }

} // namespace whit
