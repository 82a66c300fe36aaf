// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops and branches. Compiled models have none between operations: a loop that counts is unrolled (a scan over layers
// becomes the layers), and of branches, which have no effects, the results are chosen.

#include "Import/StableHLO/Program.h"

#include "Import/Semantics/Scalars.h"
#include "StableHLO/StableHLO.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace whit {

using namespace semantics;
namespace hlo = mlir::stablehlo;

static constexpr int64_t kMaxIterations = 4096;

/// The number that a value has in every run, if it is one.
static std::optional<int64_t> constantOf(Program &program, Value value) {
  const HloValue &known = program.value(value);
  DenseElementsAttr elements;
  if (known.parameter || known.failed || !known.tensor.value ||
      !matchPattern(known.tensor.value, m_Constant(&elements)) || !elements.isSplat() ||
      !isa<IntegerType>(elements.getElementType()))
    return std::nullopt;
  return elements.getSplatValue<APInt>().getSExtValue();
}

/// A number that stands in a region, or outside of it.
static std::optional<int64_t> numberOf(Program &program, Value value) {
  if (auto constant = value.getDefiningOp<hlo::ConstantOp>())
    if (auto elements = dyn_cast<DenseElementsAttr>(constant.getValue());
        elements && elements.isSplat() && isa<IntegerType>(elements.getElementType()))
      return elements.getSplatValue<APInt>().getSExtValue();
  return constantOf(program, value);
}

namespace {
/// The values of a counter: from `first` in steps of `step`, `count` times.
struct Counter {
  unsigned argument;
  int64_t first, step, count;
};
} // namespace

/// A loop over `i < limit` whose body only adds a constant to i.
static std::optional<Counter> counterOf(Program &program, hlo::WhileOp loop) {
  Block &cond = loop.getCond().front(), &body = loop.getBody().front();
  auto compare = cond.getTerminator()->getOperand(0).getDefiningOp<hlo::CompareOp>();
  if (!compare || compare.getComparisonDirection() != hlo::ComparisonDirection::LT)
    return std::nullopt;
  auto counter = dyn_cast<BlockArgument>(compare.getLhs());
  if (!counter || counter.getOwner() != &cond)
    return std::nullopt;
  unsigned i = counter.getArgNumber();
  // The limit may be a value that the loop hands on unchanged.
  Value limitValue = compare.getRhs();
  if (auto handed = dyn_cast<BlockArgument>(limitValue); handed && handed.getOwner() == &cond) {
    if (body.getTerminator()->getOperand(handed.getArgNumber()) != body.getArgument(handed.getArgNumber()))
      return std::nullopt;
    limitValue = loop.getOperand()[handed.getArgNumber()];
  }
  auto next = body.getTerminator()->getOperand(i).getDefiningOp<hlo::AddOp>();
  if (!next)
    return std::nullopt;
  Value by = next.getLhs() == body.getArgument(i) ? next.getRhs() : next.getLhs();
  if (by == next.getLhs() && next.getRhs() != body.getArgument(i))
    return std::nullopt;
  std::optional<int64_t> first = constantOf(program, loop.getOperand()[i]), limit = numberOf(program, limitValue),
                         step = numberOf(program, by);
  if (!first || !limit || !step || *step < 1)
    return std::nullopt;
  int64_t count = *limit > *first ? llvm::divideCeil(*limit - *first, *step) : 0;
  return Counter{i, *first, *step, count};
}

static LogicalResult importWhile(Program &program, Operation *op) {
  auto loop = cast<hlo::WhileOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  std::optional<Counter> counter = counterOf(program, loop);
  if (!counter)
    return program.unsupported(op,
                               "has a condition that depends on data; only loops that count to a number are supported");
  if (counter->count > kMaxIterations)
    return program.unsupported(op, "runs " + Twine(counter->count) + " times; at most " + Twine(kMaxIterations) +
                                       " are unrolled");
  Block &body = loop.getBody().front();
  SmallVector<HloValue> state;
  for (Value operand : loop.getOperand())
    state.push_back(program.value(operand));
  auto type = cast<RankedTensorType>(loop.getOperand()[counter->argument].getType());
  Type element = hloElement(type.getElementType());
  auto countTo = [&](int64_t iteration) {
    int64_t number = counter->first + iteration * counter->step;
    Attribute attribute = b.getIntegerAttr(element, number);
    auto value = DenseElementsAttr::get(RankedTensorType::get({}, element), attribute);
    HloValue known;
    known.element = element;
    known.tensor = {arith::ConstantOp::create(b, value), {}};
    return known;
  };
  Location where = b.getLoc();
  for (int64_t iteration = 0; iteration < counter->count; ++iteration) {
    state[counter->argument] = countTo(iteration);
    for (auto [argument, value] : llvm::zip(body.getArguments(), state))
      program.value(argument) = value;
    FailureOr<SmallVector<HloValue>> results = program.run(body);
    if (failed(results))
      return failure();
    state = std::move(*results);
    b.setLoc(where);
  }
  state[counter->argument] = countTo(counter->count);
  for (auto [result, value] : llvm::zip(loop.getResults(), state))
    program.value(result) = value;
  return success();
}

static LogicalResult importCase(Program &program, Operation *op) {
  auto choice = cast<hlo::CaseOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  int64_t last = choice.getBranches().size() - 1;
  Location where = b.getLoc();
  auto branch = [&](int64_t i) {
    FailureOr<SmallVector<HloValue>> results = program.run(choice.getBranches()[i].front());
    b.setLoc(where);
    return results;
  };
  if (std::optional<int64_t> known = constantOf(program, choice.getIndex())) {
    FailureOr<SmallVector<HloValue>> results = branch(*known < 0 || *known > last ? last : *known);
    if (failed(results))
      return failure();
    for (auto [result, value] : llvm::zip(choice.getResults(), *results))
      program.value(result) = value;
    return success();
  }
  Tensor index = program.whole(choice.getIndex());
  // An index out of range means the last branch: what no other is chosen over.
  FailureOr<SmallVector<HloValue>> chosen = branch(last);
  for (int64_t i = last - 1; i >= 0 && succeeded(chosen); --i) {
    for (auto [result, value] : llvm::zip(choice.getResults(), *chosen))
      program.value(result) = value;
    SmallVector<Tensor> others;
    for (Value result : choice.getResults()) {
      if (program.value(result).failed)
        return failure();
      others.push_back(program.whole(result));
    }
    chosen = branch(i);
    if (failed(chosen))
      return failure();
    for (auto [value, result, other] : llvm::zip(*chosen, choice.getResults(), others)) {
      if (value.failed)
        return failure();
      program.value(result) = value;
      Tensor mine = program.whole(result);
      Tensor picked = elementwise(
          b, {index, mine, other}, mine.sizes, mine.element(), [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
            Value isMine = compare(at, Compare::Equal, v[0], constant(at, v[0].getType(), double(i)));
            return arith::SelectOp::create(at, isMine, v[1], v[2]);
          });
      program.set(result, picked);
      value = program.value(result);
    }
  }
  if (failed(chosen))
    return failure();
  for (auto [result, value] : llvm::zip(choice.getResults(), *chosen))
    program.value(result) = value;
  return success();
}

static constexpr HloOperation kOperations[] = {
    {"stablehlo.case", importCase},
    {"stablehlo.while", importWhile},
};

ArrayRef<HloOperation> hloControl() { return kOperations; }

} // namespace whit
