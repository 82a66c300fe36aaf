// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-outline-regions: a region is a kernel with a name of its own in profiles, disassembly and replays.

#include "Lower/TargetFacts.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DEF_OUTLINEREGIONSPASS
#include "Lower/OutlineRegions.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
struct OutlineRegionsPass : mlir::whit::impl::OutlineRegionsPassBase<OutlineRegionsPass> {
  void runOnOperation() override {
    isGpu = TargetFacts::of(getOperation()).isGpu();
    SmallVector<RegionOp> regions;
    getOperation().walk([&](RegionOp region) { regions.push_back(region); });
    SmallVector<Attribute> descriptions;
    for (auto [id, region] : llvm::enumerate(regions))
      descriptions.push_back(outline(region, id));
    getOperation()->setAttr("whit.regions", ArrayAttr::get(&getContext(), descriptions));
  }

  Attribute outline(RegionOp region, int64_t id) {
    llvm::SetVector<Value> arguments;
    llvm::SetVector<Operation *> remade;
    arguments.insert_range(region.getCaptured());
    region.getBody().walk([&](Operation *op) {
      for (Value operand : op->getOperands())
        if (!region.getBody().isAncestor(operand.getParentRegion()))
          take(operand, arguments, remade);
    });
    OpBuilder b(region->getParentOfType<func::FuncOp>());
    SmallVector<Type> types = llvm::map_to_vector(arguments, [](Value v) { return v.getType(); });
    types.push_back(b.getI32Type());
    auto func = func::FuncOp::create(b, region.getLoc(), "region", b.getFunctionType(types, region.getResultTypes()));
    func.setPrivate();
    func->setAttr("whit.observed", b.getI64IntegerAttr(region.getCaptured().size()));
    Block *entry = func.addEntryBlock();
    b.setInsertionPointToStart(entry);
    IRMapping map;
    map.map(arguments.getArrayRef(), entry->getArguments().drop_back());
    for (Operation *op : remade)
      b.clone(*op, map);
    Operation *yield = region.getBody().front().getTerminator();
    for (Operation &op : region.getBody().front().without_terminator())
      b.clone(op, map);
    SmallVector<Value> results;
    for (Value value : yield->getOperands())
      results.push_back(map.lookupOrDefault(value));
    func::ReturnOp::create(b, yield->getLoc(), results);

    func = sameAs(func);
    // The regions that it is, in the order of their numbers.
    SmallVector<int64_t> regions{id};
    if (auto known = func->getAttrOfType<DenseI64ArrayAttr>("whit.region_ids"))
      regions.insert(regions.begin(), known.asArrayRef().begin(), known.asArrayRef().end());
    func->setAttr("whit.region_ids", b.getDenseI64ArrayAttr(regions));

    b.setInsertionPoint(region);
    SmallVector<Value> operands = llvm::to_vector(arguments);
    operands.push_back(arith::ConstantIntOp::create(b, region.getLoc(), id, 32));
    auto call = func::CallOp::create(b, region.getLoc(), func, operands);
    region->replaceAllUsesWith(call);

    std::string schedule;
    llvm::raw_string_ostream stream(schedule);
    if (std::optional<ScheduleAttr> attr = region.getSchedule())
      stream << *attr;
    Attribute nodes = region->getAttr("nodes");
    auto description = b.getDictionaryAttr({b.getNamedAttr("id", b.getI64IntegerAttr(id)),
                                            b.getNamedAttr("name", region.getNameAttr()),
                                            b.getNamedAttr("nodes", nodes ? nodes : b.getArrayAttr({})),
                                            b.getNamedAttr("schedule", b.getStringAttr(schedule))});
    region.erase();
    return description;
  }

  /// Passes a value from outside, or makes it again: constants, which are cheaper so, and on a GPU what is read from a tensor, which the
  /// host cannot.
  void take(Value value, llvm::SetVector<Value> &arguments, llvm::SetVector<Operation *> &remade) {
    Operation *def = value.getDefiningOp();
    bool isConstant = def && matchPattern(def, m_Constant()) && !isa<ConstantOp>(def);
    if (!isConstant && !(isGpu && isRead(def))) {
      arguments.insert(value);
      return;
    }
    for (Value operand : def->getOperands())
      take(operand, arguments, remade);
    remade.insert(def);
  }

  /// Whether a number comes from the content of a tensor.
  static bool isRead(Operation *op) {
    if (!op || isa<tensor::ExtractOp>(op))
      return op;
    return isPure(op) && !op->getNumRegions() && llvm::none_of(op->getResultTypes(), llvm::IsaPred<ShapedType>) &&
           llvm::any_of(op->getOperands(), [](Value value) { return isRead(value.getDefiningOp()); });
  }

  /// The function outlined before that does the same, instead of `func`; or `func` under a name of its own.
  func::FuncOp sameAs(func::FuncOp func) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    func->print(stream, OpPrintingFlags().useLocalScope());
    auto [known, inserted] = functions.try_emplace(text, func);
    if (inserted)
      func.setSymName(llvm::formatv("region_{0}", functions.size() - 1).str());
    else
      func.erase();
    return known->second;
  }

  llvm::StringMap<func::FuncOp> functions; // by their text
  bool isGpu = false;
};
} // namespace
