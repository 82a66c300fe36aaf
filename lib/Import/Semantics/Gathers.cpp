// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements that are found by indices which come from data. An index is kept within its dimension whatever the data
// says.

#include "Import/Semantics/Tensor.h"

using namespace mlir;

namespace whit::semantics {

Tensor gatherElements(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<GatherInput> inputs,
                      ArrayRef<OpFoldResult> sizes, Position position) {
  int64_t rank = sizes.size();
  Value init = empty(b, sizes, x.element());
  SmallVector<Value> values;
  SmallVector<AffineMap> maps;
  for (const GatherInput &input : inputs) {
    values.push_back(input.tensor.value);
    maps.push_back(input.map);
  }
  maps.push_back(b.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> parallel(rank, utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, init.getType(), values, init, maps, parallel, [&](OpBuilder &inner, Location loc, ValueRange v) {
        ImplicitLocOpBuilder at(loc, inner);
        SmallVector<Value> loops;
        for (int64_t i = 0; i < rank; ++i)
          loops.push_back(linalg::IndexOp::create(at, i));
        SmallVector<Value> from = position(at, v.drop_back(), loops);
        linalg::YieldOp::create(at, tensor::ExtractOp::create(at, x.value, from).getResult());
      });
  return {generic.getResult(0), Sizes(sizes), x.meaning};
}

Value wrapIndex(ImplicitLocOpBuilder &b, Value integer, OpFoldResult size) {
  Value zero = arith::ConstantIndexOp::create(b, 0), count = asValue(b, size);
  Value index = integer.getType().isIndex() ? integer : arith::IndexCastOp::create(b, b.getIndexType(), integer);
  Value isNegative = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, index, zero);
  Value wrapped = arith::SelectOp::create(b, isNegative, arith::AddIOp::create(b, index, count), index);
  Value last = arith::SubIOp::create(b, count, arith::ConstantIndexOp::create(b, 1));
  return arith::MaxSIOp::create(b, arith::MinSIOp::create(b, wrapped, last), zero);
}

Tensor take(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &indices, int64_t axis) {
  Sizes sizes(x.sizes.begin(), x.sizes.begin() + axis);
  llvm::append_range(sizes, indices.sizes);
  sizes.append(x.sizes.begin() + axis + 1, x.sizes.end());
  SmallVector<AffineExpr> exprs;
  for (int64_t i = 0; i < indices.rank(); ++i)
    exprs.push_back(b.getAffineDimExpr(axis + i));
  GatherInput input{indices, AffineMap::get(sizes.size(), 0, exprs, b.getContext())};
  return gatherElements(b, x, input, sizes, [&](ImplicitLocOpBuilder &at, ValueRange elements, ValueRange loops) {
    SmallVector<Value> from(loops.take_front(axis));
    from.push_back(wrapIndex(at, elements[0], x.sizes[axis]));
    llvm::append_range(from, loops.drop_front(axis + indices.rank()));
    return from;
  });
}

} // namespace whit::semantics
