// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sources: PTX ISA 8.7, "Memory Consistency Model" (fences are cumulative, and synchronize through atomic operations on one word); LLVM, "Memory
// Model for AMDGPU".

#include "Sim/BlockOrder.h"

namespace whit::sim {

void BlockOrder::beginBlock(uint32_t number, uint32_t warps) {
  block = number;
  fenced.assign(warps, nullptr);
  heard.assign(warps, {});
  known.clear();
}

void BlockOrder::fence(uint32_t warp, uint64_t lanes) {
  auto past = std::make_shared<Past>();
  past->clock = shared.pastOf(warp);
  past->block = block;
  past->warp = warp;
  past->lanes = lanes;
  past->time = shared.now();
  for (auto &other : heard[warp])
    known.push_back({other, warp, past->time, lanes});
  heard[warp].clear();
  fenced[warp] = past;
}

void BlockOrder::change(uint32_t warp, uint64_t address) {
  List &list = words[address];
  for (const auto &past : list)
    if (past->block != block)
      heard[warp].push_back(past);
  if (fenced[warp])
    list.push_back(fenced[warp]);
}

uint64_t BlockOrder::writer(uint32_t lane, uint32_t warp) const {
  return uint64_t(lane) << 58 | uint64_t(warp) << 32 | shared.moment();
}

bool BlockOrder::knows(uint32_t lane, uint32_t warp, uint32_t other, uint64_t writer) const {
  uint32_t from = uint32_t(writer >> 32) & 0x3ffffff, when = uint32_t(writer), fromLane = uint32_t(writer >> 58);
  for (const Known &entry : known) {
    const Past &past = *entry.past;
    bool isPast = (from == past.warp && past.lanes >> fromLane & 1 && when < past.time) ||
                  (from < past.clock.size() && past.clock[from] > when);
    bool isMine = entry.warp == warp && entry.lanes >> lane & 1;
    if (past.block == other && isPast && (isMine || shared.hasMet(warp, entry.warp, entry.time)))
      return true;
  }
  return false;
}

} // namespace whit::sim
