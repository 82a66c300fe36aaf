// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shapes, indices and the number types of the interpreter's values.

#include "Interpret/Values.h"

#include "llvm/ADT/APFloat.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace whit::interpret {

Tensor::Tensor(mlir::Type element, std::vector<int64_t> shape) : element(element), shape(std::move(shape)) {
  if (isFloat())
    floats.assign(countOf(this->shape), std::numeric_limits<double>::quiet_NaN());
  else
    integers.assign(countOf(this->shape), wrap(-77, widthOf(element)));
}

Tensor Tensor::reshaped(std::vector<int64_t> newShape) const {
  Tensor result = *this;
  result.shape = std::move(newShape);
  return result;
}

Datum makeDatum(Tensor tensor) {
  // 0 times an unlimited error is an unlimited error.
  for (double &bound : tensor.bounds)
    if (std::isnan(bound))
      bound = std::numeric_limits<double>::infinity();
  Datum datum;
  datum.tensor = std::make_shared<const Tensor>(std::move(tensor));
  return datum;
}

int64_t countOf(const std::vector<int64_t> &shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

std::vector<int64_t> stridesOf(const std::vector<int64_t> &shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;)
    strides[i - 1] = strides[i] * shape[i];
  return strides;
}

bool advance(std::vector<int64_t> &index, const std::vector<int64_t> &shape) {
  for (size_t i = shape.size(); i-- > 0;) {
    if (++index[i] < shape[i])
      return true;
    index[i] = 0;
  }
  return false;
}

double unitRoundoff(mlir::Type type) {
  auto floatType = mlir::dyn_cast<mlir::FloatType>(type);
  return floatType ? std::ldexp(1.0, -int(llvm::APFloat::semanticsPrecision(floatType.getFloatSemantics()))) : 0.0;
}

double roundTo(mlir::Type type, double value) {
  llvm::APFloat number(value);
  bool losesInfo;
  number.convert(mlir::cast<mlir::FloatType>(type).getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &losesInfo);
  number.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &losesInfo);
  return number.convertToDouble();
}

double unitInTheLastPlace(mlir::Type type, double value) {
  const llvm::fltSemantics &semantics = mlir::cast<mlir::FloatType>(type).getFloatSemantics();
  int exponent = value == 0 ? llvm::APFloat::semanticsMinExponent(semantics) : std::ilogb(value);
  exponent = std::max<int>(exponent, llvm::APFloat::semanticsMinExponent(semantics));
  return std::ldexp(1.0, exponent + 1 - int(llvm::APFloat::semanticsPrecision(semantics)));
}

unsigned widthOf(mlir::Type type) { return type.isIndex() ? 64 : mlir::cast<mlir::IntegerType>(type).getWidth(); }

int64_t wrap(int64_t value, unsigned width) {
  if (width >= 64)
    return value;
  uint64_t mask = (uint64_t(1) << width) - 1, bits = uint64_t(value) & mask;
  if (width == 1)
    return bits;
  uint64_t sign = uint64_t(1) << (width - 1);
  return int64_t(bits ^ sign) - int64_t(sign);
}

std::string textOf(const std::vector<int64_t> &index) {
  std::string text = "[";
  for (size_t i = 0; i < index.size(); ++i)
    text += (i ? ", " : "") + std::to_string(index[i]);
  return text + "]";
}

} // namespace whit::interpret
