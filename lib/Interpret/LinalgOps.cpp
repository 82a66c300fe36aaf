// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every structured operation of linalg, named or generic, by what defines it: iteration space, indexing maps and body.
// The body is first turned into a list of steps on numbered registers, because it runs once per point.
//
// A sum over a reduction loop, acc + x, is bounded for any order of its terms: (count + c) * u * sum|x|.

#include "Interpret/Interpreter.h"
#include "Interpret/Scalars.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;

namespace whit::interpret {

using Index = std::vector<int64_t>;

namespace {
/// One operation of a body.
struct Step {
  ScalarFunction function;        ///< null for the two below
  const Tensor *source = nullptr; ///< tensor.extract
  int64_t dim = -1;               ///< linalg.index
  SmallVector<int, 3> inputs;
  int output;
};

/// A body as steps on registers; the block arguments come first.
struct Program {
  std::vector<Step> steps;
  std::vector<Scalar> registers;
  SmallVector<int> yields;
  SmallVector<int> summands;  ///< per yield: the register of x if it is acc + x over a reduction, else -1
  bool isContraction = false; ///< one output, acc + a * b, and nothing else
};

/// Where one operand lies for each point of the iteration space.
struct Access {
  AffineMap map;
  Index shape, strides;
  bool linear = true;
  int64_t base = 0;
  Index perLoop; ///< if linear

  int64_t at(const Index &point) const {
    int64_t position = linear ? base : 0;
    if (linear) {
      for (size_t i = 0; i < point.size(); ++i)
        position += perLoop[i] * point[i];
      return position;
    }
    for (auto [i, expr] : llvm::enumerate(map.getResults()))
      position += strides[i] * evaluate(expr, point, {});
    return position;
  }
};
} // namespace

static Access accessOf(AffineMap map, const Tensor &tensor) {
  Access access{map, tensor.shape, stridesOf(tensor.shape), true, 0, {}};
  map.walkExprs([&](AffineExpr expr) {
    auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
    access.linear &= !binary || binary.getKind() == AffineExprKind::Add || binary.getKind() == AffineExprKind::Mul;
  });
  if (!access.linear)
    return access;
  auto position = [&](const Index &point) {
    int64_t at = 0;
    for (auto [i, expr] : llvm::enumerate(map.getResults()))
      at += access.strides[i] * evaluate(expr, point, {});
    return at;
  };
  Index point(map.getNumDims());
  access.base = position(point);
  for (int64_t &coordinate : point) {
    coordinate = 1;
    access.perLoop.push_back(position(point) - access.base);
    coordinate = 0;
  }
  return access;
}

/// The x of acc + x, where acc is output `i` before and after; null if the body is no such sum.
static Value summandOf(linalg::LinalgOp op, unsigned i) {
  BlockArgument accumulator = op.getRegionOutputArgs()[i];
  auto add = op.getBlock()->getTerminator()->getOperand(i).getDefiningOp<arith::AddFOp>();
  if (op.getNumReductionLoops() == 0 || !add || !accumulator.hasOneUse())
    return {};
  if (add.getLhs() == accumulator)
    return add.getRhs();
  return add.getRhs() == accumulator ? add.getLhs() : Value();
}

/// Whether the body is acc + a * b on its three arguments, and the innermost loop the one that sums.
static bool isContraction(linalg::LinalgOp op) {
  Block &body = *op.getBlock();
  if (body.getNumArguments() != 3 || body.getOperations().size() != 3 || op.getNumDpsInits() != 1 ||
      op.getIteratorTypesArray().back() != utils::IteratorType::reduction)
    return false;
  Value summand = summandOf(op, 0);
  auto product = summand ? summand.getDefiningOp<arith::MulFOp>() : arith::MulFOp();
  Value a = body.getArgument(0), b = body.getArgument(1);
  return product &&
         ((product.getLhs() == a && product.getRhs() == b) || (product.getLhs() == b && product.getRhs() == a));
}

static FailureOr<Program> compile(linalg::LinalgOp linalgOp, Frame &frame) {
  Block &body = *linalgOp.getBlock();
  Program program;
  llvm::DenseMap<Value, int> numbers;
  auto define = [&](Value value, Scalar initial = {}) {
    program.registers.push_back(initial);
    return numbers[value] = program.registers.size() - 1;
  };
  for (BlockArgument argument : body.getArguments())
    define(argument);
  auto numberOf = [&](Value value) {
    auto known = numbers.find(value);
    return known != numbers.end() ? known->second : define(value, frame.scalar(value)); // from outside
  };
  for (Operation &op : body.without_terminator()) {
    Step step;
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      define(constant.getResult(), scalarOf(constant.getValue()));
      continue;
    }
    if (auto dim = dyn_cast<tensor::DimOp>(op); dim && dim.getConstantIndex()) {
      define(dim.getResult(), Scalar{0, frame.tensor(dim.getSource()).shape[*dim.getConstantIndex()], 0});
      continue;
    }
    auto extract = dyn_cast<tensor::ExtractOp>(op);
    if (auto index = dyn_cast<linalg::IndexOp>(op))
      step.dim = index.getDim();
    else if (extract)
      step.source = &frame.tensor(extract.getTensor());
    else if (!(step.function = scalarFunction(&op, frame.interpreter.options.bounds)))
      return op.emitError() << "operation '" << op.getName()
                            << "' is not known to the interpreter inside a linalg body";
    for (Value value : extract ? ValueRange(extract.getIndices()) : ValueRange(op.getOperands()))
      step.inputs.push_back(numberOf(value));
    step.output = define(op.getResult(0));
    program.steps.push_back(std::move(step));
  }
  for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands())) {
    program.yields.push_back(numberOf(value));
    Value summand = summandOf(linalgOp, i);
    program.summands.push_back(summand ? numberOf(summand) : -1);
  }
  program.isContraction = isContraction(linalgOp);
  return program;
}

/// Runs the steps for one point; false if an extract leaves its tensor.
static bool execute(Program &program, const Index &point) {
  Scalar operands[8];
  for (const Step &step : program.steps) {
    Scalar &output = program.registers[step.output];
    if (step.dim >= 0) {
      output = Scalar{0, point[step.dim], 0};
      continue;
    }
    if (step.source) {
      int64_t at = 0;
      for (auto [input, size] : llvm::zip(step.inputs, step.source->shape)) {
        int64_t index = program.registers[input].i;
        if (index < 0 || index >= size)
          return false;
        at = at * size + index;
      }
      output = step.source->get(at);
      continue;
    }
    for (auto [i, input] : llvm::enumerate(step.inputs))
      operands[i] = program.registers[input];
    output = step.function(operands);
  }
  return true;
}

namespace {
/// The state of one operation while it runs.
struct Run {
  std::vector<const Tensor *> inputs;
  std::vector<Tensor> outputs;
  std::vector<std::vector<double>> magnitudes; ///< per output that is a sum: sum|x|
  std::vector<Access> accesses;
  Index sizes;
  double unit;
};
} // namespace

/// All points, one after another; false if a body read outside a tensor.
static bool runPoints(Program &program, Run &run) {
  size_t inputCount = run.inputs.size();
  Index point(run.sizes.size());
  do {
    for (size_t i = 0; i < inputCount; ++i)
      program.registers[i] = run.inputs[i]->get(run.accesses[i].at(point));
    SmallVector<int64_t, 2> at;
    for (size_t i = 0; i < run.outputs.size(); ++i) {
      at.push_back(run.accesses[inputCount + i].at(point));
      program.registers[inputCount + i] = run.outputs[i].get(at[i]);
    }
    if (!execute(program, point))
      return false;
    for (size_t i = 0; i < run.outputs.size(); ++i) {
      Scalar value = program.registers[program.yields[i]];
      if (!run.magnitudes[i].empty()) { // the roundings of the sum are added once, at the end
        const Scalar &summand = program.registers[program.summands[i]];
        value.bound = run.outputs[i].bound(at[i]) + summand.bound;
        run.magnitudes[i][at[i]] += std::fabs(summand.f);
      }
      run.outputs[i].set(at[i], value);
    }
  } while (advance(point, run.sizes));
  return true;
}

/// The same for acc + a * b, without the program: matmuls have too many points for it.
static void runContraction(Run &run) {
  const Tensor &a = *run.inputs[0], &b = *run.inputs[1];
  Tensor &y = run.outputs[0];
  Index outer(run.sizes.begin(), run.sizes.end() - 1), point(run.sizes.size());
  int64_t count = run.sizes.back(), stepA = run.accesses[0].perLoop.back(), stepB = run.accesses[1].perLoop.back();
  bool exact = a.bounds.empty() && b.bounds.empty();
  do {
    int64_t atA = run.accesses[0].at(point), atB = run.accesses[1].at(point), atY = run.accesses[2].at(point);
    double sum = 0, magnitude = 0, error = 0;
    for (int64_t k = 0; k < count; ++k, atA += stepA, atB += stepB) {
      double product = a.floats[atA] * b.floats[atB];
      sum += product;
      magnitude += std::fabs(product);
      if (!exact)
        error += std::fabs(a.floats[atA]) * b.bound(atB) + std::fabs(b.floats[atB]) * a.bound(atA) +
                 a.bound(atA) * b.bound(atB);
    }
    y.floats[atY] += sum;
    if (run.unit) {
      y.setBound(atY, y.bound(atY) + error);
      run.magnitudes[0][atY] += magnitude;
    }
    // Advances all loops but the innermost, which stays at 0.
    Index next(point.begin(), point.end() - 1);
    if (!advance(next, outer))
      return;
    std::copy(next.begin(), next.end(), point.begin());
  } while (true);
}

LogicalResult runLinalg(Operation *operation, Frame &frame) {
  auto op = cast<linalg::LinalgOp>(operation);
  auto program = compile(op, frame);
  if (failed(program))
    return failure();

  Run run;
  run.unit = frame.interpreter.unit;
  std::vector<Tensor> scalars; // operands that are scalars, as tensors of rank 0
  scalars.reserve(operation->getNumOperands());
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  Index allSizes;
  for (OpOperand &operand : operation->getOpOperands()) {
    const Tensor *tensor = nullptr;
    if (isa<ShapedType>(operand.get().getType())) {
      tensor = &frame.tensor(operand.get());
    } else {
      tensor = &scalars.emplace_back(operand.get().getType(), Index());
      scalars.back().set(0, frame.scalar(operand.get()));
    }
    run.accesses.push_back(accessOf(maps[operand.getOperandNumber()], *tensor));
    allSizes.insert(allSizes.end(), tensor->shape.begin(), tensor->shape.end());
    if (op.isDpsInit(&operand))
      run.outputs.push_back(*tensor);
    else
      run.inputs.push_back(tensor);
  }
  for (AffineExpr expr : op.getShapesToLoopsMap().getResults())
    run.sizes.push_back(evaluate(expr, allSizes, {}));
  for (auto [number, access] : llvm::enumerate(run.accesses))
    for (auto [expr, size] : llvm::zip(access.map.getResults(), access.shape))
      if (auto dim = dyn_cast<AffineDimExpr>(expr); dim && run.sizes[dim.getPosition()] != size)
        return op.emitError() << "operand " << number << " has shape " << textOf(access.shape)
                              << "; the loops have sizes " << textOf(run.sizes);

  int64_t reductions = 1;
  for (auto [size, kind] : llvm::zip(run.sizes, op.getIteratorTypesArray()))
    reductions *= kind == utils::IteratorType::reduction ? size : 1;
  for (auto [output, summand] : llvm::zip(run.outputs, program->summands)) {
    std::vector<double> &magnitude = run.magnitudes.emplace_back();
    if (run.unit && summand >= 0)
      for (double initial : output.floats)
        magnitude.push_back(std::fabs(initial));
  }

  bool linear = llvm::all_of(run.accesses, [](const Access &access) { return access.linear; });
  if (countOf(run.sizes) > 0) {
    if (program->isContraction && linear)
      runContraction(run);
    else if (!runPoints(*program, run))
      return op.emitError() << "its body reads outside a tensor";
  }
  for (auto [i, output] : llvm::enumerate(run.outputs)) {
    double roundings = run.unit ? (reductions + kOtherRoundings) * unitRoundoff(output.element) : 0;
    for (size_t at = 0; at < run.magnitudes[i].size(); ++at)
      output.setBound(at, output.bound(at) + roundings * run.magnitudes[i][at]);
  }
  for (auto [result, output] : llvm::zip(operation->getResults(), run.outputs))
    frame.set(result, std::move(output));
  return success();
}

} // namespace whit::interpret
