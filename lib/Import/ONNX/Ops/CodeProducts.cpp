// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Codes times a constant matrix of codes, as whit.quantized_matmul with all scales 1. Its results are f32, which holds the sums as long as
// they stay within 2^24: what the matrix can add up to says whether they do. Where they might not, each code is cut in two halves,
//
//     code = 16 * high + low,   -8 <= high < 8,   0 <= low < 16,
//
// which are multiplied one after the other, and whose sums are added as integers. Codes without a sign are moved down by 128, and their
// zero point with them; what the zero point adds is the same for all rows but for its factor, which may only be known at the call.

#include "Import/ONNX/Ops/CodeProducts.h"

#include "Import/Semantics/Loops.h"
#include "Import/Semantics/Scalars.h"
#include "Whit/Whit.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// What a code becomes on its way into a product.
enum class Half { Whole, High, Low };

static Value halfOf(ImplicitLocOpBuilder &b, Value code, Half half, bool isUnsigned) {
  auto number = [&](int64_t n) { return arith::ConstantOp::create(b, b.getI8IntegerAttr(int8_t(n))); };
  if (isUnsigned) // less 128
    code = arith::XOrIOp::create(b, code, number(-128));
  if (half == Half::High)
    return arith::ShRSIOp::create(b, code, number(4));
  return half == Half::Low ? Value(arith::AndIOp::create(b, code, number(15))) : code;
}

/// Rows of codes with a sign, with zeros behind the K that they have.
static Tensor signedCodes(ImplicitLocOpBuilder &b, const Tensor &x, int64_t padded, Half half) {
  bool isUnsigned = signOfType(x.numbers()) == Sign::Unsigned;
  Type i8 = b.getI8Type();
  int64_t k = *getConstantIntValue(x.sizes[1]);
  if (k == padded)
    return elementwise(b, makeTensor(x.value, x.sizes, i8), x.sizes, i8,
                       [&](ImplicitLocOpBuilder &at, ValueRange v) { return halfOf(at, v[0], half, isUnsigned); });
  Sizes sizes{x.sizes[0], b.getIndexAttr(padded)};
  return computed(b, sizes, i8, [&](ImplicitLocOpBuilder &at, ValueRange loops) -> Value {
    Value inside = isWithin(at, loops[1], x.sizes[1]);
    Value code = elementAt(at, x, {loops[0], nearestWithin(at, loops[1], x.sizes[1])});
    return arith::SelectOp::create(at, inside, halfOf(at, code, half, isUnsigned), constant(at, i8, 0));
  });
}

/// The sum of each row of codes, i32.
static Value sumsOf(ImplicitLocOpBuilder &b, const Tensor &codes) {
  AffineMap maps[] = {b.getMultiDimIdentityMap(2), AffineMap::get(2, 0, b.getAffineDimExpr(0))};
  utils::IteratorType loops[] = {utils::IteratorType::parallel, utils::IteratorType::reduction};
  Value init = zeros(b, {codes.sizes[0]}, b.getI32Type());
  return linalg::GenericOp::create(b, init.getType(), codes.value, init, maps, loops,
                                   [](OpBuilder &inner, Location loc, ValueRange v) {
                                     ImplicitLocOpBuilder at(loc, inner);
                                     Value wide = arith::ExtSIOp::create(at, at.getI32Type(), v[0]);
                                     linalg::YieldOp::create(at, add(at, {v[1], wide}));
                                   })
      .getResult(0);
}

/// Codes [R, K] times the matrix, f32 [R, N].
static Tensor multiplyHalf(ImplicitLocOpBuilder &b, const Tensor &x, const CodeMatrix &w, Half half) {
  auto type = cast<mlir::whit::EncodedTensorType>(w.weight.getType());
  int64_t padded = solvePlace(type.getFormat().getEncoding(), 16, w.k).paddedGroup;
  Tensor codes = signedCodes(b, x, padded, half);
  OpFoldResult rows = x.sizes[0], one = b.getIndexAttr(1);
  Tensor sums = reshape(b, Tensor{sumsOf(b, codes), {rows}}, {rows, one});
  Tensor grouped = reshape(b, codes, {rows, one, b.getIndexAttr(padded)});
  Value unit = constant(b, b.getF32Type(), 1);
  Value scales = linalg::FillOp::create(b, unit, empty(b, {rows, one}, b.getF32Type())).getResult(0);
  Sizes sizes{rows, b.getIndexAttr(w.n)};
  Value y = empty(b, sizes, b.getF32Type());
  auto product = mlir::whit::QuantizedMatmulOp::create(b, TypeRange{y.getType()}, grouped.value, scales, sums.value,
                                                       w.weight, y, /*place=*/mlir::whit::PlaceAttr(),
                                                       /*schedule=*/mlir::whit::ScheduleAttr());
  return {product->getResult(0), sizes};
}

Tensor multiplyCodes(ImplicitLocOpBuilder &b, const Tensor &x, const std::optional<Tensor> &zero, const CodeMatrix &w) {
  bool isUnsigned = signOfType(x.numbers()) == Sign::Unsigned, isSplit = w.largest > kMostOfCodes / 128;
  SmallVector<Tensor> operands;
  for (Half half : {Half::High, Half::Low, Half::Whole})
    if (isSplit == (half != Half::Whole))
      operands.push_back(multiplyHalf(b, x, w, half));
  auto sumType = RankedTensorType::get({w.n}, b.getI32Type());
  operands.push_back(
      {arith::ConstantOp::create(b, DenseElementsAttr::get(sumType, ArrayRef(w.sums))), {b.getIndexAttr(w.n)}});
  if (zero)
    operands.push_back(*zero);
  Type i32 = b.getI32Type();
  return elementwise(b, operands, operands[0].sizes, i32, [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
    auto whole = [&](Value sum) { return arith::FPToSIOp::create(at, i32, sum); };
    Value sum = whole(v[0]);
    if (isSplit)
      sum = add(at, {multiply(at, {sum, constant(at, i32, 16)}), whole(v[1])});
    v = v.drop_front(1 + isSplit);
    if (!zero && !isUnsigned)
      return sum;
    Value moved = constant(at, i32, isUnsigned ? -128 : 0);
    if (zero)
      moved = add(at, {moved, convertHeld(at, v[1], zero->numbers(), i32)});
    return subtract(at, {sum, multiply(at, {moved, v[0]})});
  });
}

} // namespace whit
