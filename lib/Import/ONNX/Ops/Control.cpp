// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// If. Exporters leave it where they could not decide something that is decided here, by shapes and constants: then one
// branch is imported and the other is not looked at. Else both are computed and one is taken, which is right as long as
// neither can stop the program.

#include "Import/ONNX/Graph.h"

#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace whit {

using namespace semantics;

/// Whether an operation behind `before` divides integers by what is not constant: by zero, that stops the program.
static bool mayStop(Block &block, Operation *before) {
  auto first = before ? std::next(before->getIterator()) : block.begin();
  for (Operation &op : llvm::make_range(first, block.end())) {
    bool found = op.walk([](Operation *inner) {
                     return isa<arith::DivSIOp, arith::RemSIOp, arith::DivUIOp, arith::RemUIOp>(inner) &&
                                    !matchPattern(inner->getOperand(1), m_Constant())
                                ? WalkResult::interrupt()
                                : WalkResult::advance();
                   }).wasInterrupted();
    if (found)
      return true;
  }
  return false;
}

/// Of two values of one shape, the first where the condition is true.
static LogicalResult select(Node &node, unsigned i, const Tensor &condition, GraphValue &yes, GraphValue &no) {
  std::string why, output = "output '" + shown(node.proto.output(i)) + "' ";
  FailureOr<Tensor> x = node.graph.materialize(yes, node.b, why), y = node.graph.materialize(no, node.b, why);
  if (failed(x) || failed(y))
    return node.unsupported(output + why);
  if (x->numbers() != y->numbers())
    return node.badOperand(output + "has other elements in one branch than in the other; they must have one type");
  bool isSame = x->rank() == y->rank();
  for (int64_t d = 0; isSame && d < x->rank(); ++d)
    isSame = node.graph.unify(x->sizes[d], y->sizes[d]);
  if (!isSame)
    return node.unsupported(
        output + "has other sizes in one branch than in the other, and the condition depends on data",
        isa<BlockArgument>(condition.value)
            ? "fix the condition with --dim " + shown(node.proto.input(0)) + "=1, or =0; it is no input then"
            : "fix the sizes that the condition depends on with --dim NAME=N");
  Tensor picks = condition;
  if (condition.rank() > x->rank())
    picks = reshape(node.b, condition, Sizes(x->rank(), node.b.getIndexAttr(1)));
  return node.set(
      i, elementwise(node.b, {picks, *x, *y}, x->sizes, x->numbers(), [](ImplicitLocOpBuilder &b, ValueRange v) {
        return arith::SelectOp::create(b, v[0], v[1], v[2]).getResult();
      }));
}

static LogicalResult importIf(Node &node) {
  const ::onnx::GraphProto *branches[2];
  for (auto [i, name] : {std::pair(0, "then_branch"), {1, "else_branch"}}) {
    const auto *attribute = node.find(name);
    if (!attribute || attribute->type() != ::onnx::AttributeProto::GRAPH)
      return node.badAttribute(Twine("attribute '") + name + "' must be a graph");
    branches[i] = &attribute->g();
    if (branches[i]->input_size())
      return node.badAttribute("a branch has " + Twine(branches[i]->input_size()) + " inputs; it must have none");
    if (branches[i]->output_size() != node.proto.output_size())
      return node.badAttribute(Twine("attribute '") + name + "' has " + Twine(branches[i]->output_size()) +
                               " outputs; the node has " + Twine(node.proto.output_size()));
  }
  GraphValue &cond = node.input(0);
  if (!cond.element || !cond.element.isInteger(1))
    return node.badOperand("input cond must be bool");
  if (cond.elements) {
    std::optional<int64_t> known = cond.elements->size() == 1 ? getConstantIntValue((*cond.elements)[0]) : std::nullopt;
    if (!known)
      return node.badOperand("input cond must have one element");
    FailureOr<SmallVector<GraphValue>> results = node.graph.importBranch(node, *branches[*known ? 0 : 1]);
    if (failed(results))
      return failure();
    for (auto [i, result] : llvm::enumerate(*results))
      if (failed(node.setValue(i, result)))
        return failure();
    return success();
  }
  FailureOr<Tensor> condition = node.tensor(0, "cond");
  if (failed(condition))
    return failure();
  for (OpFoldResult size : condition->sizes)
    if (!isConstantIntValue(size, 1))
      return node.badOperand("input cond must have one element");
  Block &block = *node.b.getInsertionBlock();
  Operation *before = block.empty() ? nullptr : &block.back();
  FailureOr<SmallVector<GraphValue>> yes = node.graph.importBranch(node, *branches[0]),
                                     no = node.graph.importBranch(node, *branches[1]);
  if (failed(yes) || failed(no))
    return failure();
  if (mayStop(block, before))
    return node.unsupported(
        "input cond depends on data, and a branch divides integers; both branches would be computed, "
        "and a division by 0 stops the program");
  remark::missed(node.b.getLoc(), remark::RemarkOpts::name("if").category("import"))
      << "both branches are computed, since the condition depends on data";
  for (unsigned i = 0; i < yes->size(); ++i)
    if (node.wants(i) && failed(select(node, i, *condition, (*yes)[i], (*no)[i])))
      return failure();
  return success();
}

static constexpr Operator kOperators[] = {
    {"", "If", importIf, 1, 1, 1024, "then_branch else_branch"},
};

ArrayRef<Operator> controlOperators() { return kOperators; }

} // namespace whit
