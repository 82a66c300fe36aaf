// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tensor dialect: shapes change, elements move, bounds go along.

#include "Interpret/Interpreter.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <numeric>

using namespace mlir;

namespace whit::interpret {

using Index = std::vector<int64_t>;

static Type elementOf(Value value) { return cast<ShapedType>(value.getType()).getElementType(); }

static Index integersOf(ArrayRef<OpFoldResult> values, Frame &frame) {
  Index result;
  for (OpFoldResult value : values)
    result.push_back(frame.integer(value));
  return result;
}

static Index indicesOf(ValueRange values, Frame &frame) {
  Index result;
  for (Value value : values)
    result.push_back(frame.integer(value));
  return result;
}

/// Position of `index` in a row-major tensor, or -1 if it lies outside.
static int64_t positionOf(const Index &shape, const Index &index) {
  int64_t at = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (index[i] < 0 || index[i] >= shape[i])
      return -1;
    at = at * shape[i] + index[i];
  }
  return at;
}

// ---------------------------------------------------------------------------------------------------- making, asking

static LogicalResult runEmpty(tensor::EmptyOp op, Frame &frame) {
  Index shape = integersOf(op.getMixedSizes(), frame);
  for (int64_t size : shape)
    if (size < 0)
      return op.emitError() << "has size " << textOf(shape) << "; sizes must not be negative";
  frame.set(op.getResult(), Tensor(op.getType().getElementType(), shape));
  return success();
}

/// Memory that a fused region owns: as undefined as tensor.empty, or a copy.
static LogicalResult runAlloc(bufferization::AllocTensorOp op, Frame &frame) {
  if (op.getCopy()) {
    frame.set(op.getResult(), frame.datum(op.getCopy()));
    return success();
  }
  Index shape;
  unsigned next = 0;
  for (int64_t size : op.getType().getShape())
    shape.push_back(ShapedType::isDynamic(size) ? frame.integer(op.getDynamicSizes()[next++]) : size);
  frame.set(op.getResult(), Tensor(op.getType().getElementType(), shape));
  return success();
}

static LogicalResult runMaterialize(bufferization::MaterializeInDestinationOp op, Frame &frame) {
  frame.set(op.getResult(), frame.datum(op.getSource()));
  return success();
}

static LogicalResult runDim(tensor::DimOp op, Frame &frame) {
  const Datum &source = frame.datum(op.getSource());
  const Index &shape = source.weight ? source.weight->shape : source.tensor->shape;
  int64_t dim = frame.integer(op.getIndex());
  if (dim < 0 || dim >= int64_t(shape.size()))
    return op.emitError() << "asks for dimension " << dim << " of a tensor of rank " << shape.size();
  frame.set(op.getResult(), Scalar{0, shape[dim], 0});
  return success();
}

static LogicalResult runRank(tensor::RankOp op, Frame &frame) {
  frame.set(op.getResult(), Scalar{0, frame.tensor(op.getTensor()).rank(), 0});
  return success();
}

static LogicalResult runExtract(tensor::ExtractOp op, Frame &frame) {
  const Tensor &source = frame.tensor(op.getTensor());
  Index index = indicesOf(op.getIndices(), frame);
  int64_t at = positionOf(source.shape, index);
  if (at < 0)
    return op.emitError() << "reads index " << textOf(index) << " of a tensor of shape " << textOf(source.shape);
  frame.set(op.getResult(), source.get(at));
  return success();
}

static LogicalResult runInsert(tensor::InsertOp op, Frame &frame) {
  Tensor result = frame.tensor(op.getDest());
  Index index = indicesOf(op.getIndices(), frame);
  int64_t at = positionOf(result.shape, index);
  if (at < 0)
    return op.emitError() << "writes index " << textOf(index) << " of a tensor of shape " << textOf(result.shape);
  result.set(at, frame.scalar(op.getScalar()));
  frame.set(op.getResult(), std::move(result));
  return success();
}

static LogicalResult runFromElements(tensor::FromElementsOp op, Frame &frame) {
  Tensor result(elementOf(op.getResult()), cast<RankedTensorType>(op.getType()).getShape().vec());
  for (auto [at, element] : llvm::enumerate(op.getElements()))
    result.set(at, frame.scalar(element));
  frame.set(op.getResult(), std::move(result));
  return success();
}

static LogicalResult runSplat(tensor::SplatOp op, Frame &frame) {
  Index shape;
  unsigned next = 0;
  for (int64_t size : cast<RankedTensorType>(op.getType()).getShape())
    shape.push_back(ShapedType::isDynamic(size) ? frame.integer(op.getDynamicSizes()[next++]) : size);
  Tensor result(elementOf(op.getAggregate()), shape);
  for (int64_t at = 0; at < result.count(); ++at)
    result.set(at, frame.scalar(op.getInput()));
  frame.set(op.getAggregate(), std::move(result));
  return success();
}

/// Runs a body of index arguments for every element of `result`, moved by `low`.
static LogicalResult fillFromBody(Block &body, Tensor &result, Frame &frame) {
  Index index(result.rank());
  for (int64_t at = 0; at < result.count(); ++at, advance(index, result.shape)) {
    for (auto [argument, i] : llvm::zip(body.getArguments(), index))
      frame.set(argument, Scalar{0, i, 0});
    auto value = frame.interpreter.run(body, frame);
    if (failed(value))
      return failure();
    result.set(at, value->front().scalar);
  }
  return success();
}

static LogicalResult runGenerate(tensor::GenerateOp op, Frame &frame) {
  Index shape;
  unsigned next = 0;
  for (int64_t size : cast<RankedTensorType>(op.getType()).getShape())
    shape.push_back(ShapedType::isDynamic(size) ? frame.integer(op.getDynamicExtents()[next++]) : size);
  Tensor result(elementOf(op.getResult()), shape);
  if (failed(fillFromBody(op.getBody().front(), result, frame)))
    return failure();
  frame.set(op.getResult(), std::move(result));
  return success();
}

// ---------------------------------------------------------------------------------------------------- slices

namespace {
/// A strided box inside a tensor.
struct Box {
  Index offsets, sizes, strides;
  template <typename Op> static Box of(Op op, Frame &frame) {
    return {integersOf(op.getMixedOffsets(), frame), integersOf(op.getMixedSizes(), frame),
            integersOf(op.getMixedStrides(), frame)};
  }
  bool fits(const Index &shape) const {
    for (size_t i = 0; i < shape.size(); ++i) {
      if (sizes[i] < 0 || offsets[i] < 0 || (sizes[i] > 0 && offsets[i] + (sizes[i] - 1) * strides[i] >= shape[i]) ||
          strides[i] < 1)
        return false;
    }
    return true;
  }
  /// Calls visit(position in the box, position in the tensor).
  template <typename Visit> void forEach(const Index &shape, Visit visit) const {
    Index index(shape.size()), steps = stridesOf(shape);
    for (int64_t from = 0, count = countOf(sizes); from < count; ++from, advance(index, sizes)) {
      int64_t at = 0;
      for (size_t i = 0; i < shape.size(); ++i)
        at += (offsets[i] + index[i] * strides[i]) * steps[i];
      visit(from, at);
    }
  }
};
} // namespace

static InFlightDiagnostic refuseBox(Operation *op, const Box &box, const Index &shape) {
  return op->emitError() << "takes offsets " << textOf(box.offsets) << ", sizes " << textOf(box.sizes)
                         << " of a tensor of shape " << textOf(shape);
}

static LogicalResult runExtractSlice(tensor::ExtractSliceOp op, Frame &frame) {
  const Tensor &source = frame.tensor(op.getSource());
  Box box = Box::of(op, frame);
  if (!box.fits(source.shape))
    return refuseBox(op, box, source.shape);
  Index shape;
  llvm::SmallBitVector dropped = op.getDroppedDims();
  for (size_t i = 0; i < box.sizes.size(); ++i)
    if (!dropped[i])
      shape.push_back(box.sizes[i]);
  Tensor result(source.element, shape);
  box.forEach(source.shape, [&](int64_t to, int64_t from) { result.set(to, source.get(from)); });
  frame.set(op.getResult(), std::move(result));
  return success();
}

static LogicalResult runInsertSlice(tensor::InsertSliceOp op, Frame &frame) {
  const Tensor &source = frame.tensor(op.getSource());
  Tensor result = frame.tensor(op.getDest());
  Box box = Box::of(op, frame);
  if (!box.fits(result.shape) || countOf(box.sizes) != source.count())
    return refuseBox(op, box, result.shape);
  box.forEach(result.shape, [&](int64_t from, int64_t to) { result.set(to, source.get(from)); });
  frame.set(op.getResult(), std::move(result));
  return success();
}

static LogicalResult runConcat(tensor::ConcatOp op, Frame &frame) {
  uint64_t dim = op.getDim();
  Index shape = frame.tensor(op.getInputs()[0]).shape;
  shape[dim] = 0;
  for (Value input : op.getInputs())
    shape[dim] += frame.tensor(input).shape[dim];
  Tensor result(elementOf(op.getResult()), shape);
  Box box{Index(shape.size(), 0), {}, Index(shape.size(), 1)};
  for (Value input : op.getInputs()) {
    const Tensor &source = frame.tensor(input);
    box.sizes = source.shape;
    if (!box.fits(shape))
      return refuseBox(op, box, shape);
    box.forEach(shape, [&](int64_t from, int64_t to) { result.set(to, source.get(from)); });
    box.offsets[dim] += source.shape[dim];
  }
  frame.set(op.getResult(), std::move(result));
  return success();
}

static LogicalResult runPad(tensor::PadOp op, Frame &frame) {
  const Tensor &source = frame.tensor(op.getSource());
  Index low = integersOf(op.getMixedLowPad(), frame), high = integersOf(op.getMixedHighPad(), frame),
        shape = source.shape;
  for (size_t i = 0; i < shape.size(); ++i)
    shape[i] += low[i] + high[i];
  Tensor result(source.element, shape);
  if (failed(fillFromBody(op.getRegion().front(), result, frame)))
    return failure();
  Box box{low, source.shape, Index(shape.size(), 1)};
  if (!box.fits(shape))
    return refuseBox(op, box, shape);
  box.forEach(shape, [&](int64_t from, int64_t to) { result.set(to, source.get(from)); });
  frame.set(op.getResult(), std::move(result));
  return success();
}

// ---------------------------------------------------------------------------------------------------- shapes

static LogicalResult setReshaped(Operation *op, const Tensor &source, Index shape, Frame &frame) {
  if (countOf(shape) != source.count())
    return op->emitError() << "reshapes " << textOf(source.shape) << " to " << textOf(shape)
                           << ", another number of elements";
  frame.set(op->getResult(0), source.reshaped(std::move(shape)));
  return success();
}

static LogicalResult runCast(tensor::CastOp op, Frame &frame) {
  frame.set(op.getResult(), frame.datum(op.getSource()));
  return success();
}

static LogicalResult runCollapse(tensor::CollapseShapeOp op, Frame &frame) {
  const Tensor &source = frame.tensor(op.getSrc());
  Index shape;
  for (const ReassociationIndices &dims : op.getReassociationIndices())
    shape.push_back(std::accumulate(dims.begin(), dims.end(), int64_t(1),
                                    [&](int64_t size, int64_t dim) { return size * source.shape[dim]; }));
  return setReshaped(op, source, shape, frame);
}

static LogicalResult runExpand(tensor::ExpandShapeOp op, Frame &frame) {
  return setReshaped(op, frame.tensor(op.getSrc()), integersOf(op.getMixedOutputShape(), frame), frame);
}

static LogicalResult runReshape(tensor::ReshapeOp op, Frame &frame) {
  return setReshaped(op, frame.tensor(op.getSource()), frame.tensor(op.getShape()).integers, frame);
}

void addTensorOps(Interpreter &interpreter) {
  interpreter.add(runEmpty);
  interpreter.add(runAlloc);
  interpreter.add(runMaterialize);
  interpreter.add(runDim);
  interpreter.add(runRank);
  interpreter.add(runExtract);
  interpreter.add(runInsert);
  interpreter.add(runFromElements);
  interpreter.add(runSplat);
  interpreter.add(runGenerate);
  interpreter.add(runExtractSlice);
  interpreter.add(runInsertSlice);
  interpreter.add(runConcat);
  interpreter.add(runPad);
  interpreter.add(runCast);
  interpreter.add(runCollapse);
  interpreter.add(runExpand);
  interpreter.add(runReshape);
}

} // namespace whit::interpret
