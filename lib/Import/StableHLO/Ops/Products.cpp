// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products and lookups. With a parameter on one side they become whit operations, whose weights are encoded.

#include "Import/StableHLO/Program.h"

#include "Import/Semantics/Scalars.h"
#include "Import/Semantics/Transformer.h"
#include "StableHLO/StableHLO.h"

using namespace mlir;

namespace whit {

using namespace semantics;
namespace hlo = mlir::stablehlo;

/// Dimensions of a tensor that are not in a list, in order.
static SmallVector<int64_t> othersThan(ArrayRef<int64_t> dims, int64_t rank) {
  SmallVector<int64_t> others;
  for (int64_t i = 0; i < rank; ++i)
    if (!llvm::is_contained(dims, i))
      others.push_back(i);
  return others;
}

static OpFoldResult product(Builder &b, ArrayRef<OpFoldResult> sizes) {
  int64_t count = 1;
  for (OpFoldResult size : sizes)
    count *= *getConstantIntValue(size);
  return b.getIndexAttr(count);
}

/// x [.., contracted ..] times a parameter. `xFirst`: dimensions of x come first in the result.
static FailureOr<Tensor> timesParameter(Program &program, Value x, ArrayRef<int64_t> xContracted, Value w,
                                        ArrayRef<int64_t> wContracted, bool xFirst) {
  ImplicitLocOpBuilder &b = program.builder();
  const HloValue &weight = program.value(w);
  SmallVector<int64_t> wFree = othersThan(wContracted, weight.sizes.size());
  // The pairs may be listed in any order: that of the parameter's bytes decides.
  SmallVector<unsigned> pairs = llvm::to_vector(llvm::seq<unsigned>(0, wContracted.size()));
  llvm::sort(pairs, [&](unsigned i, unsigned j) {
    return weight.permutation[wContracted[i]] < weight.permutation[wContracted[j]];
  });
  SmallVector<int64_t> wOrder, xOrder = othersThan(xContracted, program.value(x).sizes.size());
  size_t rows = xOrder.size();
  for (unsigned pair : pairs) {
    wOrder.push_back(wContracted[pair]);
    xOrder.push_back(xContracted[pair]);
  }
  Value matrix = program.matrix(weight, wFree, wOrder);
  if (!matrix)
    return failure();
  Tensor left = program.whole(x);
  if (!llvm::is_sorted(xOrder))
    left = transpose(b, left, xOrder);
  Sizes flat(left.sizes.begin(), left.sizes.begin() + rows), result = flat, columns;
  flat.push_back(product(b, ArrayRef(left.sizes).drop_front(rows)));
  for (int64_t dim : wFree)
    columns.push_back(weight.sizes[dim]);
  Tensor y = matmul(b, reshape(b, left, flat), matrix);
  result.append(columns);
  y = reshape(b, y, result);
  if (xFirst || !rows || columns.empty())
    return y;
  SmallVector<int64_t> order = llvm::to_vector(llvm::seq<int64_t>(rows, rows + columns.size()));
  llvm::append_range(order, llvm::seq<int64_t>(0, rows));
  return transpose(b, y, order);
}

/// dot is dot_general with fixed dimension numbers.
static hlo::DotDimensionNumbersAttr dimensionsOf(hlo::DotGeneralOp op) { return op.getDotDimensionNumbers(); }
static hlo::DotDimensionNumbersAttr dimensionsOf(hlo::DotOp op) {
  return hlo::DotDimensionNumbersAttr::get(op.getContext(), {}, {}, {op.getLhs().getType().getRank() - 1}, {0});
}

template <typename Op> static LogicalResult importDot(Program &program, Operation *op) {
  auto dot = cast<Op>(op);
  ImplicitLocOpBuilder &b = program.builder();
  hlo::DotDimensionNumbersAttr dims = dimensionsOf(dot);
  ArrayRef<int64_t> lhs = dims.getLhsContractingDimensions(), rhs = dims.getRhsContractingDimensions();
  Type element = hloElement(dot.getResult().getType().getElementType());
  bool isPlain = dims.getLhsBatchingDimensions().empty() && !lhs.empty() && element.isF32();
  auto isWeight = [&](Value value, Value other) {
    const HloValue &known = program.value(value);
    return isPlain && known.parameter && !program.value(other).parameter && known.element.isF32() &&
           program.value(other).element.isF32() && known.sizes.size() > 1;
  };
  // All rows of a product are rows of whit.matmul: one dimension at least.
  if (isWeight(dot.getRhs(), dot.getLhs()))
    if (FailureOr<Tensor> y = timesParameter(program, dot.getLhs(), lhs, dot.getRhs(), rhs, true); succeeded(y)) {
      program.set(dot.getResult(), *y);
      return success();
    }
  if (isWeight(dot.getLhs(), dot.getRhs()))
    if (FailureOr<Tensor> y = timesParameter(program, dot.getRhs(), rhs, dot.getLhs(), lhs, false); succeeded(y)) {
      program.set(dot.getResult(), *y);
      return success();
    }
  SmallVector<DimPair> batch, contracted;
  for (auto [i, j] : llvm::zip(dims.getLhsBatchingDimensions(), dims.getRhsBatchingDimensions()))
    batch.push_back({i, j});
  for (auto [i, j] : llvm::zip(lhs, rhs))
    contracted.push_back({i, j});
  Tensor x = program.whole(dot.getLhs()), y = program.whole(dot.getRhs());
  if (element.isInteger(1))
    return program.unsupported(op, "has boolean elements; they must be numbers");
  program.set(dot.getResult(),
              contract(b, convertFrom(b, x, dot.getLhs().getType(), element),
                       convertFrom(b, y, dot.getRhs().getType(), element), batch, contracted, element));
  return success();
}

// ------------------------------------------------------------------------------------------------ gather

/// Whole rows of a table, each by one index that is the last element of the indices.
static bool takesRows(hlo::GatherDimensionNumbersAttr dims, RankedTensorType table, RankedTensorType indices,
                      ArrayRef<int64_t> sizes) {
  int64_t vector = dims.getIndexVectorDim(), rows = indices.getRank() - (vector < indices.getRank());
  return table.getRank() == 2 && dims.getCollapsedSliceDims() == ArrayRef<int64_t>{0} &&
         dims.getStartIndexMap() == ArrayRef<int64_t>{0} && dims.getOperandBatchingDims().empty() &&
         dims.getOffsetDims() == ArrayRef<int64_t>{rows} && sizes == ArrayRef<int64_t>{1, table.getDimSize(1)};
}

/// The indices along one dimension of the operand: all elements `k` of the index vectors.
static Tensor indicesAt(ImplicitLocOpBuilder &b, const Tensor &indices, int64_t vector, int64_t k) {
  if (vector == indices.rank())
    return indices;
  Sizes offsets(indices.rank(), b.getIndexAttr(0)), sizes = indices.sizes;
  offsets[vector] = b.getIndexAttr(k);
  sizes[vector] = b.getIndexAttr(1);
  Tensor one = slice(b, indices, offsets, sizes, SmallVector<int64_t>(indices.rank(), 1));
  sizes.erase(sizes.begin() + vector);
  return reshape(b, one, sizes);
}

static SmallVector<int64_t> sliceSizes(hlo::GatherOp op) { return llvm::to_vector(op.getSliceSizes()); }
/// Computed sizes are those that the result has; in the dimensions that it does not have, slices have size 1.
static SmallVector<int64_t> sliceSizes(hlo::DynamicGatherOp op) {
  hlo::GatherDimensionNumbersAttr dims = op.getDimensionNumbers();
  SmallVector<int64_t> gone(dims.getCollapsedSliceDims()), sizes(op.getOperand().getType().getRank(), 1);
  llvm::append_range(gone, dims.getOperandBatchingDims());
  for (auto [i, dim] : llvm::enumerate(othersThan(gone, sizes.size())))
    sizes[dim] = op.getResult().getType().getDimSize(dims.getOffsetDims()[i]);
  return sizes;
}

template <typename Op> static LogicalResult importGather(Program &program, Operation *op) {
  auto gather = cast<Op>(op);
  SmallVector<int64_t> slices = sliceSizes(gather);
  ImplicitLocOpBuilder &b = program.builder();
  hlo::GatherDimensionNumbersAttr dims = gather.getDimensionNumbers();
  RankedTensorType operand = gather.getOperand().getType();
  for (auto [dim, size] : llvm::enumerate(slices))
    if (size > operand.getDimSize(dim))
      return program.unsupported(op, "takes slices of " + Twine(size) + " elements of dimension " + Twine(dim) +
                                         ", which has " + Twine(operand.getDimSize(dim)));
  int64_t vector = dims.getIndexVectorDim();
  Tensor indices = program.whole(gather.getStartIndices());
  Sign sign =
      getElementTypeOrSelf(gather.getStartIndices().getType()).isUnsignedInteger() ? Sign::Unsigned : Sign::Signed;
  auto clamped = [&](ImplicitLocOpBuilder &at, Value index, int64_t last) {
    Type type = index.getType();
    Value low = constant(at, type, 0), high = constant(at, type, double(last));
    if (sign == Sign::Signed)
      index = maximum(at, index, low);
    return minimum(at, index, high, sign);
  };
  const HloValue &table = program.value(gather.getOperand());
  bool fits32 = indices.element().isInteger(32) || indices.element().isInteger(64);
  if (table.parameter && table.element.isF32() && fits32 &&
      takesRows(dims, operand, gather.getStartIndices().getType(), slices)) {
    if (Value matrix = program.matrix(table, {0}, {1})) {
      // Outside of the table, StableHLO takes the nearest row, whit.gather none.
      Tensor rows = indicesAt(b, indices, vector, 0);
      int64_t last = operand.getDimSize(0) - 1;
      rows = elementwise(b, rows, rows.sizes, rows.element(),
                         [&](ImplicitLocOpBuilder &at, ValueRange v) { return clamped(at, v[0], last); });
      program.set(gather.getResult(), gatherRows(b, matrix, rows));
      return success();
    }
  }
  if (indices.element().getIntOrFloatBitWidth() < 32)
    indices = elementwise(b, indices, indices.sizes, b.getI32Type(), [&](ImplicitLocOpBuilder &at, ValueRange v) {
      return semantics::convert(at, v[0], at.getI32Type(), sign);
    });
  Tensor data = program.whole(gather.getOperand());
  // Dimensions of the result: those of the slice at offset_dims, those of the indices at the others.
  auto type = cast<RankedTensorType>(gather.getResult().getType());
  SmallVector<int64_t> batch = othersThan(dims.getOffsetDims(), type.getRank()), gone(dims.getCollapsedSliceDims());
  llvm::append_range(gone, dims.getOperandBatchingDims());
  SmallVector<int64_t> kept = othersThan(gone, data.rank());
  Sizes sizes = program.sizesOf(gather.getResult());
  // As an operand, each component of the indices has the dimensions of the result, ones where it does not vary.
  SmallVector<Tensor> components;
  for (size_t k = 0; k < dims.getStartIndexMap().size(); ++k) {
    Tensor component = indicesAt(b, indices, vector, k);
    Sizes aligned(type.getRank(), b.getIndexAttr(1));
    for (auto [i, dim] : llvm::enumerate(batch))
      aligned[dim] = component.sizes[i];
    components.push_back(reshape(b, component, aligned));
  }
  auto body = [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
    SmallVector<Value> from(data.rank());
    for (auto [i, dim] : llvm::enumerate(kept))
      from[dim] = linalg::IndexOp::create(at, dims.getOffsetDims()[i]);
    for (auto [dim, of] : llvm::zip(dims.getOperandBatchingDims(), dims.getStartIndicesBatchingDims()))
      from[dim] = linalg::IndexOp::create(at, batch[of - (of > vector)]);
    for (auto [k, dim] : llvm::enumerate(dims.getStartIndexMap())) {
      Value element = clamped(at, v[k], data.dim(dim) - slices[dim]);
      Value start = arith::IndexCastOp::create(at, at.getIndexType(), element);
      from[dim] = from[dim] ? Value(arith::AddIOp::create(at, start, from[dim])) : start;
    }
    for (Value &index : from)
      if (!index)
        index = arith::ConstantIndexOp::create(at, 0);
    return tensor::ExtractOp::create(at, data.value, from);
  };
  program.set(gather.getResult(), elementwise(b, components, sizes, data.element(), body));
  return success();
}

static constexpr HloOperation kOperations[] = {
    {"stablehlo.dot", importDot<hlo::DotOp>},
    {"stablehlo.dot_general", importDot<hlo::DotGeneralOp>},
    {"stablehlo.dynamic_gather", importGather<hlo::DynamicGatherOp>},
    {"stablehlo.gather", importGather<hlo::GatherOp>},
};

ArrayRef<HloOperation> hloProducts() { return kOperations; }

} // namespace whit
