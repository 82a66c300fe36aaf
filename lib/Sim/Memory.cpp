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

void SharedMemory::reset(uint32_t size, uint32_t warpCount) {
  data.assign(size, 0xcd);
  written.assign(size, NotWritten);
  words.assign(size / 4 + 1, Cell());
  isSplit.assign(size / 4 + 1, 0);
  warps = warpCount;
  known.assign(size_t(warps) * warps, 0);
  time = 0;
}

void SharedMemory::synchronize(uint64_t mask) {
  ++time;
  // What anybody here knows, everybody here knows now; and all that those here did.
  std::vector<uint32_t> joined(warps, 0);
  for (uint32_t a = 0; a < warps; ++a)
    if (mask >> a & 1)
      for (uint32_t b = 0; b < warps; ++b)
        joined[b] = std::max(joined[b], mask >> b & 1 ? time : known[a * warps + b]);
  for (uint32_t a = 0; a < warps; ++a)
    if (mask >> a & 1)
      std::copy(joined.begin(), joined.end(), known.begin() + size_t(a) * warps);
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

static std::string warpText(uint32_t warp) { return "warp " + std::to_string(warp); }

void SharedMemory::noteRead(Cell &cell, uint32_t lane, uint32_t warp, uint32_t offset, bool atomic) {
  uint32_t writer = cell.writer & 0x7fffffff;
  if (writer && !ordered(warp, writer - 1, cell.writeTime) && !(atomic && cell.writer >> 31))
    throw Fault{lane, "race in shared memory at byte " + std::to_string(offset) + ": " + warpText(warp) +
                          " reads what " + warpText(writer - 1) + " wrote, with no barrier between them"};
  // Readers that happened before this one are no longer needed: who is ordered after this one is ordered after them.
  uint32_t keep = 0;
  for (uint32_t rest = cell.readers; rest; rest &= rest - 1) {
    uint32_t reader = __builtin_ctz(rest);
    if (!ordered(warp, reader, cell.readTime))
      keep |= 1u << reader;
  }
  cell.readers = keep | 1u << warp;
  cell.readTime = time;
  cell.atomicRead = atomic;
}

void SharedMemory::noteWrite(Cell &cell, uint32_t lane, uint32_t warp, uint32_t offset, bool atomic) {
  uint32_t writer = cell.writer & 0x7fffffff;
  if (writer && !ordered(warp, writer - 1, cell.writeTime) && !(atomic && cell.writer >> 31))
    throw Fault{lane, "race in shared memory at byte " + std::to_string(offset) + ": " + warpText(warp) + " and " +
                          warpText(writer - 1) + " write it, with no barrier between them"};
  for (uint32_t rest = cell.readers; rest; rest &= rest - 1) {
    uint32_t reader = __builtin_ctz(rest);
    if (!ordered(warp, reader, cell.readTime) && !(atomic && cell.atomicRead))
      throw Fault{lane, "race in shared memory at byte " + std::to_string(offset) + ": " + warpText(warp) +
                            " writes what " + warpText(reader) + " reads, with no barrier between them"};
  }
  cell.writer = (warp + 1) | (atomic ? 1u << 31 : 0);
  cell.writeTime = time;
  cell.readers = 0;
}

void SharedMemory::read(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes, bool atomic) {
  for (uint32_t i = offset; i < offset + bytes; ++i)
    if (written[i] != IsWritten)
      throw Fault{lane,
                  written[i] == InFlight
                      ? "reads byte " + std::to_string(i) +
                            " of shared memory, which an asynchronous copy is still writing; wait for its group first"
                      : "uninitialised read: byte " + std::to_string(i) + " of shared memory was never written"};
  cells(offset, bytes, [&](Cell &cell, uint32_t at) {
    // The common case, without a call: the warp's own word, or one written before a barrier that all have passed.
    if (cell.readers == 1u << warp && cell.readTime == time)
      return;
    noteRead(cell, lane, warp, at, atomic);
  });
}

void SharedMemory::write(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes, const uint8_t *value,
                         uint32_t stamp, bool atomic) {
  cells(offset, bytes, [&](Cell &cell, uint32_t at) {
    if (cell.stamp == stamp && !atomic) {
      uint32_t length = &cell >= words.data() && &cell < words.data() + words.size() ? 4 : 1;
      if (std::memcmp(&data[at], value + (at - offset), length) != 0)
        throw Fault{lane, "race in shared memory at byte " + std::to_string(at) +
                              ": two lanes write different values in one instruction"};
      return;
    }
    if (written[at] == InFlight)
      throw Fault{lane, "writes byte " + std::to_string(at) +
                            " of shared memory, which an asynchronous copy is still writing"};
    noteWrite(cell, lane, warp, at, atomic);
    cell.stamp = stamp;
  });
  std::memcpy(&data[offset], value, bytes);
  std::memset(&written[offset], IsWritten, bytes);
}

void SharedMemory::beginCopy(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes) {
  for (uint32_t i = offset; i < offset + bytes; ++i)
    if (written[i] == InFlight)
      throw Fault{lane, "race in shared memory at byte " + std::to_string(i) + ": two asynchronous copies write it"};
  cells(offset, bytes, [&](Cell &cell, uint32_t at) { noteWrite(cell, lane, warp, at, false); });
  std::memset(&written[offset], InFlight, bytes);
}

void SharedMemory::endCopy(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes, const uint8_t *value) {
  cells(offset, bytes, [&](Cell &cell, uint32_t at) { noteWrite(cell, lane, warp, at, false); });
  std::memcpy(&data[offset], value, bytes);
  std::memset(&written[offset], IsWritten, bytes);
}

} // namespace whit::sim
