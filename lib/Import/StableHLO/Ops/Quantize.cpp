// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Between floats and integers with a scale and a zero point, one for all or one for each place of a dimension.

#include "Import/StableHLO/Program.h"

#include "Import/Semantics/Scalars.h"
#include "StableHLO/StableHLO.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Quant/IR/QuantTypes.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace whit {

using namespace semantics;
namespace hlo = mlir::stablehlo;

namespace {
/// Scales and zero points as floats, of such a shape that they are read along with the tensor.
struct Scales {
  Tensor scales, zeros;
};
} // namespace

static Scales scalesOf(ImplicitLocOpBuilder &b, quant::QuantizedType type, int64_t rank, Type floats) {
  SmallVector<double> scales;
  SmallVector<int64_t> zeros, shape;
  if (auto axis = dyn_cast<quant::UniformQuantizedPerAxisType>(type)) {
    scales.assign(axis.getScales().begin(), axis.getScales().end());
    zeros.assign(axis.getZeroPoints().begin(), axis.getZeroPoints().end());
    shape.assign(rank - axis.getQuantizedDimension(), 1);
    shape[0] = scales.size();
  } else {
    auto uniform = cast<quant::UniformQuantizedType>(type);
    scales.push_back(uniform.getScale());
    zeros.push_back(uniform.getZeroPoint());
  }
  auto constant = [&](auto numbers) -> Tensor {
    SmallVector<Attribute> values =
        llvm::map_to_vector(numbers, [&](auto number) -> Attribute { return b.getFloatAttr(floats, double(number)); });
    auto elements = DenseElementsAttr::get(RankedTensorType::get(shape, floats), values);
    Sizes sizes = llvm::map_to_vector(shape, [&](int64_t dim) { return OpFoldResult(b.getIndexAttr(dim)); });
    return {arith::ConstantOp::create(b, elements), sizes};
  };
  return {constant(ArrayRef(scales)), constant(ArrayRef(zeros))};
}

static LogicalResult importUniformQuantize(Program &program, Operation *op) {
  ImplicitLocOpBuilder &b = program.builder();
  Tensor x = program.whole(op->getOperand(0));
  auto type = cast<quant::QuantizedType>(getElementTypeOrSelf(op->getResult(0).getType()));
  auto [scales, zeros] = scalesOf(b, type, x.rank(), x.element());
  Type storage = hloElement(type);
  Sign sign = type.isSigned() ? Sign::Signed : Sign::Unsigned;
  program.set(op->getResult(0),
              elementwise(b, {x, scales, zeros}, x.sizes, storage, [&](ImplicitLocOpBuilder &at, ValueRange v) {
                Value steps = add(at, {divide(at, {v[0], v[1]}), v[2]});
                Value low = constant(at, x.element(), double(type.getStorageTypeMin())),
                      high = constant(at, x.element(), double(type.getStorageTypeMax()));
                steps = minimum(at, maximum(at, steps, low), high);
                Value whole = math::RoundEvenOp::create(at, steps);
                return semantics::convert(at, whole, storage, Sign::Signed, sign);
              }));
  return success();
}

static LogicalResult importUniformDequantize(Program &program, Operation *op) {
  ImplicitLocOpBuilder &b = program.builder();
  Tensor codes = program.whole(op->getOperand(0));
  auto type = cast<quant::QuantizedType>(getElementTypeOrSelf(op->getOperand(0).getType()));
  Type floats = getElementTypeOrSelf(op->getResult(0).getType());
  auto [scales, zeros] = scalesOf(b, type, codes.rank(), floats);
  Sign sign = type.isSigned() ? Sign::Signed : Sign::Unsigned;
  program.set(op->getResult(0),
              elementwise(b, {codes, scales, zeros}, codes.sizes, floats, [&](ImplicitLocOpBuilder &at, ValueRange v) {
                Value number = semantics::convert(at, v[0], floats, sign);
                return multiply(at, {subtract(at, {number, v[2]}), v[1]});
              }));
  return success();
}

static constexpr HloOperation kOperations[] = {
    {"stablehlo.uniform_dequantize", importUniformDequantize},
    {"stablehlo.uniform_quantize", importUniformQuantize},
};

ArrayRef<HloOperation> hloQuantize() { return kOperations; }

} // namespace whit
