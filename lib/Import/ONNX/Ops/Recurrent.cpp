// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RNN, GRU and LSTM. The products with the inputs of all steps are one; those with the state are made step by step.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Constants.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Iterations.h"
#include "Import/ONNX/Ops/Tables.h"
#include "Import/Semantics/Transformer.h"

using namespace mlir;

namespace whit {

using namespace semantics;

static Value relu(ImplicitLocOpBuilder &b, ValueRange v) { return maximum(b, v[0], constant(b, v[0].getType(), 0)); }
static Value softsign(ImplicitLocOpBuilder &b, ValueRange v) {
  return divide(b, {v[0], add(b, {constant(b, v[0].getType(), 1), absolute(b, v[0])})});
}

using Activation = Value (*)(ImplicitLocOpBuilder &, ValueRange);

static Activation activationOf(StringRef name) {
  return llvm::StringSwitch<Activation>(name.lower())
      .Case("relu", relu)
      .Case("tanh", tangensHyperbolicus)
      .Case("sigmoid", sigmoid)
      .Case("softsign", softsign)
      .Default(nullptr);
}

namespace {
/// What the three have in common. Sequences are [T, N, ...] and everything is f32.
struct Cells {
  Cells(Node &node, int64_t gates) : node(node), gates(gates) {}

  Node &node;
  int64_t gates; ///< rows of W and R for each hidden element
  int64_t steps = 0, hidden = 0, directions = 1;
  bool isReversed = false, batchFirst = false;
  Tensor x; ///< [T, N, I]
  OpFoldResult batch;
  std::optional<Tensor> lengths;       ///< i32 or i64 [N]
  SmallVector<Activation> activations; ///< those of each direction after one another
  Type element;

  ImplicitLocOpBuilder &b() { return node.b; }
  LogicalResult read(ArrayRef<StringRef> defaults);
  /// [N, H] of a direction: an initial state, or 0.
  FailureOr<Tensor> initial(unsigned i, StringRef role, int64_t direction);
  /// One direction of an input [D, n...] as f32; nothing if it is absent.
  FailureOr<std::optional<Tensor>> part(unsigned i, StringRef role, int64_t direction, int64_t count);
  /// x [..., K] times a direction of input i [D, gates * H, K], of which rows [from, from + count) are taken.
  FailureOr<Tensor> times(const Tensor &left, unsigned i, StringRef role, int64_t direction);
  Tensor map(ArrayRef<Tensor> operands, Body body) {
    return elementwise(b(), operands, {batch, b().getIndexAttr(hidden)}, b().getF32Type(), body);
  }
  Tensor gate(const Tensor &all, int64_t i) { return sliceLast(b(), all, i * hidden, hidden); }
  Activation activation(int64_t direction, int64_t i) {
    return activations[direction * (activations.size() / directions) + i];
  }
  /// New values where the sequence still runs at step t, else the old ones, or 0 without them.
  Tensor whereRunning(int64_t t, const Tensor &now, const std::optional<Tensor> &old);
  /// Runs all steps. `cell` gives the new states of [N, gates * H] products of x, of which the first is the output.
  using Cell =
      function_ref<FailureOr<SmallVector<Tensor>>(int64_t direction, const Tensor &products, ArrayRef<Tensor> states)>;
  LogicalResult run(ArrayRef<std::pair<unsigned, StringRef>> states, Cell cell);
};
} // namespace

LogicalResult Cells::read(ArrayRef<StringRef> defaults) {
  FailureOr<std::string> direction = node.text("direction", "forward");
  FailureOr<int64_t> layout = node.integer("layout", 0);
  FailureOr<Tensor> given = node.tensor(0, "X");
  if (failed(direction) || failed(layout) || failed(given) ||
      failed(requireElements(node, *given, "X", Elements::Floats)))
    return failure();
  if (*direction != "forward" && *direction != "reverse" && *direction != "bidirectional")
    return node.badAttribute("attribute 'direction' is '" + shown(*direction) +
                             "'; it must be forward, reverse or bidirectional");
  if (given->element().isF64())
    return node.report(code::NoType, "input X has elements of type f64; only f32, f16 and bf16 are supported");
  directions = *direction == "bidirectional" ? 2 : 1;
  isReversed = *direction == "reverse";
  batchFirst = *layout == 1;
  element = given->element();
  if (*layout != 0 && *layout != 1)
    return node.badAttribute("attribute 'layout' is " + Twine(*layout) + "; it must be 0 or 1");
  for (auto [i, role] : {std::pair(0u, "X"), {1u, "W"}, {2u, "R"}})
    if (node.input(i).rank() != 3)
      return node.badOperand(Twine("input ") + role + " has rank " + Twine(node.input(i).rank()) +
                             "; it must have rank 3");
  std::optional<int64_t> size = getConstantIntValue(node.input(2).sizes[2]);
  FailureOr<int64_t> said = node.integer("hidden_size", size.value_or(0));
  if (failed(said))
    return failure();
  if (!size || *size < 1 || *said != *size)
    return node.badOperand("input R must have " + Twine(*said) + " elements in dimension 2, as 'hidden_size' says");
  hidden = *size;
  if (failed(node.requireDim(1, "W", 0, directions)) || failed(node.requireDim(1, "W", 1, gates * hidden)) ||
      failed(node.requireDim(2, "R", 0, directions)) || failed(node.requireDim(2, "R", 1, gates * hidden)))
    return failure();
  x = convert(b(), batchFirst ? transpose(b(), *given, {1, 0, 2}) : *given, b().getF32Type());
  FailureOr<int64_t> count = stepsOf(node, x, "X", 0);
  if (failed(count))
    return failure();
  steps = *count;
  batch = x.sizes[1];
  if (node.has(4)) {
    FailureOr<Tensor> given = node.tensor(4, "sequence_lens");
    if (failed(given))
      return failure();
    if (given->rank() != 1 || !given->numbers().isSignlessInteger(32) || !node.graph.unify(given->sizes[0], batch))
      return node.badOperand("input sequence_lens must have an i32 for each of the batch");
    lengths = *given;
  }
  SmallVector<StringRef> names;
  if (const auto *list = node.find("activations"))
    names.assign(list->strings().begin(), list->strings().end());
  for (int64_t i = 0; names.size() < defaults.size() * directions; ++i)
    names.push_back(defaults[i % defaults.size()]);
  for (StringRef name : names) {
    activations.push_back(activationOf(name));
    if (!activations.back())
      return node.unsupported("attribute 'activations' has '" + shown(name) +
                              "'; Relu, Tanh, Sigmoid and Softsign are supported");
  }
  if (names.size() != defaults.size() * directions)
    return node.badAttribute("attribute 'activations' has " + Twine(names.size()) + " names; it must have " +
                             Twine(defaults.size() * directions));
  return success();
}

FailureOr<std::optional<Tensor>> Cells::part(unsigned i, StringRef role, int64_t direction, int64_t count) {
  if (!node.has(i))
    return std::optional<Tensor>();
  FailureOr<Tensor> all = node.tensor(i, role);
  if (failed(all))
    return failure();
  if (all->rank() != 2 || failed(node.requireDim(i, role, 0, directions)) || failed(node.requireDim(i, role, 1, count)))
    return all->rank() == 2 ? failure()
                            : LogicalResult(node.badOperand("input " + role + " has rank " + Twine(all->rank()) +
                                                            "; it must have rank 2"));
  return std::optional(convert(b(), pick(b(), *all, 0, direction), b().getF32Type()));
}

FailureOr<Tensor> Cells::initial(unsigned i, StringRef role, int64_t direction) {
  Sizes sizes{batch, b().getIndexAttr(hidden)};
  if (!node.has(i))
    return splat(b(), sizes, b().getF32FloatAttr(0));
  FailureOr<Tensor> all = node.tensor(i, role);
  if (failed(all))
    return failure();
  int64_t dims[] = {batchFirst ? 1 : 0, batchFirst ? 0 : 1};
  if (all->rank() != 3 || !isConstantIntValue(all->sizes[dims[0]], directions) ||
      !node.graph.unify(all->sizes[dims[1]], batch) || !isConstantIntValue(all->sizes[2], hidden))
    return LogicalResult(node.badOperand("input " + role + " must have " + Twine(hidden) +
                                         " elements for each direction and each of the batch"));
  return reshape(b(), convert(b(), pick(b(), *all, dims[0], direction), b().getF32Type()), sizes);
}

FailureOr<Tensor> Cells::times(const Tensor &left, unsigned i, StringRef role, int64_t direction) {
  if (directions == 1) {
    GraphValue flat = node.input(i);
    flat.sizes.erase(flat.sizes.begin());
    if (Value matrix = matrixOf(node, flat, Stored::Rows))
      return matmul(b(), left, matrix);
  }
  FailureOr<Tensor> all = node.tensor(i, role);
  if (failed(all))
    return failure();
  Tensor right = convert(b(), pick(b(), *all, 0, direction), b().getF32Type());
  return contract(b(), left, right, {}, DimPair(left.rank() - 1, 1), b().getF32Type());
}

Tensor Cells::whereRunning(int64_t t, const Tensor &now, const std::optional<Tensor> &old) {
  if (!lengths)
    return now;
  SmallVector<Tensor> operands{reshape(b(), *lengths, {batch, b().getIndexAttr(1)}), now};
  if (old)
    operands.push_back(*old);
  return map(operands, [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
    Value runs = compare(at, Compare::Greater, v[0], constant(at, v[0].getType(), double(t)));
    return arith::SelectOp::create(at, runs, v[1], old ? v[2] : constant(at, v[1].getType(), 0));
  });
}

LogicalResult Cells::run(ArrayRef<std::pair<unsigned, StringRef>> initials, Cell cell) {
  SmallVector<SmallVector<Tensor>> last(initials.size()); // by state, then by direction
  SmallVector<Tensor> outputs;                            // by direction: [T, N, H]
  for (int64_t direction = 0; direction < directions; ++direction) {
    FailureOr<Tensor> products = times(x, 1, "W", direction);
    FailureOr<std::optional<Tensor>> bias = part(3, "B", direction, 2 * gates * hidden);
    if (failed(products) || failed(bias))
      return failure();
    Tensor all = *products;
    if (*bias)
      all = elementwise(b(), {all, sliceLast(b(), **bias, 0, gates * hidden)}, all.sizes, b().getF32Type(), add);
    SmallVector<Tensor> states;
    for (auto [i, role] : initials) {
      FailureOr<Tensor> state = initial(i, role, direction);
      if (failed(state))
        return failure();
      states.push_back(*state);
    }
    SmallVector<Tensor> seen(steps);
    bool backward = isReversed || direction == 1;
    for (int64_t k = 0; k < steps; ++k) {
      int64_t t = backward ? steps - 1 - k : k;
      FailureOr<SmallVector<Tensor>> next = cell(direction, pick(b(), all, 0, t), states);
      if (failed(next))
        return failure();
      for (auto [state, now] : llvm::zip(states, *next))
        state = whereRunning(t, now, state);
      seen[t] = whereRunning(t, (*next)[0], std::nullopt);
    }
    for (auto [list, state] : llvm::zip(last, states))
      list.push_back(state);
    outputs.push_back(stack(b(), seen, 0));
  }
  if (node.wants(0)) {
    Tensor y = convert(b(), stack(b(), outputs, 1), element); // [T, D, N, H]
    if (failed(node.set(0, batchFirst ? transpose(b(), y, {2, 0, 1, 3}) : y)))
      return failure();
  }
  for (auto [i, list] : llvm::enumerate(last))
    if (node.wants(1 + i) && failed(node.set(1 + i, convert(b(), stack(b(), list, batchFirst ? 1 : 0), element))))
      return failure();
  return success();
}

/// The second half of the bias, that of the recurrence; nothing if there is none.
static FailureOr<std::optional<Tensor>> recurrentBias(Cells &cells, int64_t direction) {
  int64_t count = cells.gates * cells.hidden;
  FailureOr<std::optional<Tensor>> both = cells.part(3, "B", direction, 2 * count);
  if (failed(both) || !*both)
    return both;
  return std::optional(sliceLast(cells.b(), **both, count, count));
}

/// Products of the state with R, and the recurrence's bias.
static FailureOr<Tensor> recurrence(Cells &cells, const Tensor &state, int64_t direction) {
  FailureOr<Tensor> products = cells.times(state, 2, "R", direction);
  FailureOr<std::optional<Tensor>> bias = recurrentBias(cells, direction);
  if (failed(products) || failed(bias))
    return failure();
  if (!*bias)
    return products;
  return elementwise(cells.b(), {*products, **bias}, products->sizes, cells.b().getF32Type(), add);
}

/// H = f(x W + h R + b)
static LogicalResult importRNN(Node &node) {
  Cells cells(node, 1);
  if (failed(cells.read({"Tanh"})))
    return failure();
  return cells.run({{5, "initial_h"}},
                   [&](int64_t d, const Tensor &x, ArrayRef<Tensor> s) -> FailureOr<SmallVector<Tensor>> {
                     FailureOr<Tensor> r = recurrence(cells, s[0], d);
                     if (failed(r))
                       return failure();
                     return SmallVector<Tensor>{cells.map({x, *r}, [&](ImplicitLocOpBuilder &b, ValueRange v) {
                       return cells.activation(d, 0)(b, add(b, v));
                     })};
                   });
}

/// Gates z, r and h. z and r choose between the old state and h, which sees what r leaves of the state.
static LogicalResult importGRU(Node &node) {
  Cells cells(node, 3);
  FailureOr<int64_t> linear = node.integer("linear_before_reset", 0);
  if (failed(linear) || failed(cells.read({"Sigmoid", "Tanh"})))
    return failure();
  return cells.run(
      {{5, "initial_h"}}, [&](int64_t d, const Tensor &x, ArrayRef<Tensor> s) -> FailureOr<SmallVector<Tensor>> {
        auto f = cells.activation(d, 0), g = cells.activation(d, 1);
        auto both = [&](ImplicitLocOpBuilder &b, ValueRange v) { return f(b, add(b, v)); };
        FailureOr<Tensor> r = recurrence(cells, s[0], d);
        if (failed(r))
          return failure();
        Tensor update = cells.map({cells.gate(x, 0), cells.gate(*r, 0)}, both),
               reset = cells.map({cells.gate(x, 1), cells.gate(*r, 1)}, both), inner;
        if (*linear) {
          inner = cells.map({cells.gate(x, 2), reset, cells.gate(*r, 2)}, [&](ImplicitLocOpBuilder &b, ValueRange v) {
            return g(b, add(b, {v[0], multiply(b, {v[1], v[2]})}));
          });
        } else {
          FailureOr<Tensor> again = recurrence(cells, cells.map({reset, s[0]}, multiply), d);
          if (failed(again))
            return failure();
          inner = cells.map({cells.gate(x, 2), cells.gate(*again, 2)},
                            [&](ImplicitLocOpBuilder &b, ValueRange v) { return g(b, add(b, v)); });
        }
        return SmallVector<Tensor>{cells.map({update, inner, s[0]}, [](ImplicitLocOpBuilder &b, ValueRange v) {
          Value rest = subtract(b, {constant(b, v[0].getType(), 1), v[0]});
          return add(b, {multiply(b, {rest, v[1]}), multiply(b, {v[0], v[2]})});
        })};
      });
}

/// Gates i, o, f and c of a cell; peepholes let the first three see it.
static LogicalResult importLSTM(Node &node) {
  Cells cells(node, 4);
  if (failed(node.requireOnly("input_forget", {0})) || failed(cells.read({"Sigmoid", "Tanh", "Tanh"})))
    return failure();
  return cells.run({{5, "initial_h"}, {6, "initial_c"}},
                   [&](int64_t d, const Tensor &x, ArrayRef<Tensor> s) -> FailureOr<SmallVector<Tensor>> {
                     FailureOr<Tensor> r = recurrence(cells, s[0], d);
                     FailureOr<std::optional<Tensor>> peep = cells.part(7, "P", d, 3 * cells.hidden);
                     if (failed(r) || failed(peep))
                       return failure();
                     auto f = cells.activation(d, 0), g = cells.activation(d, 1), h = cells.activation(d, 2);
                     auto gate = [&](int64_t i, int64_t peephole, const Tensor &cell) {
                       SmallVector<Tensor> operands{cells.gate(x, i), cells.gate(*r, i)};
                       if (*peep)
                         operands.append({cells.gate(**peep, peephole), cell});
                       return cells.map(operands, [&](ImplicitLocOpBuilder &b, ValueRange v) {
                         Value sum = add(b, {v[0], v[1]});
                         return f(b, v.size() > 2 ? add(b, {sum, multiply(b, {v[2], v[3]})}) : sum);
                       });
                     };
                     Tensor in = gate(0, 0, s[1]), forget = gate(2, 2, s[1]);
                     Tensor fresh = cells.map({cells.gate(x, 3), cells.gate(*r, 3)},
                                              [&](ImplicitLocOpBuilder &b, ValueRange v) { return g(b, add(b, v)); });
                     Tensor cell = cells.map({forget, s[1], in, fresh}, [](ImplicitLocOpBuilder &b, ValueRange v) {
                       return add(b, {multiply(b, {v[0], v[1]}), multiply(b, {v[2], v[3]})});
                     });
                     Tensor out = gate(1, 1, cell);
                     Tensor y = cells.map({out, cell}, [&](ImplicitLocOpBuilder &b, ValueRange v) {
                       return multiply(b, {v[0], h(b, v[1])});
                     });
                     return SmallVector<Tensor>{y, cell};
                   });
}

static constexpr Operator kOperators[] = {
    {"", "RNN", importRNN, 3, 6, 2, "activations direction hidden_size layout"},
    {"", "GRU", importGRU, 3, 6, 2, "activations direction hidden_size layout linear_before_reset"},
    {"", "LSTM", importLSTM, 3, 8, 3, "activations direction hidden_size input_forget layout"},
};

ArrayRef<Operator> recurrentOperators() { return kOperators; }

} // namespace whit
