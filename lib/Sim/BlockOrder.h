// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What blocks know of each other. Nothing, unless one fences and then changes a word by an atomic operation, and another changes the same word
// later and fences then: what the first knew at its fence happened before what the second does behind its own.
#ifndef SIM_BLOCK_ORDER_H
#define SIM_BLOCK_ORDER_H

#include "Sim/Memory.h"

#include <memory>

namespace whit::sim {

class BlockOrder {
public:
  explicit BlockOrder(SharedMemory &shared) : shared(shared) {}

  void beginLaunch() { words.clear(); }
  void beginBlock(uint32_t number, uint32_t warps);

  /// Lanes of a warp fence for all blocks.
  void fence(uint32_t warp, uint64_t lanes);
  /// One of them changes a word of global memory.
  void change(uint32_t warp, uint64_t address);

  /// Who writes now, to be kept beside what is written; and whether a lane knows of what such a one of another block wrote.
  uint64_t writer(uint32_t lane, uint32_t warp) const;
  bool knows(uint32_t lane, uint32_t warp, uint32_t block, uint64_t writer) const;

private:
  /// What happened before a fence.
  struct Past {
    uint32_t block, warp, time;
    uint64_t lanes; ///< of the warp: these know what they did until `time`
    Clock clock;    ///< what they know of others
  };
  struct Known {
    std::shared_ptr<const Past> past;
    uint32_t warp, time; ///< whose fence it was, and when
    uint64_t lanes;
  };
  using List = std::vector<std::shared_ptr<const Past>>;

  SharedMemory &shared;
  uint32_t block = 0;
  std::map<uint64_t, List> words;                  ///< by address: what those who changed it had fenced
  std::vector<std::shared_ptr<const Past>> fenced; ///< by warp: its last fence
  std::vector<List> heard;                         ///< by warp: since then
  std::vector<Known> known;                        ///< of the block
};

} // namespace whit::sim

#endif // SIM_BLOCK_ORDER_H
