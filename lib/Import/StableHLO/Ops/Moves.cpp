// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations that make elements or move them without changing them.

#include "Import/StableHLO/Program.h"

#include "Import/Semantics/Scalars.h"
#include "Import/Semantics/Windows.h"
#include "Import/StableHLO/Bodies.h"
#include "StableHLO/StableHLO.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace whit {

using namespace semantics;
namespace hlo = mlir::stablehlo;

static Sizes sizesOf(Builder &b, ArrayRef<int64_t> shape) {
  return llvm::map_to_vector(shape, [&](int64_t dim) { return OpFoldResult(b.getIndexAttr(dim)); });
}
static Sizes sizesOf(Builder &b, mlir::Value value) {
  return sizesOf(b, cast<RankedTensorType>(value.getType()).getShape());
}

static LogicalResult importConstant(Program &program, Operation *op) {
  auto constant = cast<hlo::ConstantOp>(op);
  auto elements = dyn_cast<DenseElementsAttr>(constant.getValue());
  if (!elements)
    return program.unsupported(op, "has its elements outside of the text; they must stand in it",
                               "print with as_text(), not into a file with resources");
  Type element = hloElement(elements.getElementType());
  if (element != elements.getElementType())
    elements = elements.bitcast(element);
  mlir::Value value = arith::ConstantOp::create(program.builder(), elements);
  program.set(constant.getResult(), {value, sizesOf(program.builder(), value)});
  return success();
}

template <typename Op> static LogicalResult importIota(Program &program, Operation *op) {
  auto iota = cast<Op>(op);
  ImplicitLocOpBuilder &b = program.builder();
  auto type = cast<RankedTensorType>(iota.getResult().getType());
  Type element = hloElement(type.getElementType());
  if (element.isInteger(1))
    return program.unsupported(op, "has boolean elements; they must be numbers");
  Type counted = isa<FloatType>(element) ? Type(b.getI32Type()) : element;
  Sizes line{program.sizesOf(iota.getResult())[iota.getIotaDimension()]};
  Tensor counts = semantics::iota(b, line, counted, 0, b.getIndexAttr(0), 1);
  if (counted != element)
    counts = semantics::convert(b, counts, element);
  // The other dimensions are broadcast: [n] stands at the last one, [n, 1, 1] before it.
  int64_t behind = type.getRank() - 1 - iota.getIotaDimension();
  if (behind) {
    Sizes column = line;
    column.append(behind, b.getIndexAttr(1));
    counts = reshape(b, counts, column);
  }
  program.setLoose(iota.getResult(), counts);
  return success();
}

/// With a computed shape, that of the result says what it is.
template <typename Op> static LogicalResult importBroadcast(Program &program, Operation *op) {
  auto broadcast = cast<Op>(op);
  ImplicitLocOpBuilder &b = program.builder();
  SmallVector<int64_t> dims(broadcast.getBroadcastDimensions());
  Tensor x = program.loose(broadcast.getOperand());
  int64_t rank = cast<RankedTensorType>(broadcast.getResult().getType()).getRank();
  if (x.rank() != int64_t(dims.size())) // leading dimensions that are broadcast already
    dims.erase(dims.begin(), dims.end() - x.rank());
  if (!llvm::is_sorted(dims)) {
    SmallVector<int64_t> order = llvm::to_vector(llvm::seq<int64_t>(0, x.rank()));
    llvm::sort(order, [&](int64_t i, int64_t j) { return dims[i] < dims[j]; });
    x = transpose(b, x, order);
    llvm::sort(dims);
  }
  // From the first dimension that it has on, the operand needs one for each of the result.
  Sizes aligned;
  for (int64_t i = dims.empty() ? rank : dims.front(), next = 0; i < rank; ++i)
    aligned.push_back(next < x.rank() && dims[next] == i ? x.sizes[next++] : OpFoldResult(b.getIndexAttr(1)));
  program.setLoose(broadcast.getResult(), reshape(b, x, aligned));
  return success();
}

template <typename Op> static LogicalResult importReshape(Program &program, Operation *op) {
  auto reshaped = cast<Op>(op);
  ImplicitLocOpBuilder &b = program.builder();
  Tensor x = program.loose(reshaped.getOperand());
  // One value for all stays one.
  if (x.rank())
    x = reshape(b, program.whole(reshaped.getOperand()), program.sizesOf(reshaped.getResult()));
  program.setLoose(reshaped.getResult(), x);
  return success();
}

static LogicalResult importTranspose(Program &program, Operation *op) {
  auto transposed = cast<hlo::TransposeOp>(op);
  ArrayRef<int64_t> permutation = transposed.getPermutation();
  HloValue operand = program.value(transposed.getOperand());
  if (operand.parameter) {
    HloValue result = operand;
    for (auto [i, dim] : llvm::enumerate(permutation)) {
      result.sizes[i] = operand.sizes[dim];
      result.permutation[i] = operand.permutation[dim];
    }
    program.value(transposed.getResult()) = result;
    return success();
  }
  bool isIdentity = llvm::equal(permutation, llvm::seq<int64_t>(0, permutation.size()));
  Tensor x = program.whole(transposed.getOperand());
  program.set(transposed.getResult(), isIdentity ? x : transpose(program.builder(), x, permutation));
  return success();
}

static LogicalResult importReverse(Program &program, Operation *op) {
  auto reverse = cast<hlo::ReverseOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  Tensor x = program.whole(reverse.getOperand());
  Sizes offsets(x.rank(), b.getIndexAttr(0));
  SmallVector<int64_t> strides(x.rank(), 1);
  for (int64_t dim : reverse.getDimensions()) {
    offsets[dim] = b.getIndexAttr(std::max<int64_t>(x.dim(dim) - 1, 0));
    strides[dim] = -1;
  }
  program.set(reverse.getResult(), slice(b, x, offsets, x.sizes, strides));
  return success();
}

static LogicalResult importConcatenate(Program &program, Operation *op) {
  auto concatenate = cast<hlo::ConcatenateOp>(op);
  SmallVector<Tensor> parts;
  for (mlir::Value input : concatenate.getInputs())
    parts.push_back(program.whole(input));
  int64_t axis = concatenate.getDimension();
  ImplicitLocOpBuilder &b = program.builder();
  program.set(concatenate.getResult(),
              parts.size() == 1 ? parts[0] : concat(b, parts, axis, program.sizesOf(concatenate.getResult())[axis]));
  return success();
}

static LogicalResult importSlice(Program &program, Operation *op) {
  auto sliced = cast<hlo::SliceOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  Tensor x = program.whole(sliced.getOperand());
  program.set(sliced.getResult(),
              slice(b, x, sizesOf(b, sliced.getStartIndices()), sizesOf(b, sliced.getResult()), sliced.getStrides()));
  return success();
}

namespace {
/// How much padding there is before, behind and between the elements of each dimension.
struct Padding {
  SmallVector<int64_t> low, high, interior;
};
} // namespace

/// Each element of the result is one of the operand or of the padding, which may lie between elements.
static Tensor padWithin(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &value, const Padding &padding,
                        const Sizes &sizes) {
  SmallVector<Slide> slides;
  for (int64_t i = 0; i < x.rank(); ++i)
    slides.push_back({.apart = padding.interior[i] + 1,
                      .before = padding.low[i],
                      .input = x.dim(i),
                      .output = *getConstantIntValue(sizes[i])});
  return computed(b, sizes, x.element(), [&](ImplicitLocOpBuilder &at, ValueRange loops) -> mlir::Value {
    mlir::Value inside;
    SmallVector<mlir::Value> from;
    for (auto [slide, loop] : llvm::zip(slides, loops))
      from.push_back(shownAt(at, slide, loop, indexConstant(at, 0), inside));
    mlir::Value element = elementAt(at, x, from);
    return inside ? mlir::Value(arith::SelectOp::create(at, inside, element, scalarOf(at, value))) : element;
  });
}

static Tensor padded(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &value, const Padding &padding,
                     const Sizes &sizes) {
  if (!x.type().getNumElements())
    return broadcastTo(b, value, sizes);
  // What is taken away first: the rest is never negative.
  Sizes offsets, kept, low, high;
  SmallVector<int64_t> strides(x.rank(), 1);
  for (int64_t i = 0; i < x.rank(); ++i) {
    int64_t left = std::max<int64_t>(-padding.low[i], 0), right = std::max<int64_t>(-padding.high[i], 0);
    if (padding.interior[i] || left + right > x.dim(i))
      return padWithin(b, x, value, padding, sizes);
    offsets.push_back(b.getIndexAttr(left));
    kept.push_back(b.getIndexAttr(x.dim(i) - left - right));
    low.push_back(b.getIndexAttr(std::max<int64_t>(padding.low[i], 0)));
    high.push_back(b.getIndexAttr(std::max<int64_t>(padding.high[i], 0)));
  }
  Tensor part = slice(b, x, offsets, kept, strides);
  auto result = RankedTensorType::get(shapeOf(sizes), x.element());
  return {tensor::PadOp::create(b, result, part.value, low, high, scalarOf(b, value)), sizes};
}

static LogicalResult importPad(Program &program, Operation *op) {
  auto pad = cast<hlo::PadOp>(op);
  Padding padding{llvm::to_vector(pad.getEdgePaddingLow()), llvm::to_vector(pad.getEdgePaddingHigh()),
                  llvm::to_vector(pad.getInteriorPadding())};
  ImplicitLocOpBuilder &b = program.builder();
  program.set(pad.getResult(), padded(b, program.whole(pad.getOperand()), program.whole(pad.getPaddingValue()), padding,
                                      sizesOf(b, pad.getResult())));
  return success();
}

/// The integers of a list that is the same in every run; reports one that is not.
static std::optional<SmallVector<int64_t>> listOf(Program &program, Operation *op, StringRef role, mlir::Value list) {
  SmallVector<int64_t> numbers;
  std::optional<Sizes> elements = program.elementsOf(list);
  for (OpFoldResult element : elements.value_or(Sizes()))
    if (std::optional<int64_t> number = getConstantIntValue(element))
      numbers.push_back(*number);
  if (elements && numbers.size() == elements->size())
    return numbers;
  (void)program.unsupported(op, role + " is computed when the model runs; it must be a constant");
  return std::nullopt;
}

static LogicalResult importDynamicPad(Program &program, Operation *op) {
  auto pad = cast<hlo::DynamicPadOp>(op);
  auto low = listOf(program, op, "edge_padding_low", pad.getEdgePaddingLow()),
       high = listOf(program, op, "edge_padding_high", pad.getEdgePaddingHigh()),
       interior = listOf(program, op, "interior_padding", pad.getInteriorPadding());
  if (!low || !high || !interior)
    return failure();
  ImplicitLocOpBuilder &b = program.builder();
  Tensor x = program.whole(pad.getOperand());
  for (int64_t i = 0; i < x.rank(); ++i) {
    int64_t size = std::max<int64_t>(x.dim(i) - 1, 0), wanted = pad.getResult().getType().getDimSize(i);
    if ((*interior)[i] < 0 || __int128(size) * (*interior)[i] + x.dim(i) + (*low)[i] + __int128((*high)[i]) != wanted)
      return program.unsupported(op, "gives another size than " + Twine(wanted) + " in dimension " + Twine(i));
  }
  program.set(pad.getResult(), padded(b, x, program.whole(pad.getPaddingValue()), {*low, *high, *interior},
                                      sizesOf(b, pad.getResult())));
  return success();
}

static LogicalResult importRealDynamicSlice(Program &program, Operation *op) {
  auto sliced = cast<hlo::RealDynamicSliceOp>(op);
  auto starts = listOf(program, op, "start_indices", sliced.getStartIndices()),
       strides = listOf(program, op, "strides", sliced.getStrides());
  if (!starts || !strides)
    return failure();
  ImplicitLocOpBuilder &b = program.builder();
  Tensor x = program.whole(sliced.getOperand());
  Sizes sizes = program.sizesOf(sliced.getResult());
  for (int64_t i = 0; i < x.rank(); ++i) {
    if (ShapedType::isDynamic(x.dim(i))) // taken whole
      continue;
    int64_t start = (*starts)[i], stride = (*strides)[i], size = *getConstantIntValue(sizes[i]);
    if (start < 0 || stride < 1 || (size && __int128(size - 1) * stride + start >= x.dim(i)))
      return program.unsupported(op, "takes elements outside of dimension " + Twine(i));
  }
  program.set(sliced.getResult(), slice(b, x, sizesOf(b, *starts), sizes, *strides));
  return success();
}

static LogicalResult importDimensionSize(Program &program, Operation *op) {
  auto asked = cast<hlo::GetDimensionSizeOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  int64_t size = asked.getOperand().getType().getDimSize(asked.getDimension());
  if (ShapedType::isDynamic(size)) {
    OpFoldResult known = program.value(asked.getOperand()).sizes[asked.getDimension()];
    program.set(asked.getResult(), computed(b, {}, b.getI32Type(), [&](ImplicitLocOpBuilder &at, ValueRange) {
                  return arith::IndexCastOp::create(at, at.getI32Type(), asValue(at, known)).getResult();
                }));
    return success();
  }
  if (size > INT32_MAX)
    return program.unsupported(op, "asks for a size of " + Twine(size) + ", which is no i32");
  program.set(asked.getResult(), splat(b, {}, b.getI32IntegerAttr(int32_t(size))));
  return success();
}

/// A program runs once, on one device.
static LogicalResult importPlace(Program &program, Operation *op) {
  program.set(op->getResult(0), splat(program.builder(), {}, program.builder().getI32IntegerAttr(0)));
  return success();
}

// ------------------------------------------------------------------------------------------------ computed places

/// A start index, clamped to [0, last], as an index value of the body of an operation.
static mlir::Value clampedIndex(ImplicitLocOpBuilder &b, mlir::Value element, Sign sign, int64_t last) {
  mlir::Value index = sign == Sign::Unsigned ? mlir::Value(arith::IndexCastUIOp::create(b, b.getIndexType(), element))
                                             : mlir::Value(arith::IndexCastOp::create(b, b.getIndexType(), element));
  mlir::Value zero = arith::ConstantIndexOp::create(b, 0), high = arith::ConstantIndexOp::create(b, last);
  return arith::MinSIOp::create(b, arith::MaxSIOp::create(b, index, zero), high);
}

static Sign signOf(mlir::Value value) {
  return getElementTypeOrSelf(value.getType()).isUnsignedInteger() ? Sign::Unsigned : Sign::Signed;
}

/// result[i] = body(index values of i), with `inputs` (rank 0) as scalars before them.
static Tensor byIndex(ImplicitLocOpBuilder &b, ArrayRef<Tensor> scalars, const Sizes &sizes, Type element,
                      function_ref<mlir::Value(ImplicitLocOpBuilder &, ValueRange, ArrayRef<mlir::Value>)> body) {
  return elementwise(b, scalars, sizes, element, [&](ImplicitLocOpBuilder &at, ValueRange v) {
    SmallVector<mlir::Value> indices;
    for (size_t i = 0; i < sizes.size(); ++i)
      indices.push_back(linalg::IndexOp::create(at, i));
    return body(at, v, indices);
  });
}

static LogicalResult importDynamicSlice(Program &program, Operation *op) {
  auto sliced = cast<hlo::DynamicSliceOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  Tensor x = program.whole(sliced.getOperand());
  SmallVector<Tensor> starts;
  Sizes known;
  for (auto [i, start] : llvm::enumerate(sliced.getStartIndices())) {
    starts.push_back(program.whole(start));
    DenseElementsAttr elements;
    if (matchPattern(starts.back().value, m_Constant(&elements))) {
      APInt number = elements.getSplatValue<APInt>();
      int64_t at = signOf(start) == Sign::Unsigned ? int64_t(number.getLimitedValue(INT64_MAX)) : number.getSExtValue();
      int64_t last = x.dim(i) - sliced.getSliceSizes()[i];
      known.push_back(b.getIndexAttr(std::clamp<int64_t>(at, 0, last)));
    }
  }
  if (known.size() == starts.size()) {
    program.set(sliced.getResult(),
                slice(b, x, known, sizesOf(b, sliced.getResult()), SmallVector<int64_t>(x.rank(), 1)));
    return success();
  }
  Sizes sizes = sizesOf(b, sliced.getResult());
  program.set(sliced.getResult(), byIndex(b, starts, sizes, x.element(), [&](auto &at, ValueRange v, auto indices) {
                SmallVector<mlir::Value> from;
                for (auto [i, index] : llvm::enumerate(indices)) {
                  int64_t last = x.dim(i) - sliced.getSliceSizes()[i];
                  mlir::Value start = clampedIndex(at, v[i], signOf(sliced.getStartIndices()[i]), last);
                  from.push_back(last ? mlir::Value(arith::AddIOp::create(at, start, index)) : index);
                }
                return tensor::ExtractOp::create(at, x.value, from).getResult();
              }));
  return success();
}

static LogicalResult importDynamicUpdateSlice(Program &program, Operation *op) {
  auto updated = cast<hlo::DynamicUpdateSliceOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  Tensor x = program.whole(updated.getOperand()), update = program.whole(updated.getUpdate());
  if (llvm::is_contained(update.type().getShape(), 0)) {
    program.set(updated.getResult(), x);
    return success();
  }
  SmallVector<Tensor> operands{x};
  for (mlir::Value start : updated.getStartIndices())
    operands.push_back(program.whole(start));
  program.set(updated.getResult(),
              byIndex(b, operands, x.sizes, x.element(), [&](auto &at, ValueRange v, auto indices) {
                mlir::Value inside = arith::ConstantOp::create(at, at.getBoolAttr(true));
                SmallVector<mlir::Value> from;
                mlir::Value zero = arith::ConstantIndexOp::create(at, 0);
                for (auto [i, index] : llvm::enumerate(indices)) {
                  int64_t size = update.dim(i), last = x.dim(i) - size;
                  if (!last) {
                    from.push_back(index);
                    continue;
                  }
                  mlir::Value start = clampedIndex(at, v[i + 1], signOf(updated.getStartIndices()[i]), last);
                  mlir::Value place = arith::SubIOp::create(at, index, start);
                  // As an unsigned number, a place before the update is a large one.
                  mlir::Value bound = arith::ConstantIndexOp::create(at, size);
                  mlir::Value fits = arith::CmpIOp::create(at, arith::CmpIPredicate::ult, place, bound);
                  inside = arith::AndIOp::create(at, inside, fits);
                  from.push_back(arith::SelectOp::create(at, fits, place, zero));
                }
                mlir::Value other = tensor::ExtractOp::create(at, update.value, from);
                return arith::SelectOp::create(at, inside, other, v[0]).getResult();
              }));
  return success();
}

static LogicalResult importBarrier(Program &program, Operation *op) {
  for (auto [result, operand] : llvm::zip(op->getResults(), op->getOperands())) {
    HloValue copy = program.value(operand);
    program.value(result) = copy;
  }
  return success();
}

static constexpr HloOperation kOperations[] = {
    {"stablehlo.broadcast_in_dim", importBroadcast<hlo::BroadcastInDimOp>},
    {"stablehlo.concatenate", importConcatenate},
    {"stablehlo.constant", importConstant},
    {"stablehlo.dynamic_broadcast_in_dim", importBroadcast<hlo::DynamicBroadcastInDimOp>},
    {"stablehlo.dynamic_iota", importIota<hlo::DynamicIotaOp>},
    {"stablehlo.dynamic_pad", importDynamicPad},
    {"stablehlo.dynamic_reshape", importReshape<hlo::DynamicReshapeOp>},
    {"stablehlo.dynamic_slice", importDynamicSlice},
    {"stablehlo.dynamic_update_slice", importDynamicUpdateSlice},
    {"stablehlo.get_dimension_size", importDimensionSize},
    {"stablehlo.iota", importIota<hlo::IotaOp>},
    {"stablehlo.optimization_barrier", importBarrier},
    {"stablehlo.pad", importPad},
    {"stablehlo.partition_id", importPlace},
    {"stablehlo.real_dynamic_slice", importRealDynamicSlice},
    {"stablehlo.replica_id", importPlace},
    {"stablehlo.reshape", importReshape<hlo::ReshapeOp>},
    {"stablehlo.reverse", importReverse},
    {"stablehlo.slice", importSlice},
    {"stablehlo.transpose", importTranspose},
};

ArrayRef<HloOperation> hloMoves() { return kOperations; }

} // namespace whit
