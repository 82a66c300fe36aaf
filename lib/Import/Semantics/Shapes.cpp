// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sizes, and operators that move elements without changing them.

#include "Import/Semantics/SmallFloats.h"
#include "Import/Semantics/Tensor.h"

using namespace mlir;

namespace whit::semantics {

SmallVector<int64_t> shapeOf(ArrayRef<OpFoldResult> sizes) {
  return llvm::map_to_vector(
      sizes, [](OpFoldResult size) { return getConstantIntValue(size).value_or(ShapedType::kDynamic); });
}

Value asValue(ImplicitLocOpBuilder &b, OpFoldResult size) {
  return getValueOrCreateConstantIndexOp(b, b.getLoc(), size);
}

Type held(Type numbers) {
  if (isSmallFloat(numbers))
    return IntegerType::get(numbers.getContext(), 8);
  auto integer = dyn_cast<IntegerType>(numbers);
  unsigned width = integer ? integer.getWidth() : 0;
  if (!integer || (integer.isSignless() && (width >= 8 || width == 1)))
    return numbers;
  return IntegerType::get(numbers.getContext(), std::max(width, 8u));
}

Tensor makeTensor(Value value, ArrayRef<OpFoldResult> sizes, Type numbers) {
  return {value, Sizes(sizes), numbers == held(numbers) ? Type() : numbers};
}

Value empty(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> sizes, Type element) {
  return tensor::EmptyOp::create(b, sizes, held(element));
}

Value zeros(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> sizes, Type element) {
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(held(element)));
  return linalg::FillOp::create(b, zero, empty(b, sizes, element)).getResult(0);
}

bool sameSize(OpFoldResult a, OpFoldResult b) { return isEqualConstantIntOrValue(a, b); }

OpFoldResult indexOp(ImplicitLocOpBuilder &b, IndexOp op, OpFoldResult x, OpFoldResult y) {
  auto create = [&]<typename Op>(Op) -> OpFoldResult {
    Value result = b.createOrFold<Op>(asValue(b, x), asValue(b, y));
    if (std::optional<int64_t> constant = getConstantIntValue(result))
      return b.getIndexAttr(*constant);
    return result;
  };
  switch (op) {
  case IndexOp::Add:
    return create(arith::AddIOp());
  case IndexOp::Sub:
    return create(arith::SubIOp());
  case IndexOp::Mul:
    return create(arith::MulIOp());
  case IndexOp::Div:
    return create(arith::DivSIOp());
  }
  llvm_unreachable("all operations are listed");
}

/// What a size is a product of.
static void addFactors(OpFoldResult size, SmallVector<OpFoldResult> &factors) {
  auto value = dyn_cast<Value>(size);
  auto product = value ? value.getDefiningOp<arith::MulIOp>() : arith::MulIOp();
  if (!product)
    return factors.push_back(size);
  addFactors(getAsOpFoldResult(product.getLhs()), factors);
  addFactors(getAsOpFoldResult(product.getRhs()), factors);
}

/// Groups of dimensions that hold the same elements on both sides; nothing if they cannot be matched one group after
/// the other. Each group has one dimension on at least one side.
static bool matchGroups(ArrayRef<OpFoldResult> from, ArrayRef<OpFoldResult> to,
                        SmallVectorImpl<std::pair<ReassociationIndices, ReassociationIndices>> &groups) {
  size_t i = 0, j = 0;
  while (i < from.size() && j < to.size()) {
    std::pair<ReassociationIndices, ReassociationIndices> group;
    SmallVector<OpFoldResult> left, right; // symbolic factors not yet found on the other side
    int64_t product[2] = {1, 1};
    auto take = [&](ArrayRef<OpFoldResult> sizes, size_t &at, ReassociationIndices &indices,
                    SmallVector<OpFoldResult> &mine, SmallVector<OpFoldResult> &other, int64_t &product) {
      SmallVector<OpFoldResult> factors;
      addFactors(sizes[at], factors);
      indices.push_back(at++);
      for (OpFoldResult factor : factors)
        if (std::optional<int64_t> constant = getConstantIntValue(factor))
          product *= *constant;
        else if (auto *found = llvm::find_if(other, [&](OpFoldResult o) { return sameSize(o, factor); });
                 found != other.end())
          other.erase(found);
        else
          mine.push_back(factor);
    };
    take(from, i, group.first, left, right, product[0]);
    take(to, j, group.second, right, left, product[1]);
    while (product[0] != product[1] || !left.empty() || !right.empty()) {
      bool growLeft = product[0] == product[1] ? left.empty() : product[0] < product[1];
      if (growLeft ? i == from.size() : j == to.size())
        return false;
      if (growLeft)
        take(from, i, group.first, left, right, product[0]);
      else
        take(to, j, group.second, right, left, product[1]);
    }
    if (group.first.size() > 1 && group.second.size() > 1)
      return false;
    groups.push_back(group);
  }
  // What is left over on one side are ones, which belong to the last group.
  for (; i < from.size(); ++i) {
    if (groups.empty() || !isConstantIntValue(from[i], 1) || groups.back().second.size() > 1)
      return false;
    groups.back().first.push_back(i);
  }
  for (; j < to.size(); ++j) {
    if (groups.empty() || !isConstantIntValue(to[j], 1) || groups.back().first.size() > 1)
      return false;
    groups.back().second.push_back(j);
  }
  return true;
}

static Tensor collapse(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<ReassociationIndices> groups, Sizes sizes) {
  auto type = RankedTensorType::get(shapeOf(sizes), x.element());
  return {tensor::CollapseShapeOp::create(b, type, x.value, groups), sizes, x.meaning};
}

static Tensor expand(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<ReassociationIndices> groups, Sizes sizes) {
  auto type = RankedTensorType::get(shapeOf(sizes), x.element());
  return {tensor::ExpandShapeOp::create(b, type, x.value, groups, sizes), sizes, x.meaning};
}

/// All dimensions in one group.
static ReassociationIndices allOf(int64_t rank) { return llvm::to_vector<2>(llvm::seq<int64_t>(0, rank)); }

Tensor reshape(ImplicitLocOpBuilder &b, const Tensor &x, Sizes sizes) {
  if (llvm::equal(x.sizes, sizes, sameSize))
    return x;
  SmallVector<std::pair<ReassociationIndices, ReassociationIndices>> groups;
  if (!x.sizes.empty() && !sizes.empty() && matchGroups(x.sizes, sizes, groups)) {
    SmallVector<ReassociationIndices> collapsed, expanded;
    Sizes middle;
    for (auto &[from, to] : groups) {
      collapsed.push_back(from);
      expanded.push_back(to);
      middle.push_back(from.size() == 1 ? x.sizes[from[0]] : sizes[to[0]]);
    }
    Tensor result = middle.size() == x.sizes.size() ? x : collapse(b, x, collapsed, middle);
    return middle.size() == sizes.size() ? result : expand(b, result, expanded, sizes);
  }
  Tensor flat = x;
  if (x.rank() != 1) {
    OpFoldResult count = b.getIndexAttr(1);
    for (OpFoldResult size : sizes)
      count = indexOp(b, IndexOp::Mul, count, size);
    SmallVector<ReassociationIndices> all;
    if (x.rank())
      all.push_back(allOf(x.rank()));
    if (!x.rank())
      flat = expand(b, x, {}, {b.getIndexAttr(1)});
    else if (getConstantIntValue(count) && !x.type().hasStaticShape()) { // the caller knows that the symbols add up
      auto open = RankedTensorType::get({ShapedType::kDynamic}, x.element());
      auto closed = RankedTensorType::get({*getConstantIntValue(count)}, x.element());
      Value line = tensor::CollapseShapeOp::create(b, open, x.value, all);
      flat = {tensor::CastOp::create(b, closed, line), {count}, x.meaning};
    } else {
      flat = collapse(b, x, all, {count});
    }
  }
  if (sizes.size() == 1)
    return flat;
  if (sizes.empty())
    return collapse(b, flat, {}, sizes);
  return expand(b, flat, {allOf(sizes.size())}, sizes);
}

Tensor transpose(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<int64_t> permutation) {
  Sizes sizes;
  for (int64_t from : permutation)
    sizes.push_back(x.sizes[from]);
  Value init = empty(b, sizes, x.element());
  return {linalg::TransposeOp::create(b, x.value, init, permutation)->getResult(0), sizes, x.meaning};
}

Tensor broadcastTo(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<OpFoldResult> sizes) {
  if (llvm::equal(x.sizes, sizes, sameSize))
    return x;
  return elementwise(b, x, sizes, x.numbers(), [](ImplicitLocOpBuilder &, ValueRange v) { return v[0]; });
}

Tensor splat(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> sizes, TypedAttr value) {
  auto type = RankedTensorType::get(shapeOf(sizes), value.getType());
  if (type.hasStaticShape())
    return {arith::ConstantOp::create(b, DenseElementsAttr::get(type, Attribute(value))), Sizes(sizes)};
  Value scalar = arith::ConstantOp::create(b, value);
  return {linalg::FillOp::create(b, scalar, empty(b, sizes, value.getType())).getResult(0), Sizes(sizes)};
}

Tensor iota(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> sizes, Type element, int64_t dim, OpFoldResult start,
            int64_t step) {
  Value init = empty(b, sizes, element), first = isConstantIntValue(start, 0) ? Value() : asValue(b, start);
  int64_t rank = sizes.size();
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, init.getType(), ValueRange(), init, b.getMultiDimIdentityMap(rank), loops,
      [&](OpBuilder &inner, Location loc, ValueRange) {
        ImplicitLocOpBuilder at(loc, inner);
        Value index = linalg::IndexOp::create(at, dim);
        if (step != 1)
          index = arith::MulIOp::create(at, index, arith::ConstantIndexOp::create(at, step));
        if (first)
          index = arith::AddIOp::create(at, index, first);
        linalg::YieldOp::create(at, arith::IndexCastOp::create(at, held(element), index).getResult());
      });
  return makeTensor(generic.getResult(0), sizes, element);
}

Tensor concat(ImplicitLocOpBuilder &b, ArrayRef<Tensor> parts, int64_t axis, OpFoldResult size) {
  Sizes sizes = parts[0].sizes;
  sizes[axis] = size;
  auto type = RankedTensorType::get(shapeOf(sizes), parts[0].element());
  SmallVector<Value> values = llvm::map_to_vector(parts, [](const Tensor &part) { return part.value; });
  return {tensor::ConcatOp::create(b, type, axis, values), sizes, parts[0].meaning};
}

Tensor slice(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
             ArrayRef<int64_t> strides) {
  bool isWhole = llvm::equal(x.sizes, sizes, sameSize) && llvm::all_of(strides, [](int64_t s) { return s == 1; });
  if (isWhole)
    return x;
  if (llvm::none_of(strides, [](int64_t stride) { return stride < 0; })) {
    auto type = RankedTensorType::get(shapeOf(sizes), x.element());
    if (llvm::is_contained(type.getShape(), 0)) // nothing, which may begin behind the last element
      return {tensor::EmptyOp::create(b, sizes, x.element()), Sizes(sizes), x.meaning};
    Sizes steps = llvm::map_to_vector(strides, [&](int64_t s) { return OpFoldResult(b.getIndexAttr(s)); });
    return {tensor::ExtractSliceOp::create(b, type, x.value, offsets, sizes, steps), Sizes(sizes), x.meaning};
  }
  Value init = empty(b, sizes, x.element());
  SmallVector<Value> from = llvm::map_to_vector(offsets, [&](OpFoldResult offset) { return asValue(b, offset); });
  SmallVector<utils::IteratorType> loops(x.rank(), utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, init.getType(), ValueRange(), init, b.getMultiDimIdentityMap(x.rank()), loops,
      [&](OpBuilder &inner, Location loc, ValueRange) {
        ImplicitLocOpBuilder at(loc, inner);
        SmallVector<Value> indices;
        for (auto [i, stride] : llvm::enumerate(strides)) {
          Value step = arith::ConstantIndexOp::create(at, stride), index = linalg::IndexOp::create(at, i);
          indices.push_back(arith::AddIOp::create(at, from[i], arith::MulIOp::create(at, index, step)));
        }
        linalg::YieldOp::create(at, tensor::ExtractOp::create(at, x.value, indices).getResult());
      });
  return {generic.getResult(0), Sizes(sizes), x.meaning};
}

Tensor tile(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<OpFoldResult> repeats, ArrayRef<OpFoldResult> sizes) {
  if (llvm::equal(x.sizes, sizes, sameSize))
    return x;
  // Each repeated dimension becomes two, [repeats, size], of which only the second is read.
  Sizes split;
  SmallVector<AffineExpr> exprs;
  SmallVector<ReassociationIndices> groups;
  for (auto [size, times] : llvm::zip(x.sizes, repeats)) {
    ReassociationIndices &group = groups.emplace_back();
    if (!isConstantIntValue(times, 1)) {
      group.push_back(split.size());
      split.push_back(times);
    }
    group.push_back(split.size());
    exprs.push_back(b.getAffineDimExpr(split.size()));
    split.push_back(size);
  }
  int64_t rank = split.size();
  Value init = empty(b, split, x.element());
  AffineMap maps[] = {AffineMap::get(rank, 0, exprs, b.getContext()), b.getMultiDimIdentityMap(rank)};
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, init.getType(), x.value, init, maps, loops,
      [](OpBuilder &inner, Location loc, ValueRange v) { linalg::YieldOp::create(inner, loc, v[0]); });
  return collapse(b, {generic.getResult(0), split, x.meaning}, groups, Sizes(sizes));
}

Tensor sliceLast(ImplicitLocOpBuilder &b, const Tensor &x, int64_t begin, int64_t size) {
  Sizes offsets(x.rank(), b.getIndexAttr(0)), strides(x.rank(), b.getIndexAttr(1)), sizes = x.sizes;
  offsets.back() = b.getIndexAttr(begin);
  sizes.back() = b.getIndexAttr(size);
  return {tensor::ExtractSliceOp::create(b, x.value, offsets, sizes, strides), sizes, x.meaning};
}

} // namespace whit::semantics
