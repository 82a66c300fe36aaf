// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Integers are kept in 1, 2, 4 or 8 bytes, extended by zeros; signed operations extend the sign first. What LLVM leaves undefined (shifts
// beyond the width, division by zero) gives 0 here.

#include "Sim/Arithmetic.h"

#include "Sim/Floats.h"
#include "Sim/Lanes.h"

#include "llvm/IR/InstrTypes.h"

namespace whit::sim {
namespace {

using llvm::CmpInst;
using llvm::Instruction;

template <class T> std::make_signed_t<T> extendSign(T value, uint32_t bits) {
  uint32_t shift = uint32_t(sizeof(T) * 8) - bits;
  using S = std::make_signed_t<T>;
  return S(S(T(value << shift)) >> shift);
}

template <class T, unsigned opcode> void integerBinary(Warp &warp, const Inst &inst) {
  T mask = T(inst.imm);
  uint32_t bits = inst.size;
  mapLanes<T, T, T>(warp, inst.d, inst.a, inst.b, [=](T x, T y) -> T {
    if constexpr (opcode == Instruction::Add)
      return T(x + y) & mask;
    else if constexpr (opcode == Instruction::Sub)
      return T(x - y) & mask;
    else if constexpr (opcode == Instruction::Mul)
      return T(uint64_t(x) * uint64_t(y)) & mask;
    else if constexpr (opcode == Instruction::And)
      return x & y;
    else if constexpr (opcode == Instruction::Or)
      return x | y;
    else if constexpr (opcode == Instruction::Xor)
      return x ^ y;
    else if constexpr (opcode == Instruction::Shl)
      return y < bits ? T(x << y) & mask : T(0);
    else if constexpr (opcode == Instruction::LShr)
      return y < bits ? T(x >> y) : T(0);
    else if constexpr (opcode == Instruction::AShr)
      return y < bits ? T(extendSign(x, bits) >> y) & mask : T(0);
    else if constexpr (opcode == Instruction::UDiv)
      return y ? T(x / y) : T(0);
    else if constexpr (opcode == Instruction::URem)
      return y ? T(x % y) : T(0);
    else {
      int64_t a = extendSign(x, bits), b = extendSign(y, bits);
      if (b == 0)
        return 0;
      if (b == -1)
        return opcode == Instruction::SDiv ? T(T(0) - x) & mask : T(0);
      return T(opcode == Instruction::SDiv ? a / b : a % b) & mask;
    }
  });
}

template <class T, unsigned opcode> void floatBinary(Warp &warp, const Inst &inst) {
  mapLanes<T, T, T>(warp, inst.d, inst.a, inst.b, [](T x, T y) -> T {
    auto a = toFloat(x), b = toFloat(y);
    // Of half and bfloat: float has more than twice their digits, so that rounding twice is rounding once.
    decltype(a) r;
    if constexpr (opcode == Instruction::FAdd)
      r = a + b;
    else if constexpr (opcode == Instruction::FSub)
      r = a - b;
    else if constexpr (opcode == Instruction::FMul)
      r = a * b;
    else if constexpr (opcode == Instruction::FDiv)
      r = a / b;
    else
      r = std::fmod(a, b);
    if constexpr (std::is_same_v<T, double>)
      return r;
    else
      return fromFloat<T>(r);
  });
}

template <unsigned opcode> Handler integerByType(Scalar type) {
  switch (type.bytes) {
  case 1:
    return integerBinary<uint8_t, opcode>;
  case 2:
    return integerBinary<uint16_t, opcode>;
  case 4:
    return integerBinary<uint32_t, opcode>;
  case 8:
    return integerBinary<uint64_t, opcode>;
  }
  return nullptr;
}
template <unsigned opcode> Handler floatByType(Scalar type) {
  switch (type.cls) {
  case Scalar::Half:
    return floatBinary<Half, opcode>;
  case Scalar::BFloat:
    return floatBinary<BFloat, opcode>;
  case Scalar::Float:
    return floatBinary<float, opcode>;
  case Scalar::Double:
    return floatBinary<double, opcode>;
  case Scalar::Int:
    break;
  }
  return nullptr;
}

template <class T, CmpInst::Predicate predicate> void integerCompare(Warp &warp, const Inst &inst) {
  uint32_t bits = inst.size;
  mapLanes<uint8_t, T, T>(warp, inst.d, inst.a, inst.b, [=](T x, T y) -> uint8_t {
    switch (predicate) {
    case CmpInst::ICMP_EQ:
      return x == y;
    case CmpInst::ICMP_NE:
      return x != y;
    case CmpInst::ICMP_UGT:
      return x > y;
    case CmpInst::ICMP_UGE:
      return x >= y;
    case CmpInst::ICMP_ULT:
      return x < y;
    case CmpInst::ICMP_ULE:
      return x <= y;
    case CmpInst::ICMP_SGT:
      return extendSign(x, bits) > extendSign(y, bits);
    case CmpInst::ICMP_SGE:
      return extendSign(x, bits) >= extendSign(y, bits);
    case CmpInst::ICMP_SLT:
      return extendSign(x, bits) < extendSign(y, bits);
    default:
      return extendSign(x, bits) <= extendSign(y, bits);
    }
  });
}
template <CmpInst::Predicate predicate> Handler integerCompareByType(Scalar type) {
  switch (type.bytes) {
  case 1:
    return integerCompare<uint8_t, predicate>;
  case 2:
    return integerCompare<uint16_t, predicate>;
  case 4:
    return integerCompare<uint32_t, predicate>;
  case 8:
    return integerCompare<uint64_t, predicate>;
  }
  return nullptr;
}

// LLVM numbers its predicates of floats by what they hold for: bit 0 equal, 1 greater, 2 less, 3 unordered.
template <class T> void floatCompare(Warp &warp, const Inst &inst) {
  uint32_t predicate = uint32_t(inst.imm);
  mapLanes<uint8_t, T, T>(warp, inst.d, inst.a, inst.b, [=](T x, T y) -> uint8_t {
    auto a = toFloat(x), b = toFloat(y);
    uint32_t relation = a == b ? 1 : a > b ? 2 : a < b ? 4 : 8;
    return (predicate & relation) != 0;
  });
}

template <class A, class B> void integerToInteger(Warp &warp, const Inst &inst) {
  B mask = B(inst.imm);
  mapLanes<B, A>(warp, inst.d, inst.a, [=](A x) -> B { return B(x) & mask; });
}
template <class A, class B> void signedToInteger(Warp &warp, const Inst &inst) {
  B mask = B(inst.imm);
  uint32_t bits = inst.size;
  mapLanes<B, A>(warp, inst.d, inst.a, [=](A x) -> B { return B(std::make_signed_t<B>(extendSign(x, bits))) & mask; });
}
template <class A, class B, bool isSigned> void integerToFloat(Warp &warp, const Inst &inst) {
  uint32_t bits = inst.size;
  mapLanes<B, A>(warp, inst.d, inst.a, [=](A x) -> B {
    if constexpr (sizeof(A) <= 4) {
      double d = isSigned ? double(extendSign(x, bits)) : double(x); // exact
      return fromDouble<B>(d);
    } else if constexpr (std::is_same_v<B, double>) {
      return isSigned ? double(extendSign(x, bits)) : double(x);
    } else {
      return fromFloat<B>(isSigned ? float(extendSign(x, bits)) : float(x));
    }
  });
}
template <class A, class B, bool isSigned> void floatToInteger(Warp &warp, const Inst &inst) {
  B mask = B(inst.imm);
  uint32_t bits = inst.aux;
  // Out of range is undefined in LLVM and the nearest number on GPUs.
  double low = isSigned ? -std::ldexp(1.0, int(bits) - 1) : 0.0;
  double high = std::ldexp(1.0, int(bits) - (isSigned ? 1 : 0));
  mapLanes<B, A>(warp, inst.d, inst.a, [=](A x) -> B {
    double d = double(toFloat(x));
    if (!(d > low))
      return d <= low ? B(int64_t(low)) & mask : B(0);
    if (d >= high)
      return B(isSigned ? mask >> 1 : mask);
    return B(isSigned ? uint64_t(int64_t(d)) : uint64_t(d)) & mask;
  });
}
template <class A, class B> void floatToFloat(Warp &warp, const Inst &inst) {
  mapLanes<B, A>(warp, inst.d, inst.a, [](A x) -> B {
    if constexpr (std::is_same_v<A, double>)
      return fromDouble<B>(x);
    else
      return fromFloat<B>(toFloat(x));
  });
}

template <class F> Handler withInteger(Scalar type, const F &f) {
  switch (type.bytes) {
  case 1:
    return f(uint8_t());
  case 2:
    return f(uint16_t());
  case 4:
    return f(uint32_t());
  case 8:
    return f(uint64_t());
  }
  return nullptr;
}
template <class F> Handler withFloat(Scalar type, const F &f) {
  switch (type.cls) {
  case Scalar::Half:
    return f(Half());
  case Scalar::BFloat:
    return f(BFloat());
  case Scalar::Float:
    return f(float());
  case Scalar::Double:
    return f(double());
  case Scalar::Int:
    break;
  }
  return nullptr;
}

template <class T> void selectLanes(Warp &warp, const Inst &inst) {
  mapLanes<T, T, T, uint8_t>(warp, inst.d, inst.a, inst.b, inst.c,
                             [](T x, T y, uint8_t c) -> T { return c & 1 ? x : y; });
}
template <class T> void addConstant(Warp &warp, const Inst &inst) {
  T value = T(inst.imm);
  mapLanes<T, T>(warp, inst.d, inst.a, [=](T x) -> T { return x + value; });
}
template <class T, class I> void addIndex(Warp &warp, const Inst &inst) {
  T scale = T(inst.imm);
  uint32_t bits = inst.size;
  mapLanes<T, T, I>(warp, inst.d, inst.a, inst.b,
                    [=](T x, I i) -> T { return x + T(std::make_signed_t<T>(extendSign(i, bits))) * scale; });
}

void bitcastLanes(Warp &warp, const Inst &inst) {
  const Slot *slots = &warp.program->slots[inst.list];
  uint32_t sources = inst.size, sourceBytes = uint32_t(inst.imm), targetBytes = inst.aux;
  uint8_t line[256];
  warp.eachLane([&](uint32_t lane) {
    for (uint32_t i = 0; i < sources; ++i)
      std::memcpy(line + i * sourceBytes, warp.frame + slots[i] + lane * sourceBytes, sourceBytes);
    for (uint32_t i = sources; i < inst.count; ++i)
      std::memcpy(warp.frame + slots[i] + lane * targetBytes, line + (i - sources) * targetBytes, targetBytes);
  });
}
uint64_t indexAt(Warp &warp, const Inst &inst, uint32_t lane) {
  return inst.imm == 8   ? warp.at<uint64_t>(inst.b)[lane]
         : inst.imm == 4 ? warp.at<uint32_t>(inst.b)[lane]
                         : warp.at<uint8_t>(inst.b)[lane];
}
void extractLanes(Warp &warp, const Inst &inst) {
  const Slot *slots = &warp.program->slots[inst.list];
  warp.eachLane([&](uint32_t lane) {
    uint64_t index = indexAt(warp, inst, lane);
    if (index < inst.count)
      std::memcpy(warp.frame + inst.d + lane * inst.size, warp.frame + slots[index] + lane * inst.size, inst.size);
  });
}
void insertLanes(Warp &warp, const Inst &inst) {
  const Slot *slots = &warp.program->slots[inst.list];
  uint32_t elements = inst.count / 2;
  warp.eachLane([&](uint32_t lane) {
    uint64_t index = indexAt(warp, inst, lane);
    for (uint32_t i = 0; i < elements; ++i) {
      Slot from = i == index ? inst.a : slots[elements + i];
      std::memcpy(warp.frame + slots[i] + lane * inst.size, warp.frame + from + lane * inst.size, inst.size);
    }
  });
}

} // namespace

Handler binaryHandler(unsigned opcode, Scalar type) {
  switch (opcode) {
#define INTEGER(name)                                                                                                  \
  case Instruction::name:                                                                                              \
    return type.isFloat() ? nullptr : integerByType<Instruction::name>(type);
#define FLOAT(name)                                                                                                    \
  case Instruction::name:                                                                                              \
    return floatByType<Instruction::name>(type);
    // clang-format off
    INTEGER(Add) INTEGER(Sub) INTEGER(Mul) INTEGER(And) INTEGER(Or) INTEGER(Xor) INTEGER(Shl) INTEGER(LShr)
    INTEGER(AShr) INTEGER(UDiv) INTEGER(SDiv) INTEGER(URem) INTEGER(SRem) FLOAT(FAdd) FLOAT(FSub) FLOAT(FMul)
    FLOAT(FDiv) FLOAT(FRem)
    // clang-format on
#undef INTEGER
#undef FLOAT
  }
  return nullptr;
}

Handler compareHandler(unsigned predicate, Scalar type) {
  switch (predicate) {
#define CASE(name)                                                                                                     \
  case CmpInst::name:                                                                                                  \
    return integerCompareByType<CmpInst::name>(type);
    CASE(ICMP_EQ)
    CASE(ICMP_NE)
    CASE(ICMP_UGT)
    CASE(ICMP_UGE) CASE(ICMP_ULT) CASE(ICMP_ULE) CASE(ICMP_SGT) CASE(ICMP_SGE) CASE(ICMP_SLT) CASE(ICMP_SLE)
#undef CASE
  }
  return withFloat(type, [](auto t) -> Handler { return floatCompare<decltype(t)>; });
}

Handler castHandler(unsigned opcode, Scalar from, Scalar to) {
  switch (opcode) {
  case Instruction::Trunc:
  case Instruction::ZExt:
  case Instruction::PtrToInt:
  case Instruction::IntToPtr:
    return withInteger(from, [&](auto a) {
      return withInteger(to, [&](auto b) -> Handler { return integerToInteger<decltype(a), decltype(b)>; });
    });
  case Instruction::SExt:
    return withInteger(from, [&](auto a) {
      return withInteger(to, [&](auto b) -> Handler { return signedToInteger<decltype(a), decltype(b)>; });
    });
  case Instruction::SIToFP:
    return withInteger(from, [&](auto a) {
      return withFloat(to, [&](auto b) -> Handler { return integerToFloat<decltype(a), decltype(b), true>; });
    });
  case Instruction::UIToFP:
    return withInteger(from, [&](auto a) {
      return withFloat(to, [&](auto b) -> Handler { return integerToFloat<decltype(a), decltype(b), false>; });
    });
  case Instruction::FPToSI:
    return withFloat(from, [&](auto a) {
      return withInteger(to, [&](auto b) -> Handler { return floatToInteger<decltype(a), decltype(b), true>; });
    });
  case Instruction::FPToUI:
    return withFloat(from, [&](auto a) {
      return withInteger(to, [&](auto b) -> Handler { return floatToInteger<decltype(a), decltype(b), false>; });
    });
  case Instruction::FPTrunc:
  case Instruction::FPExt:
    return withFloat(from, [&](auto a) {
      return withFloat(to, [&](auto b) -> Handler { return floatToFloat<decltype(a), decltype(b)>; });
    });
  }
  return nullptr;
}

Handler selectHandler(uint32_t bytes) {
  return withInteger({Scalar::Int, uint8_t(bytes), 0}, [](auto t) -> Handler { return selectLanes<decltype(t)>; });
}
Handler addConstantHandler(uint32_t bytes) { return bytes == 8 ? addConstant<uint64_t> : addConstant<uint32_t>; }
Handler addIndexHandler(uint32_t bytes, uint32_t indexBytes) {
  return withInteger({Scalar::Int, uint8_t(indexBytes), 0}, [&](auto i) -> Handler {
    return bytes == 8 ? addIndex<uint64_t, decltype(i)> : addIndex<uint32_t, decltype(i)>;
  });
}
Handler bitcastHandler() { return bitcastLanes; }
Handler extractHandler() { return extractLanes; }
Handler insertHandler() { return insertLanes; }

} // namespace whit::sim
