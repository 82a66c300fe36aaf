// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The check dialect: a failed expectation is an error that names the first element that differs, and the rest are
// counted. The program goes on, so that one run shows all of them.

#include "Interpret/Interpreter.h"

#include "Check/Check.h"
#include "mlir/IR/TypeUtilities.h"

#include <cmath>

using namespace mlir;

namespace whit::interpret {

static Tensor tensorOf(Type type, const Datum &datum) {
  if (datum.tensor)
    return *datum.tensor;
  Tensor scalar(type, {});
  scalar.set(0, datum.scalar);
  return scalar;
}

static std::string textOf(const Tensor &tensor, int64_t at) {
  if (!tensor.isFloat())
    return std::to_string(tensor.integers[at]);
  char text[64];
  std::snprintf(text, sizeof(text), "%.9g", tensor.floats[at]);
  return text;
}

using Same = llvm::function_ref<bool(const Scalar &, const Scalar &)>;

static LogicalResult expect(Operation *op, Frame &frame, const Tensor &actual, const Tensor &expected, Same same) {
  Interpreter &interpreter = frame.interpreter;
  if (actual.shape != expected.shape) {
    ++interpreter.failedChecks;
    op->emitError() << "expectation failed: found shape " << textOf(actual.shape) << ", expected "
                    << textOf(expected.shape);
    return success();
  }
  int64_t different = 0, first = -1;
  for (int64_t at = 0; at < actual.count(); ++at)
    if (!same(actual.get(at), expected.get(at)) && different++ == 0)
      first = at;
  ++(different ? interpreter.failedChecks : interpreter.passedChecks);
  if (!different)
    return success();
  std::vector<int64_t> index;
  for (int64_t stride : stridesOf(actual.shape))
    index.push_back(first / stride % std::max<int64_t>(actual.shape[index.size()], 1));
  op->emitError() << "expectation failed at " << textOf(index) << ": found " << textOf(actual, first) << ", expected "
                  << textOf(expected, first) << "; " << different << " of " << actual.count() << " elements differ";
  return success();
}

static bool sameIn(Type element, const Scalar &a, const Scalar &b) {
  if (!isa<FloatType>(element))
    return a.i == b.i;
  double x = roundTo(element, a.f), y = roundTo(element, b.f);
  return x == y || (std::isnan(x) && std::isnan(y));
}

static LogicalResult expectEq(Operation *op, Frame &frame, Value actual, const Datum &expected) {
  Type type = actual.getType(), element = getElementTypeOrSelf(type);
  return expect(op, frame, tensorOf(type, frame.datum(actual)), tensorOf(type, expected),
                [&](const Scalar &a, const Scalar &b) { return sameIn(element, a, b); });
}

static LogicalResult runExpectEq(check::ExpectEqOp op, Frame &frame) {
  return expectEq(op, frame, op.getActual(), frame.datum(op.getExpected()));
}

static LogicalResult runExpectEqConst(check::ExpectEqConstOp op, Frame &frame) {
  auto expected = constantOf(op, op.getExpected());
  return failed(expected) ? failure() : expectEq(op, frame, op.getActual(), *expected);
}

static LogicalResult runExpectClose(check::ExpectCloseOp op, Frame &frame) {
  Type type = op.getActual().getType(), element = getElementTypeOrSelf(type);
  int64_t ulps = op.getUlps();
  return expect(op, frame, tensorOf(type, frame.datum(op.getActual())), tensorOf(type, frame.datum(op.getExpected())),
                [&](const Scalar &a, const Scalar &b) {
                  double x = roundTo(element, a.f), y = roundTo(element, b.f);
                  if (!std::isfinite(x) || !std::isfinite(y))
                    return sameIn(element, a, b);
                  return std::fabs(x - y) <= ulps * unitInTheLastPlace(element, std::max(std::fabs(x), std::fabs(y)));
                });
}

void addCheckOps(Interpreter &interpreter) {
  interpreter.add(runExpectEq);
  interpreter.add(runExpectEqConst);
  interpreter.add(runExpectClose);
}

} // namespace whit::interpret
