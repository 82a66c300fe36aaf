// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Accesses lane by lane. The order of lanes within one instruction is theirs by number; that two of them write one place is found as a race
// unless they write the same.

#include "Sim/Access.h"

#include "Sim/Floats.h"

#include "llvm/IR/Instructions.h"

#include <algorithm>

namespace whit::sim {

static const char *nameOf(Space space) {
  switch (space) {
  case Space::Shared:
    return "shared memory";
  case Space::Private:
    return "private memory";
  default:
    return "global memory";
  }
}

static std::string hexadecimal(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

Place placeOf(Space space, uint64_t address) {
  if (space != Space::Generic)
    return {space, address};
  switch (address & WINDOW_MASK) {
  case SHARED_WINDOW:
    return {Space::Shared, address & ~WINDOW_MASK};
  case PRIVATE_WINDOW:
    return {Space::Private, address & ~WINDOW_MASK};
  default:
    return {Space::Global, address};
  }
}

[[noreturn]] static void misaligned(uint32_t lane, Place place, uint32_t bytes, uint32_t align, const char *verb) {
  throw Fault{lane, std::string("misaligned access: ") + verb + " " + std::to_string(bytes) + " bytes of " +
                        nameOf(place.space) + " at " + hexadecimal(place.offset) + ", which is not a multiple of " +
                        std::to_string(align)};
}
[[noreturn]] static void outside(uint32_t lane, Place place, uint32_t bytes, const char *verb,
                                 const std::string &where) {
  throw Fault{lane, std::string("out of bounds: ") + verb + " " + std::to_string(bytes) + " bytes of " +
                        nameOf(place.space) + " at " + hexadecimal(place.offset) + ", " + where};
}

void checkShared(Warp &warp, uint32_t lane, uint64_t offset, uint32_t bytes, uint32_t align, const char *verb) {
  if (offset & (align - 1))
    misaligned(lane, {Space::Shared, offset}, bytes, align, verb);
  uint64_t size = warp.machine->shared.size();
  if (offset + bytes > size || offset > size)
    outside(lane, {Space::Shared, offset}, bytes, verb, "of " + std::to_string(size) + " that the block has");
}

static Region &regionOf(Warp &warp, uint32_t lane, Place place, uint32_t bytes, const char *verb) {
  Region *region = warp.machine->region(place.offset);
  if (!region || place.offset - region->base + bytes > region->size)
    outside(lane, place, bytes, verb, warp.machine->global.describe(place.offset));
  return *region;
}

/// No two blocks may touch a word that one of them writes, unless fences and atomic operations order them.
static void checkBlocks(Warp &warp, uint32_t lane, Region &region, uint64_t offset, uint32_t bytes, bool writes) {
  Machine &machine = *warp.machine;
  uint64_t mine = uint64_t(machine.launchNumber) << 32 | (machine.linearBlock + 1);
  for (uint64_t word = offset / 4; word <= (offset + bytes - 1) / 4; ++word) {
    uint64_t &writer = region.writers[word];
    if (writer >> 32 == machine.launchNumber && writer != mine) {
      // Two blocks may write different bytes of a word.
      if (writes && bytes < 4)
        continue;
      if (!writes && bytes < 4)
        continue;
      if (region.moments && machine.blockOrder.knows(lane, warp.index, uint32_t(writer) - 1, region.moments[word])) {
        if (writes)
          writer = mine;
        continue;
      }
      throw Fault{lane,
                  std::string("race in global memory: ") + (writes ? "writes" : "reads") + " byte " +
                      std::to_string(offset) + " of an allocation of " + std::to_string(region.size) +
                      ", which block " + std::to_string(uint32_t(writer) - 1) + " writes in the same launch" +
                      (machine.ordersBlocks ? ", and no fences and atomic operation on one word order them" : "")};
    }
    if (writes)
      writer = mine;
  }
  if (!writes || !machine.ordersBlocks)
    return;
  if (!region.moments)
    region.moments = pages<uint64_t>(region.size / 4 + 1);
  for (uint64_t word = offset / 4; word <= (offset + bytes - 1) / 4; ++word)
    region.moments[word] = machine.blockOrder.writer(lane, warp.index);
}

static bool allWritten(const uint8_t *shadow, uint32_t bytes) {
  uint64_t word;
  for (; bytes >= 8; bytes -= 8, shadow += 8) {
    std::memcpy(&word, shadow, 8);
    if (word != 0x0101010101010101u)
      return false;
  }
  for (; bytes; --bytes, ++shadow)
    if (*shadow != IsWritten)
      return false;
  return true;
}

void readMemory(Warp &warp, uint32_t lane, Place place, uint32_t bytes, uint32_t align, uint8_t *to, bool forWarp) {
  Machine &machine = *warp.machine;
  switch (place.space) {
  case Space::Shared:
    checkShared(warp, lane, place.offset, bytes, align, "reads");
    machine.shared.read(lane, warp.index, uint32_t(place.offset), bytes, false, forWarp);
    std::memcpy(to, &machine.shared.data[place.offset], bytes);
    return;
  case Space::Private: {
    if (place.offset & (align - 1))
      misaligned(lane, place, bytes, align, "reads");
    uint64_t size = warp.program->privateBytes;
    if (place.offset + bytes > size || place.offset > size)
      outside(lane, place, bytes, "reads", "of " + std::to_string(size) + " that a thread has");
    uint64_t at = lane * size + place.offset;
    if (!allWritten(warp.privateWritten + at, bytes))
      throw Fault{lane, "uninitialised read: " + std::to_string(bytes) + " bytes of private memory at " +
                            hexadecimal(place.offset) + " were not all written"};
    std::memcpy(to, warp.privateData + at, bytes);
    return;
  }
  default: {
    if (place.offset & (align - 1))
      misaligned(lane, place, bytes, align, "reads");
    Region &region = regionOf(warp, lane, place, bytes, "reads");
    uint64_t at = place.offset - region.base;
    if (region.unwritten && !allWritten(&region.written[at], bytes))
      throw Fault{lane, "uninitialised read: " + std::to_string(bytes) + " bytes of global memory, " +
                            std::to_string(at) + " bytes into an allocation of " + std::to_string(region.size) +
                            ", were not all written"};
    if (region.launch == machine.launchNumber)
      checkBlocks(warp, lane, region, at, bytes, false);
    std::memcpy(to, &region.data[at], bytes);
  }
  }
}

void writeMemory(Warp &warp, uint32_t lane, Place place, uint32_t bytes, uint32_t align, const uint8_t *from,
                 uint32_t stamp) {
  Machine &machine = *warp.machine;
  switch (place.space) {
  case Space::Shared:
    checkShared(warp, lane, place.offset, bytes, align, "writes");
    machine.shared.write(lane, warp.index, uint32_t(place.offset), bytes, from, stamp);
    return;
  case Space::Private: {
    if (place.offset & (align - 1))
      misaligned(lane, place, bytes, align, "writes");
    uint64_t size = warp.program->privateBytes;
    if (place.offset + bytes > size || place.offset > size)
      outside(lane, place, bytes, "writes", "of " + std::to_string(size) + " that a thread has");
    std::memcpy(warp.privateData + lane * size + place.offset, from, bytes);
    std::memset(warp.privateWritten + lane * size + place.offset, IsWritten, bytes);
    return;
  }
  default: {
    if (place.offset & (align - 1))
      misaligned(lane, place, bytes, align, "writes");
    Region &region = regionOf(warp, lane, place, bytes, "writes");
    if (region.readOnly)
      throw Fault{lane, "writes a constant of the module"};
    uint64_t at = place.offset - region.base;
    region.launch = machine.launchNumber;
    checkBlocks(warp, lane, region, at, bytes, true);
    region.markWritten(at, bytes);
    std::memcpy(&region.data[at], from, bytes);
  }
  }
}

void countAccess(Warp &warp, Space space, const uint64_t *offsets, uint32_t bytes) {
  Counters &counters = warp.machine->counters;
  if (space == Space::Global) {
    uint64_t seen[64 * 9];
    uint32_t count = 0;
    warp.eachLane([&](uint32_t lane) {
      counters.globalBytes += bytes;
      for (uint64_t sector = offsets[lane] / 32, last = (offsets[lane] + bytes - 1) / 32; sector <= last; ++sector) {
        if (count && seen[count - 1] == sector)
          continue;
        if (count && seen[count - 1] > sector && std::find(seen, seen + count, sector) != seen + count)
          continue;
        if (count < std::size(seen))
          seen[count++] = sector;
      }
    });
    counters.globalSectors += count;
  } else if (space == Space::Shared) {
    // 32 banks of 4 bytes; as many lanes at a time as ask for 128 bytes. Lanes that want the same word share it.
    uint32_t group = std::max(1u, 128 / std::max(4u, bytes)), words = (bytes + 3) / 4;
    for (uint32_t first = 0; first < warp.width; first += group) {
      uint64_t last[32], depth[32] = {}, worst = 0;
      for (uint32_t lane = first; lane < std::min(first + group, warp.width); ++lane) {
        if (!(warp.mask >> lane & 1))
          continue;
        for (uint32_t i = 0; i < words; ++i) {
          uint64_t word = offsets[lane] / 4 + i;
          uint32_t bank = word % 32;
          if (depth[bank] && last[bank] == word)
            continue;
          last[bank] = word;
          worst = std::max(worst, ++depth[bank]);
        }
      }
      if (worst) {
        ++counters.sharedPasses;
        counters.bankConflicts += worst - 1;
      }
    }
  }
}

static uint64_t addressAt(Warp &warp, Slot slot, uint32_t bytes, uint32_t lane) {
  return bytes == 8 ? warp.at<uint64_t>(slot)[lane] : warp.at<uint32_t>(slot)[lane];
}

template <class F> static void access(Warp &warp, const Inst &inst, const F &each) {
  uint32_t pointerBytes = uint32_t(inst.imm & 0xff);
  uint64_t offsets[64];
  Space space = inst.space;
  warp.eachLane([&](uint32_t lane) {
    Place place = placeOf(inst.space, addressAt(warp, inst.a, pointerBytes, lane));
    offsets[lane] = place.offset;
    space = place.space;
    each(lane, place);
  });
  countAccess(warp, space, offsets, inst.size);
}

void loadLanes(Warp &warp, const Inst &inst) {
  const Component *components = &warp.program->components[inst.list];
  uint32_t align = uint32_t(inst.imm >> 8);
  uint8_t line[512];
  access(warp, inst, [&](uint32_t lane, Place place) {
    readMemory(warp, lane, place, inst.size, align, line);
    for (uint32_t i = 0; i < inst.count; ++i) {
      const Component &part = components[i];
      uint8_t *to = warp.frame + part.slot + lane * part.bytes;
      const uint8_t *from = line + part.offset;
      switch (part.bytes) {
      case 1:
        *to = *from;
        break;
      case 2:
        std::memcpy(to, from, 2);
        break;
      case 4:
        std::memcpy(to, from, 4);
        break;
      default:
        std::memcpy(to, from, 8);
      }
    }
  });
}

void storeLanes(Warp &warp, const Inst &inst) {
  const Component *components = &warp.program->components[inst.list];
  uint32_t align = uint32_t(inst.imm >> 8), stamp = ++warp.machine->stamp;
  uint8_t line[512];
  access(warp, inst, [&](uint32_t lane, Place place) {
    for (uint32_t i = 0; i < inst.count; ++i) {
      const Component &part = components[i];
      const uint8_t *from = warp.frame + part.slot + lane * part.bytes;
      uint8_t *to = line + part.offset;
      switch (part.bytes) {
      case 1:
        *to = *from;
        break;
      case 2:
        std::memcpy(to, from, 2);
        break;
      case 4:
        std::memcpy(to, from, 4);
        break;
      default:
        std::memcpy(to, from, 8);
      }
    }
    writeMemory(warp, lane, place, inst.size, align, line, stamp);
  });
}

/// The bytes that an atomic operation works on, checked like a read.
static uint8_t *atomicPlace(Warp &warp, const Inst &inst, uint32_t lane, Place place, uint32_t stamp) {
  Machine &machine = *warp.machine;
  uint32_t bytes = inst.size;
  if (place.space == Space::Shared) {
    checkShared(warp, lane, place.offset, bytes, bytes, "changes");
    machine.shared.read(lane, warp.index, uint32_t(place.offset), bytes, true);
    uint8_t *data = &machine.shared.data[place.offset];
    machine.shared.write(lane, warp.index, uint32_t(place.offset), bytes, data, stamp, true);
    return data;
  }
  if (place.space == Space::Private)
    throw Fault{lane, "atomic operation on private memory"};
  uint8_t line[8];
  readMemory(warp, lane, place, bytes, bytes, line);
  Region &region = *machine.region(place.offset);
  region.launch = machine.launchNumber;
  machine.blockOrder.change(warp.index, place.offset);
  return &region.data[place.offset - region.base];
}

template <class T> static T combine(llvm::AtomicRMWInst::BinOp op, T old, T value) {
  using Op = llvm::AtomicRMWInst;
  using S = std::make_signed_t<T>;
  switch (op) {
  case Op::Xchg:
    return value;
  case Op::Add:
    return T(old + value);
  case Op::Sub:
    return T(old - value);
  case Op::And:
    return old & value;
  case Op::Nand:
    return T(~(old & value));
  case Op::Or:
    return old | value;
  case Op::Xor:
    return old ^ value;
  case Op::Max:
    return S(old) > S(value) ? old : value;
  case Op::Min:
    return S(old) < S(value) ? old : value;
  case Op::UMax:
    return std::max(old, value);
  case Op::UMin:
    return std::min(old, value);
  case Op::UIncWrap:
    return old >= value ? T(0) : T(old + 1);
  case Op::UDecWrap:
    return old == 0 || old > value ? value : T(old - 1);
  default:
    return old;
  }
}
template <class T> static T combineFloat(llvm::AtomicRMWInst::BinOp op, T old, T value) {
  using Op = llvm::AtomicRMWInst;
  auto a = toFloat(old), b = toFloat(value);
  switch (op) {
  case Op::FAdd:
    return fromFloat<T>(float(a + b));
  case Op::FSub:
    return fromFloat<T>(float(a - b));
  case Op::FMax:
    return fromFloat<T>(std::isnan(a) ? float(b) : std::isnan(b) ? float(a) : float(std::max(a, b)));
  case Op::FMin:
    return fromFloat<T>(std::isnan(a) ? float(b) : std::isnan(b) ? float(a) : float(std::min(a, b)));
  default:
    return value;
  }
}

template <class T, class F> static void change(Warp &warp, const Inst &inst, const F &f) {
  uint32_t stamp = ++warp.machine->stamp;
  access(warp, inst, [&](uint32_t lane, Place place) {
    uint8_t *at = atomicPlace(warp, inst, lane, place, stamp);
    T old, value;
    std::memcpy(&old, at, sizeof(T));
    std::memcpy(&value, warp.frame + inst.b + lane * sizeof(T), sizeof(T));
    T result = f(old, value);
    std::memcpy(at, &result, sizeof(T));
    std::memcpy(warp.frame + inst.d + lane * sizeof(T), &old, sizeof(T));
  });
}

void atomicLanes(Warp &warp, const Inst &inst) {
  auto op = llvm::AtomicRMWInst::BinOp(inst.aux & 0xff);
  switch (Scalar::Class(inst.aux >> 8)) {
  case Scalar::Int:
    if (inst.size == 8)
      return change<uint64_t>(warp, inst, [=](uint64_t a, uint64_t b) { return combine(op, a, b); });
    return change<uint32_t>(warp, inst, [=](uint32_t a, uint32_t b) { return combine(op, a, b); });
  case Scalar::Half:
    return change<Half>(warp, inst, [=](Half a, Half b) { return combineFloat(op, a, b); });
  case Scalar::BFloat:
    return change<BFloat>(warp, inst, [=](BFloat a, BFloat b) { return combineFloat(op, a, b); });
  case Scalar::Float:
    return change<float>(warp, inst, [=](float a, float b) { return combineFloat(op, a, b); });
  case Scalar::Double:
    return change<double>(warp, inst, [=](double a, double b) {
      return op == llvm::AtomicRMWInst::FAdd ? a + b : op == llvm::AtomicRMWInst::FSub ? a - b : b;
    });
  }
}

void compareExchangeLanes(Warp &warp, const Inst &inst) {
  uint32_t stamp = ++warp.machine->stamp, bytes = inst.size;
  Slot success = warp.program->slots[inst.list];
  access(warp, inst, [&](uint32_t lane, Place place) {
    uint8_t *at = atomicPlace(warp, inst, lane, place, stamp);
    bool same = std::memcmp(at, warp.frame + inst.b + lane * bytes, bytes) == 0;
    std::memcpy(warp.frame + inst.d + lane * bytes, at, bytes);
    if (same)
      std::memcpy(at, warp.frame + inst.c + lane * bytes, bytes);
    warp.at<uint8_t>(success)[lane] = same;
  });
}

void fenceBlocks(Warp &warp, const Inst &) { warp.machine->blockOrder.fence(warp.index, warp.mask); }

void copyLanes(Warp &warp, const Inst &inst) {
  uint32_t stamp = ++warp.machine->stamp;
  warp.eachLane([&](uint32_t lane) {
    uint64_t length = warp.at<uint64_t>(inst.c)[lane];
    Place to = placeOf(inst.space, addressAt(warp, inst.a, inst.aux & 0xff, lane));
    bool fill = inst.imm == 0xff;
    Place from = fill ? Place() : placeOf(Space(inst.imm), addressAt(warp, inst.b, inst.aux >> 8, lane));
    std::vector<uint8_t> bytes(length, fill ? warp.at<uint8_t>(inst.b)[lane] : 0);
    for (uint64_t i = 0; !fill && i < length; ++i)
      readMemory(warp, lane, {from.space, from.offset + i}, 1, 1, &bytes[i]);
    for (uint64_t i = 0; i < length; ++i)
      writeMemory(warp, lane, {to.space, to.offset + i}, 1, 1, &bytes[i], stamp);
  });
}

} // namespace whit::sim
