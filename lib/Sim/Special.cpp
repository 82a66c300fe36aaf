// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The registers that say where a thread is: in its warp, its block, the grid.

#include "Sim/Special.h"

#include "Sim/Exchange.h"

#include "llvm/ADT/StringSwitch.h"

using namespace llvm;

namespace whit::sim {

enum Register { Thread, BlockSize, Block, GridSize, Lane, WarpNumber, WarpCount, WarpSize };

static void readRegister(Warp &warp, const Inst &inst) {
  const Machine &machine = *warp.machine;
  uint32_t axis = inst.aux;
  const auto &block = machine.shape.block;
  warp.eachLane([&](uint32_t lane) {
    uint32_t value = 0, thread = warp.thread(lane);
    switch (inst.imm) {
    case Thread:
      value = axis == 0 ? thread % block[0] : axis == 1 ? thread / block[0] % block[1] : thread / block[0] / block[1];
      break;
    case BlockSize:
      value = block[axis];
      break;
    case Block:
      value = machine.blockIndex[axis];
      break;
    case GridSize:
      value = machine.shape.grid[axis];
      break;
    case Lane:
      value = lane;
      break;
    case WarpNumber:
      value = warp.index;
      break;
    case WarpCount:
      value = (machine.threads + warp.width - 1) / warp.width;
      break;
    default:
      value = warp.width;
    }
    warp.at<uint32_t>(inst.d)[lane] = value;
  });
}

bool lowerSpecialRegister(Lowering &lowering, const CallInst &call, StringRef name) {
  auto [base, axis] = name.split('.');
  int number = StringSwitch<int>(base)
                   .Case("tid", Thread)
                   .Case("ntid", BlockSize)
                   .Case("ctaid", Block)
                   .Case("nctaid", GridSize)
                   .Case("laneid", Lane)
                   .Case("warpid", WarpNumber)
                   .Case("nwarpid", WarpCount)
                   .Case("warpsize", WarpSize)
                   .Default(-1);
  if (number < 0 || (axis.empty() != (number >= Lane)))
    return false;
  lowering.elementwise(call, readRegister, Kind::Move, {}, {});
  lowering.program.insts.back().imm = uint64_t(number);
  lowering.program.insts.back().aux = axis.empty() ? 0 : uint16_t(axis[0] - 'x');
  return true;
}

} // namespace whit::sim
