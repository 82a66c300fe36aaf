// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops and branches. Compiled models have none between operations: a loop that counts is unrolled (a scan over layers
// becomes the layers), and of branches, which have no effects, the results are chosen. A loop that data may end before
// it has counted runs as often as it may, and from its end on nothing changes any more.

#include "Import/StableHLO/Program.h"

#include "Import/Semantics/Scalars.h"
#include "Import/StableHLO/KnownScalars.h"
#include "StableHLO/StableHLO.h"

using namespace mlir;

namespace whit {

using namespace semantics;
namespace hlo = mlir::stablehlo;

static constexpr int64_t kMaxIterations = 4096, kMaxCounted = 1'000'000;

/// Integers of the state before each iteration, as far as they are the same in every run.
using Counters = SmallVector<KnownScalar>;

namespace {
/// What can be said about a loop without running it.
struct Course {
  SmallVector<Counters> steps; ///< before each iteration, and behind the last that there may be
  bool mayEndBefore = false;   ///< whether data decides if it is that one
};
} // namespace

/// Follows what a loop counts to its end. Nothing if counting does not end it; `dependsOnData` says why.
static std::optional<Course> courseOf(Program &program, hlo::WhileOp loop, bool &dependsOnData) {
  Course course;
  int64_t budget = kMaxCounted;
  course.steps.push_back(llvm::map_to_vector(loop.getOperand(), [&](Value v) { return constantOf(program, v); }));
  for (int64_t iteration = 0;; ++iteration) {
    Counters &now = course.steps.back();
    KnownScalar goesOn = KnownScalars(program, loop.getCond().front(), now, budget).results()[0];
    if (goesOn && goesOn->isZero())
      return course;
    course.mayEndBefore |= !goesOn;
    dependsOnData = course.mayEndBefore;
    if (iteration == kMaxIterations || (!goesOn && !llvm::any_of(now, [](auto &known) { return known.has_value(); })))
      return std::nullopt;
    Counters next = KnownScalars(program, loop.getBody().front(), now, budget).results();
    if (next == now) // nothing will be different
      return std::nullopt;
    course.steps.push_back(std::move(next));
  }
}

static HloValue constantValue(ImplicitLocOpBuilder &b, Value like, const APInt &number) {
  auto type = cast<RankedTensorType>(like.getType());
  Type element = hloElement(type.getElementType());
  HloValue known;
  known.element = element;
  known.sizes = llvm::map_to_vector(type.getShape(), [&](int64_t dim) { return OpFoldResult(b.getIndexAttr(dim)); });
  known.tensor = {arith::ConstantOp::create(b, DenseElementsAttr::get(type.clone(element), number)), known.sizes};
  return known;
}

/// Of two values, the first where a condition is true.
static Tensor choose(ImplicitLocOpBuilder &b, const Tensor &condition, const Tensor &x, const Tensor &y) {
  return elementwise(b, {condition, x, y}, x.sizes, x.element(), [](ImplicitLocOpBuilder &at, ValueRange v) {
    return arith::SelectOp::create(at, v[0], v[1], v[2]).getResult();
  });
}

static LogicalResult importWhile(Program &program, Operation *op) {
  auto loop = cast<hlo::WhileOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  bool dependsOnData = false;
  std::optional<Course> course = courseOf(program, loop, dependsOnData);
  if (!course && dependsOnData)
    return program.unsupported(op, "has a condition that depends on data, and counts to no number that ends it",
                               "bound it: `(i < 100) & condition` runs at most 100 times");
  if (!course)
    return program.unsupported(op, "runs more than " + Twine(kMaxIterations) + " times, or without an end; at most " +
                                       Twine(kMaxIterations) + " iterations are unrolled");
  Block &cond = loop.getCond().front(), &body = loop.getBody().front();
  SmallVector<HloValue> state;
  for (Value operand : loop.getOperand())
    state.push_back(program.value(operand));
  Location where = b.getLoc();
  auto enter = [&](Block &block, const Counters &counters) {
    for (auto [argument, value, counter] : llvm::zip(block.getArguments(), state, counters))
      program.value(argument) = counter ? constantValue(b, argument, *counter) : value;
  };
  auto run = [&](Block &block) {
    FailureOr<SmallVector<HloValue>> results = program.run(block);
    b.setLoc(where);
    return results;
  };
  // Whether the loop still goes on, where that is known only when the model runs: what an iteration computes behind the
  // end is thrown away.
  std::optional<Tensor> active;
  for (size_t iteration = 0; iteration + 1 < course->steps.size(); ++iteration) {
    const Counters &counters = course->steps[iteration];
    if (course->mayEndBefore) {
      enter(cond, counters);
      FailureOr<SmallVector<HloValue>> goesOn = run(cond);
      if (failed(goesOn) || (*goesOn)[0].failed)
        return failure();
      Tensor now = (*goesOn)[0].tensor;
      active =
          !active ? now : elementwise(b, {*active, now}, {}, now.element(), [](ImplicitLocOpBuilder &at, ValueRange v) {
            return arith::AndIOp::create(at, v[0], v[1]).getResult();
          });
    }
    enter(body, counters);
    FailureOr<SmallVector<HloValue>> results = run(body);
    if (failed(results))
      return failure();
    if (active)
      for (auto [argument, before, after] : llvm::zip(body.getArguments(), state, *results)) {
        if (before.failed || after.failed)
          return failure();
        program.value(argument) = before;
        Tensor old = program.whole(argument);
        program.value(argument) = after;
        Tensor next = program.whole(argument);
        if (old.value == next.value)
          continue;
        program.set(argument, choose(b, *active, next, old));
        after = program.value(argument);
      }
    state = std::move(*results);
  }
  for (auto [result, value, counter] : llvm::zip(loop.getResults(), state, course->steps.back()))
    program.value(result) = counter && !active ? constantValue(b, result, *counter) : value;
  return success();
}

/// The results of one of several regions; `number` counts them, and beyond them means the last. Of regions that data
/// chooses from all are computed: they have no effects.
static LogicalResult importBranches(Program &program, Operation *op, KnownScalar number, Tensor index) {
  ImplicitLocOpBuilder &b = program.builder();
  MutableArrayRef<Region> branches = op->getRegions();
  int64_t last = branches.size() - 1;
  Location where = b.getLoc();
  auto branch = [&](int64_t i) {
    FailureOr<SmallVector<HloValue>> results = program.run(branches[i].front());
    b.setLoc(where);
    return results;
  };
  auto hand = [&](ArrayRef<HloValue> results) {
    for (auto [result, value] : llvm::zip(op->getResults(), results))
      program.value(result) = value;
  };
  if (number) {
    int64_t place = number->getSExtValue();
    FailureOr<SmallVector<HloValue>> results = branch(place < 0 || place > last ? last : place);
    if (failed(results))
      return failure();
    hand(*results);
    return success();
  }
  // An index out of range means the last branch: what no other is chosen over.
  FailureOr<SmallVector<HloValue>> chosen = branch(last);
  for (int64_t i = last - 1; i >= 0 && succeeded(chosen); --i) {
    hand(*chosen);
    SmallVector<Tensor> others;
    for (Value result : op->getResults()) {
      if (program.value(result).failed)
        return failure();
      others.push_back(program.whole(result));
    }
    chosen = branch(i);
    if (failed(chosen))
      return failure();
    for (auto [value, result, other] : llvm::zip(*chosen, op->getResults(), others)) {
      if (value.failed)
        return failure();
      program.value(result) = value;
      Tensor mine = program.whole(result);
      Tensor isMine = elementwise(b, index, {}, b.getI1Type(), [&](ImplicitLocOpBuilder &at, ValueRange v) {
        return compare(at, Compare::Equal, v[0], constant(at, v[0].getType(), double(i)));
      });
      program.set(result, choose(b, isMine, mine, other));
      value = program.value(result);
    }
  }
  if (failed(chosen))
    return failure();
  hand(*chosen);
  return success();
}

static LogicalResult importCase(Program &program, Operation *op) {
  Value index = op->getOperand(0);
  return importBranches(program, op, constantOf(program, index), program.whole(index));
}

/// The first region is for true: the condition is 0 there once it is inverted.
static LogicalResult importIf(Program &program, Operation *op) {
  Value condition = op->getOperand(0);
  KnownScalar known = constantOf(program, condition), number;
  if (known)
    number = APInt(32, known->isZero());
  Tensor index = elementwise(program.builder(), program.whole(condition), {}, program.builder().getI1Type(),
                             [](ImplicitLocOpBuilder &at, ValueRange v) {
                               return arith::XOrIOp::create(at, v[0], constant(at, v[0].getType(), 1)).getResult();
                             });
  return importBranches(program, op, number, index);
}

static constexpr HloOperation kOperations[] = {
    {"stablehlo.case", importCase},
    {"stablehlo.if", importIf},
    {"stablehlo.while", importWhile},
};

ArrayRef<HloOperation> hloControl() { return kOperations; }

} // namespace whit
