// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Parameters are kept apart from the model's symbols by their numbers while both stand in one expression.

#include "Emit/ExportSizes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "llvm/ADT/STLExtras.h"

using namespace llvm;
using namespace mlir;

namespace whit {
namespace {

/// The number of the first parameter among symbols.
constexpr unsigned kFirstParameter = 1 << 20;

bool isOfModel(AffineExpr expression) {
  auto symbol = dyn_cast<AffineSymbolExpr>(expression);
  return symbol && symbol.getPosition() < kFirstParameter;
}

bool hasSymbolsOfModel(AffineExpr expression) {
  bool found = false;
  expression.walk([&](AffineExpr part) { found |= isOfModel(part); });
  return found;
}

} // namespace

// ---------------------------------------------------------------------------------------------------- of the model

AffineExpr ModelSizes::symbol(StringRef name) {
  auto known = llvm::find(symbolNames, name.str());
  unsigned position = known - symbolNames.begin();
  if (known == symbolNames.end())
    symbolNames.push_back(name.str());
  return getAffineSymbolExpr(position, main.getContext());
}

AffineExpr ModelSizes::unknown(Value value, int64_t dimension) {
  AffineExpr &expression = unknowns[{value, dimension}];
  if (!expression) {
    expression = getAffineSymbolExpr(symbolNames.size(), main.getContext());
    symbolNames.emplace_back();
  }
  return expression;
}

AffineExpr ModelSizes::of(Value index) {
  Operation *op = index.getDefiningOp();
  if (std::optional<int64_t> number = getConstantIntValue(index))
    return getAffineConstantExpr(*number, main.getContext());
  if (auto dim = dyn_cast_or_null<tensor::DimOp>(op))
    if (std::optional<int64_t> i = dim.getConstantIndex())
      return ofDimension(dim.getSource(), *i);
  if (auto add = dyn_cast_or_null<arith::AddIOp>(op))
    return of(add.getLhs()) + of(add.getRhs());
  if (auto subtract = dyn_cast_or_null<arith::SubIOp>(op))
    return of(subtract.getLhs()) - of(subtract.getRhs());
  if (auto multiply = dyn_cast_or_null<arith::MulIOp>(op))
    return of(multiply.getLhs()) * of(multiply.getRhs());
  if (auto apply = dyn_cast_or_null<affine::AffineApplyOp>(op)) {
    SmallVector<AffineExpr> operands = llvm::map_to_vector(apply.getMapOperands(), [&](Value v) { return of(v); });
    AffineMap map = apply.getAffineMap();
    ArrayRef<AffineExpr> all(operands);
    return map.getResult(0).replaceDimsAndSymbols(all.take_front(map.getNumDims()), all.drop_front(map.getNumDims()));
  }
  return unknown(index, -1);
}

AffineExpr ModelSizes::ofDimension(Value tensor, int64_t dimension) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(dimension))
    return getAffineConstantExpr(type.getDimSize(dimension), main.getContext());
  if (auto argument = dyn_cast<BlockArgument>(tensor)) {
    auto dims = argument.getOwner() == &main.getBody().front()
                    ? main.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), "whit.dims")
                    : ArrayAttr();
    if (dims)
      if (auto name = dyn_cast<StringAttr>(dims[dimension]))
        return symbol(name.getValue());
    return unknown(tensor, dimension);
  }
  Operation *op = tensor.getDefiningOp();
  if (auto alloc = dyn_cast<bufferization::AllocTensorOp>(op))
    return of(alloc.getDynamicSizes()[type.getDynamicDimIndex(dimension)]);
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return of(empty.getDynamicSizes()[type.getDynamicDimIndex(dimension)]);
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return of(expand.getOutputShape()[type.getDynamicDimIndex(dimension)]);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    AffineExpr product = getAffineConstantExpr(1, main.getContext());
    for (int64_t i : collapse.getReassociationIndices()[dimension])
      product = product * ofDimension(collapse.getSrc(), i);
    return product;
  }
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return ofDimension(cast.getSource(), dimension);
  if (auto region = dyn_cast<mlir::whit::RegionOp>(op)) {
    Value inside = region.getBody().front().getTerminator()->getOperand(::cast<OpResult>(tensor).getResultNumber());
    if (Value destination = destinationOf(inside, region.getBody()))
      if (destination.getType() == tensor.getType())
        return ofDimension(destination, dimension);
  }
  return unknown(tensor, dimension);
}

std::string ModelSizes::text(AffineExpr expression) const {
  if (auto constant = dyn_cast<AffineConstantExpr>(expression))
    return std::to_string(constant.getValue());
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expression)) {
    const std::string &name = symbolNames[symbol.getPosition()];
    return name.empty() ? "?" : name;
  }
  auto binary = cast<AffineBinaryOpExpr>(expression);
  auto side = [&](AffineExpr part) {
    return isa<AffineBinaryOpExpr>(part) && part.getKind() != expression.getKind() ? "(" + text(part) + ")"
                                                                                   : text(part);
  };
  static const std::pair<AffineExprKind, StringRef> operators[] = {{AffineExprKind::Add, " + "},
                                                                   {AffineExprKind::Mul, " * "},
                                                                   {AffineExprKind::Mod, " mod "},
                                                                   {AffineExprKind::FloorDiv, " floordiv "},
                                                                   {AffineExprKind::CeilDiv, " ceildiv "}};
  StringRef sign;
  for (auto [kind, spelled] : operators)
    if (kind == expression.getKind())
      sign = spelled;
  return side(binary.getLHS()) + sign.str() + side(binary.getRHS());
}

Value destinationOf(Value value, Region &body) {
  while (value && body.isAncestor(value.getParentRegion())) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      auto loop = dyn_cast<LoopLikeOpInterface>(argument.getOwner()->getParentOp());
      auto parallel = dyn_cast<scf::ForallOp>(argument.getOwner()->getParentOp());
      bool isIndex = parallel && argument.getArgNumber() < parallel.getRank();
      OpOperand *init = isIndex    ? nullptr
                        : parallel ? parallel.getTiedOpOperand(argument)
                        : loop     ? loop.getTiedLoopInit(argument)
                                   : nullptr;
      value = init ? init->get() : Value();
      continue;
    }
    Operation *op = value.getDefiningOp();
    auto result = cast<OpResult>(value);
    if (auto parallel = dyn_cast<scf::ForallOp>(op)) {
      value = parallel.getTiedOpOperand(result)->get();
    } else if (auto loop = dyn_cast<LoopLikeOpInterface>(op)) {
      OpOperand *init = loop.getTiedLoopInit(result);
      value = init ? init->get() : Value();
    } else if (auto styled = dyn_cast<DestinationStyleOpInterface>(op)) { // insertions into a tensor too
      value = styled.getTiedOpOperand(result)->get();
    } else if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op)) {
      value = op->getOperand(0);
    } else if (auto branches = dyn_cast<scf::IfOp>(op)) { // few rows or many
      unsigned i = result.getResultNumber();
      Value first = destinationOf(branches.thenYield()->getOperand(i), branches.getThenRegion());
      value = first == destinationOf(branches.elseYield()->getOperand(i), branches.getElseRegion()) ? first : Value();
    } else {
      value = {};
    }
  }
  return value;
}

// ---------------------------------------------------------------------------------------------------- of a kernel

void KernelSizes::addDimension(AffineExpr ofModel) {
  if (!isa<AffineConstantExpr>(ofModel) && !llvm::is_contained(dimensions, ofModel))
    dimensions.push_back(ofModel);
}

void KernelSizes::addParameter(AffineExpr ofModel) {
  AffineExpr parameter = getAffineSymbolExpr(kFirstParameter + chosen.size(), context);
  chosen.push_back(ofModel);
  replacements[ofModel] = parameter;
  if (auto product = dyn_cast<AffineBinaryOpExpr>(ofModel); product && product.getKind() == AffineExprKind::Mul)
    replacements[product.getRHS() * product.getLHS()] = parameter;
}

AffineExpr KernelSizes::replaced(AffineExpr ofModel) const { return ofModel.replace(replacements); }

void KernelSizes::chooseParameters() {
  for (AffineExpr dimension : dimensions)
    if (isOfModel(dimension))
      addParameter(dimension);
  // A product of two sizes, neither of which a tensor has, is a size as good as any.
  for (AffineExpr dimension : dimensions)
    if (hasSymbolsOfModel(replaced(dimension)))
      addParameter(dimension);
}

AffineExpr KernelSizes::inParameters(AffineExpr ofModel) {
  AffineExpr expression = replaced(ofModel);
  expression.walk([&](AffineExpr part) {
    if (isOfModel(part) && !replacements.count(part))
      addParameter(part);
  });
  SmallVector<AffineExpr> low;
  llvm::DenseMap<AffineExpr, AffineExpr> renumbered;
  for (unsigned i = 0; i < chosen.size(); ++i)
    renumbered[getAffineSymbolExpr(kFirstParameter + i, context)] = getAffineSymbolExpr(i, context);
  return replaced(expression).replace(renumbered);
}

} // namespace whit
