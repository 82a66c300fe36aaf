// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Constants, weights, calls, loops and whit.region; and scalar operations, alone or elementwise on tensors.

#include "Interpret/Interpreter.h"
#include "Interpret/Scalars.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace whit::interpret {

static std::vector<int64_t> shapeOf(Type type) { return cast<ShapedType>(type).getShape().vec(); }

FailureOr<Datum> constantOf(Operation *op, Attribute attribute) {
  Datum datum;
  if (isa<FloatAttr, IntegerAttr>(attribute)) {
    datum.scalar = scalarOf(attribute);
    return datum;
  }
  auto dense = dyn_cast<DenseElementsAttr>(attribute);
  if (!dense)
    return op->emitError() << "constant " << attribute << " is not known to the interpreter";
  Tensor tensor(dense.getElementType(), shapeOf(dense.getType()));
  int64_t at = 0;
  for (Attribute element : dense.getValues<Attribute>())
    tensor.set(at++, scalarOf(element));
  return makeDatum(std::move(tensor));
}

LogicalResult runScalar(Operation *op, Frame &frame) {
  ScalarFunction function = scalarFunction(op, frame.interpreter.options.bounds);
  SmallVector<Scalar> operands(std::max(3u, op->getNumOperands()));
  auto shaped = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!shaped) {
    for (auto [i, value] : llvm::enumerate(op->getOperands()))
      operands[i] = frame.scalar(value);
    frame.set(op->getResult(0), function(operands.data()));
    return success();
  }
  const Tensor *model = nullptr;
  for (Value value : op->getOperands())
    if (isa<RankedTensorType>(value.getType()))
      model = &frame.tensor(value);
  Tensor result(shaped.getElementType(), model->shape);
  for (int64_t at = 0; at < result.count(); ++at) {
    for (auto [i, value] : llvm::enumerate(op->getOperands()))
      operands[i] = isa<RankedTensorType>(value.getType()) ? frame.tensor(value).get(at) : frame.scalar(value);
    result.set(at, function(operands.data()));
  }
  frame.set(op->getResult(0), std::move(result));
  return success();
}

static LogicalResult runConstant(arith::ConstantOp op, Frame &frame) {
  auto datum = constantOf(op, op.getValue());
  if (succeeded(datum))
    frame.set(op.getResult(), *datum);
  return datum;
}

static LogicalResult runWeight(mlir::whit::ConstantOp op, Frame &frame) {
  auto weight = frame.interpreter.weight(op, op.getWeight());
  if (failed(weight))
    return failure();
  Datum datum;
  if (isa<mlir::whit::EncodedTensorType>(op.getType()))
    datum.weight = *weight;
  else
    datum = makeDatum((*weight)->tensor());
  frame.set(op.getResult(), std::move(datum));
  return success();
}

/// Declares a weight; constants read it.
static LogicalResult skipWeight(mlir::whit::WeightOp, Frame &) { return success(); }

static LogicalResult setResults(Operation *op, FailureOr<std::vector<Datum>> values, Frame &frame) {
  if (failed(values))
    return failure();
  for (auto [result, value] : llvm::zip(op->getResults(), *values))
    frame.set(result, value);
  return success();
}

static LogicalResult runCall(func::CallOp op, Frame &frame) {
  auto callee = frame.interpreter.module.lookupSymbol<func::FuncOp>(op.getCallee());
  std::vector<Datum> arguments;
  for (Value operand : op.getOperands())
    arguments.push_back(frame.datum(operand));
  return setResults(op, frame.interpreter.call(callee, std::move(arguments)), frame);
}

static LogicalResult runRegion(mlir::whit::RegionOp op, Frame &frame) {
  Interpreter &interpreter = frame.interpreter;
  return setResults(
      op, interpreter.regionHook ? interpreter.regionHook(op, frame) : interpreter.run(op.getBody().front(), frame),
      frame);
}

static LogicalResult runIf(scf::IfOp op, Frame &frame) {
  Block *block = frame.integer(op.getCondition()) ? op.thenBlock() : op.elseBlock();
  return block ? setResults(op, frame.interpreter.run(*block, frame), frame) : success();
}

static LogicalResult runFor(scf::ForOp op, Frame &frame) {
  int64_t upper = frame.integer(op.getUpperBound()), step = frame.integer(op.getStep());
  if (step < 1)
    return op.emitError() << "step is " << step << "; it must be positive";
  std::vector<Datum> carried;
  for (Value init : op.getInitArgs())
    carried.push_back(frame.datum(init));
  for (int64_t i = frame.integer(op.getLowerBound()); i < upper; i += step) {
    frame.set(op.getInductionVar(), Scalar{0, i, 0});
    for (auto [argument, datum] : llvm::zip(op.getRegionIterArgs(), carried))
      frame.set(argument, datum);
    auto next = frame.interpreter.run(*op.getBody(), frame);
    if (failed(next))
      return failure();
    carried = std::move(*next);
  }
  return setResults(op, carried, frame);
}

void addControlOps(Interpreter &interpreter) {
  interpreter.add(runConstant);
  interpreter.add(runWeight);
  interpreter.add(skipWeight);
  interpreter.add(runCall);
  interpreter.add(runRegion);
  interpreter.add(runIf);
  interpreter.add(runFor);
}

} // namespace whit::interpret
