// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Convolutions and reductions over windows. A convolution by a parameter is a product by a weight, whose bytes stay in
// the order that the file has: what the windows show is read in that order.

#include "Import/StableHLO/Program.h"

#include "Import/Semantics/Scalars.h"
#include "Import/Semantics/Transformer.h"
#include "Import/Semantics/Windows.h"
#include "Import/StableHLO/Bodies.h"
#include "StableHLO/StableHLO.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace whit {

using namespace semantics;
namespace hlo = mlir::stablehlo;

static int64_t numberAt(std::optional<ArrayRef<int64_t>> list, int64_t i) { return list ? (*list)[i] : 1; }

static bool hasElements(Value value) { return cast<RankedTensorType>(value.getType()).getNumElements() > 0; }

// ------------------------------------------------------------------------------------------------ convolution

static SmallVector<Slide> slidesOf(hlo::ConvolutionOp op) {
  hlo::ConvDimensionNumbersAttr dims = op.getDimensionNumbers();
  auto padding = op.getPadding();
  SmallVector<Slide> slides;
  for (int64_t i = 0; i < int64_t(dims.getInputSpatialDimensions().size()); ++i)
    slides.push_back({op.getRhs().getType().getDimSize(dims.getKernelSpatialDimensions()[i]),
                      numberAt(op.getWindowStrides(), i), numberAt(op.getRhsDilation(), i),
                      numberAt(op.getLhsDilation(), i), padding ? padding->getValues<int64_t>()[{uint64_t(i), 0}] : 0,
                      op.getLhs().getType().getDimSize(dims.getInputSpatialDimensions()[i]),
                      op.getResult().getType().getDimSize(dims.getOutputSpatialDimensions()[i]),
                      op.getWindowReversal() && (*op.getWindowReversal())[i]});
  return slides;
}

static LogicalResult importConvolution(Program &program, Operation *op) {
  auto conv = cast<hlo::ConvolutionOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  hlo::ConvDimensionNumbersAttr dims = conv.getDimensionNumbers();
  Type element = hloElement(conv.getType().getElementType());
  if (element.isInteger(1))
    return program.unsupported(op, "has boolean elements; they must be numbers");
  if (!hasElements(conv.getLhs()) || !hasElements(conv.getRhs()) || !hasElements(conv.getResult()))
    return program.unsupported(op, "has an operand or a result without elements");
  SmallVector<Slide> slides = slidesOf(conv);
  int64_t count = slides.size(), groups = conv.getFeatureGroupCount(), batchGroups = conv.getBatchGroupCount();
  int64_t outputs = dims.getKernelOutputFeatureDimension(), features = dims.getKernelInputFeatureDimension();
  if (count > 3)
    return program.unsupported(op, "has " + Twine(count) + " spatial dimensions; at most 3 are supported");
  // The kernel's dimensions but its outputs: as a parameter holds them, or, in groups, features first.
  const HloValue kernel = program.value(conv.getRhs());
  SmallVector<int64_t> contracted{features};
  llvm::append_range(contracted, dims.getKernelSpatialDimensions());
  bool isPlain = groups == 1 && batchGroups == 1;
  if (isPlain && kernel.parameter)
    llvm::sort(contracted, [&](int64_t i, int64_t j) { return kernel.permutation[i] < kernel.permutation[j]; });
  else if (isPlain)
    llvm::sort(contracted);
  SmallVector<int64_t> inner = llvm::map_to_vector(contracted, [&](int64_t dim) -> int64_t {
    return dim == features
               ? -1
               : llvm::find(dims.getKernelSpatialDimensions(), dim) - dims.getKernelSpatialDimensions().begin();
  });
  ImageOrder input{dims.getInputBatchDimension(), dims.getInputFeatureDimension(),
                   llvm::to_vector(dims.getInputSpatialDimensions())},
      output{dims.getOutputBatchDimension(), dims.getOutputFeatureDimension(),
             llvm::to_vector(dims.getOutputSpatialDimensions())};
  Tensor seen = patches(b, program.whole(conv.getLhs()), input, slides, inner);
  Value matrix;
  if (isPlain && kernel.parameter && kernel.element.isF32() && seen.element().isF32() && element.isF32())
    matrix = program.matrix(kernel, {outputs}, contracted);
  Tensor y;
  if (matrix) {
    int64_t positions = 1, depth = 1;
    for (const Slide &slide : slides) {
      positions *= slide.output;
      depth *= slide.window;
    }
    depth *= conv.getLhs().getType().getDimSize(input.feature);
    y = matmul(b, reshape(b, seen, {seen.sizes[0], b.getIndexAttr(positions), b.getIndexAttr(depth)}), matrix);
  } else {
    SmallVector<int64_t> order{outputs};
    llvm::append_range(order, contracted);
    Tensor filters = program.whole(conv.getRhs());
    if (!llvm::is_sorted(order))
      filters = transpose(b, filters, order);
    int64_t depth = filters.type().getNumElements() / filters.dim(0);
    filters = reshape(b, filters, {filters.sizes[0], b.getIndexAttr(depth)});
    seen = convertFrom(b, seen, conv.getLhs().getType(), element);
    filters = convertFrom(b, filters, conv.getRhs().getType(), element);
    y = timesFilters(b, seen, filters, groups, batchGroups, element);
  }
  program.set(conv.getResult(), placeOutputs(b, y, output, slides));
  return success();
}

// ------------------------------------------------------------------------------------------------ reductions

/// The loops over what windows show: one for each that shows more than one element.
static Sizes windowSizes(Builder &b, ArrayRef<Slide> slides) {
  Sizes sizes;
  for (const Slide &slide : slides)
    if (slide.window > 1)
      sizes.push_back(b.getIndexAttr(slide.window));
  return sizes;
}

/// Which element of the tensor is seen, from the windows' steps and the loops behind them.
static SmallVector<Value> placesOf(ImplicitLocOpBuilder &b, ArrayRef<Slide> slides, ValueRange steps, ValueRange over,
                                   Value &inside) {
  SmallVector<Value> places;
  size_t next = 0;
  for (auto [slide, step] : llvm::zip(slides, steps))
    places.push_back(shownAt(b, slide, step, slide.window > 1 ? over[next++] : indexConstant(b, 0), inside));
  return places;
}

static LogicalResult importReduceWindow(Program &program, Operation *op) {
  auto windows = cast<hlo::ReduceWindowOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  std::optional<HloBody> body = HloBody::of(program, op, windows.getBody().front());
  if (!body)
    return failure();
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  if (!hasElements(windows.getInputs()[0]) || !hasElements(op->getResult(0)))
    return program.unsupported(op, "has an operand or a result without elements");
  auto padding = windows.getPadding();
  SmallVector<Slide> slides;
  for (int64_t i = 0; i < type.getRank(); ++i)
    slides.push_back({windows.getWindowDimensions()[i], numberAt(windows.getWindowStrides(), i),
                      numberAt(windows.getWindowDilations(), i), numberAt(windows.getBaseDilations(), i),
                      padding ? padding->getValues<int64_t>()[{uint64_t(i), 0}] : 0,
                      cast<RankedTensorType>(windows.getInputs()[0].getType()).getDimSize(i), type.getDimSize(i)});
  Sizes sizes = llvm::map_to_vector(type.getShape(), [&](int64_t dim) { return OpFoldResult(b.getIndexAttr(dim)); });
  SmallVector<Tensor> inputs, inits, starts;
  for (auto [input, init] : llvm::zip(windows.getInputs(), windows.getInitValues())) {
    inputs.push_back(program.whole(input));
    inits.push_back(program.whole(init));
    starts.push_back(filledWith(b, inits.back(), sizes));
  }
  SmallVector<Tensor> results =
      folded(b, starts, windowSizes(b, slides), [&](ImplicitLocOpBuilder &at, ValueRange loops, ValueRange soFar) {
        SmallVector<Value> arguments(soFar);
        Value inside;
        SmallVector<Value> from =
            placesOf(at, slides, loops.take_front(sizes.size()), loops.drop_front(sizes.size()), inside);
        for (auto [input, init] : llvm::zip(inputs, inits)) {
          Value element = elementAt(at, input, from);
          if (inside) // padding is the initial value
            element = arith::SelectOp::create(at, inside, element, scalarOf(at, init));
          arguments.push_back(element);
        }
        return body->run(at, arguments);
      });
  for (auto [result, tensor] : llvm::zip(op->getResults(), results))
    program.set(result, tensor);
  return success();
}

/// Which element of a tensor this is in row-major order.
static Value rowMajor(ImplicitLocOpBuilder &b, const Tensor &x, ValueRange at) {
  Value place = indexConstant(b, 0);
  for (int64_t i = 0; i < x.rank(); ++i)
    place = plus(b, times(b, place, indexConstant(b, x.dim(i))), at[i]);
  return arith::IndexCastOp::create(b, b.getI64Type(), place);
}

/// First each window remembers which element it selects; then each element looks at the windows that show it.
static LogicalResult importSelectAndScatter(Program &program, Operation *op) {
  auto windows = cast<hlo::SelectAndScatterOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  std::optional<HloBody> select = HloBody::of(program, op, windows.getSelect().front()),
                         scatter = HloBody::of(program, op, windows.getScatter().front());
  if (!select || !scatter)
    return failure();
  if (!hasElements(windows.getOperand()) || !hasElements(windows.getSource()))
    return program.unsupported(op, "has an operand without elements");
  Tensor x = program.whole(windows.getOperand()), source = program.whole(windows.getSource()),
         init = program.whole(windows.getInitValue());
  auto padding = windows.getPadding();
  SmallVector<Slide> forth, back;
  for (int64_t i = 0; i < x.rank(); ++i) {
    int64_t window = numberAt(windows.getWindowDimensions(), i), stride = numberAt(windows.getWindowStrides(), i);
    int64_t before = padding ? padding->getValues<int64_t>()[{uint64_t(i), 0}] : 0;
    forth.push_back({.window = window, .stride = stride, .before = before, .input = x.dim(i), .output = source.dim(i)});
    // The windows that show an element begin up to `window - 1` before it, `stride` apart.
    back.push_back(
        {.window = window, .apart = stride, .before = window - 1 - before, .input = source.dim(i), .output = x.dim(i)});
  }
  Type i64 = b.getI64Type();
  Tensor nothing = filledWith(b, init, source.sizes),
         none = filledWith(b, splat(b, {}, b.getI64IntegerAttr(-1)), source.sizes);
  Tensor selected = folded(
      b, {nothing, none}, windowSizes(b, forth), [&](ImplicitLocOpBuilder &at, ValueRange loops, ValueRange soFar) {
        Value inside;
        SmallVector<Value> from = placesOf(at, forth, loops.take_front(x.rank()), loops.drop_front(x.rank()), inside);
        Value element = elementAt(at, x, from);
        Value isFirst = compare(at, Compare::Less, soFar[1], constant(at, i64, 0));
        Value keeps = select->run(at, {soFar[0], element})[0], yes = constant(at, at.getI1Type(), 1);
        Value takes = arith::OrIOp::create(at, isFirst, arith::XOrIOp::create(at, keeps, yes));
        if (inside) // padding is never selected
          takes = both(at, inside, takes);
        return SmallVector<Value>{arith::SelectOp::create(at, takes, element, soFar[0]),
                                  arith::SelectOp::create(at, takes, rowMajor(at, x, from), soFar[1])};
      })[1];
  Tensor result = folded(b, filledWith(b, init, x.sizes), windowSizes(b, back),
                         [&](ImplicitLocOpBuilder &at, ValueRange loops, ValueRange soFar) {
                           Value inside;
                           ValueRange here = loops.take_front(x.rank());
                           SmallVector<Value> from = placesOf(at, back, here, loops.drop_front(x.rank()), inside);
                           Value isMine =
                               compare(at, Compare::Equal, elementAt(at, selected, from), rowMajor(at, x, here));
                           Value hit = inside ? both(at, inside, isMine) : isMine;
                           Value next = scatter->run(at, {soFar[0], elementAt(at, source, from)})[0];
                           return SmallVector<Value>{arith::SelectOp::create(at, hit, next, soFar[0])};
                         })[0];
  program.set(windows.getResult(), result);
  return success();
}

static constexpr HloOperation kOperations[] = {
    {"stablehlo.convolution", importConvolution},
    {"stablehlo.reduce_window", importReduceWindow},
    {"stablehlo.select_and_scatter", importSelectAndScatter},
};

ArrayRef<HloOperation> hloWindows() { return kOperations; }

} // namespace whit
