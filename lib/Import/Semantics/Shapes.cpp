// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sizes, and operators that move elements without changing them.

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

Value empty(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> sizes, Type element) {
  return tensor::EmptyOp::create(b, sizes, element);
}

Value zeros(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> sizes, Type element) {
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(element));
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
                    SmallVector<OpFoldResult> &mine, SmallVector<OpFoldResult> &other, int64_t &factor) {
      OpFoldResult size = sizes[at];
      indices.push_back(at++);
      if (std::optional<int64_t> constant = getConstantIntValue(size))
        factor *= *constant;
      else if (auto *found = llvm::find_if(other, [&](OpFoldResult o) { return sameSize(o, size); });
               found != other.end())
        other.erase(found);
      else
        mine.push_back(size);
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
  return {tensor::CollapseShapeOp::create(b, type, x.value, groups), sizes};
}

static Tensor expand(ImplicitLocOpBuilder &b, const Tensor &x, ArrayRef<ReassociationIndices> groups, Sizes sizes) {
  auto type = RankedTensorType::get(shapeOf(sizes), x.element());
  return {tensor::ExpandShapeOp::create(b, type, x.value, groups, sizes), sizes};
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
      flat = {tensor::CastOp::create(b, closed, line), {count}};
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
  return {linalg::TransposeOp::create(b, x.value, init, permutation)->getResult(0), sizes};
}

Tensor sliceLast(ImplicitLocOpBuilder &b, const Tensor &x, int64_t begin, int64_t size) {
  Sizes offsets(x.rank(), b.getIndexAttr(0)), strides(x.rank(), b.getIndexAttr(1)), sizes = x.sizes;
  offsets.back() = b.getIndexAttr(begin);
  sizes.back() = b.getIndexAttr(size);
  return {tensor::ExtractSliceOp::create(b, x.value, offsets, sizes, strides), sizes};
}

} // namespace whit::semantics
