// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs whose sizes vary, as jax.export writes them with symbolic shapes: dimensions of arguments are symbols, small
// lists of integers that say shapes are known as polynomials over them (SizeAlgebra), and two sizes that must be equal
// are proved to be. What no proof is found for is refused: a wrong size would reach beyond an array.

#include "Import/StableHLO/Program.h"
#include "StableHLO/StableHLO.h"

#include "mlir/IR/Matchers.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace whit {

using semantics::Sizes;
namespace hlo = mlir::stablehlo;

static constexpr int64_t kMaxListed = 16; ///< elements of a list of sizes

static bool isElementwise(Operation *op) {
  static const llvm::StringSet<> names = [] {
    llvm::StringSet<> set;
    for (const HloOperation &row : hloElementwise())
      set.insert(row.name);
    return set;
  }();
  return names.contains(op->getName().getStringRef()) && !isa<hlo::BitcastConvertOp>(op);
}

bool mayVary(Operation *op) {
  return isElementwise(op) ||
         isa<func::CallOp, func::ReturnOp, hlo::ConcatenateOp, hlo::CustomCallOp, hlo::DotGeneralOp,
             hlo::DynamicBroadcastInDimOp, hlo::DynamicGatherOp, hlo::DynamicIotaOp, hlo::DynamicReshapeOp,
             hlo::GatherOp, hlo::GetDimensionSizeOp, hlo::OptimizationBarrierOp, hlo::RealDynamicSliceOp, hlo::ReduceOp,
             hlo::ReshapeOp, hlo::ReverseOp, hlo::TransposeOp>(op);
}

// ------------------------------------------------------------------------------------------------ lists of sizes

std::optional<Sizes> Program::elementsOf(mlir::Value value) {
  const HloValue &known = values[value];
  if (known.elements)
    return *known.elements;
  auto type = dyn_cast<RankedTensorType>(value.getType());
  DenseElementsAttr constant;
  if (known.failed || known.parameter || !known.tensor.value || !type || !type.hasStaticShape() ||
      type.getNumElements() > kMaxListed || !isa<IntegerType>(type.getElementType()) ||
      !matchPattern(known.tensor.value, m_Constant(&constant)))
    return std::nullopt;
  auto numbers = llvm::to_vector(constant.getValues<APInt>());
  Sizes sizes;
  for (int64_t i = 0; i < type.getNumElements(); ++i) // one value may stand for all
  {
    const APInt &number = numbers[numbers.size() == 1 ? 0 : i];
    sizes.push_back(b->getIndexAttr(number.getBitWidth() == 1 ? number.getZExtValue() : number.getSExtValue()));
  }
  return sizes;
}

/// Remembers what a result is, if it is a list of sizes.
void Program::trackElements(Operation *op) {
  if (op->getNumResults() != 1)
    return;
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!type || !type.hasStaticShape() || type.getRank() > 1 || type.getNumElements() > kMaxListed ||
      !llvm::is_contained({1u, 32u, 64u}, type.getElementTypeBitWidth()) || !type.getElementType().isSignlessInteger())
    return; // narrower ones wrap around
  SmallVector<Sizes> operands;
  for (mlir::Value operand : op->getOperands()) {
    std::optional<Sizes> elements = isa<hlo::GetDimensionSizeOp>(op) ? Sizes() : elementsOf(operand);
    if (!elements)
      return;
    operands.push_back(*elements);
  }
  using Function = OpFoldResult (SizeAlgebra::*)(ImplicitLocOpBuilder &, OpFoldResult, OpFoldResult);
  auto function = [&]() -> Function {
    return llvm::TypeSwitch<Operation *, Function>(op)
        .Case([](hlo::AddOp) { return &SizeAlgebra::add; })
        .Case([](hlo::SubtractOp) { return &SizeAlgebra::subtract; })
        .Case([](hlo::MulOp) { return &SizeAlgebra::multiply; })
        .Case([](hlo::DivOp) { return &SizeAlgebra::divide; })
        .Case([](hlo::RemOp) { return &SizeAlgebra::remainder; })
        .Case([](hlo::MaxOp) { return &SizeAlgebra::maximum; })
        .Case([](hlo::MinOp) { return &SizeAlgebra::minimum; })
        .Default(Function());
  }();
  Sizes found;
  if (auto asked = dyn_cast<hlo::GetDimensionSizeOp>(op)) {
    found.push_back(values[asked.getOperand()].sizes[asked.getDimension()]);
  } else if (isa<hlo::ConcatenateOp>(op)) {
    for (const Sizes &part : operands)
      llvm::append_range(found, part);
  } else if (isa<hlo::ReshapeOp, hlo::ConvertOp>(op)) {
    if (type.getElementType().isInteger(1))
      return;
    found = operands[0];
  } else if (isa<hlo::BroadcastInDimOp>(op)) {
    found.assign(type.getNumElements(), operands[0].empty() ? OpFoldResult() : operands[0][0]);
    if (operands[0].size() == found.size())
      found = operands[0];
    else if (operands[0].size() != 1)
      return;
  } else if (auto slice = dyn_cast<hlo::SliceOp>(op); slice && type.getRank() == 1 && slice.getStrides()[0] == 1) {
    auto part = ArrayRef(operands[0]).slice(slice.getStartIndices()[0], type.getNumElements());
    found.assign(part.begin(), part.end());
  } else if (auto compare = dyn_cast<hlo::CompareOp>(op);
             compare && compare.getComparisonDirection() == hlo::ComparisonDirection::EQ && type.getRank() == 0) {
    std::optional<bool> equal = algebra.equal(operands[0][0], operands[1][0]);
    if (!equal)
      return;
    found.push_back(b->getIndexAttr(*equal));
  } else if (function && operands.size() == 2 && !type.getElementType().isInteger(1)) {
    for (auto [x, y] : llvm::zip(operands[0], operands[1]))
      found.push_back((algebra.*function)(*b, x, y));
  }
  if (int64_t(found.size()) == type.getNumElements() &&
      llvm::all_of(found, [](OpFoldResult size) { return bool(size); }))
    values[op->getResult(0)].elements = std::make_shared<Sizes>(found);
}

// ------------------------------------------------------------------------------------------------ sizes of results

Sizes Program::sizesOf(mlir::Value result) {
  auto type = cast<RankedTensorType>(result.getType());
  if (type.hasStaticShape())
    return llvm::map_to_vector(type.getShape(), [&](int64_t dim) { return OpFoldResult(b->getIndexAttr(dim)); });
  return varying.lookup(result);
}

bool Program::isSame(OpFoldResult x, OpFoldResult y) { return x && y && algebra.equal(x, y) == true; }

/// The sizes of a result that a list says, which its type confirms where it has some.
static FailureOr<Sizes> listed(Program &program, Operation *op, mlir::Value list) {
  std::optional<Sizes> sizes = program.elementsOf(list);
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  if (!sizes || int64_t(sizes->size()) != type.getRank())
    return LogicalResult(program.unsupported(op,
                                             "has a shape that depends on data; it must follow from the sizes of the "
                                             "arguments"));
  for (auto [size, dim] : llvm::zip(*sizes, type.getShape())) {
    OpFoldResult wanted = program.builder().getIndexAttr(dim);
    if (!ShapedType::isDynamic(dim) && !program.isSame(size, wanted))
      return LogicalResult(program.unsupported(op, "has a shape that may differ from its type"));
    if (!program.isSize(size))
      return LogicalResult(program.unsupported(op, "has a size that may be negative"));
  }
  return *sizes;
}

LogicalResult Program::inferSizes(Operation *op) {
  auto isDynamic = [](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor && !tensor.hasStaticShape();
  };
  if (llvm::none_of(op->getOperandTypes(), isDynamic) && llvm::none_of(op->getResultTypes(), isDynamic))
    return success();
  auto sizes = [&](unsigned i) { return values[op->getOperand(i)].sizes; };
  auto differ = [&](const Twine &what) {
    return unsupported(op,
                       "has " + what +
                           " that may differ when the model runs; they must be the same for all sizes of "
                           "the arguments",
                       "call the dimensions by one name in the symbolic shapes, or lower the program for fixed shapes");
  };
  auto set = [&](ArrayRef<OpFoldResult> found) -> LogicalResult {
    for (mlir::Value result : op->getResults()) {
      for (auto [size, dim] : llvm::zip(found, cast<RankedTensorType>(result.getType()).getShape()))
        if (!ShapedType::isDynamic(dim) && !isSame(size, b->getIndexAttr(dim)))
          return differ("sizes and a result");
      if (isDynamic(result.getType()))
        varying[result] = Sizes(found);
    }
    return success();
  };
  if (isElementwise(op) || isa<hlo::ReduceOp>(op)) {
    // Scalars, like bounds and what a reduction begins with, are read everywhere.
    Sizes first;
    for (unsigned i = 0; i < op->getNumOperands(); ++i) {
      Sizes mine = sizes(i);
      if (first.empty())
        first = mine;
      for (auto [x, y] : llvm::zip(first, mine))
        if (!isSame(x, y))
          return differ("operands with sizes");
    }
    Sizes kept;
    for (auto [i, size] : llvm::enumerate(first))
      if (auto reduce = dyn_cast<hlo::ReduceOp>(op); !reduce || !llvm::is_contained(reduce.getDimensions(), int64_t(i)))
        kept.push_back(size);
    return set(kept);
  }
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](hlo::TransposeOp transpose) {
        Sizes from = sizes(0);
        return set(llvm::map_to_vector(transpose.getPermutation(), [&](int64_t dim) { return from[dim]; }));
      })
      .Case([&](hlo::ReverseOp) { return set(sizes(0)); })
      .Case([&](hlo::DotGeneralOp dot) {
        hlo::DotDimensionNumbersAttr dims = dot.getDotDimensionNumbers();
        Sizes lhs = sizes(0), rhs = sizes(1), found;
        for (auto [x, y] : llvm::concat<std::pair<int64_t, int64_t>>(
                 llvm::to_vector(
                     llvm::map_range(llvm::zip(dims.getLhsBatchingDimensions(), dims.getRhsBatchingDimensions()),
                                     [](auto pair) { return std::pair(std::get<0>(pair), std::get<1>(pair)); })),
                 llvm::to_vector(
                     llvm::map_range(llvm::zip(dims.getLhsContractingDimensions(), dims.getRhsContractingDimensions()),
                                     [](auto pair) { return std::pair(std::get<0>(pair), std::get<1>(pair)); }))))
          if (!isSame(lhs[x], rhs[y]))
            return differ("paired dimensions with sizes");
        for (int64_t dim : dims.getLhsBatchingDimensions())
          found.push_back(lhs[dim]);
        auto addFree = [&](const Sizes &all, ArrayRef<int64_t> batch, ArrayRef<int64_t> contracted) {
          for (auto [i, size] : llvm::enumerate(all))
            if (!llvm::is_contained(batch, int64_t(i)) && !llvm::is_contained(contracted, int64_t(i)))
              found.push_back(size);
        };
        addFree(lhs, dims.getLhsBatchingDimensions(), dims.getLhsContractingDimensions());
        addFree(rhs, dims.getRhsBatchingDimensions(), dims.getRhsContractingDimensions());
        return set(found);
      })
      .Case([&](hlo::ConcatenateOp concatenate) -> LogicalResult {
        Sizes found = sizes(0);
        int64_t axis = concatenate.getDimension();
        for (unsigned k = 1; k < op->getNumOperands(); ++k)
          for (auto [i, size] : llvm::enumerate(sizes(k)))
            if (int64_t(i) == axis)
              found[i] = algebra.add(*b, found[i], size);
            else if (!isSame(found[i], size))
              return differ("parts with sizes");
        return set(found);
      })
      .Case([&](hlo::DynamicBroadcastInDimOp broadcast) -> LogicalResult {
        FailureOr<Sizes> found = listed(*this, op, broadcast.getOutputDimensions());
        if (failed(found))
          return failure();
        for (auto [size, dim] : llvm::zip(sizes(0), broadcast.getBroadcastDimensions()))
          if (!isConstantIntValue(size, 1) && !isSame(size, (*found)[dim]))
            return differ("an operand and a result with sizes");
        return set(*found);
      })
      .Case<hlo::DynamicReshapeOp, hlo::ReshapeOp>([&](auto reshape) -> LogicalResult {
        FailureOr<Sizes> found = sizesOf(reshape.getResult());
        if constexpr (std::is_same_v<decltype(reshape), hlo::DynamicReshapeOp>)
          found = listed(*this, op, reshape.getOutputShape());
        if (failed(found))
          return failure();
        if (found->size() != size_t(reshape.getResult().getType().getRank()) ||
            !isSame(algebra.product(*b, sizes(0)), algebra.product(*b, *found)))
          return differ("an operand and a result with numbers of elements");
        return set(*found);
      })
      .Case([&](hlo::DynamicIotaOp iota) -> LogicalResult {
        FailureOr<Sizes> found = listed(*this, op, iota.getOutputShape());
        return failed(found) ? failure() : set(*found);
      })
      .Case([&](hlo::RealDynamicSliceOp slice) -> LogicalResult {
        std::optional<Sizes> starts = elementsOf(slice.getStartIndices()), limits = elementsOf(slice.getLimitIndices()),
                             strides = elementsOf(slice.getStrides());
        Sizes from = sizes(0), found;
        for (size_t i = 0; starts && limits && strides && i < from.size(); ++i) {
          auto start = getConstantIntValue((*starts)[i]), limit = getConstantIntValue((*limits)[i]),
               stride = getConstantIntValue((*strides)[i]), size = getConstantIntValue(from[i]);
          if (start == 0 && stride == 1 && isSame((*limits)[i], from[i]))
            found.push_back(from[i]);
          else if (start && limit && stride && size && *start >= 0 && *stride > 0 && *start <= *limit &&
                   *limit <= *size)
            found.push_back(b->getIndexAttr(llvm::divideCeil(*limit - *start, *stride)));
          else
            return unsupported(op, "takes a part of dimension " + Twine(i) +
                                       ", whose size varies; only all of it is "
                                       "supported, or a part of one with a fixed size");
        }
        if (found.size() != from.size())
          return unsupported(op, "takes a part that depends on data; it must follow from the sizes of the arguments");
        return set(found);
      })
      .Case<hlo::GatherOp, hlo::DynamicGatherOp>([&](auto gather) -> LogicalResult {
        hlo::GatherDimensionNumbersAttr dims = gather.getDimensionNumbers();
        Sizes from = sizes(0), of = sizes(1), slices = from, found;
        if constexpr (std::is_same_v<decltype(gather), hlo::DynamicGatherOp>) {
          std::optional<Sizes> known = elementsOf(gather.getSliceSizes());
          if (!known)
            return unsupported(op, "has slices whose size depends on data");
          slices = *known;
        } else {
          for (auto [i, size] : llvm::enumerate(gather.getSliceSizes()))
            slices[i] = b->getIndexAttr(size);
        }
        for (auto [i, size] : llvm::enumerate(from)) {
          bool isChosen = llvm::is_contained(dims.getStartIndexMap(), int64_t(i)) ||
                          llvm::is_contained(dims.getOperandBatchingDims(), int64_t(i));
          if (!getConstantIntValue(size) && (isChosen || !isSame(size, slices[i])))
            return unsupported(op, "takes parts of dimension " + Twine(i) +
                                       ", whose size varies; only all of it is "
                                       "supported");
        }
        if (!dims.getOperandBatchingDims().empty())
          return unsupported(op, "has batches along with sizes that vary");
        SmallVector<OpFoldResult> kept, batch;
        for (auto [i, size] : llvm::enumerate(slices))
          if (!llvm::is_contained(dims.getCollapsedSliceDims(), int64_t(i)))
            kept.push_back(size);
        for (auto [i, size] : llvm::enumerate(of))
          if (int64_t(i) != dims.getIndexVectorDim())
            batch.push_back(size);
        size_t nextBatch = 0;
        for (int64_t i = 0; i < gather.getResult().getType().getRank(); ++i) {
          const int64_t *offset = llvm::find(dims.getOffsetDims(), i);
          found.push_back(offset != dims.getOffsetDims().end() ? kept[offset - dims.getOffsetDims().begin()]
                                                               : batch[nextBatch++]);
        }
        return set(found);
      })
      .Default(success());
}

// ------------------------------------------------------------------------------------------------ arguments

/// The argument's dimension that a value is the size of.
static std::optional<std::pair<unsigned, int64_t>> dimensionOf(mlir::Value value) {
  auto asked = value.getDefiningOp<hlo::GetDimensionSizeOp>();
  auto argument = asked ? dyn_cast<BlockArgument>(asked.getOperand()) : BlockArgument();
  if (!argument)
    return std::nullopt;
  return std::pair(argument.getArgNumber(), int64_t(asked.getDimension()));
}

/// Names of the dimensions that vary. jax.export asserts which are equal, and calls what they are by their names.
void Program::nameDimensions(func::FuncOp main) {
  for (BlockArgument argument : main.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    for (int64_t dim = 0; type && dim < type.getRank(); ++dim)
      if (type.isDynamicDim(dim))
        dimensions[{argument.getArgNumber(), dim}] =
            "arg" + std::to_string(argument.getArgNumber()) + ".dim" + std::to_string(dim);
  }
  auto rename = [&](const std::string &from, const std::string &to) {
    for (auto &[place, name] : dimensions)
      if (name == from)
        name = to;
  };
  main.walk([&](hlo::CustomCallOp call) {
    if (call.getCallTargetName() != "shape_assertion" || call.getInputs().empty())
      return;
    auto compare = call.getInputs()[0].getDefiningOp<hlo::CompareOp>();
    if (!compare || compare.getComparisonDirection() != hlo::ComparisonDirection::EQ)
      return;
    auto x = dimensionOf(compare.getLhs()), y = dimensionOf(compare.getRhs());
    if (x && y && dimensions.count(*x) && dimensions.count(*y))
      rename(std::string(dimensions[*x]), std::string(dimensions[*y]));
  });
  main.walk([&](func::CallOp call) {
    auto callee = source.lookupSymbol<func::FuncOp>(call.getCallee());
    for (unsigned i = 0; callee && i < call.getNumOperands(); ++i)
      if (auto name = callee.getArgAttrOfType<StringAttr>(i, "jax.global_constant"))
        if (auto place = dimensionOf(call.getOperand(i)); place && dimensions.count(*place))
          rename(std::string(dimensions[*place]), name.str());
  });
}

/// Equal sizes have one name already; that they are at least 1 is not asked again.
LogicalResult Program::checkAssertion(Operation *op) {
  auto call = cast<hlo::CustomCallOp>(op);
  auto compare = call.getInputs().empty() ? hlo::CompareOp() : call.getInputs()[0].getDefiningOp<hlo::CompareOp>();
  std::optional<Sizes> holds = call.getInputs().empty() ? std::nullopt : elementsOf(call.getInputs()[0]);
  std::optional<Sizes> least = compare ? elementsOf(compare.getRhs()) : std::nullopt;
  bool isOneOrMore = compare && least && least->size() == 1 &&
                     compare.getComparisonDirection() == hlo::ComparisonDirection::GE &&
                     (isConstantIntValue((*least)[0], 1) || isConstantIntValue((*least)[0], 0));
  if (isOneOrMore || (holds && holds->size() == 1 && isConstantIntValue((*holds)[0], 1)))
    return success();
  return unsupported(op, "asserts more of the sizes than that some are equal",
                     "use one name for each size in the symbolic shapes, without constraints or arithmetic");
}

} // namespace whit
