// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// arith, math, affine.apply and whit.gelu on one element, with the error each operation adds and passes on.

#include "Interpret/Scalars.h"

#include "Whit/Whit.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

#include <bit>
#include <cmath>
#include <limits>

using namespace mlir;

namespace whit::interpret {

static constexpr double kInfinity = std::numeric_limits<double>::infinity();

// ---------------------------------------------------------------------------------------------------- floats

using Real = std::function<double(const double *)>;

/// y = f(x...) with one rounding of unit `u`; `error` is what the operands' bounds become.
static ScalarFunction real(double u, Real function, std::function<double(const Scalar *, double)> error) {
  return [=](const Scalar *x) {
    double values[3] = {x[0].f, x[1].f, x[2].f}, y = function(values);
    double e = error(x, y) + u * std::fabs(y);
    if (u && y != 0 && std::fabs(y) < 0x1p-126)
      e += 0x1p-149;
    return Scalar{y, 0, std::isfinite(y) ? std::isnan(e) ? kInfinity : e : 0};
  };
}

/// A unary function with derivative `slope` that is computed to a few units in the last place.
static ScalarFunction smooth(double u, double (*function)(double), std::function<double(double x, double y)> slope) {
  return [=](const Scalar *x) {
    double y = function(x[0].f), e = u ? 2 * kFunctionUlps * u * std::fabs(y) + kFlushed : 0;
    if (x[0].bound)
      e += x[0].bound * std::fabs(slope(x[0].f, y));
    return Scalar{y, 0, std::isfinite(y) ? std::isnan(e) ? kInfinity : e : 0};
  };
}

/// A step function: an operand whose bound reaches a step may land on the other side of it.
static ScalarFunction step(double (*function)(double)) {
  return [=](const Scalar *x) {
    double y = function(x[0].f), e = x[0].bound;
    if (e)
      e = std::max(function(x[0].f + e) - y, y - function(x[0].f - e));
    return Scalar{y, 0, e};
  };
}

static double roundHalfEven(double x) { return std::nearbyint(x); }
static double reciprocalRoot(double x) { return 1 / std::sqrt(x); }

static bool compare(arith::CmpFPredicate predicate, double a, double b) {
  using P = arith::CmpFPredicate;
  bool unordered = std::isnan(a) || std::isnan(b);
  switch (predicate) {
  case P::AlwaysFalse:
    return false;
  case P::OEQ:
    return a == b;
  case P::OGT:
    return a > b;
  case P::OGE:
    return a >= b;
  case P::OLT:
    return a < b;
  case P::OLE:
    return a <= b;
  case P::ONE:
    return !unordered && a != b;
  case P::ORD:
    return !unordered;
  case P::UEQ:
    return unordered || a == b;
  case P::UGT:
    return unordered || a > b;
  case P::UGE:
    return unordered || a >= b;
  case P::ULT:
    return unordered || a < b;
  case P::ULE:
    return unordered || a <= b;
  case P::UNE:
    return unordered || a != b;
  case P::UNO:
    return unordered;
  case P::AlwaysTrue:
    return true;
  }
  return false;
}

/// The error of the number that is taken, and of either if they are too close to tell.
static double pickError(const Scalar *x, double y) {
  if (std::fabs(x[0].f - x[1].f) > x[0].bound + x[1].bound)
    return x[x[0].f == y ? 0 : 1].bound;
  return std::max(x[0].bound, x[1].bound);
}
static double sumError(const Scalar *x, double) { return x[0].bound + x[1].bound; }
static double productError(const Scalar *x, double) {
  return std::fabs(x[0].f) * x[1].bound + std::fabs(x[1].f) * x[0].bound + x[0].bound * x[1].bound;
}

static double maximum(double a, double b) { return std::isnan(a) || std::isnan(b) ? std::nan("") : std::max(a, b); }
static double minimum(double a, double b) { return std::isnan(a) || std::isnan(b) ? std::nan("") : std::min(a, b); }

static ScalarFunction floatArith(Operation *op, double u) {
  return TypeSwitch<Operation *, ScalarFunction>(op)
      .Case([&](arith::AddFOp) { return real(u, [](const double *x) { return x[0] + x[1]; }, sumError); })
      .Case([&](arith::SubFOp) { return real(u, [](const double *x) { return x[0] - x[1]; }, sumError); })
      .Case([&](arith::MulFOp) { return real(u, [](const double *x) { return x[0] * x[1]; }, productError); })
      .Case([&](arith::DivFOp) {
        return real(
            u, [](const double *x) { return x[0] / x[1]; },
            [](const Scalar *x, double y) {
              double error = x[0].bound + std::fabs(y) * x[1].bound, left = std::fabs(x[1].f) - x[1].bound;
              return error == 0 ? 0 : left > 0 ? error / left : kInfinity;
            });
      })
      .Case([&](arith::RemFOp) {
        return real(
            u, [](const double *x) { return std::fmod(x[0], x[1]); },
            [](const Scalar *x, double) { return x[0].bound || x[1].bound ? std::fabs(x[1].f) : 0; });
      })
      .Case([&](arith::NegFOp) {
        return real(0, [](const double *x) { return -x[0]; }, [](const Scalar *x, double) { return x[0].bound; });
      })
      .Case([&](arith::MaximumFOp) { return real(0, [](const double *x) { return maximum(x[0], x[1]); }, pickError); })
      .Case([&](arith::MinimumFOp) { return real(0, [](const double *x) { return minimum(x[0], x[1]); }, pickError); })
      .Case([&](arith::MaxNumFOp) { return real(0, [](const double *x) { return std::fmax(x[0], x[1]); }, pickError); })
      .Case([&](arith::MinNumFOp) { return real(0, [](const double *x) { return std::fmin(x[0], x[1]); }, pickError); })
      .Case([&](math::FmaOp) {
        return real(
            u, [](const double *x) { return x[0] * x[1] + x[2]; },
            [](const Scalar *x, double y) { return productError(x, y) + x[2].bound; });
      })
      .Default([](Operation *) { return ScalarFunction(); });
}

/// x/2 (1 + f(inner)), f being erf or tanh: the sum cancels for negative x, so the error is relative to x, not to the result.
static ScalarFunction gelu(double u, bool byTanh) {
  static const double rootTwoOverPi = std::sqrt(2 / M_PI);
  auto share = [=](double x) {
    return byTanh ? (1 + std::tanh(rootTwoOverPi * (x + 0.044715 * x * x * x))) / 2 : (1 + std::erf(x * M_SQRT1_2)) / 2;
  };
  return real(
      u, [=](const double *x) { return x[0] * share(x[0]); },
      [=](const Scalar *x, double) {
        // The slope of either form is within [-0.13, 1.13].
        return 1.13 * x[0].bound + 2 * kFunctionUlps * u * std::fabs(x[0].f);
      });
}

static ScalarFunction mathFunction(Operation *op, double u) {
  static const double twoOverRootPi = 2 / std::sqrt(M_PI);
  return TypeSwitch<Operation *, ScalarFunction>(op)
      .Case([&](math::ExpOp) { return smooth(u, std::exp, [](double, double y) { return y; }); })
      .Case([&](math::Exp2Op) { return smooth(u, std::exp2, [](double, double y) { return y * M_LN2; }); })
      .Case([&](math::ExpM1Op) { return smooth(u, std::expm1, [](double, double y) { return y + 1; }); })
      .Case([&](math::LogOp) { return smooth(u, std::log, [](double x, double) { return 1 / x; }); })
      .Case([&](math::Log2Op) { return smooth(u, std::log2, [](double x, double) { return 1 / (x * M_LN2); }); })
      .Case([&](math::Log10Op) { return smooth(u, std::log10, [](double x, double) { return 1 / (x * M_LN10); }); })
      .Case([&](math::CbrtOp) { return smooth(u, std::cbrt, [](double x, double y) { return y / (3 * x); }); })
      .Case([&](math::Log1pOp) { return smooth(u, std::log1p, [](double x, double) { return 1 / (1 + x); }); })
      .Case([&](math::SqrtOp) { return smooth(u, std::sqrt, [](double, double y) { return 0.5 / y; }); })
      .Case([&](math::RsqrtOp) { return smooth(u, reciprocalRoot, [](double x, double y) { return 0.5 * y / x; }); })
      .Case([&](math::TanhOp) { return smooth(u, std::tanh, [](double, double y) { return 1 - y * y; }); })
      .Case([&](math::ErfOp) {
        return smooth(u, std::erf, [](double x, double) { return twoOverRootPi * std::exp(-x * x); });
      })
      .Case([&](mlir::whit::GeluOp op) { return gelu(u, op.getTanh()); })
      .Case([&](math::ErfcOp) {
        return smooth(u, std::erfc, [](double x, double) { return twoOverRootPi * std::exp(-x * x); });
      })
      .Case([&](math::TanOp) { return smooth(u, std::tan, [](double, double y) { return 1 + y * y; }); })
      .Case(
          [&](math::AsinOp) { return smooth(u, std::asin, [](double x, double) { return 1 / std::sqrt(1 - x * x); }); })
      .Case(
          [&](math::AcosOp) { return smooth(u, std::acos, [](double x, double) { return 1 / std::sqrt(1 - x * x); }); })
      .Case([&](math::AtanOp) { return smooth(u, std::atan, [](double x, double) { return 1 / (1 + x * x); }); })
      .Case([&](math::SinhOp) { return smooth(u, std::sinh, [](double x, double) { return std::cosh(x); }); })
      .Case([&](math::CoshOp) { return smooth(u, std::cosh, [](double x, double) { return std::sinh(x); }); })
      .Case([&](math::AsinhOp) {
        return smooth(u, std::asinh, [](double x, double) { return 1 / std::sqrt(x * x + 1); });
      })
      .Case([&](math::AcoshOp) {
        return smooth(u, std::acosh, [](double x, double) { return 1 / std::sqrt(x * x - 1); });
      })
      .Case([&](math::AtanhOp) { return smooth(u, std::atanh, [](double x, double) { return 1 / (1 - x * x); }); })
      .Case([&](math::CopySignOp) {
        return real(
            0, [](const double *x) { return std::copysign(x[0], x[1]); },
            [](const Scalar *x, double) {
              return x[0].bound + (std::fabs(x[1].f) < x[1].bound ? 2 * std::fabs(x[0].f) : 0);
            });
      })
      .Case([&](math::Atan2Op) {
        return real(
            2 * kFunctionUlps * u, [](const double *x) { return std::atan2(x[0], x[1]); },
            [](const Scalar *x, double) {
              double square = x[0].f * x[0].f + x[1].f * x[1].f;
              double error = std::fabs(x[1].f) * x[0].bound + std::fabs(x[0].f) * x[1].bound;
              return error ? error / square : 0;
            });
      })
      .Case([&](math::SinOp) { return smooth(u, std::sin, [](double, double) { return 1; }); })
      .Case([&](math::CosOp) { return smooth(u, std::cos, [](double, double) { return 1; }); })
      .Case([&](math::AbsFOp) {
        return real(
            0, [](const double *x) { return std::fabs(x[0]); }, [](const Scalar *x, double) { return x[0].bound; });
      })
      .Case([&](math::FloorOp) { return step(std::floor); })
      .Case([&](math::CeilOp) { return step(std::ceil); })
      .Case([&](math::TruncOp) { return step(std::trunc); })
      .Case([&](math::RoundOp) { return step(std::round); })
      .Case([&](math::RoundEvenOp) { return step(roundHalfEven); })
      .Case([&](math::PowFOp) {
        return real(
            2 * kFunctionUlps * u, [](const double *x) { return std::pow(x[0], x[1]); },
            [](const Scalar *x, double y) {
              double base = x[0].bound ? std::fabs(x[1].f * std::pow(x[0].f, x[1].f - 1)) * x[0].bound : 0;
              return base + (x[1].bound ? std::fabs(y * std::log(std::fabs(x[0].f))) * x[1].bound : 0);
            });
      })
      .Default([](Operation *) { return ScalarFunction(); });
}

// ---------------------------------------------------------------------------------------------------- integers

using Whole = std::function<int64_t(int64_t, int64_t)>;

static bool anyBound(const Scalar *x) { return x[0].bound || x[1].bound; }

/// An integer operation; where rounding may have moved an operand, `error` says how far the result may move.
static ScalarFunction whole(unsigned width, Whole function, std::function<double(const Scalar *)> error = nullptr) {
  return [=](const Scalar *x) {
    double bound = anyBound(x) ? (error ? error(x) : kInfinity) : 0;
    return Scalar{0, wrap(function(x[0].i, x[1].i), width), bound};
  };
}

static uint64_t unsignedOf(int64_t value, unsigned width) {
  return width >= 64 ? uint64_t(value) : uint64_t(value) & ((uint64_t(1) << width) - 1);
}

static bool compare(arith::CmpIPredicate predicate, int64_t a, int64_t b, unsigned width) {
  using P = arith::CmpIPredicate;
  uint64_t c = unsignedOf(a, width), d = unsignedOf(b, width);
  if (width == 1) // signed i1: true is -1
    a = -a, b = -b;
  switch (predicate) {
  case P::eq:
    return a == b;
  case P::ne:
    return a != b;
  case P::slt:
    return a < b;
  case P::sle:
    return a <= b;
  case P::sgt:
    return a > b;
  case P::sge:
    return a >= b;
  case P::ult:
    return c < d;
  case P::ule:
    return c <= d;
  case P::ugt:
    return c > d;
  case P::uge:
    return c >= d;
  }
  return false;
}

static int64_t floorDivide(int64_t a, int64_t b) { return b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0)); }
static int64_t ceilDivide(int64_t a, int64_t b) { return b == 0 ? 0 : a / b + (a % b != 0 && (a < 0) == (b < 0)); }
static int64_t divide(int64_t a, int64_t b) { return b == 0 || (b == -1 && a == INT64_MIN) ? 0 : a / b; }
static int64_t remainder(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }

static ScalarFunction integerArith(Operation *op, unsigned width) {
  auto sum = [](const Scalar *x) { return x[0].bound + x[1].bound; };
  auto product = [](const Scalar *x) {
    return std::fabs(double(x[0].i)) * x[1].bound + std::fabs(double(x[1].i)) * x[0].bound + x[0].bound * x[1].bound;
  };
  auto larger = [](const Scalar *x) { return std::max(x[0].bound, x[1].bound); };
  auto u = [width](int64_t value) { return unsignedOf(value, width); };
  auto plain = [width](Whole function) { return whole(width, std::move(function)); };
  return TypeSwitch<Operation *, ScalarFunction>(op)
      .Case([&](arith::AddIOp) {
        return whole(width, [](int64_t a, int64_t b) { return int64_t(uint64_t(a) + uint64_t(b)); }, sum);
      })
      .Case([&](arith::SubIOp) {
        return whole(width, [](int64_t a, int64_t b) { return int64_t(uint64_t(a) - uint64_t(b)); }, sum);
      })
      .Case([&](arith::MulIOp) {
        return whole(width, [](int64_t a, int64_t b) { return int64_t(uint64_t(a) * uint64_t(b)); }, product);
      })
      .Case([&](arith::DivSIOp) { return plain(divide); })
      .Case([&](arith::DivUIOp) { return plain([u](int64_t a, int64_t b) { return b ? u(a) / u(b) : 0; }); })
      .Case([&](arith::CeilDivSIOp) { return plain(ceilDivide); })
      .Case([&](arith::FloorDivSIOp) { return plain(floorDivide); })
      .Case([&](arith::CeilDivUIOp) {
        return plain([u](int64_t a, int64_t b) { return b ? (u(a) + u(b) - 1) / u(b) : 0; });
      })
      .Case([&](arith::RemSIOp) { return plain(remainder); })
      .Case([&](arith::RemUIOp) { return plain([u](int64_t a, int64_t b) { return b ? u(a) % u(b) : 0; }); })
      .Case([&](arith::AndIOp) { return plain([](int64_t a, int64_t b) { return a & b; }); })
      .Case([&](arith::OrIOp) { return plain([](int64_t a, int64_t b) { return a | b; }); })
      .Case([&](arith::XOrIOp) { return plain([](int64_t a, int64_t b) { return a ^ b; }); })
      .Case([&](arith::ShLIOp) {
        return plain([width](int64_t a, int64_t b) { return uint64_t(b) < width ? int64_t(uint64_t(a) << b) : 0; });
      })
      .Case([&](arith::ShRSIOp) {
        return plain([width](int64_t a, int64_t b) { return a >> (uint64_t(b) < width ? b : width - 1); });
      })
      .Case([&](arith::ShRUIOp) {
        return plain([u, width](int64_t a, int64_t b) { return uint64_t(b) < width ? u(a) >> b : 0; });
      })
      .Case([&](arith::MaxSIOp) { return whole(width, [](int64_t a, int64_t b) { return std::max(a, b); }, larger); })
      .Case([&](arith::MinSIOp) { return whole(width, [](int64_t a, int64_t b) { return std::min(a, b); }, larger); })
      .Case([&](arith::MaxUIOp) { return plain([u](int64_t a, int64_t b) { return std::max(u(a), u(b)); }); })
      .Case([&](arith::MinUIOp) { return plain([u](int64_t a, int64_t b) { return std::min(u(a), u(b)); }); })
      .Default([](Operation *) { return ScalarFunction(); });
}

// ---------------------------------------------------------------------------------------------------- the rest

/// Comparisons and conversions: operand and result types differ.
static ScalarFunction conversion(Operation *op, bool bounds) {
  Type from = getElementTypeOrSelf(op->getOperand(0)), to = getElementTypeOrSelf(op->getResult(0));
  double u = bounds ? unitRoundoff(to) : 0;
  unsigned fromWidth = from.isIntOrIndex() ? widthOf(from) : 0, toWidth = to.isIntOrIndex() ? widthOf(to) : 0;
  auto keep = [](const Scalar *x, double) { return x[0].bound; };
  auto resize = [toWidth](const Scalar *x) { return Scalar{0, wrap(x[0].i, toWidth), x[0].bound}; };
  auto toFloat = [u](double y, double bound) {
    return Scalar{y, 0, bound + (u && std::fabs(y) * u > 0.5 ? u * std::fabs(y) : 0)};
  };
  auto toInteger = [toWidth](const Scalar *x) {
    double y = std::isnan(x[0].f) ? 0 : std::clamp(std::trunc(x[0].f), -0x1p63, 0x1.fffffffffffffp62), e = x[0].bound;
    if (e)
      e = std::max(std::trunc(x[0].f + e) - y, y - std::trunc(x[0].f - e));
    return Scalar{0, wrap(int64_t(y), toWidth), e};
  };
  return TypeSwitch<Operation *, ScalarFunction>(op)
      .Case([&](arith::BitcastOp) -> ScalarFunction {
        auto bitsOf = [from](double y) -> int64_t {
          return from.isF64() ? std::bit_cast<int64_t>(y) : int64_t(std::bit_cast<int32_t>(float(y)));
        };
        auto floatOf = [to](int64_t i) -> double {
          return to.isF64() ? std::bit_cast<double>(i) : double(std::bit_cast<float>(int32_t(i)));
        };
        if ((from.isF32() && toWidth == 32) || (from.isF64() && toWidth == 64))
          return [=](const Scalar *x) {
            double e = x[0].bound;
            return Scalar{0, bitsOf(x[0].f), e ? double(bitsOf(x[0].f + e)) - double(bitsOf(x[0].f - e)) : 0};
          };
        if ((to.isF32() && fromWidth == 32) || (to.isF64() && fromWidth == 64))
          return [=](const Scalar *x) {
            int64_t e = int64_t(x[0].bound);
            return Scalar{floatOf(x[0].i), 0, e ? floatOf(x[0].i + e) - floatOf(x[0].i - e) : 0};
          };
        return {};
      })
      .Case([&](arith::CmpFOp cmp) -> ScalarFunction {
        return [predicate = cmp.getPredicate()](const Scalar *x) {
          double slack = x[0].bound + x[1].bound;
          return Scalar{0, compare(predicate, x[0].f, x[1].f),
                        slack && std::fabs(x[0].f - x[1].f) <= slack ? 1.0 : 0.0};
        };
      })
      .Case([&](arith::CmpIOp cmp) -> ScalarFunction {
        return [predicate = cmp.getPredicate(), fromWidth](const Scalar *x) {
          double slack = x[0].bound + x[1].bound;
          bool unsure = slack && std::fabs(double(x[0].i) - double(x[1].i)) <= slack;
          return Scalar{0, compare(predicate, x[0].i, x[1].i, fromWidth), unsure ? 1.0 : 0.0};
        };
      })
      .Case([&](arith::ExtFOp) { return real(0, [](const double *x) { return x[0]; }, keep); })
      .Case([&](arith::TruncFOp) -> ScalarFunction {
        // Narrowing to f32 is an ordinary rounding; to a half it is part of what the model says, so it is performed.
        if (to.isF32() || to.isF64())
          return real(u, [](const double *x) { return x[0]; }, keep);
        return [u, to](const Scalar *x) {
          double y = roundTo(to, x[0].f);
          return Scalar{y, 0, x[0].bound ? x[0].bound + 2 * u * (std::fabs(y) + x[0].bound) : 0};
        };
      })
      .Case([&](arith::SIToFPOp) -> ScalarFunction {
        return [=](const Scalar *x) { return toFloat(fromWidth == 1 ? -double(x[0].i) : double(x[0].i), x[0].bound); };
      })
      .Case([&](arith::UIToFPOp) -> ScalarFunction {
        return [=](const Scalar *x) { return toFloat(double(unsignedOf(x[0].i, fromWidth)), x[0].bound); };
      })
      .Case<arith::FPToSIOp, arith::FPToUIOp>([&](auto) -> ScalarFunction { return toInteger; })
      .Case<arith::TruncIOp, arith::IndexCastOp>([&](auto) -> ScalarFunction { return resize; })
      .Case([&](arith::ExtSIOp) -> ScalarFunction {
        return [=](const Scalar *x) { return Scalar{0, wrap(fromWidth == 1 ? -x[0].i : x[0].i, toWidth), x[0].bound}; };
      })
      .Case<arith::ExtUIOp, arith::IndexCastUIOp>([&](auto) -> ScalarFunction {
        return [=](const Scalar *x) { return Scalar{0, wrap(unsignedOf(x[0].i, fromWidth), toWidth), x[0].bound}; };
      })
      .Case([&](math::AbsIOp) -> ScalarFunction {
        return [=](const Scalar *x) { return Scalar{0, wrap(x[0].i < 0 ? -x[0].i : x[0].i, toWidth), x[0].bound}; };
      })
      .Case([&](arith::SelectOp) -> ScalarFunction {
        return [](const Scalar *x) {
          Scalar y = x[0].i ? x[1] : x[2];
          if (x[0].bound) // either may be taken
            y.bound = std::max(x[1].bound, x[2].bound) + std::fabs(x[1].f - x[2].f) +
                      std::fabs(double(x[1].i) - double(x[2].i));
          return y;
        };
      })
      .Case([&](math::IsNaNOp) -> ScalarFunction {
        return [](const Scalar *x) { return Scalar{0, std::isnan(x[0].f), 0}; };
      })
      .Default([](Operation *) { return ScalarFunction(); });
}

int64_t evaluate(AffineExpr expr, ArrayRef<int64_t> dims, ArrayRef<int64_t> symbols) {
  switch (expr.getKind()) {
  case AffineExprKind::Constant:
    return cast<AffineConstantExpr>(expr).getValue();
  case AffineExprKind::DimId:
    return dims[cast<AffineDimExpr>(expr).getPosition()];
  case AffineExprKind::SymbolId:
    return symbols[cast<AffineSymbolExpr>(expr).getPosition()];
  default:
    break;
  }
  auto binary = cast<AffineBinaryOpExpr>(expr);
  int64_t a = evaluate(binary.getLHS(), dims, symbols), b = evaluate(binary.getRHS(), dims, symbols);
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return a + b;
  case AffineExprKind::Mul:
    return a * b;
  case AffineExprKind::FloorDiv:
    return floorDivide(a, b);
  case AffineExprKind::CeilDiv:
    return ceilDivide(a, b);
  default:
    return b == 0 ? 0 : a - b * floorDivide(a, b); // Mod
  }
}

/// affine.apply, affine.min and affine.max: `pick` chooses among the map's results.
static ScalarFunction affineFunction(AffineMap map, int64_t (*pick)(int64_t, int64_t)) {
  return [=](const Scalar *x) {
    SmallVector<int64_t> operands;
    for (unsigned i = 0; i < map.getNumInputs(); ++i)
      operands.push_back(x[i].i);
    ArrayRef<int64_t> dims = ArrayRef(operands).take_front(map.getNumDims()),
                      symbols = ArrayRef(operands).drop_front(map.getNumDims());
    int64_t result = evaluate(map.getResult(0), dims, symbols);
    for (AffineExpr expr : map.getResults().drop_front())
      result = pick(result, evaluate(expr, dims, symbols));
    return Scalar{0, result, 0};
  };
}

ScalarFunction scalarFunction(Operation *op, bool bounds) {
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op))
    return affineFunction(apply.getAffineMap(), nullptr);
  if (auto min = dyn_cast<affine::AffineMinOp>(op))
    return affineFunction(min.getAffineMap(), [](int64_t a, int64_t b) { return std::min(a, b); });
  if (auto max = dyn_cast<affine::AffineMaxOp>(op))
    return affineFunction(max.getAffineMap(), [](int64_t a, int64_t b) { return std::max(a, b); });
  bool isScalar =
      isa_and_present<arith::ArithDialect, math::MathDialect>(op->getDialect()) || isa<mlir::whit::GeluOp>(op);
  if (!isScalar || op->getNumResults() != 1 || op->getNumOperands() == 0)
    return {};
  Type type = getElementTypeOrSelf(op->getResult(0));
  if (ScalarFunction function = conversion(op, bounds))
    return function;
  if (type.isIntOrIndex())
    return integerArith(op, widthOf(type));
  double u = bounds ? unitRoundoff(type) : 0;
  ScalarFunction function = floatArith(op, u);
  return function ? function : mathFunction(op, u);
}

Scalar scalarOf(Attribute attribute) {
  if (auto number = dyn_cast<FloatAttr>(attribute))
    return {number.getValueAsDouble(), 0, 0};
  auto integer = cast<IntegerAttr>(attribute);
  unsigned width = integer.getType().isIndex() ? 64 : integer.getType().getIntOrFloatBitWidth();
  return {0, width == 1 ? int64_t(integer.getValue().getBoolValue()) : integer.getValue().getSExtValue(), 0};
}

} // namespace whit::interpret
