// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Steps of optimizers, of ai.onnx.preview.training: inputs R (the learning rate), T (how many steps were made), then all
// tensors, all their gradients, and all states of each kind; outputs the same without the first two and the gradients.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Tables.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
/// What a step sees of one element, and what it makes of it. `steps` is T as a number.
struct Element {
  ImplicitLocOpBuilder &b;
  Value rate, steps, x, gradient;
  SmallVector<Value> states;

  Value number(double value) { return constant(b, x.getType(), value); }
  Value scaled(Value v, double by) { return multiply(b, {v, number(by)}); }
  Value sum(Value v, Value w) { return add(b, {v, w}); }
  Value square(Value v) { return multiply(b, {v, v}); }
  Value isLater() { return compare(b, Compare::Greater, steps, number(0)); }
  Value choose(Value condition, Value yes, Value no) { return arith::SelectOp::create(b, condition, yes, no); }
};
} // namespace

/// Sets all outputs: `step` gives the new x and the new states.
static LogicalResult update(Node &node, int64_t states, llvm::function_ref<SmallVector<Value>(Element &)> step) {
  int64_t kinds = 2 + states, count = (node.proto.input_size() - 2) / kinds;
  if (count < 1 || node.proto.input_size() != 2 + count * kinds || node.proto.output_size() > count * (kinds - 1))
    return node.badOperand("has " + Twine(node.proto.input_size()) + " inputs and " + Twine(node.proto.output_size()) +
                           " outputs; it must have R, T and " + Twine(kinds) + " inputs and " + Twine(kinds - 1) +
                           " outputs for each tensor");
  ImplicitLocOpBuilder &b = node.b;
  FailureOr<Tensor> rate = node.tensor(0, "R"), steps = node.tensor(1, "T");
  if (failed(rate) || failed(steps) || failed(requireElements(node, *rate, "R", Elements::Floats)))
    return failure();
  if (!steps->numbers().isSignlessInteger(64) || steps->rank() > 1 || rate->rank() > 1 ||
      llvm::any_of(llvm::concat<OpFoldResult>(rate->sizes, steps->sizes),
                   [](OpFoldResult size) { return !isConstantIntValue(size, 1); }))
    return node.badOperand("inputs R and T must be scalars, T an i64");
  Tensor scalars[] = {reshape(b, *rate, {}), reshape(b, *steps, {})};
  for (int64_t i = 0; i < count; ++i) {
    SmallVector<Tensor> operands{scalars[0], scalars[1]};
    for (int64_t kind = 0; kind < kinds; ++kind) {
      std::string role = "inputs_" + std::to_string(kind * count + i);
      FailureOr<Tensor> x = node.tensor(unsigned(2 + kind * count + i), role);
      if (failed(x) || failed(requireElements(node, *x, role, Elements::Floats)))
        return failure();
      bool fits = kind == 0 || (x->element() == operands[2].element() && x->rank() == operands[2].rank());
      for (int64_t d = 0; fits && kind && d < x->rank(); ++d)
        fits = node.graph.unify(x->sizes[d], operands[2].sizes[d]);
      if (!fits)
        return node.badOperand("input " + role + " must have the type and the shape of its tensor");
      operands.push_back(*x);
    }
    Type type = operands[2].element(), wide = type.isF64() ? type : Type(b.getF32Type());
    for (int64_t kind = 0; kind < kinds; ++kind) {
      if (kind == 1)
        continue; // gradients are not handed on
      int64_t result = kind ? kind - 1 : 0;
      Tensor y = elementwise(b, operands, operands[2].sizes, type, [&](ImplicitLocOpBuilder &at, ValueRange v) {
        auto widened = [&](Value value) { return convert(at, value, wide); };
        Element element{at, widened(v[0]), widened(v[1]), widened(v[2]), widened(v[3]), {}};
        for (Value state : v.drop_front(4))
          element.states.push_back(widened(state));
        return convert(at, step(element)[result], type);
      });
      if (failed(node.set(unsigned(result * count + i), y)))
        return failure();
    }
  }
  return success();
}

static LogicalResult importAdagrad(Node &node) {
  FailureOr<double> norm = node.number("norm_coefficient", 0), decay = node.number("decay_factor", 0),
                    epsilon = node.number("epsilon", 1e-6);
  if (failed(norm) || failed(decay) || failed(epsilon))
    return failure();
  return update(node, 1, [&](Element &e) -> SmallVector<Value> {
    Value rate = divide(e.b, {e.rate, e.sum(e.number(1), e.scaled(e.steps, *decay))});
    Value gradient = e.sum(e.scaled(e.x, *norm), e.gradient), squares = e.sum(e.states[0], e.square(gradient));
    Value root = e.sum(squareRoot(e.b, squares), e.number(*epsilon));
    return {subtract(e.b, {e.x, divide(e.b, {multiply(e.b, {rate, gradient}), root})}), squares};
  });
}

static LogicalResult importAdam(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 0.9), beta = node.number("beta", 0.999),
                    epsilon = node.number("epsilon", 1e-6), norm = node.number("norm_coefficient", 0),
                    after = node.number("norm_coefficient_post", 0);
  if (failed(alpha) || failed(beta) || failed(epsilon) || failed(norm) || failed(after))
    return failure();
  for (double factor : {*alpha, *beta})
    if (factor < 0 || factor >= 1)
      return node.badAttribute("attributes 'alpha' and 'beta' must be from 0 to less than 1");
  return update(node, 2, [&](Element &e) -> SmallVector<Value> {
    Value gradient = e.sum(e.scaled(e.x, *norm), e.gradient);
    Value mean = e.sum(e.scaled(e.states[0], *alpha), e.scaled(gradient, 1 - *alpha));
    Value squares = e.sum(e.scaled(e.states[1], *beta), e.scaled(e.square(gradient), 1 - *beta));
    auto rest = [&](double factor) -> Value { // 1 - factor^T
      if (factor == 0)
        return e.number(1);
      return negate(e.b, math::ExpM1Op::create(e.b, e.scaled(e.steps, std::log(factor))).getResult());
    };
    Value corrected = divide(e.b, {multiply(e.b, {e.rate, squareRoot(e.b, rest(*beta))}), rest(*alpha)});
    Value rate = e.choose(e.isLater(), corrected, e.rate);
    Value direction = divide(e.b, {mean, e.sum(squareRoot(e.b, squares), e.number(*epsilon))});
    Value x = subtract(e.b, {e.x, multiply(e.b, {rate, direction})});
    return {e.scaled(x, 1 - *after), mean, squares};
  });
}

static LogicalResult importMomentum(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 0), beta = node.number("beta", 0),
                    norm = node.number("norm_coefficient", 0);
  FailureOr<std::string> mode = node.text("mode", "standard");
  if (failed(alpha) || failed(beta) || failed(norm) || failed(mode))
    return failure();
  if (*mode != "standard" && *mode != "nesterov")
    return node.badAttribute("attribute 'mode' is '" + shown(*mode) + "'; it must be standard or nesterov");
  return update(node, 1, [&](Element &e) -> SmallVector<Value> {
    Value gradient = e.sum(e.scaled(e.x, *norm), e.gradient);
    Value factor = e.choose(e.isLater(), e.number(*beta), e.number(1));
    Value mean = e.sum(e.scaled(e.states[0], *alpha), multiply(e.b, {factor, gradient}));
    Value step = *mode == "standard" ? mean : e.sum(gradient, e.scaled(mean, *alpha));
    return {subtract(e.b, {e.x, multiply(e.b, {e.rate, step})}), mean};
  });
}

static constexpr Operator kOperators[] = {
    {"ai.onnx.preview.training", "Adagrad", importAdagrad, 5, 1024, 1024, "decay_factor epsilon norm_coefficient"},
    {"ai.onnx.preview.training", "Adam", importAdam, 6, 1024, 1024,
     "alpha beta epsilon norm_coefficient norm_coefficient_post"},
    {"ai.onnx.preview.training", "Momentum", importMomentum, 5, 1024, 1024, "alpha beta mode norm_coefficient"},
};

ArrayRef<Operator> trainingOperators() { return kOperators; }

} // namespace whit
