// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators whose inputs say where elements come from or go to.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Constants.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/Semantics/Transformer.h"

using namespace mlir;

namespace whit {

using namespace semantics;

static FailureOr<Tensor> indicesOf(Node &node, unsigned i) {
  FailureOr<Tensor> indices = node.tensor(i, "indices");
  if (succeeded(indices) && !indices->numbers().isSignlessInteger(64) && !indices->numbers().isSignlessInteger(32))
    return LogicalResult(node.badOperand("input indices has elements of type " + typeName(indices->numbers()) +
                                         "; they must be i32 or i64"));
  return indices;
}

LogicalResult gatherData(Node &node, int64_t axis) {
  FailureOr<Tensor> indices = indicesOf(node, 1);
  if (failed(indices))
    return failure();
  GraphValue &data = node.input(0);
  if (data.rank() + indices->rank() - 1 > kMaxTensorRank)
    return node.unsupported("the result has rank " + Twine(data.rank() + indices->rank() - 1) + "; at most " +
                            Twine(kMaxTensorRank) + " is supported");
  // Rows of a constant table: an embedding.
  if (axis == 0 && data.element && data.element.isF32() && indices->rank() <= 5)
    if (Value table = matrixOf(node, 0, Stored::Rows))
      return node.set(0, gatherRows(node.b, table, *indices));
  FailureOr<Tensor> x = node.tensor(0, "data");
  return failed(x) ? failure() : node.set(0, take(node.b, *x, *indices, axis));
}

/// The k-th numbers of a list of positions [lists..., K], read by `lists`.
static SmallVector<GatherInput> componentsOf(Node &node, const Tensor &indices, int64_t count, int64_t loops,
                                             ArrayRef<AffineExpr> lists) {
  SmallVector<GatherInput> components;
  for (int64_t k = 0; k < count; ++k) {
    SmallVector<AffineExpr> exprs(lists);
    exprs.push_back(node.b.getAffineConstantExpr(0));
    Tensor component = count == 1 ? indices : sliceLast(node.b, indices, k, 1);
    components.push_back({component, AffineMap::get(loops, 0, exprs, node.b.getContext())});
  }
  return components;
}

/// How many dimensions a position names: the last size of indices, checked.
static FailureOr<int64_t> positionDepth(Node &node, const Tensor &indices, int64_t most) {
  std::optional<int64_t> depth = indices.rank() ? getConstantIntValue(indices.sizes.back()) : std::nullopt;
  if (!depth)
    return LogicalResult(node.unsupported("input indices must have a rank of 1 or more and a known last dimension"));
  if (*depth < 1 || *depth > most)
    return LogicalResult(
        node.badOperand("input indices has positions in " + Twine(*depth) + " dimensions; data has " + Twine(most)));
  return *depth;
}

static LogicalResult importGatherND(Node &node) {
  FailureOr<int64_t> batch = node.integer("batch_dims", 0);
  FailureOr<Tensor> x = node.tensor(0, "data"), indices = indicesOf(node, 1);
  if (failed(batch) || failed(x) || failed(indices))
    return failure();
  if (*batch < 0 || *batch >= std::min(x->rank(), indices->rank()))
    return node.badAttribute("attribute 'batch_dims' is " + Twine(*batch) + "; data has rank " + Twine(x->rank()) +
                             " and indices " + Twine(indices->rank()));
  FailureOr<int64_t> depth = positionDepth(node, *indices, x->rank() - *batch);
  if (failed(depth))
    return failure();
  Sizes sizes(indices->sizes.begin(), indices->sizes.end() - 1);
  SmallVector<AffineExpr> lists;
  for (size_t i = 0; i < sizes.size(); ++i)
    lists.push_back(node.b.getAffineDimExpr(i));
  sizes.append(x->sizes.begin() + *batch + *depth, x->sizes.end());
  if (int64_t(sizes.size()) > kMaxTensorRank)
    return node.unsupported("the result has rank " + Twine(sizes.size()) + "; at most " + Twine(kMaxTensorRank) +
                            " is supported");
  auto components = componentsOf(node, *indices, *depth, sizes.size(), lists);
  return node.set(0, gatherElements(node.b, *x, components, sizes,
                                    [&](ImplicitLocOpBuilder &b, ValueRange elements, ValueRange loops) {
                                      SmallVector<Value> from(loops.take_front(*batch));
                                      for (int64_t k = 0; k < *depth; ++k)
                                        from.push_back(wrapIndex(b, elements[k], x->sizes[*batch + k]));
                                      llvm::append_range(from, loops.drop_front(lists.size()));
                                      return from;
                                    }));
}

/// Each element of the result looks through all updates in order and takes those that are for it: slow for many updates,
/// the same for any number of threads, and the last of several for one place wins.
static LogicalResult importScatterND(Node &node) {
  FailureOr<std::string> reduction = node.text("reduction", "none");
  FailureOr<Tensor> x = node.tensor(0, "data"), indices = indicesOf(node, 1), updates = node.tensor(2, "updates");
  if (failed(reduction) || failed(x) || failed(indices) || failed(updates))
    return failure();
  auto combine = [&](ImplicitLocOpBuilder &b, Value old, Value update) -> Value {
    if (*reduction == "add")
      return add(b, {old, update});
    if (*reduction == "mul")
      return multiply(b, {old, update});
    if (*reduction == "max")
      return maximum(b, old, update, signOfType(x->numbers()));
    return *reduction == "min" ? minimum(b, old, update, signOfType(x->numbers())) : update;
  };
  if (!llvm::is_contained({"none", "add", "mul", "max", "min"}, *reduction))
    return node.badAttribute("attribute 'reduction' is '" + shown(*reduction) +
                             "'; it must be none, add, mul, max or min");
  if (*reduction != "none" && x->element().isInteger(1))
    return node.unsupported("attribute 'reduction' is '" + shown(*reduction) + "'; only none is supported for bools");
  if (updates->numbers() != x->numbers())
    return node.badOperand("inputs data and updates have different element types; they must have one");
  FailureOr<int64_t> depth = positionDepth(node, *indices, x->rank());
  if (failed(depth))
    return failure();
  int64_t rest = x->rank() - *depth;
  if (updates->rank() != indices->rank() - 1 + rest)
    return node.badOperand("input updates has rank " + Twine(updates->rank()) + "; data and indices need " +
                           Twine(indices->rank() - 1 + rest));
  // One list of positions [U, K] and of updates [U, rest...].
  OpFoldResult count = node.b.getIndexAttr(1);
  for (OpFoldResult size : ArrayRef(indices->sizes).drop_back())
    count = node.graph.algebra.multiply(node.b, count, size);
  Tensor positions = reshape(node.b, *indices, {count, node.b.getIndexAttr(*depth)});
  Sizes flat{count};
  flat.append(x->sizes.begin() + *depth, x->sizes.end());
  Tensor values = reshape(node.b, *updates, flat);

  int64_t rank = x->rank();
  AffineExpr update = node.b.getAffineDimExpr(rank);
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  for (GatherInput &component : componentsOf(node, positions, *depth, rank + 1, update)) {
    inputs.push_back(component.tensor.value);
    maps.push_back(component.map);
  }
  SmallVector<AffineExpr> ofValues{update}, ofResult;
  for (int64_t i = 0; i < rank; ++i) {
    ofResult.push_back(node.b.getAffineDimExpr(i));
    if (i >= *depth)
      ofValues.push_back(ofResult.back());
  }
  inputs.push_back(values.value);
  maps.push_back(AffineMap::get(rank + 1, 0, ofValues, node.b.getContext()));
  maps.push_back(AffineMap::get(rank + 1, 0, ofResult, node.b.getContext()));
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  loops.push_back(utils::IteratorType::reduction);
  auto generic = linalg::GenericOp::create(
      node.b, x->value.getType(), inputs, x->value, maps, loops, [&](OpBuilder &inner, Location loc, ValueRange v) {
        ImplicitLocOpBuilder b(loc, inner);
        Value hit, old = v.back(), value = v[*depth];
        for (int64_t k = 0; k < *depth; ++k) {
          Value here = linalg::IndexOp::create(b, k), size = asValue(b, x->sizes[k]);
          Value index = arith::IndexCastOp::create(b, b.getIndexType(), v[k]);
          Value fromEnd = arith::AddIOp::create(b, index, size);
          Value isHere = arith::OrIOp::create(b, compare(b, Compare::Equal, index, here),
                                              compare(b, Compare::Equal, fromEnd, here));
          hit = hit ? Value(arith::AndIOp::create(b, hit, isHere)) : isHere;
        }
        Value result = arith::SelectOp::create(b, hit, combine(b, old, value), old);
        linalg::YieldOp::create(b, result);
      });
  return node.set(0, {generic.getResult(0), x->sizes, x->meaning});
}

// ------------------------------------------------------------------------------------------------ Trilu

static LogicalResult importTrilu(Node &node) {
  FailureOr<int64_t> upper = node.integer("upper", 1);
  FailureOr<Tensor> x = node.tensor(0, "input");
  if (failed(upper) || failed(x))
    return failure();
  if (x->rank() < 2)
    return node.badOperand("input has rank " + Twine(x->rank()) + "; it must have rank 2 or more");
  Value shift = arith::ConstantIndexOp::create(node.b, 0);
  if (node.has(1)) {
    FailureOr<Tensor> k = node.tensor(1, "k");
    if (failed(k))
      return failure();
    if (!k->numbers().isSignlessInteger(64) ||
        llvm::any_of(k->sizes, [](OpFoldResult size) { return !isConstantIntValue(size, 1); }))
      return node.badOperand("input k must be one i64");
    Value element = tensor::ExtractOp::create(node.b, reshape(node.b, *k, {}).value, ValueRange());
    shift = arith::IndexCastOp::create(node.b, node.b.getIndexType(), element);
  }
  auto keep = *upper ? Compare::GreaterOrEqual : Compare::LessOrEqual;
  return setElementwise(node, *x, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Value row = linalg::IndexOp::create(b, x->rank() - 2), column = linalg::IndexOp::create(b, x->rank() - 1);
    Value isKept = compare(b, keep, arith::SubIOp::create(b, column, row), shift);
    return arith::SelectOp::create(b, isKept, v[0], constant(b, v[0].getType(), 0));
  });
}

static constexpr Operator kOperators[] = {
    {"", "GatherND", importGatherND, 2, 2, 1, "batch_dims", true},
    {"", "ScatterND", importScatterND, 3, 3, 1, "reduction", true},
    {"", "Trilu", importTrilu, 1, 2, 1, "upper", true},
};

ArrayRef<Operator> gatherOperators() { return kOperators; }

} // namespace whit
