// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where passes find the cost model: attached to the dialect by lib/Register.cpp, so that no pass knows which one it is. It is that of the
// module's target.

#pragma once

#include "Whit/Whit.h"
#include "whit/CostModel.h"

namespace mlir::whit {

class CostModelInterface : public DialectInterface::Base<CostModelInterface> {
public:
  /// Gives the model of a module's `whit.target`, which may be null; models live as long as the program.
  using Find = const ::whit::CostModel &(*)(DictionaryAttr target);

  CostModelInterface(Dialect *dialect, Find find) : Base(dialect), find(find) {}

  const ::whit::CostModel &get(Operation *op) const {
    auto module = isa<ModuleOp>(op) ? cast<ModuleOp>(op) : op->getParentOfType<ModuleOp>();
    return find(module ? module->getAttrOfType<DictionaryAttr>("whit.target") : DictionaryAttr());
  }

private:
  Find find;
};

/// What multiplies in a matmul.
inline ::whit::Products productsOf(Operation *matmul) {
  if (isa<QuantizedMatmulOp>(matmul))
    return ::whit::Products::Integer;
  auto x = cast<ShapedType>(cast<MatmulOp>(matmul).getX().getType());
  if (x.getElementTypeBitWidth() == 8) // units multiply bytes at one speed, whatever they stand for
    return ::whit::Products::Integer;
  return x.getElementType().isBF16() ? ::whit::Products::Bfloat : ::whit::Products::Float;
}

/// The model of the module's target, or null after an error on `op`: a tool that runs passes must register one.
inline const ::whit::CostModel *costModelOf(Operation *op) {
  auto *dialect = op->getContext()->getLoadedDialect<WhitDialect>();
  auto *interface = dialect ? dialect->getRegisteredInterface<CostModelInterface>() : nullptr;
  if (!interface) {
    op->emitError() << "no cost model is registered; register the dialects with whit::registerAll";
    return nullptr;
  }
  return &interface->get(op);
}

} // namespace mlir::whit
