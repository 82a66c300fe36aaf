// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Computing an element again, in a frame of fewer dimensions. A mask of [B, 1, 1, T] that a model stretches to [B, 1,
// S, T] before it compares, converts and selects is small again when the scalars are computed from what they depend on.

#include "Raise/Match.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

static constexpr size_t kLargest = 400;

namespace {
/// The scalar operations behind some elements, and the tensors that they read.
class Scalars {
public:
  /// False if there are too many.
  bool add(const Element &element);
  /// Whether any of them reads dimension `dim` of the frame.
  bool reads(unsigned dim) const;
  /// Whether each tensor can be an operand of a linalg.generic over dimensions `dims`; gives the maps.
  bool mapsOver(ArrayRef<int64_t> dims, SmallVectorImpl<AffineMap> &maps) const;
  /// Emits the scalars; `arguments` are those of the tensors.
  void emit(ImplicitLocOpBuilder &b, ArrayRef<int64_t> dims, ValueRange arguments);
  Value value(const Element &element) const {
    Element inner = resolve(element);
    return values.lookup({inner.value, inner.at});
  }

  SmallVector<Element> tensors;

private:
  SmallVector<Element> order; ///< operations behind their operands
  llvm::DenseMap<std::pair<Value, AffineMap>, Value> values;
};
} // namespace

bool Scalars::add(const Element &element) {
  Element inner = resolve(element);
  if (!inner || values.size() > kLargest)
    return false;
  if (!values.try_emplace({inner.value, inner.at}, Value()).second)
    return true;
  if (inner.isTensor()) {
    if (inner.at.getNumResults() != unsigned(cast<RankedTensorType>(inner.value.getType()).getRank()))
      return true; // read by an operation of the body
    tensors.push_back(inner);
    return true;
  }
  Operation *op = inner.value.getDefiningOp();
  if (!inner.isInBody() || isa_and_present<linalg::IndexOp>(op)) {
    order.push_back(inner);
    return true;
  }
  if (!op || op->getNumRegions() || !isMemoryEffectFree(op))
    return false;
  for (const Element &operand : operandsOf(op, inner.at))
    if (!add(operand))
      return false;
  order.push_back(inner);
  return true;
}

bool Scalars::reads(unsigned dim) const {
  return llvm::any_of(tensors, [&](const Element &e) { return e.at.isFunctionOfDim(dim); }) ||
         llvm::any_of(order, [&](const Element &e) {
           auto index = e.value.getDefiningOp<linalg::IndexOp>();
           return index && e.at.getNumResults() && e.at.getResult(index.getDim()).isFunctionOfDim(dim);
         });
}

bool Scalars::mapsOver(ArrayRef<int64_t> dims, SmallVectorImpl<AffineMap> &maps) const {
  if (tensors.empty() && order.empty())
    return false;
  unsigned frame = tensors.empty() ? order.front().at.getNumDims() : tensors.front().at.getNumDims();
  for (unsigned dim = 0; dim < frame; ++dim)
    if (!llvm::is_contained(dims, int64_t(dim)) && reads(dim))
      return false;
  for (const Element &tensor : tensors) {
    MLIRContext *context = tensor.at.getContext();
    SmallVector<AffineExpr> renamed(frame, getAffineConstantExpr(0, context));
    for (auto [i, dim] : llvm::enumerate(dims))
      if (dim >= 0)
        renamed[dim] = getAffineDimExpr(i, context);
    maps.push_back(tensor.at.replaceDimsAndSymbols(renamed, {}, dims.size(), 0));
    if (!maps.back().isProjectedPermutation(/*allowZeroInResults=*/true))
      return false;
  }
  return llvm::all_of(order, [](const Element &e) {
    auto index = e.value.getDefiningOp<linalg::IndexOp>();
    return !index || isa<AffineDimExpr, AffineConstantExpr>(e.at.getResult(index.getDim()));
  });
}

void Scalars::emit(ImplicitLocOpBuilder &b, ArrayRef<int64_t> dims, ValueRange arguments) {
  for (auto [tensor, argument] : llvm::zip(tensors, arguments))
    values[{tensor.value, tensor.at}] = argument;
  for (const Element &scalar : order) {
    Value &value = values[{scalar.value, scalar.at}];
    Operation *op = scalar.value.getDefiningOp();
    if (!scalar.isInBody()) {
      value = scalar.value;
    } else if (auto index = dyn_cast<linalg::IndexOp>(op)) {
      AffineExpr expr = scalar.at.getResult(index.getDim());
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        value = linalg::IndexOp::create(b, llvm::find(dims, int64_t(dim.getPosition())) - dims.begin());
      else
        value = arith::ConstantIndexOp::create(b, cast<AffineConstantExpr>(expr).getValue());
    } else {
      IRMapping mapping;
      for (const Element &operand : operandsOf(op, scalar.at))
        if (Value inside = this->value(operand))
          mapping.map(operand.value, inside);
      value = b.clone(*op, mapping)->getResult(cast<OpResult>(scalar.value).getResultNumber());
    }
  }
}

bool raise::dependsOn(const Element &element, unsigned dim) {
  Scalars scalars;
  return !scalars.add(element) || scalars.reads(dim);
}

Value raise::compute(ImplicitLocOpBuilder &b, ArrayRef<Element> elements, ArrayRef<int64_t> dims,
                     ArrayRef<OpFoldResult> sizes, Type type,
                     function_ref<Value(ImplicitLocOpBuilder &, ValueRange)> combine) {
  Scalars scalars;
  SmallVector<AffineMap> maps;
  for (const Element &element : elements)
    if (!scalars.add(element))
      return {};
  if (!scalars.mapsOver(dims, maps))
    return {};
  Value init = tensor::EmptyOp::create(b, sizes, type);
  maps.push_back(b.getMultiDimIdentityMap(dims.size()));
  SmallVector<utils::IteratorType> loops(dims.size(), utils::IteratorType::parallel);
  SmallVector<Value> inputs = llvm::map_to_vector(scalars.tensors, [](const Element &e) { return e.value; });
  auto generic = linalg::GenericOp::create(b, init.getType(), inputs, init, maps, loops,
                                           [&](OpBuilder &inner, Location loc, ValueRange arguments) {
                                             ImplicitLocOpBuilder at(loc, inner);
                                             scalars.emit(at, dims, arguments.drop_back());
                                             SmallVector<Value> values;
                                             for (const Element &element : elements)
                                               values.push_back(scalars.value(element));
                                             linalg::YieldOp::create(at, combine(at, values));
                                           });
  return generic.getResult(0);
}
