// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reductions. A body of one operation is what Semantics knows by name; any other is copied into the loop.

#include "Import/StableHLO/Program.h"

#include "Import/Semantics/Scalars.h"
#include "Import/StableHLO/Bodies.h"
#include "StableHLO/StableHLO.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace whit {

using namespace semantics;
namespace hlo = mlir::stablehlo;

/// What a body of one operation on its two arguments computes.
static std::optional<Reduction> kindOf(hlo::ReduceOp op) {
  Block &body = op.getBody().front();
  if (op.getInputs().size() != 1 || !llvm::hasNItems(body, 2))
    return std::nullopt;
  Operation &only = body.front();
  if (only.getNumOperands() != 2 || only.getNumResults() != 1 || body.back().getOperand(0) != only.getResult(0))
    return std::nullopt;
  bool usesBoth = (only.getOperand(0) == body.getArgument(0) && only.getOperand(1) == body.getArgument(1)) ||
                  (only.getOperand(0) == body.getArgument(1) && only.getOperand(1) == body.getArgument(0));
  Type element = getElementTypeOrSelf(body.getArgument(0).getType());
  bool isBool = element.isInteger(1);
  if (!usesBoth || element.isUnsignedInteger())
    return std::nullopt;
  if (isa<hlo::AddOp>(only))
    return isBool ? Reduction::Max : Reduction::Sum;
  if (isa<hlo::MulOp>(only))
    return isBool ? Reduction::Min : Reduction::Product;
  if (isa<hlo::MaxOp>(only) || (isBool && isa<hlo::OrOp>(only)))
    return Reduction::Max;
  if (isa<hlo::MinOp>(only) || (isBool && isa<hlo::AndOp>(only)))
    return Reduction::Min;
  return std::nullopt;
}

/// Whether starting at `init` is the same as starting at nothing.
static bool isNeutral(Value init, Reduction kind) {
  DenseElementsAttr elements;
  if (!matchPattern(init, m_Constant(&elements)) || !elements.isSplat())
    return false;
  if (auto f = dyn_cast<FloatType>(elements.getElementType())) {
    APFloat value = elements.getSplatValue<APFloat>();
    switch (kind) {
    case Reduction::Sum:
      return value.isZero();
    case Reduction::Product:
      return value.isExactlyValue(1.0);
    case Reduction::Max:
      return value.isInfinity() && value.isNegative();
    case Reduction::Min:
      return value.isInfinity() && !value.isNegative();
    }
  }
  APInt value = elements.getSplatValue<APInt>();
  bool isBool = value.getBitWidth() == 1;
  switch (kind) {
  case Reduction::Sum:
    return value.isZero();
  case Reduction::Product:
    return value.isOne();
  case Reduction::Max:
    return isBool ? value.isZero() : value.isMinSignedValue();
  case Reduction::Min:
    return isBool ? value.isOne() : value.isMaxSignedValue();
  }
  return false;
}

static LogicalResult importReduce(Program &program, Operation *op) {
  auto reduction = cast<hlo::ReduceOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  Block &body = reduction.getBody().front();
  SmallVector<int64_t> axes(reduction.getDimensions());
  llvm::sort(axes);
  if (std::optional<Reduction> kind = kindOf(reduction)) {
    Tensor init = program.whole(reduction.getInitValues()[0]);
    Tensor result = reduce(b, program.whole(reduction.getInputs()[0]), *kind, axes, /*keep=*/false);
    if (!isNeutral(init.value, *kind))
      result = elementwise(b, {result, init}, result.sizes, result.element(),
                           [&](ImplicitLocOpBuilder &at, ValueRange v) { return hloScalar(at, &body.front(), v); });
    program.set(reduction.getResult(0), result);
    return success();
  }
  std::optional<HloBody> function = HloBody::of(program, op, body);
  if (!function)
    return failure();
  SmallVector<Value> inputs, inits;
  Tensor first = program.whole(reduction.getInputs()[0]);
  Sizes sizes;
  SmallVector<AffineExpr> exprs;
  SmallVector<utils::IteratorType> loops;
  for (int64_t i = 0; i < first.rank(); ++i) {
    bool isReduced = llvm::is_contained(axes, i);
    loops.push_back(isReduced ? utils::IteratorType::reduction : utils::IteratorType::parallel);
    if (isReduced)
      continue;
    sizes.push_back(first.sizes[i]);
    exprs.push_back(b.getAffineDimExpr(i));
  }
  for (auto [input, init] : llvm::zip(reduction.getInputs(), reduction.getInitValues())) {
    inputs.push_back(program.whole(input).value);
    inits.push_back(filledWith(b, program.whole(init), sizes).value);
  }
  SmallVector<AffineMap> maps(inputs.size(), b.getMultiDimIdentityMap(first.rank()));
  maps.append(inputs.size(), AffineMap::get(first.rank(), 0, exprs, b.getContext()));
  auto generic = linalg::GenericOp::create(b, TypeRange(ValueRange(inits)), inputs, inits, maps, loops,
                                           [&](OpBuilder &inner, Location loc, ValueRange v) {
                                             ImplicitLocOpBuilder at(loc, inner);
                                             // What was found so far comes first.
                                             SmallVector<Value> arguments(v.drop_front(inputs.size()));
                                             llvm::append_range(arguments, v.take_front(inputs.size()));
                                             linalg::YieldOp::create(at, function->run(at, arguments));
                                           });
  for (auto [result, value] : llvm::zip(reduction.getResults(), generic.getResults()))
    program.set(result, {value, sizes});
  return success();
}

static LogicalResult importMap(Program &program, Operation *op) {
  auto map = cast<hlo::MapOp>(op);
  std::optional<HloBody> body = HloBody::of(program, op, map.getComputation().front());
  if (!body)
    return failure();
  SmallVector<Tensor> inputs;
  for (Value input : map.getInputs())
    inputs.push_back(program.whole(input));
  Type element = hloElement(map.getResult().getType().getElementType());
  program.set(map.getResult(),
              elementwise(program.builder(), inputs, inputs[0].sizes, element,
                          [&](ImplicitLocOpBuilder &at, ValueRange v) { return body->run(at, v)[0]; }));
  return success();
}

// ------------------------------------------------------------------------------------------------ batch norms

/// A vector over features, to be read along with a tensor in which other dimensions follow them.
static Tensor alongFeatures(ImplicitLocOpBuilder &b, const Tensor &vector, int64_t behind) {
  Sizes sizes = vector.sizes;
  sizes.append(behind, b.getIndexAttr(1));
  return reshape(b, vector, sizes);
}

/// (x - mean) / sqrt(variance + epsilon) * scale + offset
static Tensor normalized(ImplicitLocOpBuilder &b, const Tensor &x, int64_t feature, ArrayRef<Tensor> vectors,
                         double epsilon) {
  SmallVector<Tensor> operands{x};
  for (const Tensor &vector : vectors) // scale, offset, mean, variance
    operands.push_back(alongFeatures(b, vector, x.rank() - 1 - feature));
  return elementwise(b, operands, x.sizes, x.element(), [&](ImplicitLocOpBuilder &at, ValueRange v) {
    Value deviation = squareRoot(at, add(at, {v[4], constant(at, x.element(), epsilon)}));
    Value centered = divide(at, {subtract(at, {v[0], v[3]}), deviation});
    return add(at, {multiply(at, {centered, v[1]}), v[2]});
  });
}

static LogicalResult importBatchNormInference(Program &program, Operation *op) {
  auto norm = cast<hlo::BatchNormInferenceOp>(op);
  SmallVector<Tensor> vectors;
  for (Value vector : norm.getOperands().drop_front())
    vectors.push_back(program.whole(vector));
  program.set(norm.getResult(), normalized(program.builder(), program.whole(norm.getOperand()), norm.getFeatureIndex(),
                                           vectors, norm.getEpsilon().convertToDouble()));
  return success();
}

static LogicalResult importBatchNormTraining(Program &program, Operation *op) {
  auto norm = cast<hlo::BatchNormTrainingOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  Tensor x = program.whole(norm.getOperand());
  int64_t feature = norm.getFeatureIndex(), count = 1;
  SmallVector<int64_t> axes;
  for (int64_t i = 0; i < x.rank(); ++i) {
    if (i == feature)
      continue;
    axes.push_back(i);
    count *= x.dim(i);
  }
  auto average = [&](const Tensor &terms) {
    Tensor sum = reduce(b, terms, Reduction::Sum, axes, /*keep=*/false);
    return elementwise(b, sum, sum.sizes, sum.element(), [&](ImplicitLocOpBuilder &at, ValueRange v) {
      return divide(at, {v[0], constant(at, sum.element(), double(count))});
    });
  };
  Tensor mean = average(x);
  Tensor variance = average(elementwise(b, {x, alongFeatures(b, mean, x.rank() - 1 - feature)}, x.sizes, x.element(),
                                        [](ImplicitLocOpBuilder &at, ValueRange v) {
                                          Value centered = subtract(at, v);
                                          return multiply(at, {centered, centered});
                                        }));
  program.set(norm.getOutput(),
              normalized(b, x, feature,
                         {program.whole(norm.getScale()), program.whole(norm.getOffset()), mean, variance},
                         norm.getEpsilon().convertToDouble()));
  program.set(norm.getBatchMean(), mean);
  program.set(norm.getBatchVar(), variance);
  return success();
}

static constexpr HloOperation kOperations[] = {
    {"stablehlo.batch_norm_inference", importBatchNormInference},
    {"stablehlo.batch_norm_training", importBatchNormTraining},
    {"stablehlo.map", importMap},
    {"stablehlo.reduce", importReduce},
};

ArrayRef<HloOperation> hloReductions() { return kOperations; }

} // namespace whit
