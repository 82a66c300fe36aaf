// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where passes find the cost model: attached to the dialect by lib/Register.cpp, so that no pass knows which one it is. It is that of the
// module's target.

#pragma once

#include "Whit/Whit.h"
#include "whit/CostModel.h"
#include "whit/KernelPlan.h"

#include <optional>

namespace mlir::whit {

class CostModelInterface : public DialectInterface::Base<CostModelInterface> {
public:
  /// Gives the model of a module's `whit.target`, which may be null; models live as long as the program.
  using Find = const ::whit::CostModel &(*)(DictionaryAttr target);

  /// What a kernel of a GPU will take; nothing if its target is not known so well.
  using Forecast = std::optional<::whit::KernelForecast> (*)(const ::whit::KernelPlan &plan);

  CostModelInterface(Dialect *dialect, Find find, Forecast forecast) : Base(dialect), forecast(forecast), find(find) {}

  const Forecast forecast;

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

/// The kernel that a region becomes under a cut. All its matmuls are like the first.
inline ::whit::KernelPlan kernelPlanOf(RegionOp region, StringRef target, ArrayRef<int64_t> tile, int64_t splits) {
  ::whit::KernelPlan plan;
  plan.target = target.str();
  plan.matmuls = 0;
  plan.splits = splits;
  plan.tileColumns = tile.empty() ? 0 : tile.back();
  plan.tileRows = tile.size() > 1 ? tile[tile.size() - 2] : 1;
  for (Operation *op : region.getComputeOps()) {
    auto place = op->getAttrOfType<PlaceAttr>("place");
    if (!isa<MatmulOp, QuantizedMatmulOp>(op) || !place) {
      ++plan.ops;
      continue;
    }
    if (plan.matmuls++)
      continue;
    ::whit::Place solved = place.solve();
    plan.format = place.getFormat().getName().str();
    plan.products = productsOf(op);
    plan.n = solved.n;
    plan.k = solved.k;
    ArrayRef<int64_t> shape = cast<ShapedType>(op->getOperands().back().getType()).getShape();
    plan.rows = shape.size() < 2 ? 1 : ShapedType::isDynamic(shape[shape.size() - 2]) ? 0 : shape[shape.size() - 2];
  }
  return plan;
}

/// What it will take; nothing if it multiplies nothing or nobody knows.
inline std::optional<::whit::KernelForecast> forecastOf(RegionOp region, StringRef target, ArrayRef<int64_t> tile,
                                                        int64_t splits) {
  auto *dialect = region->getContext()->getLoadedDialect<WhitDialect>();
  auto *interface = dialect ? dialect->getRegisteredInterface<CostModelInterface>() : nullptr;
  ::whit::KernelPlan plan = kernelPlanOf(region, target, tile, splits);
  return interface && plan.matmuls ? interface->forecast(plan) : std::nullopt;
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
