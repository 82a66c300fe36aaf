// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What makes an operation valid: shapes, element types and dimension numbers. A size that is not known fits every other.

#include "StableHLO/Requirements.h"

#include "mlir/Dialect/Quant/IR/QuantTypes.h"

using namespace mlir;
using namespace mlir::stablehlo;

static bool isIndex(RankedTensorType type) { return isa<IntegerType>(type.getElementType()); }

/// Start indices: one integer scalar for each dimension.
static LogicalResult requireStarts(Operation *op, ValueRange starts, int64_t rank) {
  if (failed(requireCount(op, "start_indices", starts.size(), rank)))
    return failure();
  for (Value start : starts)
    if (typeOf(start).getRank() || !isIndex(typeOf(start)))
      return op->emitOpError() << "start index has type " << start.getType() << "; it must be an integer scalar";
  return success();
}

// ---------------------------------------------------------------------------------------------------- elementwise

LogicalResult stablehlo::verifyElementwise(Operation *op) {
  RankedTensorType result = typeOf(op->getResult(0));
  for (Value operand : op->getOperands())
    if (failed(verifyCompatibleShape(typeOf(operand).getShape(), result.getShape())))
      return op->emitOpError() << "operand has type " << operand.getType() << " and result " << result
                               << "; they must have the same shape";
  return success();
}

LogicalResult stablehlo::verifySameElements(Operation *op) {
  Type element = typeOf(op->getResult(0)).getElementType();
  for (Value operand : op->getOperands())
    if (typeOf(operand).getElementType() != element)
      return op->emitOpError() << "operand has type " << operand.getType() << " and result "
                               << op->getResult(0).getType() << "; they must have the same elements";
  return success();
}

LogicalResult CompareOp::verify() {
  if (failed(requireElement(*this, "rhs", typeOf(getRhs()), typeOf(getLhs()).getElementType())))
    return failure();
  return requireElement(*this, "result", getResult().getType(), IntegerType::get(getContext(), 1));
}

LogicalResult SelectOp::verify() {
  if (failed(requireElement(*this, "pred", typeOf(getPred()), IntegerType::get(getContext(), 1))))
    return failure();
  RankedTensorType result = getResult().getType();
  if (typeOf(getPred()).getRank() && failed(requireShape(*this, "pred", typeOf(getPred()), result.getShape())))
    return failure();
  for (auto [role, value] : {std::pair("on_true", getOnTrue()), {"on_false", getOnFalse()}})
    if (failed(requireShape(*this, role, typeOf(value), result.getShape())) ||
        failed(requireElement(*this, role, typeOf(value), result.getElementType())))
      return failure();
  return success();
}

LogicalResult ClampOp::verify() {
  RankedTensorType result = getResult().getType();
  for (auto [role, value] : {std::pair("min", getMin()), {"operand", getOperand()}, {"max", getMax()}}) {
    if (failed(requireElement(*this, role, typeOf(value), result.getElementType())))
      return failure();
    bool isBound = value != getOperand();
    if (!(isBound && typeOf(value).getRank() == 0) &&
        failed(requireShape(*this, role, typeOf(value), result.getShape())))
      return failure();
  }
  return success();
}

LogicalResult ReducePrecisionOp::verify() {
  int32_t exponent = getExponentBits(), mantissa = getMantissaBits();
  if (!isa<FloatType>(typeOf(getOperand()).getElementType()))
    return emitOpError() << "operand has type " << getOperand().getType() << "; its elements must be floats";
  if (exponent < 1 || mantissa < 0)
    return emitOpError() << "format is e" << exponent << "m" << mantissa
                         << "; it must have 1 bit of exponent or more, and 0 of mantissa or more";
  return success();
}

/// Floats of one type on one side, quantized numbers that express it on the other.
static LogicalResult requireQuantized(Operation *op, RankedTensorType floats, RankedTensorType quantized) {
  auto type = dyn_cast<quant::QuantizedType>(quantized.getElementType());
  if (!type || type.getExpressedType() != floats.getElementType())
    return op->emitOpError() << "converts between " << floats << " and " << quantized
                             << "; they must be floats and quantized numbers that express these floats";
  auto axis = dyn_cast<quant::UniformQuantizedPerAxisType>(quantized.getElementType());
  if (!axis)
    return success();
  int64_t dim = axis.getQuantizedDimension(), scales = axis.getScales().size();
  if (dim >= quantized.getRank() || !fits(quantized.getDimSize(dim), scales))
    return op->emitOpError() << "has " << scales << " scales along dimension " << dim << " of " << quantized
                             << "; it must have one for each place";
  return success();
}

LogicalResult UniformQuantizeOp::verify() {
  RankedTensorType from = typeOf(getOperand());
  if (auto quantized = dyn_cast<quant::QuantizedType>(from.getElementType())) // another scale
    from = from.clone(quantized.getExpressedType());
  return requireQuantized(*this, from, getResult().getType());
}

LogicalResult UniformDequantizeOp::verify() {
  return requireQuantized(*this, getResult().getType(), typeOf(getOperand()));
}

LogicalResult BitcastConvertOp::verify() {
  RankedTensorType from = typeOf(getOperand()), to = getResult().getType();
  if (!from.getElementType().isIntOrFloat() || !to.getElementType().isIntOrFloat())
    return emitOpError() << "converts " << from << " to " << to << "; elements must be integers or floats";
  int64_t fromBits = from.getElementTypeBitWidth(), toBits = to.getElementTypeBitWidth();
  SmallVector<int64_t> wide(from.getShape()), narrow(to.getShape());
  if (fromBits < toBits)
    std::swap(wide, narrow);
  int64_t high = std::max(fromBits, toBits), low = std::min(fromBits, toBits);
  if (high != low) {
    if (high % low)
      return emitOpError() << "converts " << from << " to " << to << "; one width must be a multiple of the other";
    wide.push_back(high / low);
  }
  if (succeeded(verifyCompatibleShape(wide, narrow)))
    return success();
  return emitOpError() << "converts " << from << " to " << to
                       << "; shapes must be the same, with one dimension more for the parts of a wider element";
}

// ---------------------------------------------------------------------------------------------------- making and moving

LogicalResult ConstantOp::verify() {
  if (getValue().getType() == getOutput().getType())
    return success();
  return emitOpError() << "value has type " << getValue().getType() << " and result " << getOutput().getType()
                       << "; they must be the same";
}

LogicalResult IotaOp::verify() {
  return requireDims(*this, "iota_dimension", static_cast<int64_t>(getIotaDimension()),
                     getOutput().getType().getRank());
}

/// Dimension i of the operand becomes dims[i] of the result and has its size, or 1.
static LogicalResult verifyBroadcast(Operation *op, RankedTensorType from, RankedTensorType to,
                                     ArrayRef<int64_t> dims) {
  if (failed(requireElement(op, "result", to, from.getElementType())) ||
      failed(requireCount(op, "broadcast_dimensions", dims.size(), from.getRank())) ||
      failed(requireDims(op, "broadcast_dimensions", dims, to.getRank())))
    return failure();
  for (auto [i, dim] : llvm::enumerate(dims))
    if (from.getDimSize(i) != 1 && !fits(from.getDimSize(i), to.getDimSize(dim)))
      return op->emitOpError() << "operand has size " << from.getDimSize(i) << " in dimension " << i
                               << "; it must be 1 or that of dimension " << dim << " of the result, "
                               << to.getDimSize(dim);
  return success();
}

LogicalResult BroadcastInDimOp::verify() {
  return verifyBroadcast(*this, typeOf(getOperand()), getResult().getType(), getBroadcastDimensions());
}

LogicalResult DynamicBroadcastInDimOp::verify() {
  RankedTensorType shape = typeOf(getOutputDimensions()), to = getResult().getType();
  if (!isIndex(shape) || shape.getRank() != 1 || !fits(shape.getDimSize(0), to.getRank()))
    return emitOpError() << "output_dimensions has type " << shape << "; it must hold " << to.getRank() << " integers";
  return verifyBroadcast(*this, typeOf(getOperand()), to, getBroadcastDimensions());
}

LogicalResult ReshapeOp::verify() {
  RankedTensorType from = typeOf(getOperand()), to = getResult().getType();
  if (failed(requireElement(*this, "result", to, from.getElementType())))
    return failure();
  if (from.hasStaticShape() && to.hasStaticShape()) {
    auto count = [](ArrayRef<int64_t> dims) -> std::optional<int64_t> {
      int64_t product = 1;
      if (llvm::is_contained(dims, 0))
        return 0;
      for (int64_t dim : dims)
        if (llvm::MulOverflow(product, dim, product))
          return std::nullopt;
      return product;
    };
    if (!count(from.getShape()) || count(from.getShape()) != count(to.getShape()))
      return emitOpError() << "operand has type " << from << " and result " << to
                           << "; they must have the same number of elements";
  }
  return success();
}

LogicalResult DynamicReshapeOp::verify() {
  RankedTensorType shape = typeOf(getOutputShape()), to = getResult().getType();
  if (!isIndex(shape) || shape.getRank() != 1 || !fits(shape.getDimSize(0), to.getRank()))
    return emitOpError() << "output_shape has type " << shape << "; it must hold " << to.getRank() << " integers";
  return requireElement(*this, "result", to, typeOf(getOperand()).getElementType());
}

LogicalResult DynamicIotaOp::verify() {
  RankedTensorType shape = typeOf(getOutputShape()), to = getResult().getType();
  if (!isIndex(shape) || shape.getRank() != 1 || !fits(shape.getDimSize(0), to.getRank()))
    return emitOpError() << "output_shape has type " << shape << "; it must hold " << to.getRank() << " integers";
  return requireDims(*this, "iota_dimension", static_cast<int64_t>(getIotaDimension()), to.getRank());
}

LogicalResult GetDimensionSizeOp::verify() {
  if (failed(requireDims(*this, "dimension", static_cast<int64_t>(getDimension()), typeOf(getOperand()).getRank())))
    return failure();
  if (getResult().getType() == RankedTensorType::get({}, IntegerType::get(getContext(), 32)))
    return success();
  return emitOpError() << "result has type " << getResult().getType() << "; it must be tensor<i32>";
}

/// Lists of one integer for each dimension.
static LogicalResult requireAmounts(Operation *op, ValueRange lists, int64_t rank) {
  for (Value list : lists)
    if (RankedTensorType type = typeOf(list); !isIndex(type) || type.getRank() != 1 || !fits(type.getDimSize(0), rank))
      return op->emitOpError() << "operand has type " << type << "; it must hold " << rank << " integers";
  return success();
}

LogicalResult DynamicPadOp::verify() {
  RankedTensorType from = typeOf(getOperand()), to = getResult().getType();
  if (failed(requireElement(*this, "padding_value", typeOf(getPaddingValue()), from.getElementType())) ||
      failed(requireShape(*this, "padding_value", typeOf(getPaddingValue()), {})) ||
      failed(requireElement(*this, "result", to, from.getElementType())))
    return failure();
  if (to.getRank() != from.getRank())
    return emitOpError() << "operand has type " << from << " and result " << to << "; they must have the same rank";
  return requireAmounts(*this, getOperands().drop_front(2), from.getRank());
}

LogicalResult RealDynamicSliceOp::verify() {
  RankedTensorType from = typeOf(getOperand()), to = getResult().getType();
  if (failed(requireElement(*this, "result", to, from.getElementType())))
    return failure();
  if (to.getRank() != from.getRank())
    return emitOpError() << "operand has type " << from << " and result " << to << "; they must have the same rank";
  return requireAmounts(*this, getOperands().drop_front(1), from.getRank());
}

static LogicalResult verifyPlace(Operation *op) {
  Type wanted = RankedTensorType::get({}, IntegerType::get(op->getContext(), 32, IntegerType::Unsigned));
  if (op->getResult(0).getType() == wanted)
    return success();
  return op->emitOpError() << "result has type " << op->getResult(0).getType() << "; it must be " << wanted;
}

LogicalResult PartitionIdOp::verify() { return verifyPlace(*this); }
LogicalResult ReplicaIdOp::verify() { return verifyPlace(*this); }

LogicalResult TransposeOp::verify() {
  RankedTensorType from = typeOf(getOperand()), to = getResult().getType();
  ArrayRef<int64_t> dims = getPermutation();
  if (failed(requireElement(*this, "result", to, from.getElementType())) ||
      failed(requireCount(*this, "permutation", dims.size(), from.getRank())) ||
      failed(requireDims(*this, "permutation", dims, from.getRank())))
    return failure();
  return requireShape(*this, "result", to,
                      llvm::map_to_vector(dims, [&](int64_t dim) { return from.getDimSize(dim); }));
}

LogicalResult ReverseOp::verify() {
  RankedTensorType from = typeOf(getOperand());
  if (failed(requireDims(*this, "dimensions", getDimensions(), from.getRank())))
    return failure();
  return requireShape(*this, "result", getResult().getType(), from.getShape());
}

LogicalResult ConcatenateOp::verify() {
  if (getInputs().empty())
    return emitOpError() << "has no inputs; it needs one or more";
  RankedTensorType first = typeOf(getInputs()[0]), to = getResult().getType();
  int64_t dim = getDimension(), total = 0;
  if (failed(requireDims(*this, "dimension", dim, first.getRank())))
    return failure();
  for (auto [i, input] : llvm::enumerate(getInputs())) {
    RankedTensorType type = typeOf(input);
    if (failed(requireElement(*this, "result", to, type.getElementType())))
      return failure();
    SmallVector<int64_t> wanted(first.getShape());
    if (type.getRank() == first.getRank())
      wanted[dim] = type.getDimSize(dim);
    if (failed(verifyCompatibleShape(type.getShape(), wanted)))
      return emitOpError() << "input " << i << " has type " << type << " and input 0 " << first
                           << "; they may differ only in dimension " << dim;
    if (ShapedType::isDynamic(type.getDimSize(dim)) || ShapedType::isDynamic(total))
      total = ShapedType::kDynamic;
    else if (llvm::AddOverflow(total, type.getDimSize(dim), total))
      return emitOpError() << "has more than 2^63 elements in dimension " << dim;
  }
  SmallVector<int64_t> wanted(first.getShape());
  wanted[dim] = total;
  return requireShape(*this, "result", to, wanted);
}

LogicalResult PadOp::verify() {
  RankedTensorType from = typeOf(getOperand()), to = getResult().getType(), value = typeOf(getPaddingValue());
  if (failed(requireElement(*this, "padding_value", value, from.getElementType())) ||
      failed(requireShape(*this, "padding_value", value, {})) ||
      failed(requireElement(*this, "result", to, from.getElementType())))
    return failure();
  ArrayRef<int64_t> low = getEdgePaddingLow(), high = getEdgePaddingHigh(), inner = getInteriorPadding();
  for (auto [role, list] : {std::pair("low", low), {"high", high}, {"interior", inner}})
    if (failed(requireCount(*this, role, list.size(), from.getRank())))
      return failure();
  SmallVector<int64_t> wanted;
  for (auto [i, size] : llvm::enumerate(from.getShape())) {
    if (inner[i] < 0)
      return emitOpError() << "interior is " << inner[i] << " in dimension " << i << "; it must not be negative";
    int64_t grown = ShapedType::kDynamic;
    if (!ShapedType::isDynamic(size)) {
      bool overflows = llvm::MulOverflow(std::max<int64_t>(size - 1, 0), inner[i], grown) |
                       llvm::AddOverflow(grown, size, grown) | llvm::AddOverflow(grown, low[i], grown) |
                       llvm::AddOverflow(grown, high[i], grown);
      if (overflows || grown < 0)
        return emitOpError() << "gives a size below 0 or beyond 2^63 in dimension " << i;
    }
    wanted.push_back(grown);
  }
  return requireShape(*this, "result", to, wanted);
}

LogicalResult SliceOp::verify() {
  RankedTensorType from = typeOf(getOperand()), to = getResult().getType();
  ArrayRef<int64_t> starts = getStartIndices(), limits = getLimitIndices(), strides = getStrides();
  if (failed(requireElement(*this, "result", to, from.getElementType())))
    return failure();
  for (auto [role, list] : {std::pair("start_indices", starts), {"limit_indices", limits}, {"strides", strides}})
    if (failed(requireCount(*this, role, list.size(), from.getRank())))
      return failure();
  SmallVector<int64_t> wanted;
  for (auto [i, size] : llvm::enumerate(from.getShape())) {
    if (strides[i] < 1 || starts[i] < 0 || limits[i] < starts[i] || (!ShapedType::isDynamic(size) && limits[i] > size))
      return emitOpError() << "takes [" << starts[i] << ":" << limits[i] << ":" << strides[i] << "] of dimension " << i
                           << "; it must be 0 <= start <= limit <= " << size << " and stride > 0";
    wanted.push_back(llvm::divideCeil(limits[i] - starts[i], strides[i]));
  }
  return requireShape(*this, "result", to, wanted);
}

/// A slice of `sizes` out of a tensor.
static LogicalResult requireSlice(Operation *op, RankedTensorType from, ArrayRef<int64_t> sizes) {
  if (failed(requireCount(op, "slice_sizes", sizes.size(), from.getRank())))
    return failure();
  for (auto [i, size] : llvm::enumerate(sizes))
    if (!ShapedType::isDynamic(size) &&
        (size < 0 || (!ShapedType::isDynamic(from.getDimSize(i)) && size > from.getDimSize(i))))
      return op->emitOpError() << "slice has size " << size << " in dimension " << i << "; it must be from 0 to "
                               << from.getDimSize(i);
  return success();
}

LogicalResult DynamicSliceOp::verify() {
  RankedTensorType from = typeOf(getOperand()), to = getResult().getType();
  if (failed(requireElement(*this, "result", to, from.getElementType())) ||
      failed(requireStarts(*this, getStartIndices(), from.getRank())) ||
      failed(requireSlice(*this, from, getSliceSizes())))
    return failure();
  return requireShape(*this, "result", to, getSliceSizes());
}

LogicalResult DynamicUpdateSliceOp::verify() {
  RankedTensorType from = typeOf(getOperand()), update = typeOf(getUpdate()), to = getResult().getType();
  if (failed(requireElement(*this, "result", to, from.getElementType())) ||
      failed(requireElement(*this, "update", update, from.getElementType())) ||
      failed(requireStarts(*this, getStartIndices(), from.getRank())) ||
      failed(requireSlice(*this, from, update.getShape())))
    return failure();
  return requireShape(*this, "result", to, from.getShape());
}

// ---------------------------------------------------------------------------------------------------- gather, scatter

/// What gather and dynamic_gather share; `sizes` of the slices.
static LogicalResult verifyGather(Operation *op, RankedTensorType from, RankedTensorType indices, RankedTensorType to,
                                  GatherDimensionNumbersAttr dims, ArrayRef<int64_t> sizes) {
  int64_t rank = from.getRank(), vector = dims.getIndexVectorDim();
  if (!isIndex(indices))
    return op->emitOpError() << "start_indices has type " << indices << "; its elements must be integers";
  if (failed(requireElement(op, "result", to, from.getElementType())) || failed(requireSlice(op, from, sizes)))
    return failure();
  if (vector < 0 || vector > indices.getRank())
    return op->emitOpError() << "index_vector_dim is " << vector << "; it must be from 0 to " << indices.getRank();
  SmallVector<int64_t> gone(dims.getCollapsedSliceDims());
  llvm::append_range(gone, dims.getOperandBatchingDims());
  if (failed(requireDims(op, "collapsed_slice_dims with operand_batching_dims", gone, rank)) ||
      failed(requireDims(op, "start_index_map", dims.getStartIndexMap(), rank)) ||
      failed(requireDims(op, "start_indices_batching_dims", dims.getStartIndicesBatchingDims(), indices.getRank())) ||
      failed(requireDims(op, "offset_dims", dims.getOffsetDims(), to.getRank())) ||
      failed(requireCount(op, "start_indices_batching_dims", dims.getStartIndicesBatchingDims().size(),
                          dims.getOperandBatchingDims().size())) ||
      failed(requireCount(op, "offset_dims", dims.getOffsetDims().size(), rank - gone.size())))
    return failure();
  int64_t length = vector == indices.getRank() ? 1 : indices.getDimSize(vector);
  if (!fits(length, dims.getStartIndexMap().size()))
    return op->emitOpError() << "start_indices holds indices of " << length << " elements; start_index_map has "
                             << dims.getStartIndexMap().size();
  for (int64_t dim : gone)
    if (!ShapedType::isDynamic(sizes[dim]) && sizes[dim] > 1)
      return op->emitOpError() << "slice has size " << sizes[dim] << " in dimension " << dim
                               << "; it must be 1, since the result does not have that dimension";
  for (auto [dim, of] : llvm::zip(dims.getOperandBatchingDims(), dims.getStartIndicesBatchingDims())) {
    if (llvm::is_contained(dims.getStartIndexMap(), dim))
      return op->emitOpError() << "start_index_map has dimension " << dim << ", which is in operand_batching_dims";
    if (!fits(from.getDimSize(dim), indices.getDimSize(of)))
      return op->emitOpError() << "operand has size " << from.getDimSize(dim) << " in batching dimension " << dim
                               << " and start_indices " << indices.getDimSize(of) << "; they must be the same";
  }
  for (auto [role, list] :
       {std::pair("offset_dims", dims.getOffsetDims()), {"collapsed_slice_dims", dims.getCollapsedSliceDims()}})
    if (!llvm::is_sorted(list))
      return op->emitOpError() << role << " is not sorted; it must be";
  for (int64_t dim : dims.getStartIndicesBatchingDims())
    if (dim == vector)
      return op->emitOpError() << "start_indices_batching_dims has dimension " << dim << ", which is index_vector_dim";
  // Dimensions of the result in order: those of slices at offset_dims, those of the indices at the others.
  SmallVector<int64_t> wanted(to.getRank(), ShapedType::kDynamic), batch;
  for (int64_t i = 0; i < indices.getRank(); ++i)
    if (i != vector)
      batch.push_back(indices.getDimSize(i));
  if (failed(requireCount(op, "the shape of the result", to.getRank(), batch.size() + dims.getOffsetDims().size())))
    return failure();
  size_t nextBatch = 0;
  SmallVector<int64_t> kept;
  for (int64_t i = 0; i < rank; ++i)
    if (!llvm::is_contained(gone, i))
      kept.push_back(sizes[i]);
  for (int64_t i = 0; i < to.getRank(); ++i) {
    const int64_t *offset = llvm::find(dims.getOffsetDims(), i);
    bool isOffset = offset != dims.getOffsetDims().end();
    wanted[i] = isOffset ? kept[offset - dims.getOffsetDims().begin()] : batch[nextBatch++];
  }
  return requireShape(op, "result", to, wanted);
}

LogicalResult GatherOp::verify() {
  return verifyGather(*this, typeOf(getOperand()), typeOf(getStartIndices()), getResult().getType(),
                      getDimensionNumbers(), getSliceSizes());
}

LogicalResult DynamicGatherOp::verify() {
  RankedTensorType from = typeOf(getOperand()), sizes = typeOf(getSliceSizes());
  if (!isIndex(sizes) || sizes.getRank() != 1 || !fits(sizes.getDimSize(0), from.getRank()))
    return emitOpError() << "slice_sizes has type " << sizes << "; it must hold " << from.getRank() << " integers";
  SmallVector<int64_t> unknown(from.getRank(), ShapedType::kDynamic);
  return verifyGather(*this, from, typeOf(getStartIndices()), getResult().getType(), getDimensionNumbers(), unknown);
}

LogicalResult ScatterOp::verify() {
  if (getInputs().empty() || getNumResults() != getInputs().size())
    return emitOpError() << "has " << getInputs().size() << " inputs and " << getNumResults()
                         << " results; it needs as many of one as of the other, and at least 1";
  ScatterDimensionNumbersAttr dims = getScatterDimensionNumbers();
  RankedTensorType indices = typeOf(getScatterIndices());
  if (!isIndex(indices))
    return emitOpError() << "scatter_indices has type " << indices << "; its elements must be integers";
  if (dims.getIndexVectorDim() < 0 || dims.getIndexVectorDim() > indices.getRank())
    return emitOpError() << "index_vector_dim is " << dims.getIndexVectorDim() << "; it must be from 0 to "
                         << indices.getRank();
  ArrayRef<int64_t> inserted = dims.getInsertedWindowDims(), batching = dims.getInputBatchingDims(),
                    windows = dims.getUpdateWindowDims(), starts = dims.getScatterDimsToOperandDims(),
                    indicesBatching = dims.getScatterIndicesBatchingDims();
  int64_t vector = dims.getIndexVectorDim();
  if (failed(requireDims(*this, "scatter_indices_batching_dims", indicesBatching, indices.getRank())) ||
      failed(requireCount(*this, "scatter_indices_batching_dims", indicesBatching.size(), batching.size())))
    return failure();
  if (llvm::is_contained(indicesBatching, vector))
    return emitOpError() << "scatter_indices_batching_dims has dimension " << vector << ", which is index_vector_dim";
  int64_t length = vector == indices.getRank() ? 1 : indices.getDimSize(vector);
  if (!fits(length, starts.size()))
    return emitOpError() << "scatter_indices holds indices of " << length
                         << " elements; scatter_dims_to_operand_dims has " << starts.size();
  for (auto [role, list] : {std::pair("update_window_dims", windows), {"inserted_window_dims", inserted}})
    if (!llvm::is_sorted(list))
      return emitOpError() << role << " is not sorted; it must be";
  SmallVector<int64_t> gone(inserted);
  llvm::append_range(gone, batching);
  SmallVector<int64_t> outer; // sizes of the indices but that of vectors
  for (int64_t i = 0; i < indices.getRank(); ++i)
    if (i != vector)
      outer.push_back(indices.getDimSize(i));
  for (auto [input, update, result] : llvm::zip(getInputs(), getUpdates(), getResults())) {
    RankedTensorType from = typeOf(input), part = typeOf(update);
    int64_t rank = from.getRank();
    if (input.getType() != result.getType())
      return emitOpError() << "input has type " << input.getType() << " and result " << result.getType()
                           << "; they must be the same";
    if (failed(requireShape(*this, "input", from, typeOf(getInputs()[0]).getShape())) ||
        failed(requireElement(*this, "update", part, from.getElementType())) ||
        failed(requireDims(*this, "update_window_dims", windows, part.getRank())) ||
        failed(requireDims(*this, "inserted_window_dims with input_batching_dims", gone, rank)) ||
        failed(requireDims(*this, "scatter_dims_to_operand_dims", starts, rank)))
      return failure();
    for (auto [dim, of] : llvm::zip(batching, indicesBatching)) {
      if (llvm::is_contained(starts, dim))
        return emitOpError() << "scatter_dims_to_operand_dims has dimension " << dim
                             << ", which is in input_batching_dims";
      if (!fits(from.getDimSize(dim), indices.getDimSize(of)))
        return emitOpError() << "input has size " << from.getDimSize(dim) << " in batching dimension " << dim
                             << " and scatter_indices " << indices.getDimSize(of) << "; they must be the same";
    }
    if (int64_t(windows.size() + gone.size()) != rank)
      return emitOpError() << "update_window_dims, inserted_window_dims and input_batching_dims have "
                           << windows.size() + gone.size() << " elements; there are " << rank
                           << " dimensions of the input";
    if (part.getRank() != int64_t(outer.size() + windows.size()))
      return emitOpError() << "update has type " << part << "; it must have " << outer.size() + windows.size()
                           << " dimensions: those of the indices and of update_window_dims";
    SmallVector<int64_t> kept;
    for (int64_t i = 0; i < rank; ++i)
      if (!llvm::is_contained(gone, i))
        kept.push_back(from.getDimSize(i));
    size_t nextOuter = 0, nextWindow = 0;
    for (int64_t i = 0; i < part.getRank(); ++i) {
      bool isWindow = llvm::is_contained(windows, i);
      int64_t size = part.getDimSize(i), bound = isWindow ? kept[nextWindow++] : outer[nextOuter++];
      bool unknown = ShapedType::isDynamic(size) || ShapedType::isDynamic(bound);
      if (!unknown && (isWindow ? size > bound : size != bound))
        return emitOpError() << "update has size " << size << " in dimension " << i << "; it must be "
                             << (isWindow ? "at most " : "") << bound;
    }
  }
  return requireBody(*this, getUpdateComputation(), getInputs(), 2, scalarsOf(getInputs()));
}
