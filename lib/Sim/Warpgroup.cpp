// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// wgmma, by PTX ISA 9.7.15: D[64, n] += A[64, k] * B[k, n] of four warps, A and D in registers, B in shared memory, behind a descriptor.
// Each warp has 16 rows, so that each computes its own here; that the four run the same is compared when the block ends.
//
// A product reads and writes registers and shared memory while the warps go on. What may touch its registers is decided when the kernel is
// loaded, from its values: sums of a product are used by another product of the same shape or by wgmma.wait_group, and what a product uses
// comes from wgmma.fence (or is such a sum), passed through those instructions as operands that are tied to results. Shared memory is
// checked while the kernel runs: nobody may write what a product still reads, and what was written in the ordinary way needs a fence of
// the proxy.

#include "Sim/Access.h"
#include "Sim/Exchange.h"
#include "Sim/Matrix.h"
#include "Sim/Statement.h"

#include "llvm/IR/InlineAsm.h"

#include <map>
#include <mutex>

using namespace llvm;

namespace whit::sim {
namespace {

struct GroupShape {
  uint32_t n, k;
  Element a, b, sum;
  bool saturate;
};

constexpr uint32_t ROWS = 16, WORDS = 4, PIECE = 16;

void needWarpgroup(const Warp &warp, const char *what) {
  needWholeWarp(warp, what);
  if ((warp.index / 4 + 1) * 4 * warp.width > warp.machine->threads)
    throw Fault{0, std::string(what) + " is run by warp " + std::to_string(warp.index) +
                       ", which has no three others beside it: the block has " + std::to_string(warp.machine->threads) +
                       " threads"};
}

/// PTX ISA, "Matrix Descriptor Format" and "Strides": where the 16 bytes of row `row` (of N) from byte 16 * `piece` of K lie.
uint32_t pieceOf(uint64_t descriptor, uint32_t row, uint32_t piece) {
  auto field = [&](int at) { return uint32_t(descriptor >> at & 0x3fff) << 4; };
  uint32_t start = field(0), leading = field(16), stride = field(32), mode = uint32_t(descriptor >> 62);
  if (!mode)
    return start + row / 8 * stride + row % 8 * PIECE + piece * leading;
  // 1, 2, 3: rows of 128, 64, 32 bytes, whose pieces are exchanged by the bits of the address above 128 bytes.
  uint32_t pitch = 256u >> mode, address = start + row / 8 * stride + row % 8 * pitch + piece * PIECE;
  return address ^ (address >> 7 & (pitch / PIECE - 1)) << 4;
}

// imm: the GroupShape; a: descriptor; b: predicate; slots: sums, words of A, old sums.
void multiply(Warp &warp, const Inst &inst) {
  const auto &shape = *reinterpret_cast<const GroupShape *>(inst.imm);
  needWarpgroup(warp, "wgmma");
  SharedMemory &shared = warp.machine->shared;
  uint32_t sums = shape.n / 2, perWord = 32 / bitsOf(shape.a), bytes = 4 / perWord;
  const Slot *d = &warp.program->slots[inst.list], *words = d + sums, *old = words + WORDS;
  uint64_t descriptor = numberAt(warp, inst.a, 8, 0);
  bool adds = numberAt(warp, inst.b, 1, 0) & 1;
  if (descriptor >> 49 & 7)
    throw Fault{0, "a matrix descriptor with a base offset is not simulated"};
  GroupProduct product{warp.committedProducts, 0, d[0], {}};
  std::vector<double> left(ROWS * shape.k), right(shape.k * shape.n);
  for (uint32_t row = 0; row < shape.n; ++row)
    for (uint32_t piece = 0; piece < shape.k * bytes / PIECE; ++piece) {
      uint32_t at = pieceOf(descriptor, row, piece);
      uint8_t line[PIECE];
      checkShared(warp, 0, at, PIECE, PIECE, "multiplies");
      shared.needFence(0, warp.index, at, PIECE, "wgmma reads");
      readMemory(warp, 0, {Space::Shared, at}, PIECE, PIECE, line, true);
      product.pieces.push_back(at);
      for (uint32_t i = 0; i < PIECE / bytes; ++i)
        right[(piece * PIECE / bytes + i) * shape.n + row] = decodeElement(shape.b, line + i * bytes);
    }
  product.begun = shared.now();
  for (uint32_t lane = 0; lane < 32; ++lane)
    for (uint32_t word = 0; word < WORDS; ++word) {
      const uint8_t *from = warp.frame + words[word] + 4 * lane;
      uint32_t row = lane / 4 + word % 2 * 8, column = 4 * perWord * (word / 2) + lane % 4 * perWord;
      for (uint32_t i = 0; i < perWord; ++i)
        left[row * shape.k + column + i] = decodeElement(shape.a, from + i * bytes);
    }
  for (uint32_t lane = 0; lane < 32; ++lane)
    for (uint32_t i = 0; i < sums; ++i) {
      uint32_t row = lane / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
      double sum = 0;
      for (uint32_t x = 0; x < shape.k; ++x)
        sum += left[row * shape.k + x] * right[x * shape.n + column];
      if (adds)
        sum += decodeElement(shape.sum, warp.frame + old[i] + 4 * lane);
      encodeElement(shape.sum, sum, shape.saturate, warp.frame + d[i] + 4 * lane);
    }
  warp.products.push_back(std::move(product));
  warp.noteTogether(descriptor ^ inst.imm);
}

void begin(Warp &warp, const Inst &) {
  needWarpgroup(warp, "wgmma.fence");
  warp.noteTogether(1);
}

void commit(Warp &warp, const Inst &) {
  needWarpgroup(warp, "wgmma.commit_group");
  ++warp.committedProducts;
  warp.noteTogether(2);
}

// imm: groups that may go on; slots: sums that are used behind it.
void wait(Warp &warp, const Inst &inst) {
  needWarpgroup(warp, "wgmma.wait_group");
  warp.noteTogether(3 + inst.imm);
  std::erase_if(warp.products, [&](const GroupProduct &product) {
    if (product.group + inst.imm >= warp.committedProducts)
      return false;
    for (uint32_t piece : product.pieces)
      if (warp.machine->shared.changedSince(piece, PIECE, product.begun))
        throw Fault{0, "race in shared memory at byte " + std::to_string(piece) +
                           ": it was written while a product of warp " + std::to_string(warp.index) +
                           " (wgmma) was reading it"};
    return true;
  });
  for (uint32_t i = 0; i < inst.count; ++i)
    for (const GroupProduct &product : warp.products)
      if (warp.program->slots[inst.list + i] == product.firstSum)
        throw Fault{0, "the sums of a product are used, and wgmma.wait_group " + std::to_string(inst.imm) +
                           " has not waited for it: it is one of the last groups, or in none"};
}

StringRef nameOf(const Value *value) {
  auto *call = dyn_cast<CallInst>(value);
  if (!call || !call->isInlineAsm())
    return "";
  return cast<InlineAsm>(call->getCalledOperand())->getAsmString().trim().take_until([](char c) {
    return c == ' ' || c == ';';
  });
}
/// The inline assembly that computes `value`; null if it is nothing of the kind.
const CallInst *sourceOf(const Value *value) {
  if (auto *extract = dyn_cast<ExtractValueInst>(value))
    value = extract->getAggregateOperand();
  return nameOf(value).empty() ? nullptr : cast<CallInst>(value);
}

/// Sums that are on their way are used only by products of the same shape and by waits.
void checkUsers(Lowering &lowering, const Value *sums, StringRef name) {
  for (const User *user : sums->users()) {
    if (isa<ExtractValueInst>(user))
      checkUsers(lowering, user, name);
    else if (StringRef by = nameOf(user); by != name && by != "wgmma.wait_group.sync.aligned")
      lowering.refuse("sums of a product of the warpgroup are used before wgmma.wait_group has passed them on, or by a "
                      "product of another shape");
  }
}

void needBegun(Lowering &lowering, const Value *value, StringRef orName, const char *what) {
  const CallInst *source = sourceOf(value);
  StringRef name = source ? nameOf(source) : "";
  if (name != "wgmma.fence.sync.aligned" && (orName.empty() || name != orName))
    lowering.refuse(std::string(what) + " of a product of the warpgroup do not come from wgmma.fence: it has to stand "
                                        "between what computes a register and the product that uses it");
}

/// Results are the tied operands.
bool passThrough(Statement &s, Slots &slots) {
  for (unsigned i = 0; i < s.results; ++i) {
    const Value *value = s.tied(i);
    if (!value)
      return false;
    slots.append(s.lowering.use(value));
  }
  if (s.results)
    s.lowering.alias(s.call, slots);
  return true;
}

bool lowerProduct(Statement &s) {
  StringRef name = s.name;
  SmallVector<StringRef> types;
  GroupShape shape = {};
  if (!name.consume_front("wgmma.mma_async.sync.aligned.m64n") || name.consumeInteger(10, shape.n) ||
      !name.consume_front("k") || name.consumeInteger(10, shape.k) || !name.consume_front("."))
    return false;
  shape.saturate = name.consume_back(".satfinite");
  name.split(types, '.');
  if (types.size() != 3 || !shape.n || shape.n % 8 || shape.n > 256)
    return false;
  auto sum = nvidiaElement(types[0]), a = nvidiaElement(types[1]), b = nvidiaElement(types[2]);
  if (!sum || !a || !b || bitsOf(*sum) != 32 || bitsOf(*a) != bitsOf(*b) || shape.k * bitsOf(*a) != 256)
    return false;
  auto isByte = [](Element e) { return e == Element::S8 || e == Element::U8; };
  bool small = bitsOf(*a) == 8 && !isByte(*a);
  if ((*sum == Element::S32) != isByte(*a) || isByte(*a) != isByte(*b) || (bitsOf(*a) == 16 && *a != *b) ||
      (isByte(*a) && shape.n > 32 && shape.n % 16))
    return false;
  shape.sum = *sum, shape.a = *a, shape.b = *b;
  // D, A, B, predicate; factors 1 of A and B for floats; and whether a B of 16 bits is transposed.
  size_t tail = isByte(*a) ? 0 : small ? 2 : 3;
  if (s.operands.size() != 4 + tail || !s.writes(shape.n / 2) || s.operands[1].size() != WORDS || !s.input(2) ||
      !s.input(3) || (tail && (s.number(4) != 1 || s.number(5) != 1)) || (tail == 3 && s.number(6) != 0))
    return false;
  Lowering &lowering = s.lowering;
  if (lowering.architecture.capability != 90)
    lowering.refuse("wgmma is an instruction of sm_90a");
  Slots operands;
  for (size_t i = 0; i < WORDS; ++i) {
    const Value *word = s.input(1, i);
    if (!word)
      return false;
    needBegun(lowering, word, "", "words of A");
    operands.append(lowering.use(word));
  }
  for (unsigned i = 0; i < shape.n / 2; ++i) {
    const Value *old = s.tied(i);
    if (!old)
      return false;
    needBegun(lowering, old, s.name, "sums");
    operands.append(lowering.use(old));
  }
  checkUsers(lowering, &s.call, s.name);
  static std::mutex lock;
  static std::map<std::string, GroupShape> shapes;
  std::lock_guard guard(lock);
  const GroupShape &kept = shapes.try_emplace(s.name.str(), shape).first->second;
  Slot descriptor = lowering.use(s.input(2))[0], predicate = lowering.use(s.input(3))[0];
  Inst &code = lowering.emit(multiply, Kind::Matrix, lowering.define(s.call), operands);
  code.a = descriptor;
  code.b = predicate;
  code.imm = reinterpret_cast<uint64_t>(&kept);
  return true;
}

} // namespace

bool lowerWarpgroup(Statement &s) {
  Slots slots;
  if (s.name == "wgmma.fence.sync.aligned") {
    if (!passThrough(s, slots))
      return false;
    s.lowering.emit(begin, Kind::Other);
    return true;
  }
  if (s.name == "wgmma.commit_group.sync.aligned") {
    s.lowering.emit(commit, Kind::Other);
    return s.results == 0;
  }
  if (s.name == "wgmma.wait_group.sync.aligned") {
    auto groups = s.number(0);
    if (!groups || *groups > 7 || !passThrough(s, slots))
      return false;
    s.lowering.emit(wait, Kind::Barrier, slots, {}).imm = *groups;
    return true;
  }
  return lowerProduct(s);
}

} // namespace whit::sim
