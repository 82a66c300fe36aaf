// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sorts by any comparison, and the greatest elements. Both are stable, which a sort may be whether or not it is asked to.

#include "Import/StableHLO/Program.h"

#include "CHLO/CHLO.h"
#include "Import/Semantics/Scalars.h"
#include "Import/Semantics/Sorting.h"
#include "Import/StableHLO/Bodies.h"
#include "StableHLO/StableHLO.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace whit {

using namespace semantics;
namespace hlo = mlir::stablehlo;

static constexpr int64_t kMaxSorted = INT32_MAX;

static LogicalResult importSort(Program &program, Operation *op) {
  auto sort = cast<hlo::SortOp>(op);
  std::optional<HloBody> body = HloBody::of(program, op, sort.getComparator().front());
  if (!body)
    return failure();
  SmallVector<Tensor> inputs, keys;
  SmallVector<unsigned> places; // of keys among the inputs
  for (auto [i, input] : llvm::enumerate(sort.getInputs())) {
    inputs.push_back(program.whole(input));
    if (!body->uses(2 * i) && !body->uses(2 * i + 1))
      continue;
    keys.push_back(inputs.back());
    places.push_back(i);
  }
  int64_t axis = sort.getDimension();
  if (axis < 0)
    axis += inputs[0].rank();
  if (inputs[0].dim(axis) > kMaxSorted)
    return program.unsupported(op, "sorts " + Twine(inputs[0].dim(axis)) + " elements; at most " + Twine(kMaxSorted) +
                                       " are supported");
  // A comparison that looks at nothing leaves all in its place, and so does one element.
  if (keys.empty() || inputs[0].type().getNumElements() == 0 || inputs[0].dim(axis) < 2) {
    for (auto [result, input] : llvm::zip(op->getResults(), inputs))
      program.set(result, input);
    return success();
  }
  ImplicitLocOpBuilder &b = program.builder();
  Tensor order =
      sortedPlaces(b, keys, axis, [&](ImplicitLocOpBuilder &at, ArrayRef<Value> x, ArrayRef<Value> y) -> Value {
        SmallVector<Value> arguments;
        size_t next = 0;
        for (auto [i, input] : llvm::enumerate(inputs)) {
          bool isKey = next < places.size() && places[next] == i;
          Value unused = isKey ? Value() : constant(at, input.element(), 0);
          arguments.append({isKey ? x[next] : unused, isKey ? y[next] : unused});
          next += isKey;
        }
        return body->run(at, arguments)[0];
      });
  for (auto [result, input] : llvm::zip(op->getResults(), inputs))
    program.set(result, takePlaces(b, input, order, axis));
  return success();
}

static LogicalResult importTopK(Program &program, Operation *op) {
  auto top = cast<chlo::TopKOp>(op);
  ImplicitLocOpBuilder &b = program.builder();
  Tensor x = program.whole(top.getOperand());
  int64_t axis = x.rank() - 1, k = top.getK();
  Sign sign = signOfType(top.getOperand().getType());
  if (x.type().getNumElements() == 0 || k == 0 || x.dim(axis) > kMaxSorted)
    return program.unsupported(op, "has an operand or a result without elements, or too many to sort");
  Tensor order = sortedPlaces(b, x, axis, [&](ImplicitLocOpBuilder &at, ArrayRef<Value> u, ArrayRef<Value> v) {
    if (isa<FloatType>(x.element())) // NaN is the greatest
      return compare(at, Compare::Greater, totalOrder(at, u[0]), totalOrder(at, v[0]));
    return compare(at, Compare::Greater, u[0], v[0], sign);
  });
  Tensor places = sliceLast(b, order, 0, k);
  program.set(top.getIndices(), places);
  program.set(top.getValues(), takePlaces(b, x, places, axis));
  return success();
}

static constexpr HloOperation kOperations[] = {
    {"chlo.top_k", importTopK},
    {"stablehlo.sort", importSort},
};

ArrayRef<HloOperation> hloSorts() { return kOperations; }

} // namespace whit
