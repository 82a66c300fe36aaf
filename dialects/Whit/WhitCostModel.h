// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where passes find the cost model: attached to the dialect by lib/Register.cpp, so that no pass knows which one it is.

#pragma once

#include "Whit/Whit.h"
#include "whit/CostModel.h"

namespace mlir::whit {

class CostModelInterface : public DialectInterface::Base<CostModelInterface> {
public:
  CostModelInterface(Dialect *dialect, std::shared_ptr<const ::whit::CostModel> model)
      : Base(dialect), model(std::move(model)) {}

  const ::whit::CostModel &get() const { return *model; }

private:
  std::shared_ptr<const ::whit::CostModel> model;
};

/// What multiplies in a matmul.
inline ::whit::Products productsOf(Operation *matmul) {
  if (isa<QuantizedMatmulOp>(matmul))
    return ::whit::Products::Integer;
  auto x = cast<ShapedType>(cast<MatmulOp>(matmul).getX().getType());
  return x.getElementType().isBF16() ? ::whit::Products::Bfloat : ::whit::Products::Float;
}

/// The model of this context, or null after an error on `op`: a tool that runs passes must register one.
inline const ::whit::CostModel *costModelOf(Operation *op) {
  auto *dialect = op->getContext()->getLoadedDialect<WhitDialect>();
  auto *interface = dialect ? dialect->getRegisteredInterface<CostModelInterface>() : nullptr;
  if (!interface) {
    op->emitError() << "no cost model is registered; register the dialects with whit::registerAll";
    return nullptr;
  }
  return &interface->get();
}

} // namespace mlir::whit
