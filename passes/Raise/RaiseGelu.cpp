// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-raise-gelu: a function is gelu if it has the values of gelu.
//
// There are a dozen ways to write the formula, and JAX writes it as two rational polynomials of twenty constants and
// three selects. What they have in common is that they are a scalar function of one element. So each elementwise result
// is tried as a function of each element that it is computed from: it is evaluated at points all over the line, and
// where it agrees with gelu at all of them to within the rounding of f32, the whole formula is whit.gelu of that
// element. The two forms of gelu differ from each other by 5e-4, and from other activations by more, so that nothing
// else comes near.

#include "Raise/Match.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

namespace mlir::whit {
#define GEN_PASS_DEF_RAISEGELUPASS
#include "Raise/RaiseGelu.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

namespace {
/// An element as a formula of those that it is computed from. Nodes stand behind their operands; the last one is the
/// element.
class Formula {
public:
  explicit Formula(const Element &root) { add(root); }

  bool tooLarge() const { return entered > kLargest; }
  size_t size() const { return nodes.size(); }
  const Element &element(size_t node) const { return nodes[node].element; }
  bool isConstant(size_t node) const { return nodes[node].constant.has_value(); }
  /// The value where `node` has the value `x`; nothing if other elements matter as well.
  std::optional<double> at(size_t node, double x) const;

private:
  static constexpr size_t kLargest = 160;
  struct Node {
    Element element; ///< before it was resolved
    Operation *op = nullptr;
    std::optional<double> constant;
    SmallVector<size_t, 3> operands;
  };

  size_t add(const Element &element);
  static std::optional<double> compute(Operation *op, ArrayRef<double> x);

  SmallVector<Node> nodes;
  size_t entered = 0; ///< nodes, those included that wait for their operands
  llvm::DenseMap<std::pair<Value, AffineMap>, size_t> known;
};
} // namespace

size_t Formula::add(const Element &element) {
  Element inner = resolve(element);
  if (auto found = known.find({inner.value, inner.at}); found != known.end())
    return found->second;
  ++entered;
  Node node{element, nullptr, constantOf(inner), {}};
  Operation *op = inner.value.getDefiningOp();
  if (!node.constant && !inner.isTensor() && op && op->getNumRegions() == 0 && !tooLarge()) {
    node.op = op;
    for (const Element &operand : operandsOf(op, inner.at))
      node.operands.push_back(add(operand));
  }
  nodes.push_back(node);
  return known[{inner.value, inner.at}] = nodes.size() - 1;
}

static bool compare(arith::CmpFPredicate predicate, double a, double b) {
  using P = arith::CmpFPredicate;
  switch (predicate) {
  case P::OLT:
  case P::ULT:
    return a < b;
  case P::OLE:
  case P::ULE:
    return a <= b;
  case P::OGT:
  case P::UGT:
    return a > b;
  case P::OGE:
  case P::UGE:
    return a >= b;
  case P::OEQ:
  case P::UEQ:
    return a == b;
  default:
    return a != b;
  }
}

std::optional<double> Formula::compute(Operation *op, ArrayRef<double> x) {
  using Result = std::optional<double>;
  return TypeSwitch<Operation *, Result>(op)
      .Case([&](arith::AddFOp) { return x[0] + x[1]; })
      .Case([&](arith::SubFOp) { return x[0] - x[1]; })
      .Case([&](arith::MulFOp) { return x[0] * x[1]; })
      .Case([&](arith::DivFOp) { return x[0] / x[1]; })
      .Case([&](arith::NegFOp) { return -x[0]; })
      .Case([&](arith::MaximumFOp) { return std::max(x[0], x[1]); })
      .Case([&](arith::MinimumFOp) { return std::min(x[0], x[1]); })
      .Case([&](arith::SelectOp) { return x[0] ? x[1] : x[2]; })
      .Case([&](arith::CmpFOp cmp) { return double(compare(cmp.getPredicate(), x[0], x[1])); })
      .Case([&](math::FmaOp) { return x[0] * x[1] + x[2]; })
      .Case([&](math::AbsFOp) { return std::fabs(x[0]); })
      .Case([&](math::ExpOp) { return std::exp(x[0]); })
      .Case([&](math::Exp2Op) { return std::exp2(x[0]); })
      .Case([&](math::ErfOp) { return std::erf(x[0]); })
      .Case([&](math::ErfcOp) { return std::erfc(x[0]); })
      .Case([&](math::TanhOp) { return std::tanh(x[0]); })
      .Case([&](math::PowFOp) { return std::pow(x[0], x[1]); })
      .Case([&](math::FPowIOp) { return std::pow(x[0], x[1]); })
      .Case([&](math::SqrtOp) { return std::sqrt(x[0]); })
      .Case([&](math::RsqrtOp) { return 1 / std::sqrt(x[0]); })
      .Default([](Operation *) { return Result(); });
}

std::optional<double> Formula::at(size_t node, double x) const {
  // Only what the element needs: a leaf that matters to `node` alone does not matter.
  SmallVector<bool> needed(nodes.size());
  needed.back() = true;
  for (size_t i = nodes.size(); i-- > 0;)
    if (needed[i] && i != node)
      for (size_t operand : nodes[i].operands)
        needed[operand] = true;
  SmallVector<double> values(nodes.size());
  for (auto [i, entry] : llvm::enumerate(nodes)) {
    if (!needed[i])
      continue;
    if (i == node) {
      values[i] = x;
    } else if (entry.constant) {
      values[i] = *entry.constant;
    } else {
      if (!entry.op)
        return std::nullopt;
      SmallVector<double, 3> operands;
      for (size_t operand : entry.operands)
        operands.push_back(values[operand]);
      std::optional<double> value = compute(entry.op, operands);
      if (!value)
        return std::nullopt;
      values[i] = *value;
    }
  }
  return values.back();
}

static double gelu(double x) { return x * std::erfc(-x * M_SQRT1_2) / 2; }
static double geluByTanh(double x) { return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

/// What rounding the constants and the operations of a formula to f32 can do to its value at x, for each unit of |x|.
constexpr double kRounding = 1e-6;
/// Further from gelu than either form from the other, and nearer than any activation that is meant to be another.
constexpr double kNearly = 2e-3;

/// Whether the formula has the values of `wanted` as a function of `node`. Points are not special numbers, at which a
/// select may hide something.
static bool agrees(const Formula &formula, size_t node, double (*wanted)(double), double within = kRounding) {
  auto near = [&](double x) {
    std::optional<double> found = formula.at(node, x);
    return found && std::fabs(*found - wanted(x)) <= within * std::fabs(x);
  };
  if (!near(0.7310585) || !near(-0.3141593))
    return false;
  for (int i = 0; i < 500; ++i)
    if (double x = (i - 250) * 0.04801; !near(x + 0.0123) || !near(std::ldexp(x + 0.0123, -12)))
      return false;
  return near(53.7) && near(-53.7);
}

namespace {
struct RaiseGeluPass : mlir::whit::impl::RaiseGeluPassBase<RaiseGeluPass> {
  void runOnOperation() override {
    raiseEach(getOperation(), getArgument(), "gelu",
              [&](ImplicitLocOpBuilder &b, linalg::GenericOp op, std::string &why) { return raise(b, op, why); });
  }

  static Value raise(ImplicitLocOpBuilder &b, linalg::GenericOp op, std::string &why) {
    Value result = op.getResult(0);
    // A product or a quotient, by which every form ends.
    Element root = elementOf(result), scalar = resolve(root);
    Type type = getElementTypeOrSelf(result.getType());
    if (!isa<FloatType>(type) || scalar.isTensor() || scalar.value.getParentRegion() != &op.getRegion() ||
        !isa_and_present<arith::MulFOp, arith::DivFOp>(scalar.value.getDefiningOp()))
      return {};
    Formula formula(root);
    if (formula.tooLarge())
      return {};
    for (size_t node = 0; node + 1 < formula.size(); ++node) {
      if (formula.isConstant(node))
        continue;
      for (bool byTanh : {false, true})
        if (agrees(formula, node, byTanh ? geluByTanh : gelu)) {
          if (Value value = type.isF32() ? build(b, op, formula.element(node), byTanh) : Value()) {
            why.clear();
            return value;
          }
          why = type.isF32() ? "what it is computed from is no tensor of f32"
                             : llvm::formatv("its elements are {0}; f32 is required", type).str();
        }
    }
    if (!why.empty())
      return {};
    for (size_t node = 0; node + 1 < formula.size(); ++node)
      if (!formula.isConstant(node) && agrees(formula, node, gelu, kNearly)) {
        why = llvm::formatv(
            "its values differ from those of gelu by more than {0:e0} of their argument, as when one of its "
            "constants is cut short",
            kRounding);
        return {};
      }
    return {};
  }

  static Value build(ImplicitLocOpBuilder &b, linalg::GenericOp op, const Element &x, bool byTanh) {
    Element operand = asOperand(b, x);
    if (!operand || !getElementTypeOrSelf(operand.value.getType()).isF32())
      return {};
    int64_t rank = cast<RankedTensorType>(op.getResult(0).getType()).getRank();
    AffineMap maps[] = {operand.at, b.getMultiDimIdentityMap(rank)};
    SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
    auto generic = linalg::GenericOp::create(b, op.getResultTypes(), operand.value, emptyLike(b, op.getResult(0)), maps,
                                             loops, [&](OpBuilder &inner, Location loc, ValueRange v) {
                                               Value y = GeluOp::create(inner, loc, v[0].getType(), v[0], byTanh);
                                               linalg::YieldOp::create(inner, loc, y);
                                             });
    return generic.getResult(0);
  }
};
} // namespace
