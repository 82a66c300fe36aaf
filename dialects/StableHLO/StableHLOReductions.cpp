// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What makes an operation with sums, windows or bodies valid.

#include "StableHLO/Requirements.h"

using namespace mlir;
using namespace mlir::stablehlo;

LogicalResult DotGeneralOp::verify() {
  RankedTensorType lhs = typeOf(getLhs()), rhs = typeOf(getRhs());
  DotDimensionNumbersAttr dims = getDotDimensionNumbers();
  SmallVector<int64_t> lhsUsed(dims.getLhsBatchingDimensions()), rhsUsed(dims.getRhsBatchingDimensions());
  if (lhsUsed.size() != rhsUsed.size() ||
      dims.getLhsContractingDimensions().size() != dims.getRhsContractingDimensions().size())
    return emitOpError() << "pairs different numbers of dimensions of lhs and rhs; they must be as many";
  llvm::append_range(lhsUsed, dims.getLhsContractingDimensions());
  llvm::append_range(rhsUsed, dims.getRhsContractingDimensions());
  if (failed(requireDims(*this, "lhs", lhsUsed, lhs.getRank())) ||
      failed(requireDims(*this, "rhs", rhsUsed, rhs.getRank())))
    return failure();
  for (auto [left, right] : llvm::zip(lhsUsed, rhsUsed))
    if (failed(verifyCompatibleShape(lhs.getDimSize(left), rhs.getDimSize(right))))
      return emitOpError() << "lhs has size " << lhs.getDimSize(left) << " in dimension " << left << " and rhs size "
                           << rhs.getDimSize(right) << " in dimension " << right << "; they must be the same";
  SmallVector<int64_t> wanted;
  for (int64_t dim : dims.getLhsBatchingDimensions())
    wanted.push_back(lhs.getDimSize(dim));
  for (int64_t i = 0; i < lhs.getRank(); ++i)
    if (!llvm::is_contained(lhsUsed, i))
      wanted.push_back(lhs.getDimSize(i));
  for (int64_t i = 0; i < rhs.getRank(); ++i)
    if (!llvm::is_contained(rhsUsed, i))
      wanted.push_back(rhs.getDimSize(i));
  if (getPrecisionConfig() && getPrecisionConfig()->size() > 2)
    return emitOpError() << "precision has " << getPrecisionConfig()->size() << " elements; it must have 2";
  return requireShape(*this, "result", getResult().getType(), wanted);
}

LogicalResult DotOp::verify() {
  RankedTensorType lhs = typeOf(getLhs()), rhs = typeOf(getRhs());
  if (lhs.getRank() < 1 || lhs.getRank() > 2 || rhs.getRank() < 1 || rhs.getRank() > 2 ||
      !fits(lhs.getShape().back(), rhs.getDimSize(0)))
    return emitOpError() << "lhs has type " << lhs << " and rhs " << rhs
                         << "; they must be vectors or matrices, the last size of one the first of the other";
  SmallVector<int64_t> wanted(lhs.getShape().drop_back());
  llvm::append_range(wanted, rhs.getShape().drop_front());
  return requireShape(*this, "result", getResult().getType(), wanted);
}

/// A window along `rank` dimensions: lists have as many elements, all positive.
static LogicalResult requireWindow(Operation *op, int64_t rank,
                                   ArrayRef<std::pair<StringRef, std::optional<ArrayRef<int64_t>>>> lists,
                                   std::optional<DenseIntElementsAttr> padding) {
  for (auto [role, list] : lists) {
    if (!list)
      continue;
    if (int64_t(list->size()) != rank)
      return op->emitOpError() << role << " has " << list->size() << " elements; it must have " << rank;
    for (int64_t value : *list)
      if (value < 1)
        return op->emitOpError() << role << " has the element " << value << "; it must be positive";
  }
  if (padding && padding->getType().getShape() != ArrayRef<int64_t>{rank, 2})
    return op->emitOpError() << "padding has type " << padding->getType() << "; it must have the shape " << rank
                             << "x2";
  return success();
}

/// How often a window fits; nothing if that cannot be computed.
static std::optional<int64_t> windowCount(int64_t size, int64_t dilation, int64_t low, int64_t high, int64_t window,
                                          int64_t windowDilation, int64_t stride) {
  int64_t padded = 0, reach = 0;
  if (llvm::MulOverflow(std::max<int64_t>(size - 1, 0), dilation, padded) ||
      (size && llvm::AddOverflow<int64_t>(padded, 1, padded)) || llvm::AddOverflow(padded, low, padded) ||
      llvm::AddOverflow(padded, high, padded) ||
      llvm::MulOverflow(std::max<int64_t>(window - 1, 0), windowDilation, reach))
    return std::nullopt;
  return padded <= reach ? 0 : (padded - reach - 1) / stride + 1;
}

static SmallVector<int64_t> paddingOf(std::optional<DenseIntElementsAttr> padding, int64_t rank) {
  if (!padding)
    return SmallVector<int64_t>(2 * rank, 0);
  return llvm::to_vector(padding->getValues<int64_t>());
}

LogicalResult ConvolutionOp::verify() {
  RankedTensorType lhs = typeOf(getLhs()), rhs = typeOf(getRhs()), to = getResult().getType();
  ConvDimensionNumbersAttr dims = getDimensionNumbers();
  int64_t rank = dims.getInputSpatialDimensions().size();
  for (auto [role, type, spatial, a, b] :
       {std::tuple("lhs", lhs, dims.getInputSpatialDimensions(), dims.getInputBatchDimension(),
                   dims.getInputFeatureDimension()),
        {"rhs", rhs, dims.getKernelSpatialDimensions(), dims.getKernelInputFeatureDimension(),
         dims.getKernelOutputFeatureDimension()},
        {"result", to, dims.getOutputSpatialDimensions(), dims.getOutputBatchDimension(),
         dims.getOutputFeatureDimension()}}) {
    SmallVector<int64_t> all(spatial);
    all.append({a, b});
    if (type.getRank() != rank + 2 || int64_t(all.size()) != rank + 2)
      return emitOpError() << role << " has type " << type << " and " << all.size()
                           << " dimension numbers; both must have " << rank + 2 << " dimensions";
    if (failed(requireDims(*this, role, all, type.getRank())))
      return failure();
  }
  if (failed(requireWindow(
          *this, rank,
          {{"stride", getWindowStrides()}, {"lhs_dilate", getLhsDilation()}, {"rhs_dilate", getRhsDilation()}},
          getPadding())))
    return failure();
  if (getWindowReversal() && int64_t(getWindowReversal()->size()) != rank)
    return emitOpError() << "reverse has " << getWindowReversal()->size() << " elements; it must have " << rank;
  int64_t groups = getFeatureGroupCount(), batchGroups = getBatchGroupCount();
  if (groups < 1 || batchGroups < 1)
    return emitOpError() << "feature_group_count is " << groups << " and batch_group_count " << batchGroups
                         << "; both must be positive";
  if (groups > 1 && batchGroups > 1)
    return emitOpError() << "feature_group_count is " << groups << " and batch_group_count " << batchGroups
                         << "; one of them must be 1";
  if (!lhs.hasStaticShape() || !rhs.hasStaticShape())
    return success();
  int64_t features = lhs.getDimSize(dims.getInputFeatureDimension()),
          outputs = rhs.getDimSize(dims.getKernelOutputFeatureDimension()),
          batch = lhs.getDimSize(dims.getInputBatchDimension());
  if (features % groups || features / groups != rhs.getDimSize(dims.getKernelInputFeatureDimension()) ||
      outputs % groups)
    return emitOpError() << "lhs has " << features << " features in " << groups << " groups and rhs takes "
                         << rhs.getDimSize(dims.getKernelInputFeatureDimension()) << " to make " << outputs
                         << "; they must fit";
  if (batch % batchGroups || outputs % batchGroups)
    return emitOpError() << "batch_group_count is " << batchGroups << "; it must divide " << batch << " and "
                         << outputs;
  SmallVector<int64_t> wanted(rank + 2), padding = paddingOf(getPadding(), rank);
  wanted[dims.getOutputBatchDimension()] = batch / batchGroups;
  wanted[dims.getOutputFeatureDimension()] = outputs;
  auto at = [](std::optional<ArrayRef<int64_t>> list, int64_t i) { return list ? (*list)[i] : 1; };
  for (int64_t i = 0; i < rank; ++i) {
    std::optional<int64_t> count =
        windowCount(lhs.getDimSize(dims.getInputSpatialDimensions()[i]), at(getLhsDilation(), i), padding[2 * i],
                    padding[2 * i + 1], rhs.getDimSize(dims.getKernelSpatialDimensions()[i]), at(getRhsDilation(), i),
                    at(getWindowStrides(), i));
    if (!count)
      return emitOpError() << "window is larger than 2^63 in spatial dimension " << i;
    wanted[dims.getOutputSpatialDimensions()[i]] = *count;
  }
  return requireShape(*this, "result", to, wanted);
}

// ---------------------------------------------------------------------------------------------------- bodies

LogicalResult stablehlo::requireBody(Operation *op, Region &body, ValueRange inputs, unsigned copies,
                                     TypeRange returned) {
  Block &block = body.front();
  if (block.getNumArguments() != copies * inputs.size())
    return op->emitOpError() << "body has " << block.getNumArguments() << " arguments; it must have "
                             << copies * inputs.size();
  for (auto [i, argument] : llvm::enumerate(block.getArguments())) {
    // A sort has the two of an input beside each other, a reduction all left ones first.
    Value input = isa<SortOp>(op) ? inputs[i / copies] : inputs[i % inputs.size()];
    auto wanted = RankedTensorType::get({}, typeOf(input).getElementType());
    if (argument.getType() != wanted)
      return op->emitOpError() << "body has argument " << i << " of type " << argument.getType() << "; it must be "
                               << wanted;
  }
  auto end = dyn_cast<ReturnOp>(block.getTerminator());
  if (!end)
    return op->emitOpError() << "body ends with '" << block.getTerminator()->getName()
                             << "'; it must end with stablehlo.return";
  if (TypeRange(end.getOperandTypes()) != returned)
    return end.emitOpError() << "returns (" << end.getOperandTypes() << "); '" << op->getName() << "' needs ("
                             << returned << ")";
  return success();
}

SmallVector<Type> stablehlo::scalarsOf(ValueRange inputs) {
  return llvm::map_to_vector(
      inputs, [](Value input) -> Type { return RankedTensorType::get({}, typeOf(input).getElementType()); });
}

/// What reduce and reduce_window share: inputs of one shape, scalars to start from, as many results.
static LogicalResult requireInputs(Operation *op, ValueRange inputs, ValueRange inits) {
  if (inputs.empty() || inputs.size() != inits.size() || inputs.size() != op->getNumResults())
    return op->emitOpError() << "has " << inputs.size() << " inputs, " << inits.size() << " initial values and "
                             << op->getNumResults() << " results; it needs as many of each, and at least 1";
  for (auto [input, init] : llvm::zip(inputs, inits)) {
    if (failed(requireShape(op, "input", typeOf(input), typeOf(inputs[0]).getShape())))
      return failure();
    if (init.getType() != RankedTensorType::get({}, typeOf(input).getElementType()))
      return op->emitOpError() << "initial value has type " << init.getType() << " and input " << input.getType()
                               << "; it must be a scalar of its elements";
  }
  return success();
}

static LogicalResult requireResults(Operation *op, ValueRange inputs, ArrayRef<int64_t> shape) {
  for (auto [input, result] : llvm::zip(inputs, op->getResults())) {
    if (failed(requireShape(op, "result", typeOf(result), shape)))
      return failure();
    if (typeOf(result).getElementType() != typeOf(input).getElementType())
      return op->emitOpError() << "result has type " << result.getType() << " and input " << input.getType()
                               << "; they must have the same elements";
  }
  return success();
}

LogicalResult ReduceOp::verify() {
  if (failed(requireInputs(*this, getInputs(), getInitValues())))
    return failure();
  RankedTensorType from = typeOf(getInputs()[0]);
  if (failed(requireDims(*this, "dimensions", getDimensions(), from.getRank())))
    return failure();
  SmallVector<int64_t> wanted;
  for (int64_t i = 0; i < from.getRank(); ++i)
    if (!llvm::is_contained(getDimensions(), i))
      wanted.push_back(from.getDimSize(i));
  if (failed(requireResults(*this, getInputs(), wanted)))
    return failure();
  return requireBody(*this, getBody(), getInputs(), 2, scalarsOf(getInputs()));
}

LogicalResult ReduceWindowOp::verify() {
  if (failed(requireInputs(*this, getInputs(), getInitValues())))
    return failure();
  RankedTensorType from = typeOf(getInputs()[0]);
  int64_t rank = from.getRank();
  if (failed(requireWindow(*this, rank,
                           {{"window_dimensions", getWindowDimensions()},
                            {"window_strides", getWindowStrides()},
                            {"base_dilations", getBaseDilations()},
                            {"window_dilations", getWindowDilations()}},
                           getPadding())))
    return failure();
  SmallVector<int64_t> wanted, padding = paddingOf(getPadding(), rank);
  auto at = [](std::optional<ArrayRef<int64_t>> list, int64_t i) { return list ? (*list)[i] : 1; };
  for (int64_t i = 0; i < rank; ++i) {
    if (from.isDynamicDim(i)) {
      wanted.push_back(ShapedType::kDynamic);
      continue;
    }
    std::optional<int64_t> count =
        windowCount(from.getDimSize(i), at(getBaseDilations(), i), padding[2 * i], padding[2 * i + 1],
                    getWindowDimensions()[i], at(getWindowDilations(), i), at(getWindowStrides(), i));
    if (!count)
      return emitOpError() << "window is larger than 2^63 in dimension " << i;
    wanted.push_back(*count);
  }
  if (failed(requireResults(*this, getInputs(), wanted)))
    return failure();
  return requireBody(*this, getBody(), getInputs(), 2, scalarsOf(getInputs()));
}

LogicalResult SelectAndScatterOp::verify() {
  RankedTensorType from = typeOf(getOperand()), source = typeOf(getSource());
  int64_t rank = from.getRank();
  if (getInitValue().getType() != RankedTensorType::get({}, from.getElementType()))
    return emitOpError() << "initial value has type " << getInitValue().getType() << " and operand " << from
                         << "; it must be a scalar of its elements";
  if (failed(requireElement(*this, "source", source, from.getElementType())) ||
      failed(requireElement(*this, "result", getResult().getType(), from.getElementType())) ||
      failed(requireShape(*this, "result", getResult().getType(), from.getShape())) ||
      failed(requireWindow(*this, rank,
                           {{"window_dimensions", getWindowDimensions()}, {"window_strides", getWindowStrides()}},
                           getPadding())))
    return failure();
  SmallVector<int64_t> wanted, padding = paddingOf(getPadding(), rank);
  for (int64_t i = 0; i < rank; ++i) {
    int64_t window = getWindowDimensions() ? (*getWindowDimensions())[i] : 1,
            stride = getWindowStrides() ? (*getWindowStrides())[i] : 1;
    std::optional<int64_t> count = ShapedType::kDynamic;
    if (!from.isDynamicDim(i))
      count = windowCount(from.getDimSize(i), 1, padding[2 * i], padding[2 * i + 1], window, 1, stride);
    if (!count)
      return emitOpError() << "window is larger than 2^63 in dimension " << i;
    wanted.push_back(*count);
  }
  if (failed(requireShape(*this, "source", source, wanted)) ||
      failed(requireBody(*this, getSelect(), getOperand(), 2,
                         RankedTensorType::get({}, IntegerType::get(getContext(), 1)))))
    return failure();
  return requireBody(*this, getScatter(), getOperand(), 2, scalarsOf(getOperand()));
}

LogicalResult MapOp::verify() {
  if (getInputs().empty())
    return emitOpError() << "has no inputs; it needs one or more";
  RankedTensorType to = getResult().getType();
  if (failed(requireCount(*this, "dimensions", getDimensions().size(), to.getRank())))
    return failure();
  for (auto [i, dim] : llvm::enumerate(getDimensions()))
    if (dim != int64_t(i))
      return emitOpError() << "dimensions has " << dim << " at place " << i << "; it must list all in order";
  for (Value input : getInputs())
    if (failed(requireShape(*this, "input", typeOf(input), to.getShape())))
      return failure();
  return requireBody(*this, getComputation(), getInputs(), 1, RankedTensorType::get({}, to.getElementType()));
}

/// Vectors of one number for each feature of the operand.
static LogicalResult requireFeatures(Operation *op, RankedTensorType operand, uint64_t index, ValueRange vectors) {
  if (!isa<FloatType>(operand.getElementType()))
    return op->emitOpError() << "operand has type " << operand << "; its elements must be floats";
  if (failed(requireDims(op, "feature_index", int64_t(index), operand.getRank())))
    return failure();
  for (Value vector : vectors)
    if (failed(requireElement(op, "a vector of features", typeOf(vector), operand.getElementType())) ||
        failed(requireShape(op, "a vector of features", typeOf(vector), operand.getDimSize(index))))
      return failure();
  return success();
}

LogicalResult BatchNormInferenceOp::verify() {
  if (failed(requireFeatures(*this, typeOf(getOperand()), getFeatureIndex(), getOperands().drop_front())))
    return failure();
  return requireShape(*this, "result", getResult().getType(), typeOf(getOperand()).getShape());
}

LogicalResult BatchNormTrainingOp::verify() {
  SmallVector<Value> vectors{getScale(), getOffset(), getBatchMean(), getBatchVar()};
  if (failed(requireFeatures(*this, typeOf(getOperand()), getFeatureIndex(), vectors)))
    return failure();
  return requireShape(*this, "output", getOutput().getType(), typeOf(getOperand()).getShape());
}

LogicalResult SortOp::verify() {
  if (getInputs().empty() || getInputs().size() != getNumResults())
    return emitOpError() << "has " << getInputs().size() << " inputs and " << getNumResults()
                         << " results; it needs as many of one as of the other, and at least 1";
  RankedTensorType first = typeOf(getInputs()[0]);
  int64_t dim = getDimension(), rank = first.getRank();
  if (dim < -rank || dim >= rank)
    return emitOpError() << "dimension is " << dim << "; it must be from " << -rank << " to " << rank - 1;
  for (auto [input, result] : llvm::zip(getInputs(), getResults()))
    if (input.getType() != result.getType() ||
        failed(verifyCompatibleShape(typeOf(input).getShape(), first.getShape())))
      return emitOpError() << "input has type " << input.getType() << " and result " << result.getType()
                           << "; they must be the same, and all inputs have one shape";
  return requireBody(*this, getComparator(), getInputs(), 2,
                     RankedTensorType::get({}, IntegerType::get(getContext(), 1)));
}

/// What a region with these arguments returns.
static LogicalResult requireRegion(Operation *op, StringRef role, Region &region, TypeRange arguments,
                                   TypeRange returned) {
  Block &block = region.front();
  if (TypeRange(block.getArgumentTypes()) != arguments)
    return op->emitOpError() << role << " has arguments (" << block.getArgumentTypes() << "); they must be ("
                             << arguments << ")";
  auto end = dyn_cast<ReturnOp>(block.getTerminator());
  if (!end)
    return op->emitOpError() << role << " ends with '" << block.getTerminator()->getName()
                             << "'; it must end with stablehlo.return";
  if (TypeRange(end.getOperandTypes()) != returned)
    return end.emitOpError() << "returns (" << end.getOperandTypes() << "); the " << role << " of '" << op->getName()
                             << "' must return (" << returned << ")";
  return success();
}

LogicalResult WhileOp::verify() {
  if (getOperandTypes() != getResultTypes())
    return emitOpError() << "has operands (" << getOperandTypes() << ") and results (" << getResultTypes()
                         << "); they must be the same";
  Type boolean = RankedTensorType::get({}, IntegerType::get(getContext(), 1));
  if (failed(requireRegion(*this, "condition", getCond(), getOperandTypes(), boolean)))
    return failure();
  return requireRegion(*this, "body", getBody(), getOperandTypes(), getOperandTypes());
}

LogicalResult CaseOp::verify() {
  if (getIndex().getType() != RankedTensorType::get({}, IntegerType::get(getContext(), 32)))
    return emitOpError() << "index has type " << getIndex().getType() << "; it must be tensor<i32>";
  if (getBranches().empty())
    return emitOpError() << "has no branches; it needs at least 1";
  for (Region &branch : getBranches())
    if (failed(requireRegion(*this, "branch", branch, {}, getResultTypes())))
      return failure();
  return success();
}

LogicalResult IfOp::verify() {
  if (getPred().getType() != RankedTensorType::get({}, IntegerType::get(getContext(), 1)))
    return emitOpError() << "condition has type " << getPred().getType() << "; it must be tensor<i1>";
  if (failed(requireRegion(*this, "first branch", getTrueBranch(), {}, getResultTypes())))
    return failure();
  return requireRegion(*this, "second branch", getFalseBranch(), {}, getResultTypes());
}

LogicalResult OptimizationBarrierOp::verify() {
  if (getOperandTypes() == getResultTypes())
    return success();
  return emitOpError() << "has operands (" << getOperandTypes() << ") and results (" << getResultTypes()
                       << "); they must be the same";
}
