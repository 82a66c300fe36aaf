// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A body is checked once, with what it takes from outside, and run wherever a loop needs it.

#include "Import/StableHLO/Bodies.h"

#include "StableHLO/StableHLO.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace whit {

using namespace semantics;
namespace hlo = mlir::stablehlo;

/// Bodies are copied with what they call: how deep, and how many operations that may be.
static constexpr unsigned kMaxCalls = 16, kMaxOperations = 4096;

bool isInHloBody(Operation *op) {
  for (Operation *parent = op->getParentOp(); parent; parent = parent->getParentOp())
    if (isa<hlo::ReduceOp, hlo::ReduceWindowOp, hlo::SortOp, hlo::ScatterOp, hlo::MapOp, hlo::SelectAndScatterOp>(
            parent))
      return true;
  return false;
}

mlir::Value scalarOf(ImplicitLocOpBuilder &b, const Tensor &x) {
  DenseElementsAttr known;
  if (matchPattern(x.value, m_Constant(&known)) && known.isSplat())
    return arith::ConstantOp::create(b, known.getSplatValue<TypedAttr>());
  return tensor::ExtractOp::create(b, x.value, ValueRange());
}

Tensor filledWith(ImplicitLocOpBuilder &b, const Tensor &x, const Sizes &sizes) {
  return {linalg::FillOp::create(b, scalarOf(b, x), empty(b, sizes, x.element())).getResult(0), sizes};
}

static Block *calleeOf(func::CallOp call) {
  auto target = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
  return target && !target.isExternal() && target.getBody().hasOneBlock() ? &target.getBody().front() : nullptr;
}

static bool isScalar(mlir::Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 0 && hloElement(type.getElementType());
}

/// The first operation that cannot be run on elements; values from outside are added to `outer`.
static Operation *findForeign(Block &block, SmallVectorImpl<mlir::Value> &outer, unsigned calls, unsigned &operations) {
  static const llvm::StringSet<> elementwise = [] {
    llvm::StringSet<> names;
    for (const HloOperation &row : hloElementwise())
      names.insert(row.name);
    return names;
  }();
  auto isKnown = [&](mlir::Value value) {
    if (!isScalar(value))
      return false;
    if (value.getParentBlock() != &block)
      outer.push_back(value);
    return true;
  };
  for (Operation &op : block) {
    if (++operations > kMaxOperations)
      return &op;
    bool isEnd = &op == block.getTerminator(), known = isEnd;
    if (auto constant = dyn_cast<hlo::ConstantOp>(op)) {
      known = isa<DenseElementsAttr>(constant.getValue());
    } else if (auto call = dyn_cast<func::CallOp>(op)) {
      Block *callee = calleeOf(call);
      SmallVector<mlir::Value> none;
      known = callee && calls < kMaxCalls && callee->getArgumentTypes() == TypeRange(call.getOperandTypes()) &&
              !findForeign(*callee, none, calls + 1, operations);
    } else if (!isEnd) {
      known = elementwise.contains(op.getName().getStringRef()) && op.getNumResults() == 1;
    }
    if (!known || !llvm::all_of(op.getOperands(), isKnown) || !llvm::all_of(op.getResults(), isScalar))
      return &op;
  }
  return nullptr;
}

std::optional<HloBody> HloBody::of(Program &program, Operation *op, Block &block) {
  SmallVector<mlir::Value> values;
  unsigned operations = 0;
  if (Operation *foreign = findForeign(block, values, 0, operations)) {
    if (operations > kMaxOperations) {
      (void)program.unsupported(op, "has a body of more than " + Twine(kMaxOperations) +
                                        " operations, those that it calls among them");
      return std::nullopt;
    }
    (void)program.unsupported(op, "has a body with '" + foreign->getName().getStringRef() +
                                      "'; only elementwise operations on scalars are supported");
    return std::nullopt;
  }
  HloBody body(block);
  for (mlir::Value value : values) {
    if (program.value(value).failed)
      return std::nullopt; // reported
    body.outer.try_emplace(value, program.whole(value));
  }
  return body;
}

using Outer = llvm::DenseMap<mlir::Value, Tensor>;

static SmallVector<mlir::Value> runBlock(ImplicitLocOpBuilder &b, Block &block, ValueRange arguments,
                                         const Outer &outer) {
  IRMapping known;
  known.map(block.getArguments(), arguments);
  auto elementsOf = [&](ValueRange values) {
    return llvm::map_to_vector(values, [&](mlir::Value value) {
      mlir::Value element = known.lookupOrNull(value);
      if (!element)
        known.map(value, element = scalarOf(b, outer.at(value)));
      return element;
    });
  };
  for (Operation &op : block.without_terminator()) {
    SmallVector<mlir::Value> operands = elementsOf(op.getOperands());
    if (auto constant = dyn_cast<hlo::ConstantOp>(op)) {
      auto elements = cast<DenseElementsAttr>(constant.getValue());
      Type element = hloElement(elements.getElementType());
      if (element != elements.getElementType())
        elements = elements.bitcast(element);
      known.map(constant.getResult(), arith::ConstantOp::create(b, elements.getSplatValue<TypedAttr>()).getResult());
    } else if (auto call = dyn_cast<func::CallOp>(op)) {
      for (auto [result, value] : llvm::zip(call.getResults(), runBlock(b, *calleeOf(call), operands, Outer())))
        known.map(result, value);
    } else {
      known.map(op.getResult(0), hloScalar(b, &op, operands));
    }
  }
  return elementsOf(block.getTerminator()->getOperands());
}

SmallVector<mlir::Value> HloBody::run(ImplicitLocOpBuilder &b, ValueRange arguments) const {
  return runBlock(b, *block, arguments, outer);
}

} // namespace whit
