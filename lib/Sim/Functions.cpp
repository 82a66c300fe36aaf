// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions of LLVM that compute lane by lane, on any target: fma, exp2, smax, ctpop and the like, by name.

#include "Sim/Arithmetic.h"
#include "Sim/Floats.h"
#include "Sim/Lanes.h"

#include "llvm/ADT/StringSwitch.h"

namespace whit::sim {
namespace {

template <class T, auto f> void unaryFloat(Warp &warp, const Inst &inst) {
  mapLanes<T, T>(warp, inst.d, inst.a, [](T x) -> T {
    if constexpr (std::is_same_v<T, double>)
      return f(x);
    else if constexpr (std::is_same_v<T, float>)
      return float(f(double(x))); // correctly rounded but for the rarest cases
    else
      return fromDouble<T>(f(double(toFloat(x))));
  });
}
template <class T, auto f> void binaryFloat(Warp &warp, const Inst &inst) {
  mapLanes<T, T, T>(warp, inst.d, inst.a, inst.b,
                    [](T x, T y) -> T { return fromDouble<T>(f(double(toFloat(x)), double(toFloat(y)))); });
}
template <auto f> Handler unaryByType(Scalar type) {
  switch (type.cls) {
  case Scalar::Half:
    return unaryFloat<Half, f>;
  case Scalar::BFloat:
    return unaryFloat<BFloat, f>;
  case Scalar::Float:
    return unaryFloat<float, f>;
  case Scalar::Double:
    return unaryFloat<double, f>;
  case Scalar::Int:
    break;
  }
  return nullptr;
}
template <auto f> Handler binaryByType(Scalar type) {
  switch (type.cls) {
  case Scalar::Half:
    return binaryFloat<Half, f>;
  case Scalar::BFloat:
    return binaryFloat<BFloat, f>;
  case Scalar::Float:
    return binaryFloat<float, f>;
  case Scalar::Double:
    return binaryFloat<double, f>;
  case Scalar::Int:
    break;
  }
  return nullptr;
}

double sqrtOf(double x) { return std::sqrt(x); }
double exp2Of(double x) { return std::exp2(x); }
double expOf(double x) { return std::exp(x); }
double log2Of(double x) { return std::log2(x); }
double logOf(double x) { return std::log(x); }
double log10Of(double x) { return std::log10(x); }
double sinOf(double x) { return std::sin(x); }
double cosOf(double x) { return std::cos(x); }
double tanhOf(double x) { return std::tanh(x); }
double floorOf(double x) { return std::floor(x); }
double ceilOf(double x) { return std::ceil(x); }
double rintOf(double x) { return std::nearbyint(x); }
double roundOf(double x) { return std::round(x); }
double truncOf(double x) { return std::trunc(x); }
double fabsOf(double x) { return std::fabs(x); }
double negate(double x) { return -x; }
double reciprocal(double x) { return 1.0 / x; }
double reciprocalRoot(double x) { return 1.0 / std::sqrt(x); }
double fraction(double x) { return x - std::floor(x); }
double canonicalize(double x) { return x; }
double copySign(double x, double y) { return std::copysign(x, y); }
double maxNumber(double x, double y) {
  return std::isnan(x) ? y : std::isnan(y) ? x : x > y ? x : x < y ? y : std::signbit(x) ? y : x;
}
double minNumber(double x, double y) {
  return std::isnan(x) ? y : std::isnan(y) ? x : x < y ? x : x > y ? y : std::signbit(x) ? x : y;
}
double maximum(double x, double y) { return std::isnan(x) || std::isnan(y) ? NAN : maxNumber(x, y); }
double minimum(double x, double y) { return std::isnan(x) || std::isnan(y) ? NAN : minNumber(x, y); }
double powOf(double x, double y) { return std::pow(x, y); }

void fmaFloat(Warp &warp, const Inst &inst) {
  mapLanes<float, float, float, float>(warp, inst.d, inst.a, inst.b, inst.c, [](float x, float y, float z) {
    // x * y is exact; rounding the sum to odd first makes the second rounding the only one.
    double product = double(x) * double(y), sum = product + double(z);
    double back = sum - product, lost = (product - (sum - back)) + (double(z) - back);
    uint64_t bits = std::bit_cast<uint64_t>(sum);
    // The part that was lost has another sign than the sum: the sum is too large by less than a unit.
    uint64_t away = (lost < 0) != (sum < 0) ? 1 : 0;
    uint64_t odd = (bits - away) | 1;
    return float(std::bit_cast<double>(lost != 0 && lost == lost ? odd : bits));
  });
}
template <class T> void fmaSmall(Warp &warp, const Inst &inst) {
  mapLanes<T, T, T, T>(warp, inst.d, inst.a, inst.b, inst.c, [](T x, T y, T z) -> T {
    if constexpr (std::is_same_v<T, double>)
      return std::fma(x, y, z);
    else
      return fromDouble<T>(double(toFloat(x)) * double(toFloat(y)) + double(toFloat(z)));
  });
}

template <class T> auto extended(T value, uint32_t bits) {
  using S = std::make_signed_t<T>;
  uint32_t shift = uint32_t(sizeof(T) * 8) - bits;
  return S(S(T(value << shift)) >> shift);
}

enum Integers {
  SMax,
  SMin,
  UMax,
  UMin,
  AbsoluteValue,
  Population,
  LeadingZeros,
  TrailingZeros,
  SwapBytes,
  ReverseBits,
  FunnelLeft,
  FunnelRight,
  AddSaturatedU,
  SubSaturatedU,
  AddSaturatedS,
  SubSaturatedS
};

template <class T, Integers function> void integers(Warp &warp, const Inst &inst) {
  uint32_t bits = inst.size;
  T mask = T(inst.imm);
  auto saturate = [=](int64_t value) -> T {
    int64_t high = int64_t(mask >> 1), low = -high - 1;
    return T(value > high ? high : value < low ? low : value) & mask;
  };
  if constexpr (function == Population || function == LeadingZeros || function == TrailingZeros ||
                function == SwapBytes || function == ReverseBits || function == AbsoluteValue) {
    mapLanes<T, T>(warp, inst.d, inst.a, [=](T x) -> T {
      if constexpr (function == AbsoluteValue)
        return extended(x, bits) < 0 ? T(T(0) - x) & mask : x;
      else if constexpr (function == Population)
        return T(std::popcount(x));
      else if constexpr (function == LeadingZeros)
        return T(std::countl_zero(x) - int(sizeof(T) * 8 - bits));
      else if constexpr (function == TrailingZeros)
        return T(x ? std::countr_zero(x) : int(bits));
      else if constexpr (function == SwapBytes)
        return T(__builtin_bswap64(x) >> (64 - bits));
      else
        return T(__builtin_bitreverse64(x) >> (64 - bits));
    });
  } else if constexpr (function == FunnelLeft || function == FunnelRight) {
    mapLanes<T, T, T, T>(warp, inst.d, inst.a, inst.b, inst.c, [=](T x, T y, T z) -> T {
      uint32_t by = uint32_t(z % bits);
      if constexpr (function == FunnelLeft)
        return by ? T(T(x << by) | T(y >> (bits - by))) & mask : x;
      else
        return by ? T(T(x << (bits - by)) | T(y >> by)) & mask : y;
    });
  } else {
    mapLanes<T, T, T>(warp, inst.d, inst.a, inst.b, [=](T x, T y) -> T {
      switch (function) {
      case SMax:
        return extended(x, bits) > extended(y, bits) ? x : y;
      case SMin:
        return extended(x, bits) < extended(y, bits) ? x : y;
      case UMax:
        return x > y ? x : y;
      case UMin:
        return x < y ? x : y;
      case AddSaturatedU:
        return T(x + y) > mask || T(x + y) < x ? mask : T(x + y);
      case SubSaturatedU:
        return x > y ? T(x - y) : T(0);
      case AddSaturatedS:
        return saturate(int64_t(extended(x, bits)) + int64_t(extended(y, bits)));
      default:
        return saturate(int64_t(extended(x, bits)) - int64_t(extended(y, bits)));
      }
    });
  }
}
template <Integers function> Handler integersByType(Scalar type) {
  if (type.isFloat())
    return nullptr;
  switch (type.bytes) {
  case 1:
    return integers<uint8_t, function>;
  case 2:
    return integers<uint16_t, function>;
  case 4:
    return integers<uint32_t, function>;
  case 8:
    return integers<uint64_t, function>;
  }
  return nullptr;
}

} // namespace

Handler functionHandler(llvm::StringRef name, Scalar type) {
  if (name == "fma" || name == "fmuladd")
    switch (type.cls) {
    case Scalar::Half:
      return fmaSmall<Half>;
    case Scalar::BFloat:
      return fmaSmall<BFloat>;
    case Scalar::Float:
      return fmaFloat;
    case Scalar::Double:
      return fmaSmall<double>;
    case Scalar::Int:
      return nullptr;
    }
  using Maker = Handler (*)(Scalar);
  Maker maker = llvm::StringSwitch<Maker>(name)
                    .Case("sqrt", unaryByType<sqrtOf>)
                    .Case("exp2", unaryByType<exp2Of>)
                    .Case("exp", unaryByType<expOf>)
                    .Case("log2", unaryByType<log2Of>)
                    .Case("log", unaryByType<logOf>)
                    .Case("log10", unaryByType<log10Of>)
                    .Case("sin", unaryByType<sinOf>)
                    .Case("cos", unaryByType<cosOf>)
                    .Case("tanh", unaryByType<tanhOf>)
                    .Case("floor", unaryByType<floorOf>)
                    .Case("ceil", unaryByType<ceilOf>)
                    .Cases({"rint", "nearbyint", "roundeven"}, unaryByType<rintOf>)
                    .Case("round", unaryByType<roundOf>)
                    .Case("trunc", unaryByType<truncOf>)
                    .Case("fabs", unaryByType<fabsOf>)
                    .Case("fneg", unaryByType<negate>)
                    .Case("reciprocal", unaryByType<reciprocal>)
                    .Case("rsqrt", unaryByType<reciprocalRoot>)
                    .Case("fract", unaryByType<fraction>)
                    .Case("canonicalize", unaryByType<canonicalize>)
                    .Case("copysign", binaryByType<copySign>)
                    .Cases({"maxnum", "maximumnum"}, binaryByType<maxNumber>)
                    .Cases({"minnum", "minimumnum"}, binaryByType<minNumber>)
                    .Case("maximum", binaryByType<maximum>)
                    .Case("minimum", binaryByType<minimum>)
                    .Case("pow", binaryByType<powOf>)
                    .Case("smax", integersByType<SMax>)
                    .Case("smin", integersByType<SMin>)
                    .Case("umax", integersByType<UMax>)
                    .Case("umin", integersByType<UMin>)
                    .Case("abs", integersByType<AbsoluteValue>)
                    .Case("ctpop", integersByType<Population>)
                    .Case("ctlz", integersByType<LeadingZeros>)
                    .Case("cttz", integersByType<TrailingZeros>)
                    .Case("bswap", integersByType<SwapBytes>)
                    .Case("bitreverse", integersByType<ReverseBits>)
                    .Case("fshl", integersByType<FunnelLeft>)
                    .Case("fshr", integersByType<FunnelRight>)
                    .Case("uadd.sat", integersByType<AddSaturatedU>)
                    .Case("usub.sat", integersByType<SubSaturatedU>)
                    .Case("sadd.sat", integersByType<AddSaturatedS>)
                    .Case("ssub.sat", integersByType<SubSaturatedS>)
                    .Default(nullptr);
  return maker ? maker(type) : nullptr;
}

} // namespace whit::sim
