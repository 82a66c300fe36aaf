// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Updates at computed places. Each element of the result looks for the updates that are for it, in the order in which
// they stand: slow for many updates, the same for any number of threads.

#include "Import/StableHLO/Program.h"

#include "Import/Semantics/Loops.h"
#include "Import/Semantics/Scalars.h"
#include "Import/StableHLO/Bodies.h"
#include "StableHLO/StableHLO.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace whit {

using namespace semantics;
namespace hlo = mlir::stablehlo;

namespace {
/// Which loops and indices belong to each other. Loops: those of the result, then one for each dimension of the indices
/// that has more than one element and no partner among the dimensions of the result.
struct Scatter {
  hlo::ScatterDimensionNumbersAttr dims;
  Tensor indices;
  RankedTensorType updates, result;
  Sign sign = Sign::Signed;
  SmallVector<int64_t> spread;  ///< sizes of the loops over indices
  SmallVector<int64_t> loopOf;  ///< of each dimension of the indices but that of vectors: the loop, or -1 for index 0
  SmallVector<int64_t> windows; ///< dimensions of the result that windows of updates lie along

  Scatter(hlo::ScatterOp op, const Tensor &indices);
  int64_t vector() const { return dims.getIndexVectorDim(); }

  /// Where the update for an element is, and whether there is one.
  std::pair<SmallVector<Value>, Value> updateFor(ImplicitLocOpBuilder &b, ValueRange loops) const;
};
} // namespace

Scatter::Scatter(hlo::ScatterOp op, const Tensor &indices)
    : dims(op.getScatterDimensionNumbers()), indices(indices),
      updates(cast<RankedTensorType>(op.getUpdates()[0].getType())),
      result(cast<RankedTensorType>(op->getResult(0).getType())) {
  sign = signOfType(op.getScatterIndices().getType());
  for (int64_t i = 0; i < indices.rank(); ++i) {
    if (i == vector())
      continue;
    const int64_t *batch = llvm::find(dims.getScatterIndicesBatchingDims(), i);
    if (batch != dims.getScatterIndicesBatchingDims().end()) {
      loopOf.push_back(dims.getInputBatchingDims()[batch - dims.getScatterIndicesBatchingDims().begin()]);
    } else if (indices.dim(i) == 1) {
      loopOf.push_back(-1);
    } else {
      loopOf.push_back(result.getRank() + spread.size());
      spread.push_back(indices.dim(i));
    }
  }
  for (int64_t i = 0; i < result.getRank(); ++i)
    if (!llvm::is_contained(dims.getInsertedWindowDims(), i) && !llvm::is_contained(dims.getInputBatchingDims(), i))
      windows.push_back(i);
}

std::pair<SmallVector<Value>, Value> Scatter::updateFor(ImplicitLocOpBuilder &b, ValueRange loops) const {
  SmallVector<Value> at, from(updates.getRank());
  for (int64_t loop : loopOf)
    at.push_back(loop < 0 ? indexConstant(b, 0) : Value(loops[loop]));
  for (int64_t dim = 0, next = 0; dim < updates.getRank(); ++dim)
    if (!llvm::is_contained(dims.getUpdateWindowDims(), dim))
      from[dim] = at[next++];
  Value hit;
  auto startOf = [&](int64_t dim) -> Value {
    const int64_t *found = llvm::find(dims.getScatterDimsToOperandDims(), dim);
    if (found == dims.getScatterDimsToOperandDims().end())
      return {};
    SmallVector<Value> place(at);
    if (vector() < indices.rank())
      place.insert(place.begin() + vector(), indexConstant(b, found - dims.getScatterDimsToOperandDims().begin()));
    Value element = elementAt(b, indices, place);
    return sign == Sign::Unsigned ? Value(arith::IndexCastUIOp::create(b, b.getIndexType(), element))
                                  : Value(arith::IndexCastOp::create(b, b.getIndexType(), element));
  };
  for (int64_t dim : dims.getInsertedWindowDims()) {
    Value start = startOf(dim), here = loops[dim];
    hit = both(b, hit, compare(b, Compare::Equal, here, start ? start : indexConstant(b, 0)));
  }
  for (auto [i, dim] : llvm::enumerate(windows)) {
    int64_t part = dims.getUpdateWindowDims()[i], size = updates.getDimSize(part);
    Value start = startOf(dim), here = loops[dim];
    Value offset = start ? Value(arith::SubIOp::create(b, here, start)) : here;
    if (start || size < result.getDimSize(dim)) {
      // As an unsigned number, an element before the window is far behind it.
      Value fits = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, offset, indexConstant(b, size));
      offset = arith::SelectOp::create(b, fits, offset, indexConstant(b, 0));
      hit = both(b, hit, fits);
    }
    from[part] = offset;
  }
  return {from, hit};
}

static LogicalResult importScatter(Program &program, Operation *op) {
  auto scatter = cast<hlo::ScatterOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  std::optional<HloBody> body = HloBody::of(program, op, scatter.getUpdateComputation().front());
  if (!body)
    return failure();
  SmallVector<Tensor> inputs, updates;
  for (Value input : scatter.getInputs())
    inputs.push_back(program.whole(input));
  for (Value update : scatter.getUpdates())
    updates.push_back(program.whole(update));
  if (updates[0].type().getNumElements() == 0 || inputs[0].type().getNumElements() == 0) {
    for (auto [result, input] : llvm::zip(op->getResults(), inputs))
      program.set(result, input);
    return success();
  }
  Scatter places(scatter, program.whole(scatter.getScatterIndices()));
  Sizes spread = llvm::map_to_vector(places.spread, [&](int64_t dim) { return OpFoldResult(b.getIndexAttr(dim)); });
  SmallVector<Tensor> results = folded(
      b, inputs, spread,
      [&](ImplicitLocOpBuilder &at, ValueRange loops, ValueRange soFar) {
        auto [from, hit] = places.updateFor(at, loops);
        SmallVector<Value> arguments(soFar);
        for (const Tensor &update : updates)
          arguments.push_back(elementAt(at, update, from));
        SmallVector<Value> next = body->run(at, arguments);
        for (auto [value, before] : llvm::zip(next, soFar))
          if (hit)
            value = arith::SelectOp::create(at, hit, value, before);
        return next;
      },
      /*readsStarts=*/true);
  for (auto [result, tensor] : llvm::zip(op->getResults(), results))
    program.set(result, tensor);
  return success();
}

static constexpr HloOperation kOperations[] = {
    {"stablehlo.scatter", importScatter},
};

ArrayRef<HloOperation> hloScatters() { return kOperations; }

} // namespace whit
