// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A convolution is a product of a matrix with what the window shows at each position, which is read where it is needed:
// no padded, dilated or reordered copy of the input is made.

#include "Import/Semantics/Windows.h"

#include "Import/Semantics/Scalars.h"

using namespace mlir;

namespace whit::semantics {

static Value lessThan(ImplicitLocOpBuilder &b, Value index, int64_t bound) {
  // As an unsigned number, a negative index is a large one.
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, index, indexConstant(b, bound));
}

Value shownAt(ImplicitLocOpBuilder &b, const Slide &slide, Value step, Value at, Value &inside) {
  auto scaled = [&](Value x, int64_t factor) { return factor == 1 ? x : times(b, x, indexConstant(b, factor)); };
  if (slide.isReversed && slide.window > 1)
    at = arith::SubIOp::create(b, indexConstant(b, slide.window - 1), at);
  Value place = scaled(step, slide.stride);
  if (slide.window > 1)
    place = plus(b, place, scaled(at, slide.spread));
  if (slide.before)
    place = plus(b, place, indexConstant(b, -slide.before));
  int64_t last = (slide.output - 1) * slide.stride + (slide.window - 1) * slide.spread - slide.before;
  if (slide.apart > 1) {
    Value apart = indexConstant(b, slide.apart), zero = indexConstant(b, 0);
    Value isElement = compare(b, Compare::Equal, arith::RemSIOp::create(b, place, apart), zero);
    // Rounded down: what lies before the first element is not it.
    Value before = compare(b, Compare::Less, place, zero);
    Value index = arith::DivSIOp::create(b, place, apart);
    place = arith::SelectOp::create(b, before, indexConstant(b, -1), index);
    inside = both(b, inside, isElement);
  } else if (slide.before <= 0 && last < slide.input) {
    return place;
  }
  inside = both(b, inside, lessThan(b, place, slide.input));
  return nearestWithin(b, place, b.getIndexAttr(slide.input));
}

Tensor patches(ImplicitLocOpBuilder &b, const Tensor &x, const ImageOrder &order, ArrayRef<Slide> slides,
               ArrayRef<int64_t> inner) {
  Sizes sizes{x.sizes[order.batch]};
  for (const Slide &slide : slides)
    sizes.push_back(b.getIndexAttr(slide.output));
  for (int64_t dim : inner)
    sizes.push_back(dim < 0 ? x.sizes[order.feature] : OpFoldResult(b.getIndexAttr(slides[dim].window)));
  return computed(b, sizes, x.numbers(), [&](ImplicitLocOpBuilder &at, ValueRange loops) -> Value {
    SmallVector<Value> from(x.rank());
    from[order.batch] = loops[0];
    Value inside;
    for (auto [i, dim] : llvm::enumerate(inner)) {
      Value loop = loops[1 + slides.size() + i];
      if (dim < 0)
        from[order.feature] = loop;
      else
        from[order.spatial[dim]] = shownAt(at, slides[dim], loops[1 + dim], loop, inside);
    }
    Value element = elementAt(at, x, from);
    return inside ? Value(arith::SelectOp::create(at, inside, element, constant(at, x.element(), 0))) : element;
  });
}

Tensor timesFilters(ImplicitLocOpBuilder &b, const Tensor &seen, const Tensor &filters, int64_t groups,
                    int64_t batchGroups, Type element) {
  int64_t count = filters.dim(0), depth = filters.dim(1), batch = seen.dim(0), positions = 1, inner = 1;
  for (int64_t i = 1; i < seen.rank(); ++i)
    inner *= seen.dim(i);
  positions = inner / (depth * groups);
  auto sizes = [&](ArrayRef<int64_t> dims) {
    return llvm::map_to_vector<4>(dims, [&](int64_t dim) { return OpFoldResult(b.getIndexAttr(dim)); });
  };
  Sizes result(sizes({batch / batchGroups, positions, count}));
  if (groups == 1 && batchGroups == 1)
    return contract(b, reshape(b, seen, Sizes(sizes({batch, positions, depth}))), filters, {}, DimPair(2, 1), element);
  int64_t parts = groups * batchGroups; // one of them is 1
  Tensor right = reshape(b, filters, Sizes(sizes({parts, count / parts, depth})));
  Tensor left = groups > 1 ? reshape(b, seen, Sizes(sizes({batch, positions, groups, depth})))
                           : reshape(b, seen, Sizes(sizes({batchGroups, batch / batchGroups, positions, depth})));
  // [parts, N, positions, F / parts]
  Tensor y = contract(b, left, right, DimPair(groups > 1 ? 2 : 0, 0), DimPair(3, 2), element);
  return reshape(b, transpose(b, y, {1, 2, 0, 3}), result);
}

Tensor placeOutputs(ImplicitLocOpBuilder &b, const Tensor &y, const ImageOrder &order, ArrayRef<Slide> slides) {
  Sizes sizes{y.sizes[0]};
  for (const Slide &slide : slides)
    sizes.push_back(b.getIndexAttr(slide.output));
  sizes.push_back(y.sizes[2]);
  SmallVector<int64_t> from(sizes.size());
  from[order.batch] = 0;
  from[order.feature] = sizes.size() - 1;
  for (auto [i, dim] : llvm::enumerate(order.spatial))
    from[dim] = 1 + i;
  Tensor placed = reshape(b, y, sizes);
  return llvm::is_sorted(from) ? placed : transpose(b, placed, from);
}

} // namespace whit::semantics
