// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Losses of classes: of a target that names a class for each place, and log probabilities [N, C, places...] of them.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/Semantics/Loops.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// -weight[target] * logs[n, target, places...] as the reduction says; ignored targets count nothing.
static LogicalResult setLoss(Node &node, const Tensor &logs, Type type, StringRef roleOfTarget) {
  FailureOr<std::string> reduction = node.text("reduction", "mean");
  FailureOr<Tensor> target = node.tensor(1, roleOfTarget);
  if (failed(reduction) || failed(target))
    return failure();
  if (!llvm::is_contained({"none", "sum", "mean"}, *reduction))
    return node.badAttribute("attribute 'reduction' is '" + shown(*reduction) + "'; it must be none, sum or mean");
  if (!target->numbers().isSignlessInteger(64) && !target->numbers().isSignlessInteger(32))
    return node.badOperand("input " + roleOfTarget + " has elements of type " + typeName(target->numbers()) +
                           "; they must be i32 or i64");
  bool fits = target->rank() == logs.rank() - 1;
  for (int64_t i = 0; fits && i < target->rank(); ++i)
    fits = node.graph.unify(target->sizes[i], logs.sizes[i ? i + 1 : 0]);
  if (!fits)
    return node.badOperand("input " + roleOfTarget + " must have the shape of the scores without their dimension 1");
  std::optional<int64_t> ignored;
  if (node.hasAttribute("ignore_index")) {
    FailureOr<int64_t> index = node.integer("ignore_index");
    if (failed(index))
      return failure();
    ignored = *index;
  }
  std::optional<Tensor> weight;
  if (node.has(2)) {
    FailureOr<Tensor> given = node.tensor(2, "weight");
    if (failed(given) || failed(requireElements(node, *given, "weight", Elements::Floats)))
      return failure();
    if (given->rank() != 1 || !node.graph.unify(given->sizes[0], logs.sizes[1]))
      return node.badOperand("input weight must have one number for each class");
    weight = convert(node.b, *given, logs.element());
  }
  ImplicitLocOpBuilder &b = node.b;
  Type wide = logs.element();
  /// What a place counts for: its class's weight, or 0.
  auto weightAt = [&](ImplicitLocOpBuilder &at, ValueRange loops, Value &index) -> Value {
    Value named = elementAt(at, *target, loops);
    index = wrapIndex(at, named, logs.sizes[1]);
    Value factor = weight ? elementAt(at, *weight, index) : constant(at, wide, 1);
    if (!ignored)
      return factor;
    Value isIgnored = compare(at, Compare::Equal, named, constant(at, named.getType(), *ignored));
    return arith::SelectOp::create(at, isIgnored, constant(at, wide, 0), factor);
  };
  Tensor losses = computed(b, target->sizes, wide, [&](ImplicitLocOpBuilder &at, ValueRange loops) -> Value {
    Value index, factor = weightAt(at, loops, index);
    SmallVector<Value> place(loops);
    place.insert(place.begin() + 1, index);
    // What is ignored counts nothing, whatever it is.
    Value isNothing = compare(at, Compare::Equal, factor, constant(at, wide, 0));
    Value loss = multiply(at, {negate(at, elementAt(at, logs, place)), factor});
    return arith::SelectOp::create(at, isNothing, constant(at, wide, 0), loss);
  });
  if (*reduction == "none")
    return node.set(0, convert(b, losses, type));
  SmallVector<int64_t> all = llvm::to_vector(llvm::seq<int64_t>(0, losses.rank()));
  Tensor sum = reduce(b, losses, Reduction::Sum, all, /*keep=*/false);
  if (*reduction == "mean") {
    Tensor factors = computed(b, target->sizes, wide, [&](ImplicitLocOpBuilder &at, ValueRange loops) {
      Value index;
      return weightAt(at, loops, index);
    });
    Tensor count = reduce(b, factors, Reduction::Sum, all, /*keep=*/false);
    sum = elementwise(b, {sum, count}, {}, wide, divide);
  }
  return node.set(0, convert(b, sum, type));
}

static FailureOr<Tensor> scoresOf(Node &node, StringRef role) {
  FailureOr<Tensor> x = node.tensor(0, role);
  if (failed(x) || failed(requireElements(node, *x, role, Elements::Floats)))
    return failure();
  if (x->rank() < 2)
    return LogicalResult(node.badOperand("input " + role + " has rank " + Twine(x->rank()) + "; it must be 2 or more"));
  return x;
}

static Type wideType(OpBuilder &b, Type type) {
  return type.getIntOrFloatBitWidth() < 32 ? Type(b.getF32Type()) : type;
}

static LogicalResult importNegativeLogLikelihoodLoss(Node &node) {
  FailureOr<Tensor> x = scoresOf(node, "input");
  if (failed(x))
    return failure();
  return setLoss(node, convert(node.b, *x, wideType(node.b, x->element())), x->element(), "target");
}

/// The same of log softmax of the scores, which is the second output.
static LogicalResult importSoftmaxCrossEntropyLoss(Node &node) {
  FailureOr<Tensor> x = scoresOf(node, "scores");
  if (failed(x))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  Type type = x->element(), wide = wideType(b, type);
  Tensor scores = convert(b, *x, wide), most = reduce(b, scores, Reduction::Max, 1, /*keep=*/true);
  Tensor shifted = elementwise(b, {scores, most}, scores.sizes, wide, subtract);
  Tensor powers = elementwise(b, shifted, scores.sizes, wide, exponential);
  Tensor sum = reduce(b, powers, Reduction::Sum, 1, /*keep=*/true);
  Tensor logs = elementwise(b, {shifted, sum}, scores.sizes, wide, [](ImplicitLocOpBuilder &at, ValueRange v) {
    return subtract(at, {v[0], math::LogOp::create(at, v[1])});
  });
  if (failed(setLoss(node, logs, type, "labels")))
    return failure();
  return node.set(1, convert(b, logs, type));
}

static constexpr Operator kOperators[] = {
    {"", "NegativeLogLikelihoodLoss", importNegativeLogLikelihoodLoss, 2, 3, 1, "ignore_index reduction"},
    {"", "SoftmaxCrossEntropyLoss", importSoftmaxCrossEntropyLoss, 2, 3, 2, "ignore_index reduction"},
};

ArrayRef<Operator> lossOperators() { return kOperators; }

} // namespace whit
