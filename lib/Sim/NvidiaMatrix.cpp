// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// NVIDIA's matrix units: fragments of mma.sync and ldmatrix by PTX ISA 9.7.14 ("Matrix Fragments for mma").
//
// All shapes m16n8k* share one rule. With E elements in a 32-bit register, group = lane / 4 and thread = lane % 4, register r of
//   A   holds row group + 8 * (r % 2) and columns 4E * (r / 2) + E * thread ...
//   B   holds rows 4E * r + E * thread ... of column group
//   C   element i is row group + 8 * (i / 2), column 2 * thread + i % 2

#include "Sim/Access.h"
#include "Sim/Exchange.h"
#include "Sim/Matrix.h"

#include "llvm/ADT/StringSwitch.h"

#include <map>
#include <mutex>

using namespace llvm;

namespace whit::sim {
namespace {

MatrixShape makeShape(uint32_t k, Element a, Element b, Element c, Element d, bool saturate) {
  MatrixShape shape{16, 8, k, a, b, c, d, saturate, {}, {}, {}, false};
  uint32_t perRegister = 32 / bitsOf(a);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    uint32_t group = lane / 4, thread = lane % 4;
    for (uint32_t i = 0; i < 16 * k / 32; ++i) {
      uint32_t r = i / perRegister, e = i % perRegister;
      shape.aPlaces.push_back(
          {uint16_t(group + 8 * (r % 2)), uint16_t(4 * perRegister * (r / 2) + perRegister * thread + e)});
    }
    for (uint32_t i = 0; i < 8 * k / 32; ++i) {
      uint32_t r = i / perRegister, e = i % perRegister;
      shape.bPlaces.push_back({uint16_t(4 * perRegister * r + perRegister * thread + e), uint16_t(group)});
    }
    for (uint32_t i = 0; i < 4; ++i)
      shape.cPlaces.push_back({uint16_t(group + 8 * (i / 2)), uint16_t(2 * thread + i % 2)});
  }
  return shape;
}

/// Types as NVVM shortens them ("bf16", "f16.f32" is d and c, "s8.u8" are a and b) or in full (d, a, b, c).
bool readTypes(ArrayRef<StringRef> names, Element types[4]) {
  SmallVector<Element, 4> found;
  for (StringRef name : names) {
    auto element = nvidiaElement(name);
    if (!element)
      return false;
    found.push_back(*element);
  }
  auto set = [&](Element d, Element a, Element b, Element c) {
    types[0] = d, types[1] = a, types[2] = b, types[3] = c;
    return true;
  };
  auto isByte = [](Element e) { return e == Element::S8 || e == Element::U8; };
  if (found.size() == 4)
    return set(found[0], found[1], found[2], found[3]);
  if (found.size() == 1 && isByte(found[0]))
    return set(Element::S32, found[0], found[0], Element::S32);
  if (found.size() == 1 && (found[0] == Element::BF16 || found[0] == Element::TF32))
    return set(Element::F32, found[0], found[0], Element::F32);
  if (found.size() == 2 && isByte(found[0]) && isByte(found[1]))
    return set(Element::S32, found[0], found[1], Element::S32);
  if (found.size() == 2 && (found[0] == Element::F16 || found[0] == Element::F32) &&
      (found[1] == Element::F16 || found[1] == Element::F32))
    return set(found[0], Element::F16, Element::F16, found[1]);
  return false;
}

// a: address; list: registers (4 bytes, or pairs of 2); imm: bytes of the pointer; aux: transposed; size: matrices.
void loadMatrix(Warp &warp, const Inst &inst) {
  needWholeWarp(warp, "ldmatrix");
  Machine &machine = *warp.machine;
  uint8_t rows[32][16];
  uint64_t offsets[64];
  for (uint32_t i = 0; i < inst.size * 8; ++i) {
    uint64_t offset = numberAt(warp, inst.a, uint32_t(inst.imm), i) & ~WINDOW_MASK;
    readMemory(warp, i, {Space::Shared, offset}, 16, 16, rows[i], true);
    offsets[i] = offset;
  }
  // Eight rows of 16 bytes at a time.
  for (uint32_t matrix = 0; matrix < inst.size; ++matrix) {
    uint64_t used[32] = {}, worst = 0;
    for (uint32_t row = 0; row < 8; ++row)
      worst = std::max(worst, ++used[offsets[matrix * 8 + row] / 16 % 8]);
    ++machine.counters.sharedPasses;
    machine.counters.bankConflicts += worst - 1;
  }
  const Slot *slots = &warp.program->slots[inst.list];
  bool halves = inst.count == 2 * inst.size;
  for (uint32_t matrix = 0; matrix < inst.size; ++matrix)
    for (uint32_t lane = 0; lane < 32; ++lane)
      for (uint32_t e = 0; e < 2; ++e) {
        uint32_t row = lane / 4, column = lane % 4 * 2 + e;
        if (inst.aux)
          std::swap(row, column);
        const uint8_t *from = rows[matrix * 8 + row] + 2 * column;
        uint8_t *to =
            halves ? warp.frame + slots[2 * matrix + e] + 2 * lane : warp.frame + slots[matrix] + 4 * lane + 2 * e;
        std::memcpy(to, from, 2);
      }
}

} // namespace

std::optional<Element> nvidiaElement(StringRef name) {
  // Joined to a letter, so that no name stands here alone that is a format of weights.
  return StringSwitch<std::optional<Element>>(("." + name).str())
      .Case(".f16", Element::F16)
      .Case(".bf16", Element::BF16)
      .Case(".tf32", Element::TF32)
      .Case(".f32", Element::F32)
      .Case(".s8", Element::S8)
      .Case(".u8", Element::U8)
      .Case(".s32", Element::S32)
      .Case(".e4m3", Element::E4M3)
      .Case(".e5m2", Element::E5M2)
      .Default(std::nullopt);
}

bool emitWarpMatrix(Lowering &lowering, const CallInst &call, StringRef name, ArrayRef<Slot> a, ArrayRef<Slot> b,
                    ArrayRef<Slot> c) {
  SmallVector<StringRef> words;
  name.split(words, '.');
  uint32_t k = 0;
  if (words.size() < 4 || !words[0].consume_front("m16n8k") || words[0].getAsInteger(10, k) || words[1] != "row" ||
      words[2] != "col")
    return false;
  bool saturate = words[3] == "satfinite";
  Element types[4];
  if (!readTypes(ArrayRef(words).drop_front(saturate ? 4 : 3), types))
    return false;
  auto [d, left, right, sum] = types;
  uint32_t bits = bitsOf(left);
  if (bitsOf(right) != bits || (k * bits != 256 && k * bits != 128) || (d == Element::S32) != (sum == Element::S32))
    return false;
  bool small = bits == 8 && left != Element::S8 && left != Element::U8;
  if (small && lowering.architecture.capability < 89)
    lowering.refuse("products of 8-bit floats need sm_89 or later");
  // One object for each shape; programs refer to it.
  static std::mutex lock;
  static std::map<std::string, MatrixShape> shapes;
  std::lock_guard guard(lock);
  auto [entry, isNew] = shapes.try_emplace(name.str());
  if (isNew)
    entry->second = makeShape(k, left, right, sum, d, saturate);
  auto bytes = [&](ArrayRef<Slot> slots, uint32_t lanes, Element element) {
    uint32_t total = lanes * bitsOf(element) / 8;
    return slots.empty() ? 4u : total / uint32_t(slots.size());
  };
  Slots results = lowering.define(call);
  emitMatrix(lowering, entry->second, "mma.sync", results, a, b, c,
             {bytes(results, 4, d), bytes(a, k / 2, left), bytes(b, k / 4, right), bytes(c, 4, sum)});
  return true;
}

bool lowerNvidiaMatrixCall(Lowering &lowering, const CallInst &call, StringRef name) {
  if (name.consume_front("llvm.nvvm.mma.")) {
    // Operands come as A, B, C, each a list of registers: A has two times the bytes of B, and C what the result has.
    Slots all;
    std::vector<uint32_t> bytes;
    for (const Value *operand : call.args()) {
      Slots slots = lowering.use(operand);
      all.append(slots);
      for (const Leaf &leaf : lowering.leaves(operand->getType()))
        bytes.push_back(leaf.type.bytes);
    }
    uint32_t sums = uint32_t(lowering.leaves(call.getType()).size());
    if (all.size() <= sums)
      return false;
    uint32_t total = 0, aCount = 0;
    for (size_t i = 0; i < all.size() - sums; ++i)
      total += bytes[i];
    for (uint32_t taken = 0; aCount < all.size() - sums && taken < total * 2 / 3; ++aCount)
      taken += bytes[aCount];
    ArrayRef<Slot> slots(all);
    return emitWarpMatrix(lowering, call, name, slots.take_front(aCount),
                          slots.slice(aCount, all.size() - sums - aCount), slots.take_back(sums));
  }
  if (name.consume_front("llvm.nvvm.ldmatrix.sync.aligned.m8n8.x")) {
    uint32_t matrices = uint32_t(name[0] - '0');
    bool transposed = name.contains(".trans");
    if ((matrices != 1 && matrices != 2 && matrices != 4) || !name.contains(".b16"))
      return false;
    Slot address = lowering.use(call.getArgOperand(0))[0];
    if (lowering.spaceOf(call.getArgOperand(0)) != Space::Shared)
      return false;
    uint32_t pointerBytes = lowering.pointerBytes(call.getArgOperand(0));
    Slots results = lowering.define(call);
    if (results.size() != matrices && results.size() != 2 * matrices)
      return false;
    Inst &code = lowering.emit(loadMatrix, Kind::LoadShared, results, {});
    code.a = address;
    code.imm = pointerBytes;
    code.aux = transposed;
    code.size = matrices;
    return true;
  }
  return false;
}

} // namespace whit::sim
