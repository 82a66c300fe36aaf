// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// AMD's matrix units, by the sections on matrix instructions of the CDNA 2 to 4 and RDNA 3 ISA documents.
//
// MFMA, one block of m x m x k in a wave of 64: with E = m * k / 64 elements in a lane,
//   A   row lane % m, columns E * (lane / m) ...           B   the same with rows and columns exchanged
//   C   column lane % m; m = 16: element r is row 4 * (lane / 16) + r; m = 32: row 8 * (r / 4) + 4 * (lane / 32) + r % 4
// WMMA of gfx11, 16 x 16 x 16 in a wave of 32: lane % 16 is A's row and B's column, all 16 elements of it in the lane, the same in lanes
// 16 apart; C is column lane % 16, element r row 2 * r + lane / 16.

#include "Sim/Matrix.h"

#include "llvm/ADT/StringSwitch.h"

#include <map>
#include <mutex>

using namespace llvm;

namespace whit::sim {
namespace {

MatrixShape makeMfma(uint32_t m, uint32_t k, Element a, Element b, Element sum) {
  MatrixShape shape{m, m, k, a, b, sum, sum, false, {}, {}, {}, false};
  uint32_t elements = m * k / 64;
  for (uint32_t lane = 0; lane < 64; ++lane) {
    for (uint32_t e = 0; e < elements; ++e) {
      uint16_t across = uint16_t(lane % m), along = uint16_t(elements * (lane / m) + e);
      shape.aPlaces.push_back({across, along});
      shape.bPlaces.push_back({along, across});
    }
    for (uint32_t r = 0; r < m * m / 64; ++r)
      shape.cPlaces.push_back(
          {uint16_t(m == 16 ? 4 * (lane / 16) + r : 8 * (r / 4) + 4 * (lane / 32) + r % 4), uint16_t(lane % m)});
  }
  return shape;
}

MatrixShape makeWmma(Element a, Element b, Element sum, bool saturate) {
  MatrixShape shape{16, 16, 16, a, b, sum, sum, saturate, {}, {}, {}, true};
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (uint32_t e = 0; e < 16; ++e) {
      shape.aPlaces.push_back({uint16_t(lane % 16), uint16_t(e)});
      shape.bPlaces.push_back({uint16_t(e), uint16_t(lane % 16)});
    }
    for (uint32_t r = 0; r < 8; ++r)
      shape.cPlaces.push_back({uint16_t(2 * r + lane / 16), uint16_t(lane % 16)});
  }
  return shape;
}

template <class Make> const MatrixShape &shapeOf(const std::string &name, const Make &make) {
  static std::mutex lock;
  static std::map<std::string, MatrixShape> shapes;
  std::lock_guard guard(lock);
  auto [entry, isNew] = shapes.try_emplace(name);
  if (isNew)
    entry->second = make();
  return entry->second;
}

void emitProduct(Lowering &lowering, const CallInst &call, const MatrixShape &shape, const char *what, unsigned a,
                 unsigned b, unsigned c) {
  auto bytes = [&](const Type *type) { return uint32_t(lowering.leaves(const_cast<Type *>(type))[0].type.bytes); };
  Slots left = lowering.use(call.getArgOperand(a)), right = lowering.use(call.getArgOperand(b)),
        sum = lowering.use(call.getArgOperand(c));
  uint32_t sumBytes = bytes(call.getType());
  uint32_t leftBytes = bytes(call.getArgOperand(a)->getType()), rightBytes = bytes(call.getArgOperand(b)->getType());
  emitMatrix(lowering, shape, what, lowering.define(call), left, right, sum,
             {sumBytes, leftBytes, rightBytes, sumBytes});
}

std::optional<Element> elementOf(StringRef name, bool fnuz) {
  return StringSwitch<std::optional<Element>>(("." + name).str())
      .Case(".f32", Element::F32)
      .Case(".f16", Element::F16)
      .Cases({".bf16", ".bf16.1k"}, Element::BF16)
      .Case(".i8", Element::S8)
      .Case(".fp8", fnuz ? Element::E4M3Fnuz : Element::E4M3)
      .Case(".bf8", fnuz ? Element::E5M2Fnuz : Element::E5M2)
      .Default(std::nullopt);
}

/// "f32.16x16x16f16", "f32.16x16x32.fp8.bf8", "i32.16x16x32.i8".
bool lowerMfma(Lowering &lowering, const CallInst &call, StringRef name) {
  uint32_t capability = lowering.architecture.capability;
  if (capability >= 0x1000)
    return false;
  StringRef full = name;
  Element sum = Element::F32;
  if (name.consume_front("i32."))
    sum = Element::S32;
  else if (!name.consume_front("f32."))
    return false;
  uint32_t m = 0, n = 0, k = 0;
  if (name.consumeInteger(10, m) || !name.consume_front("x") || name.consumeInteger(10, n) ||
      !name.consume_front("x") || name.consumeInteger(10, k) || m != n || (m != 16 && m != 32) || m * k % 64 || k > 64)
    return false;
  name.consume_front(".");
  StringRef second = name;
  if (name.starts_with("fp8.") || name.starts_with("bf8."))
    std::tie(name, second) = name.split('.');
  auto a = elementOf(name, lowering.architecture.fnuz), b = elementOf(second, lowering.architecture.fnuz);
  if (!a || !b || (sum == Element::S32) != (*a == Element::S8))
    return false;
  // Which machine has which: 8-bit floats and long rows of bytes came with gfx940, rows of 16 bytes a lane with gfx950.
  uint32_t laneBytes = m * k / 64 * bitsOf(*a) / 8;
  bool bytes = bitsOf(*a) == 8;
  uint32_t needed = laneBytes == 16 ? 0x950u : bytes && laneBytes == 8 ? 0x942u : 0x90au;
  if (capability < needed || laneBytes > 16 || (bytes && laneBytes == 4 && capability != 0x90a))
    lowering.refuse(lowering.architecture.name + " has no mfma." + full.str());
  for (unsigned i = 3; i < call.arg_size(); ++i)
    if (lowering.constantArgument(call, i))
      lowering.refuse("broadcasts and permutations of mfma (cbsz, abid, blgp) are not simulated");
  const MatrixShape &shape =
      shapeOf(lowering.architecture.name + "." + full.str(), [&] { return makeMfma(m, k, *a, *b, sum); });
  emitProduct(lowering, call, shape, "mfma", 0, 1, 2);
  return true;
}

bool lowerWmma(Lowering &lowering, const CallInst &call, StringRef name) {
  if (lowering.architecture.capability != 0x1100)
    return false;
  if (name.starts_with("f32.16x16x16.f16.") || name.starts_with("f32.16x16x16.bf16.")) {
    Element element = name.contains(".bf16.") ? Element::BF16 : Element::F16;
    emitProduct(lowering, call,
                shapeOf(element == Element::F16 ? "wmma f" : "wmma b",
                        [&] { return makeWmma(element, element, Element::F32, false); }),
                "wmma", 0, 1, 2);
    return true;
  }
  if (name.starts_with("i32.16x16x16.iu8.")) {
    bool aSigned = lowering.constantArgument(call, 0), bSigned = lowering.constantArgument(call, 2),
         clamp = lowering.constantArgument(call, 5);
    std::string key = std::string("wmma i") + char('0' + aSigned) + char('0' + bSigned) + char('0' + clamp);
    emitProduct(lowering, call,
                shapeOf(key,
                        [&] {
                          return makeWmma(aSigned ? Element::S8 : Element::U8, bSigned ? Element::S8 : Element::U8,
                                          Element::S32, clamp);
                        }),
                "wmma", 1, 3, 4);
    return true;
  }
  return false;
}

} // namespace

bool lowerAmdMatrixCall(Lowering &lowering, const CallInst &call, StringRef name) {
  if (name.consume_front("llvm.amdgcn.mfma.scale."))
    return lowerScaledMfma(lowering, call, name);
  if (name.consume_front("llvm.amdgcn.mfma."))
    return lowerMfma(lowering, call, name);
  if (name.consume_front("llvm.amdgcn.wmma."))
    return lowerWmma(lowering, call, name);
  return false;
}

} // namespace whit::sim
