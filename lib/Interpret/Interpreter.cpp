// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Walking over blocks: finding each operation's handler, and dropping values after their last use.

#include "Interpret/Interpreter.h"

#include "Interpret/Scalars.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;

namespace whit::interpret {

int64_t Frame::integer(OpFoldResult size) const {
  if (auto attribute = dyn_cast<Attribute>(size))
    return cast<IntegerAttr>(attribute).getInt();
  return integer(cast<Value>(size));
}

Interpreter::Interpreter(ModuleOp module, std::string directory, Options options)
    : options(options), unit(options.bounds ? 0x1p-24 : 0), module(module), files(std::move(directory)) {
  addControlOps(*this);
  addTensorOps(*this);
  addRowOps(*this);
  addMatmulOps(*this);
  addAttentionOps(*this);
  addCheckOps(*this);
}

const Handler *Interpreter::find(Operation *op) {
  auto found = handlers.find(op->getName().getStringRef());
  if (found != handlers.end())
    return &found->second;
  static const Handler linalgHandler = runLinalg, scalarHandler = runScalar;
  if (isa<linalg::LinalgOp>(op))
    return &linalgHandler;
  return scalarFunction(op, false) ? &scalarHandler : nullptr;
}

static bool isTerminator(Operation *op) { return op->hasTrait<OpTrait::IsTerminator>(); }

LogicalResult Interpreter::verifySupported(Operation *root) {
  bool known = true;
  root->walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (op == root || isTerminator(op) || isa<func::FuncOp>(op))
      return WalkResult::advance();
    if (!find(op)) {
      op->emitError() << "operation '" << op->getName() << "' is not known to the interpreter";
      known = false;
    }
    // Bodies of linalg operations hold more than what stands alone; they say so when they run.
    return isa<linalg::LinalgOp>(op) ? WalkResult::skip() : WalkResult::advance();
  });
  return success(known);
}

LogicalResult Interpreter::execute(Operation *op, Frame &frame) {
  const Handler *handler = find(op);
  if (!handler)
    return op->emitError() << "operation '" << op->getName() << "' is not known to the interpreter";
  return (*handler)(op, frame);
}

FailureOr<std::vector<Datum>> Interpreter::run(Block &block, Frame &frame) {
  // A value lives until the last operation of its own block that uses it, directly or inside a region.
  if (!analyzed[&block]) {
    analyzed[&block] = true;
    for (Operation &op : block)
      for (Value result : op.getResults()) {
        Operation *last = &op;
        for (Operation *user : result.getUsers())
          if (Operation *ancestor = block.findAncestorOpInBlock(*user); ancestor && last->isBeforeInBlock(ancestor))
            last = ancestor;
        if (!isTerminator(last))
          lastUses[last].push_back(result);
      }
  }
  for (Operation &op : block.without_terminator()) {
    if (failed(execute(&op, frame)))
      return failure();
    if (auto dead = lastUses.find(&op); dead != lastUses.end())
      for (Value value : dead->second)
        frame.drop(value);
  }
  std::vector<Datum> results;
  for (Value operand : block.getTerminator()->getOperands())
    results.push_back(frame.datum(operand));
  return results;
}

FailureOr<std::vector<Datum>> Interpreter::call(func::FuncOp function, std::vector<Datum> arguments) {
  if (function.isExternal())
    return function.emitError() << "function '" << function.getName() << "' has no body";
  if (!function.getBody().hasOneBlock())
    return function.emitError() << "function '" << function.getName()
                                << "' has several blocks; the interpreter reads one";
  if (arguments.size() != function.getNumArguments())
    return function.emitError() << "function '" << function.getName() << "' takes " << function.getNumArguments()
                                << " arguments; " << arguments.size() << " were given";
  Frame frame(*this);
  for (auto [argument, datum] : llvm::zip(function.getArguments(), arguments))
    frame.set(argument, std::move(datum));
  return run(function.getBody().front(), frame);
}

FailureOr<std::shared_ptr<const Weight>> Interpreter::weight(Operation *user, StringRef name) {
  std::shared_ptr<const Weight> &known = weights[name];
  if (known)
    return known;
  auto op = module.lookupSymbol<mlir::whit::WeightOp>(name);
  if (!op)
    return user->emitError() << "names '" << name << "', which is no whit.weight of this module";
  auto loaded = Weight::load(op, files);
  if (failed(loaded))
    return failure();
  return known = *loaded;
}

} // namespace whit::interpret
