// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Allocations and their shadows, and the race detector of shared memory.

#include "Sim/Memory.h"

#include <algorithm>
#include <cstring>

namespace whit::sim {

void Region::markWritten(uint64_t offset, uint64_t bytes) {
  if (!unwritten)
    return;
  for (uint64_t i = offset; i < offset + bytes; ++i) {
    unwritten -= written[i] == NotWritten;
    written[i] = IsWritten;
  }
}

Region *GlobalMemory::allocate(uint64_t size) {
  auto region = std::make_unique<Region>();
  region->base = next;
  region->size = region->unwritten = size;
  region->data = pages<uint8_t>(size);
  region->written = pages<uint8_t>(size);
  region->writers = pages<uint64_t>(size / 4 + 1);
  if (!region->data || !region->written || !region->writers)
    return nullptr;
  // At least a page lies between two allocations.
  next += (size + 8191) & ~uint64_t(4095);
  bytes += size;
  regions.push_back(std::move(region));
  return regions.back().get();
}

bool GlobalMemory::free(uint64_t base) {
  Region *region = find(base);
  if (!region || region->base != base)
    return false;
  bytes -= region->size;
  region->live = false;
  region->data.reset();
  region->written.reset();
  region->writers.reset();
  region->moments.reset();
  return true;
}

Region *GlobalMemory::find(uint64_t address) {
  auto after =
      std::upper_bound(regions.begin(), regions.end(), address,
                       [](uint64_t value, const std::unique_ptr<Region> &region) { return value < region->base; });
  if (after == regions.begin())
    return nullptr;
  Region *region = std::prev(after)->get();
  return region->live && address - region->base < std::max<uint64_t>(region->size, 1) ? region : nullptr;
}

std::string GlobalMemory::describe(uint64_t address) const {
  const Region *nearest = nullptr;
  for (const auto &region : regions)
    if (region->base <= address)
      nearest = region.get();
  if (!nearest)
    return "no allocation lies below it";
  std::string text =
      std::to_string(address - nearest->base) + " bytes into an allocation of " + std::to_string(nearest->size);
  return nearest->live ? text : text + " bytes that was freed";
}

void SharedMemory::reset(uint32_t size, uint32_t warpCount, bool lanesMayPart) {
  data.assign(size, 0xcd);
  written.assign(size, NotWritten);
  words.assign(size / 4 + 1, Cell());
  isSplit.assign(size / 4 + 1, 0);
  warps = agents = warpCount;
  lanesPart = lanesMayPart;
  known.assign(warps, Clock(warps, 0));
  laneClocks.clear();
  meetings.assign(warps, 0);
  fences.assign(warps, 0);
  touched.assign(warps, 0);
  time = 0;
}

static void join(Clock &clock, const Clock &other) {
  clock.resize(std::max(clock.size(), other.size()), 0);
  for (size_t i = 0; i < other.size(); ++i)
    clock[i] = std::max(clock[i], other[i]);
}

bool SharedMemory::laneKnows(uint32_t lane, uint32_t warp, uint32_t before, uint32_t when) const {
  auto found = laneClocks.find(warp * 64 + lane);
  return found != laneClocks.end() && before < found->second.size() && found->second[before] > when;
}

void SharedMemory::meet(uint32_t warp) {
  meetings[warp] = time;
  touched[warp] = 0;
  for (auto at = laneClocks.lower_bound(warp * 64); at != laneClocks.end() && at->first < (warp + 1) * 64;) {
    join(known[warp], at->second);
    at = laneClocks.erase(at);
  }
}

void SharedMemory::synchronizeLanes(uint32_t warp) {
  ++time;
  meet(warp);
}

void SharedMemory::synchronize(uint64_t mask) {
  ++time;
  // What anybody here knows, everybody here knows now; and all that those here did.
  Clock joined(agents, 0);
  for (uint32_t a = 0; a < warps; ++a)
    if (mask >> a & 1) {
      meet(a);
      join(joined, known[a]);
    }
  for (uint32_t a = 0; a < warps; ++a)
    if (mask >> a & 1)
      joined[a] = time;
  for (uint32_t a = 0; a < warps; ++a)
    if (mask >> a & 1)
      known[a] = joined;
}

void SharedMemory::release(uint32_t warp, uint64_t lanes, Clock &clock) {
  join(clock, known[warp]);
  for (auto at = laneClocks.lower_bound(warp * 64); at != laneClocks.end() && at->first < (warp + 1) * 64; ++at)
    if (lanes >> (at->first % 64) & 1)
      join(clock, at->second);
  // Of what other lanes did, only what they did before all met.
  uint32_t until = lanesPart && touched[warp] & ~lanes ? meetings[warp] : ++time;
  clock[warp] = std::max(clock[warp], until);
}

void SharedMemory::acquire(uint32_t warp, uint64_t lanes, bool isWholeWarp, const Clock &clock) {
  if (isWholeWarp) {
    join(known[warp], clock);
    if (warp < clock.size())
      meetings[warp] = std::max(meetings[warp], clock[warp]);
    return;
  }
  for (uint64_t rest = lanes; rest; rest &= rest - 1)
    join(laneClocks[warp * 64 + uint32_t(__builtin_ctzll(rest))], clock);
}

Clock SharedMemory::pastOf(uint32_t warp) const {
  Clock clock = known[warp];
  clock[warp] = std::max(clock[warp], lanesPart ? meetings[warp] : time + 1);
  return clock;
}

uint32_t SharedMemory::newAgent() {
  for (Clock &clock : known)
    clock.resize(agents + 1, 0);
  return agents++;
}

void SharedMemory::release(uint32_t agent, Clock &clock) {
  clock.resize(std::max<size_t>(clock.size(), agent + 1), 0);
  clock[agent] = ++time;
}

SharedMemory::Cell *SharedMemory::split(uint32_t word) {
  if (bytesOf.size() < words.size() * 4)
    bytesOf.resize(words.size() * 4);
  if (!isSplit[word]) {
    isSplit[word] = 1;
    std::fill_n(&bytesOf[word * 4], 4, words[word]);
  }
  return &bytesOf[word * 4];
}

template <class F> void SharedMemory::cells(uint32_t offset, uint32_t bytes, const F &visit) {
  for (uint32_t at = offset, end = offset + bytes; at < end;) {
    uint32_t word = at / 4;
    if (at % 4 == 0 && end - at >= 4 && !isSplit[word]) {
      visit(words[word], at);
      at += 4;
      continue;
    }
    Cell *parts = split(word);
    for (uint32_t stop = std::min(end, word * 4 + 4); at < stop; ++at)
      visit(parts[at % 4], at);
  }
}

std::string SharedMemory::nameOf(uint32_t agent) const {
  return agent < warps ? "warp " + std::to_string(agent) : "an asynchronous copy";
}
static constexpr uint32_t ALL_LANES = ~0u;
static std::string betweenLanes(uint32_t offset, uint32_t lane, const char *verb, uint32_t other, const char *did) {
  return "race in shared memory at byte " + std::to_string(offset) + ": " +
         (lane == ALL_LANES ? "all lanes" : "lane " + std::to_string(lane)) + " " + verb + " what lane " +
         std::to_string(other) + " of its warp " + did + ", with no bar.warp.sync between them";
}

void SharedMemory::noteRead(Cell &cell, uint32_t lane, uint32_t warp, uint32_t offset, bool atomic, bool forWarp) {
  uint32_t writer = cell.writer & 0x7fffffff;
  bool bothAtomic = atomic && cell.writer >> 31;
  if (writer && !ordered(lane, warp, writer - 1, cell.writeTime) && !bothAtomic)
    throw Fault{lane, "race in shared memory at byte " + std::to_string(offset) + ": " + nameOf(warp) + " reads what " +
                          nameOf(writer - 1) + " wrote, with no " +
                          (writer > warps ? "wait for its mbarrier" : "barrier") + " between them"};
  if (!bothAtomic && lanesRace(cell, forWarp ? ALL_LANES : lane, warp))
    throw Fault{lane,
                betweenLanes(offset, forWarp ? ALL_LANES : lane, forWarp ? "read" : "reads", cell.writeLane, "wrote")};
  // Readers that happened before this one are no longer needed: who is ordered after this one is ordered after them.
  uint32_t keep = 0;
  for (uint32_t rest = cell.readers; rest; rest &= rest - 1) {
    uint32_t reader = uint32_t(__builtin_ctz(rest));
    if (!ordered(lane, warp, reader, cell.readTime))
      keep |= 1u << reader;
  }
  bool goesOn = cell.readers >> warp & 1 && cell.readTime >= meetings[warp];
  cell.readLanes = (goesOn ? cell.readLanes : 0) | (forWarp ? ~0u : 1u << lane % 32);
  cell.readers = keep | 1u << warp;
  cell.readTime = time;
  cell.atomicRead = atomic;
}

void SharedMemory::noteWrite(Cell &cell, uint32_t lane, uint32_t agent, uint32_t offset, bool atomic) {
  uint32_t writer = cell.writer & 0x7fffffff;
  bool bothAtomic = atomic && cell.writer >> 31;
  if (agent < warps) { // copies of an mbarrier were checked when they began
    if (writer && !ordered(lane, agent, writer - 1, cell.writeTime) && !bothAtomic)
      throw Fault{lane, "race in shared memory at byte " + std::to_string(offset) + ": " + nameOf(agent) + " and " +
                            nameOf(writer - 1) + " write it, with no barrier between them"};
    if (!bothAtomic && lanesRace(cell, lane, agent))
      throw Fault{lane, betweenLanes(offset, lane, "writes", cell.writeLane, "wrote")};
    for (uint32_t rest = cell.readers; rest; rest &= rest - 1) {
      uint32_t reader = uint32_t(__builtin_ctz(rest));
      if (atomic && cell.atomicRead)
        continue;
      if (!ordered(lane, agent, reader, cell.readTime))
        throw Fault{lane, "race in shared memory at byte " + std::to_string(offset) + ": " + nameOf(agent) +
                              " writes what " + nameOf(reader) + " reads, with no barrier between them"};
      uint32_t others = cell.readLanes & ~(1u << lane % 32);
      if (lanesPart && reader == agent && others && cell.readTime >= meetings[agent])
        throw Fault{lane, betweenLanes(offset, lane, "writes", uint32_t(__builtin_ctz(others)), "reads")};
    }
  }
  cell.writer = (agent + 1) | (atomic ? 1u << 31 : 0);
  cell.writeTime = time;
  cell.writeLane = uint8_t(lane);
  cell.readers = 0;
}

void SharedMemory::read(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes, bool atomic, bool forWarp) {
  for (uint32_t i = offset; i < offset + bytes; ++i)
    if (written[i] != IsWritten)
      throw Fault{lane, written[i] == InFlight
                            ? "reads byte " + std::to_string(i) +
                                  " of shared memory, which an asynchronous copy is still writing; wait for it first"
                        : written[i] == IsBarrier
                            ? "reads byte " + std::to_string(i) + " of shared memory, which is part of an mbarrier"
                            : "uninitialised read: byte " + std::to_string(i) + " of shared memory was never written"};
  touched[warp] |= uint64_t(1) << lane;
  cells(offset, bytes, [&](Cell &cell, uint32_t at) {
    // The common case, without a call: the warp's own word, or one written before a barrier that all have passed.
    if (cell.readers == 1u << warp && cell.readTime == time && !forWarp && !lanesRace(cell, lane, warp)) {
      cell.readLanes |= 1u << lane % 32;
      return;
    }
    noteRead(cell, lane, warp, at, atomic, forWarp);
  });
}

void SharedMemory::write(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes, const uint8_t *value,
                         uint32_t stamp, bool atomic) {
  touched[warp] |= uint64_t(1) << lane;
  cells(offset, bytes, [&](Cell &cell, uint32_t at) {
    if (cell.stamp == stamp && !atomic) {
      uint32_t length = &cell >= words.data() && &cell < words.data() + words.size() ? 4 : 1;
      if (std::memcmp(&data[at], value + (at - offset), length) != 0)
        throw Fault{lane, "race in shared memory at byte " + std::to_string(at) +
                              ": two lanes write different values in one instruction"};
      cell.writeLane = cell.writeLane == lane ? uint8_t(lane) : SEVERAL;
      return;
    }
    if (written[at] == InFlight || written[at] == IsBarrier)
      throw Fault{lane,
                  "writes byte " + std::to_string(at) + " of shared memory, which " +
                      (written[at] == InFlight ? "an asynchronous copy is still writing" : "is part of an mbarrier")};
    noteWrite(cell, lane, warp, at, atomic);
    cell.stamp = stamp;
  });
  std::memcpy(&data[offset], value, bytes);
  std::memset(&written[offset], IsWritten, bytes);
}

void SharedMemory::beginCopy(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes) {
  for (uint32_t i = offset; i < offset + bytes; ++i)
    if (written[i] == InFlight || written[i] == IsBarrier)
      throw Fault{lane, written[i] == InFlight ? "race in shared memory at byte " + std::to_string(i) +
                                                     ": two asynchronous copies write it"
                                               : "an asynchronous copy writes byte " + std::to_string(i) +
                                                     " of shared memory, which is part of an mbarrier"};
  touched[warp] |= uint64_t(1) << lane;
  cells(offset, bytes, [&](Cell &cell, uint32_t at) { noteWrite(cell, lane, warp, at, false); });
  std::memset(&written[offset], InFlight, bytes);
}

void SharedMemory::endCopy(uint32_t lane, uint32_t agent, uint32_t offset, uint32_t bytes, const uint8_t *value) {
  cells(offset, bytes, [&](Cell &cell, uint32_t at) { noteWrite(cell, lane, agent, at, false); });
  std::memcpy(&data[offset], value, bytes);
  std::memset(&written[offset], IsWritten, bytes);
}

void SharedMemory::beginBarrier(uint32_t lane, uint32_t warp, uint32_t offset) {
  beginCopy(lane, warp, offset, 8); // with its checks
  std::memset(&written[offset], IsBarrier, 8);
}

void SharedMemory::useBarrier(uint32_t lane, uint32_t warp, uint32_t offset) {
  cells(offset, 8, [&](Cell &cell, uint32_t) {
    uint32_t writer = (cell.writer & 0x7fffffff) - 1;
    if (!ordered(lane, warp, writer, cell.writeTime) || lanesRace(cell, lane, warp))
      throw Fault{lane, "race in shared memory at byte " + std::to_string(offset) + ": " + nameOf(warp) +
                            " uses an mbarrier that " + nameOf(writer) + " initialises, with no barrier between them"};
  });
}

void SharedMemory::endBarrier(uint32_t lane, uint32_t warp, uint32_t offset) {
  cells(offset, 8, [&](Cell &cell, uint32_t at) { noteWrite(cell, lane, warp, at, false); });
  std::memset(&written[offset], NotWritten, 8);
}

bool SharedMemory::changedSince(uint32_t offset, uint32_t bytes, uint32_t when) {
  bool changed = false;
  cells(offset, bytes, [&](Cell &cell, uint32_t) { changed |= cell.writer && cell.writeTime >= when; });
  return changed;
}

void SharedMemory::needFence(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes, const char *what) {
  cells(offset, bytes, [&](Cell &cell, uint32_t at) {
    uint32_t writer = cell.writer & 0x7fffffff;
    if (writer && writer <= warps && fences[writer - 1] <= cell.writeTime && fences[warp] <= cell.writeTime)
      throw Fault{lane, std::string(what) + " byte " + std::to_string(at) + " of shared memory, which " +
                            nameOf(writer - 1) + " wrote, with no fence.proxy.async between them"};
  });
}

} // namespace whit::sim
