// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Math functions to arithmetic: those that models use by LaneBuilder, rare ones by MLIR's own approximations.

#include "Lower/ExpandMath.h"

#include "Lower/LaneBuilder.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Transforms/DialectConversion.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::whit;

static bool isHalf(Type type) {
  Type element = getElementTypeOrSelf(type);
  return element.isF16() || element.isBF16();
}

/// Arithmetic on f16 and bf16 in f32, one rounding per operation.
static LogicalResult computeHalfInSingle(Operation *root) {
  bool found = false;
  root->walk([&](Operation *op) {
    found |= isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op->getDialect()) &&
             llvm::any_of(op->getOperandTypes(), isHalf);
  });
  if (!found)
    return success();
  MLIRContext *context = root->getContext();
  TypeConverter converter;
  arith::populateEmulateUnsupportedFloatsConversions(converter, {Float16Type::get(context), BFloat16Type::get(context)},
                                                     Float32Type::get(context));
  RewritePatternSet patterns(context);
  arith::populateEmulateUnsupportedFloatsPatterns(patterns, converter);
  ConversionTarget target(*context);
  arith::populateEmulateUnsupportedFloatsLegality(target, converter);
  return applyPartialConversion(root, target, std::move(patterns));
}

/// Rewrites in terms of other functions (tan, powers of integers), or approximates what LaneBuilder has no function for.
static LogicalResult expandRareFunctions(Operation *root) {
  MLIRContext *context = root->getContext();
  DenseSet<Operation *> before;
  root->walk([&](math::FmaOp op) { before.insert(op); });
  RewritePatternSet patterns(context);
  math::populateExpansionPatterns(patterns, {"tan", "ipowi", "fpowi", "clampf"});
  populateMathF32ExpansionPatterns(patterns, [](StringRef) { return true; }); // functions of f16 and bf16
  populateMathPolynomialApproximationPatterns(patterns, [](StringRef name) {
    return name == math::Log1pOp::getOperationName() || name == math::ExpM1Op::getOperationName();
  });
  populateMathAlgebraicSimplificationPatterns(patterns);
  if (failed(applyPatternsGreedily(root, std::move(patterns))))
    return failure();
  SmallVector<math::FmaOp> made;
  root->walk([&](math::FmaOp op) {
    if (!before.contains(op))
      made.push_back(op);
  });
  for (math::FmaOp op : made) {
    LaneBuilder b(op);
    op.replaceAllUsesWith(b.addf(b.mulf(op.getA(), op.getB()), op.getC()));
    op.erase();
  }
  return success();
}

/// As the operation defines it. For negative x the sum cancels, and the error is some units in the last place of x.
static Value expandGelu(LaneBuilder &b, GeluOp op) {
  Value x = op.getX(), share;
  if (op.getTanh()) {
    Value cubic = b.mulf(b.mulf(b.mulf(x, x), x), b.like(x, 0.044715));
    share = b.tanh(b.mulf(b.addf(x, cubic), b.like(x, 0.797884560802865356)));
  } else {
    share = b.erf(b.mulf(x, b.like(x, 0.707106781186547524)));
  }
  return b.mulf(b.mulf(x, b.like(x, 0.5)), b.addf(share, b.like(x, 1)));
}

/// The value of a function of f32, null for operations that stay.
static Value expand(LaneBuilder &b, Operation *op) {
  Type type = op->getNumResults() == 1 ? getElementTypeOrSelf(op->getResult(0).getType()) : Type();
  if (!type)
    return {};
  Value x = op->getNumOperands() ? op->getOperand(0) : Value();
  if (auto extend = dyn_cast<arith::ExtFOp>(op)) {
    Type from = getElementTypeOrSelf(x.getType());
    if (!isHalf(x.getType()) || (from.isF16() && b.facts.hasHalf()))
      return {};
    Value single = b.widen(x);
    return type.isF32() ? single : Value(arith::ExtFOp::create(b, extend.getType(), single));
  }
  if (auto truncate = dyn_cast<arith::TruncFOp>(op)) {
    if (!isHalf(type) || (type.isF16() && b.facts.hasHalf()))
      return {};
    if (getElementTypeOrSelf(x.getType()).isF64()) {
      Type single = b.getF32Type();
      if (auto vector = dyn_cast<VectorType>(x.getType()))
        single = vector.clone(single);
      x = arith::TruncFOp::create(b, single, x);
    }
    return b.narrow(x, type);
  }
  if (type.isF64())
    return TypeSwitch<Operation *, Value>(op)
        .Case([&](math::ExpOp) { return b.exp(x); })
        .Case([&](math::LogOp) { return b.log(x); })
        .Case([&](math::Log2Op) { return b.log(x, 2); })
        .Case([&](math::Log10Op) { return b.log(x, 10); })
        .Default([](Operation *) { return Value(); });
  if (!type.isF32())
    return {};
  bool rounds = b.facts.has("sse4.1") || b.facts.has("avx");
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](math::ExpOp) { return b.exp(x); })
      .Case([&](math::Exp2Op) { return b.exp2(x); })
      .Case([&](math::TanhOp) { return b.tanh(x); })
      .Case([&](math::ErfOp) { return b.erf(x); })
      .Case([&](math::LogOp) { return b.log(x); })
      .Case([&](math::Log2Op) { return b.log(x, 2); })
      .Case([&](math::Log10Op) { return b.log(x, 10); })
      .Case([&](GeluOp gelu) { return expandGelu(b, gelu); })
      .Case([&](math::SinOp) { return b.sine(x, 0); })
      .Case([&](math::CosOp) { return b.sine(x, 1); })
      .Case([&](math::PowFOp) { return b.pow(x, op->getOperand(1)); })
      .Case([&](math::SinhOp) { return b.sinh(x); })
      .Case([&](math::CoshOp) { return b.cosh(x); })
      .Case([&](math::AsinhOp) { return b.asinh(x); })
      .Case([&](math::AcoshOp) { return b.acosh(x); })
      .Case([&](math::AtanhOp) { return b.atanh(x); })
      .Case([&](math::AtanOp) { return b.atan(x); })
      .Case([&](math::Atan2Op) { return b.atan2(x, op->getOperand(1)); })
      .Case([&](math::AsinOp) { return b.asin(x); })
      .Case([&](math::AcosOp) { return b.acos(x); })
      .Case([&](math::CbrtOp) { return b.cbrt(x); })
      .Case([&](math::ErfcOp) { return b.erfc(x); })
      .Case([&](arith::RemFOp) { return b.remainder(x, op->getOperand(1)); })
      .Case([&](math::RsqrtOp) { return b.divf(b.like(x, 1.0f), math::SqrtOp::create(b, x)); })
      .Case([&](math::RoundOp) { return b.roundAway(x); })
      .Case([&](math::TruncOp) { return rounds ? Value() : b.trunc(x); })
      .Case([&](math::FloorOp) { return rounds ? Value() : b.floor(x); })
      .Case([&](math::CeilOp) { return rounds ? Value() : b.ceil(x); })
      .Case([&](math::RoundEvenOp) { return rounds ? Value() : b.roundEven(x); })
      .Default([](Operation *) { return Value(); });
}

LogicalResult mlir::whit::expandMath(Operation *root) {
  if (failed(computeHalfInSingle(root)) || failed(expandRareFunctions(root)))
    return failure();
  SmallVector<Operation *> ops;
  root->walk([&](Operation *op) {
    if (isa<math::MathDialect, arith::ArithDialect>(op->getDialect()) || isa<GeluOp>(op))
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    LaneBuilder b(op);
    b.fused = false;
    if (Value value = expand(b, op)) {
      op->getResult(0).replaceAllUsesWith(value);
      op->erase();
    }
  }
  return success();
}
