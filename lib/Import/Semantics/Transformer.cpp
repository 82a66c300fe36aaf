// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Building whit operations: each gets an empty destination of the sizes that its result has.

#include "Import/Semantics/Transformer.h"

#include "Whit/Whit.h"

using namespace mlir;

namespace whit::semantics {

Tensor matmul(ImplicitLocOpBuilder &b, const Tensor &x, Value weight) {
  Sizes sizes = x.sizes;
  sizes.back() = b.getIndexAttr(cast<mlir::whit::EncodedTensorType>(weight.getType()).getShape()[0]);
  Value y = empty(b, sizes, b.getF32Type());
  return {mlir::whit::MatmulOp::create(b, y.getType(), x.value, weight, y, nullptr, nullptr).getResult(0), sizes};
}

Tensor gatherRows(ImplicitLocOpBuilder &b, Value table, const Tensor &indices) {
  Sizes sizes = indices.sizes;
  sizes.push_back(b.getIndexAttr(cast<mlir::whit::EncodedTensorType>(table.getType()).getShape()[1]));
  Value y = empty(b, sizes, b.getF32Type());
  return {mlir::whit::GatherOp::create(b, y.getType(), table, indices.value, y, nullptr).getResult(0), sizes};
}

Tensor rmsNorm(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &weight, double epsilon) {
  Value y = empty(b, x.sizes, b.getF32Type());
  auto op = mlir::whit::RmsNormOp::create(b, y.getType(), x.value, weight.value, y, b.getF32FloatAttr(epsilon));
  return {op.getResult(0), x.sizes};
}

Tensor layerNorm(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &weight, const std::optional<Tensor> &bias,
                 double epsilon) {
  Value shift = bias ? bias->value : zeros(b, weight.sizes, b.getF32Type()), y = empty(b, x.sizes, b.getF32Type());
  auto op =
      mlir::whit::LayerNormOp::create(b, y.getType(), x.value, weight.value, shift, y, b.getF32FloatAttr(epsilon));
  return {op.getResult(0), x.sizes};
}

Tensor softmax(ImplicitLocOpBuilder &b, const Tensor &x) {
  Value y = empty(b, x.sizes, b.getF32Type());
  return {mlir::whit::SoftmaxOp::create(b, y.getType(), x.value, y).getResult(0), x.sizes};
}

Tensor splitHeads(ImplicitLocOpBuilder &b, const Tensor &x, int64_t heads) {
  Sizes sizes(x.sizes.begin(), x.sizes.end() - 1);
  sizes.push_back(b.getIndexAttr(heads));
  sizes.push_back(b.getIndexAttr(x.dim(x.rank() - 1) / heads));
  auto type = RankedTensorType::get(shapeOf(sizes), x.element());
  SmallVector<ReassociationIndices> groups{{0}, {1}, {2, 3}};
  return {tensor::ExpandShapeOp::create(b, type, x.value, groups, sizes), sizes};
}

Tensor joinHeads(ImplicitLocOpBuilder &b, const Tensor &x) {
  Sizes sizes(x.sizes.begin(), x.sizes.begin() + 2);
  sizes.push_back(b.getIndexAttr(x.dim(2) * x.dim(3)));
  auto type = RankedTensorType::get(shapeOf(sizes), x.element());
  SmallVector<ReassociationIndices> groups{{0}, {1}, {2, 3}};
  return {tensor::CollapseShapeOp::create(b, type, x.value, groups), sizes};
}

Tensor startPositions(ImplicitLocOpBuilder &b, const Tensor &lengths, OpFoldResult newTokens, bool lessOne) {
  OpFoldResult shift = indexOp(b, IndexOp::Sub, b.getIndexAttr(lessOne ? 1 : 0), newTokens);
  Value amount;
  if (std::optional<int64_t> constant = getConstantIntValue(shift))
    amount = arith::ConstantOp::create(b, b.getI32IntegerAttr(*constant));
  else
    amount = arith::IndexCastOp::create(b, b.getI32Type(), asValue(b, shift));
  return elementwise(b, lengths, lengths.sizes, b.getI32Type(), [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
    Value zero = arith::ConstantOp::create(at, at.getI32IntegerAttr(0));
    return arith::MaxSIOp::create(at, arith::AddIOp::create(at, v[0], amount), zero);
  });
}

CachedAttentionResults cachedAttention(ImplicitLocOpBuilder &b, const CachedAttention &a) {
  Value first = arith::ConstantIndexOp::create(b, 0);
  auto rotate = [&](const Tensor &x) -> Tensor {
    if (!a.cos)
      return x;
    Value y = empty(b, x.sizes, x.element());
    auto op = mlir::whit::RotaryOp::create(b, y.getType(), x.value, a.cos->value, a.sin->value, a.start.value, first, y,
                                           a.interleaved);
    return {op.getResult(0), x.sizes};
  };
  auto append = [&](const Tensor &x, const std::optional<Tensor> &past) -> Tensor {
    Sizes sizes{x.sizes[0], x.sizes[2], a.total, x.sizes[3]};
    Value cache = past ? empty(b, sizes, x.element()) : zeros(b, sizes, x.element());
    auto op = mlir::whit::CacheAppendOp::create(b, cache.getType(), past ? past->value : Value(), x.value,
                                                a.start.value, cache);
    return {op.getResult(0), sizes};
  };
  Tensor q = rotate(a.q), k = append(rotate(a.k), a.pastK), v = append(a.v, a.pastV);
  Value y = empty(b, q.sizes, q.element());
  auto op =
      mlir::whit::AttentionOp::create(b, y.getType(), q.value, k.value, v.value, a.mask ? a.mask->value : Value(),
                                      a.start.value, first, y, b.getF32FloatAttr(a.scale), b.getF32FloatAttr(a.softcap),
                                      b.getI64IntegerAttr(a.window), a.bidirectional ? b.getUnitAttr() : nullptr);
  return {{op.getResult(0), q.sizes}, k, v};
}

} // namespace whit::semantics
