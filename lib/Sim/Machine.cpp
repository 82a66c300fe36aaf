// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Running a launch: the stack of lanes that have parted, barriers, and messages about faults.

#include "Sim/Machine.h"

#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/Instruction.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>

namespace whit::sim {

KernelCounts &Machine::countsOf(const Program &program) {
  KernelCounts &entry = counts[&program];
  if (!entry.program) {
    entry.program = &program;
    entry.warps.assign(program.blocks.size(), 0);
    entry.lanes.assign(program.blocks.size(), 0);
  }
  return entry;
}

static void broadcast(uint8_t *to, uint64_t value, uint32_t bytes, uint32_t lanes) {
  for (uint32_t lane = 0; lane < lanes; ++lane)
    std::memcpy(to + lane * bytes, &value, bytes);
}

std::string Machine::run(const Program &program, const LaunchShape &launch, const uint64_t *arguments) {
  shape = launch;
  threads = shape.block[0] * shape.block[1] * shape.block[2];
  ++launchNumber;
  ++counters.launches;
  ordersBlocks = program.ordersBlocks;
  blockOrder.beginLaunch();
  uint32_t width = program.width, warpCount = (threads + width - 1) / width;
  if (loaded != &program || warps.size() != warpCount) {
    warps.assign(warpCount, Warp());
    frames.assign(size_t(program.frameBytes) * warpCount + 64, 0);
    uint8_t *base = reinterpret_cast<uint8_t *>((reinterpret_cast<uintptr_t>(frames.data()) + 63) & ~uintptr_t(63));
    for (uint32_t i = 0; i < warpCount; ++i) {
      warps[i].frame = base + size_t(i) * program.frameBytes;
      for (const Broadcast &constant : program.constants)
        broadcast(warps[i].frame + constant.slot, constant.value, constant.bytes, width);
    }
    loaded = &program;
  }
  for (uint32_t i = 0; i < warpCount; ++i)
    for (size_t argument = 0; argument < program.arguments.size(); ++argument)
      broadcast(warps[i].frame + program.arguments[argument], arguments[argument], 8, width);
  try {
    uint32_t count = shape.grid[0] * shape.grid[1] * shape.grid[2];
    // Nothing is promised about the order of blocks: where it may matter, every second launch begins with the last one.
    bool isBackwards = ordersBlocks && launchNumber % 2 == 0;
    for (uint32_t i = 0; i < count; ++i) {
      linearBlock = isBackwards ? count - 1 - i : i;
      blockIndex[0] = linearBlock % shape.grid[0];
      blockIndex[1] = linearBlock / shape.grid[0] % shape.grid[1];
      blockIndex[2] = linearBlock / shape.grid[0] / shape.grid[1];
      running = nullptr;
      startBlock(program, arguments);
      runBlock(program);
      ++counters.blocks;
    }
  } catch (const Fault &fault) {
    return describe(program, running ? *running : warps.front(), fault);
  }
  return "";
}

void Machine::startBlock(const Program &program, const uint64_t *arguments) {
  uint32_t width = program.width;
  shared.reset(program.sharedBytes + shape.sharedBytes, uint32_t(warps.size()), architecture.nvidia);
  blockOrder.beginBlock(linearBlock, uint32_t(warps.size()));
  mbarriers.clear();
  size_t privateOfWarp = size_t(program.privateBytes) * width;
  privateMemory.assign(2 * privateOfWarp * warps.size(), 0);
  for (uint32_t i = 0; i < warps.size(); ++i) {
    Warp &warp = warps[i];
    warp.machine = this;
    warp.program = &program;
    warp.width = width;
    warp.index = i;
    warp.privateData = privateMemory.data() + 2 * i * privateOfWarp;
    warp.privateWritten = warp.privateData + privateOfWarp;
    uint32_t lanes = std::min(width, threads - i * width);
    warp.existing = warp.live = lanes == 64 ? ~uint64_t(0) : (uint64_t(1) << lanes) - 1;
    warp.setMask(warp.live);
    warp.stack.assign(1, {warp.live, 0, BlockCode::NONE});
    warp.copies.clear();
    std::fill(std::begin(warp.committed), std::end(warp.committed), 0);
    warp.steps = 0;
    warp.waiting = warp.polling = false;
    warp.together = 0;
    warp.products.clear();
    warp.committedProducts = 0;
    warp.registers = 0;
  }
}

void Machine::runBlock(const Program &program) {
  KernelCounts &entry = countsOf(program);
  for (uint32_t idle = 0;;) {
    uint64_t before = events;
    bool ran = false;
    for (Warp &warp : warps)
      if (!warp.finished() && !warp.waiting) {
        running = &warp;
        runWarp(warp, entry);
        ran = true;
        events += warp.finished() || warp.waiting;
      }
    if (std::all_of(warps.begin(), warps.end(), [](const Warp &warp) { return warp.finished(); }))
      break;
    // All that still run ask for phases of mbarriers: some rounds of it may be part of the kernel, as it may count them.
    idle = releaseBarriers() || events != before ? 0 : idle + 1;
    if (idle && (!ran || idle > MAXIMUM_IDLE_ROUNDS))
      stuck();
  }
  finishBlock();
}

void Machine::finishBlock() {
  for (Warp &warp : warps) {
    running = &warp;
    if (!warp.copies.empty())
      throw Fault{warp.copies.front().lane, "ends before its asynchronous copies into shared memory were waited for"};
    if (!warp.products.empty())
      throw Fault{0, "ends before its products of the warpgroup (wgmma) were waited for"};
    const Warp &first = warps[warp.index / 4 * 4];
    if (warp.together != first.together)
      throw Fault{
          0, "warps " + std::to_string(first.index) + " and " + std::to_string(warp.index) +
                 " of a warpgroup have not run the same instructions that the whole group runs (wgmma, setmaxnreg)"};
  }
  for (const auto &[offset, barrier] : mbarriers)
    if (!barrier.copies.empty()) {
      running = &warps[barrier.warp];
      throw Fault{barrier.copies.front().lane, "ends before the copies that the mbarrier at byte " +
                                                   std::to_string(offset) + " of shared memory counts were waited for"};
    }
}

bool Machine::releaseBarriers() {
  bool any = false;
  for (uint32_t id = 0; id < 16; ++id) {
    uint64_t mask = 0;
    uint32_t arrived = 0, wanted = 0;
    for (Warp &warp : warps)
      if (warp.waiting && warp.barrierId == id) {
        mask |= uint64_t(1) << warp.index;
        arrived += std::popcount(warp.existing);
        wanted = warp.barrierThreads ? warp.barrierThreads : threads;
      }
    // A count of threads is a multiple of the warp size; the block's last warp may have fewer threads than it stands for.
    if (mask && (arrived >= wanted || uint32_t(std::popcount(mask)) * architecture.lanes == wanted)) {
      shared.synchronize(mask);
      for (Warp &warp : warps)
        if (mask >> warp.index & 1)
          warp.waiting = false;
      any = true;
    }
  }
  return any;
}

void Machine::stuck() {
  bool polled =
      std::any_of(warps.begin(), warps.end(), [](const Warp &warp) { return !warp.waiting && !warp.finished(); });
  std::string text = polled ? "waits for a phase that nobody completes: " : "barrier reached by a part of the block: ";
  for (Warp &warp : warps) {
    text += warp.index ? ", warp " : "warp ";
    text += std::to_string(warp.index);
    if (warp.waiting)
      text += " waits at barrier " + std::to_string(warp.barrierId);
    else if (warp.finished())
      text += " has ended";
    else if (auto found = mbarriers.find(warp.polledAt); found != mbarriers.end())
      text += " waits for the mbarrier at byte " + std::to_string(warp.polledAt) + ", of which " +
              std::to_string(found->second.pending) + " arrivals and " + std::to_string(found->second.bytes) +
              " bytes are missing";
    if (!warp.finished())
      running = &warp;
    if (warp.index == 7 && warps.size() > 8) {
      text += ", ...";
      break;
    }
  }
  throw Fault{0, text};
}

void Machine::checkRegisters() {
  uint64_t sum = 0;
  for (const Warp &warp : warps) {
    if (!warp.registers)
      return; // it has what the kernel was compiled for, which is not known here
    sum += uint64_t(warp.registers) * 32;
  }
  if (sum > 65536)
    throw Fault{0, "setmaxnreg gives " + std::to_string(sum) +
                       " registers to the warps of a block, of 65536 that there are"};
}

void Machine::runWarp(Warp &warp, KernelCounts &entry) {
  const Program &program = *warp.program;
  const Inst *insts = program.insts.data();
  while (!warp.stack.empty()) {
    StackEntry &top = warp.stack.back();
    uint64_t lanes = top.mask & warp.live;
    if (!lanes || top.block == top.reconvergence) {
      warp.stack.pop_back();
      continue;
    }
    warp.setMask(lanes);
    const BlockCode &code = program.blocks[top.block];
    ++entry.warps[top.block];
    entry.lanes[top.block] += uint64_t(std::popcount(lanes));
    if (++warp.steps > MAXIMUM_STEPS)
      throw Fault{uint32_t(std::countr_zero(lanes)),
                  "does not end: a warp has run " + std::to_string(MAXIMUM_STEPS) +
                      " blocks of code (blocks of threads run one after another: none may wait for a later one)"};
    for (const Inst *inst = insts + code.begin, *end = insts + code.end; inst != end; ++inst) {
      warp.pc = inst;
      inst->run(warp, *inst);
    }
    warp.pc = nullptr;
    warp.barrierAt = top.block;
    switch (code.kind) {
    case End::Jump: {
      const Edge &edge = program.edges[code.edges];
      takeEdge(warp, edge, lanes);
      top.block = edge.block;
      break;
    }
    case End::Branch:
    case End::Switch:
      branch(warp, code);
      break;
    case End::Return:
      warp.live &= ~lanes;
      warp.stack.pop_back();
      break;
    case End::Unreachable:
      throw Fault{uint32_t(std::countr_zero(lanes)), "reaches code that the compiler was told is never reached"};
    case End::Barrier: {
      if (lanes != warp.existing)
        throw Fault{uint32_t(std::countr_zero(warp.existing & ~lanes)),
                    "barrier reached by a part of the block: only " + std::to_string(std::popcount(lanes)) + " of " +
                        std::to_string(std::popcount(warp.existing)) + " lanes of warp " + std::to_string(warp.index) +
                        " are there"};
      uint32_t first = uint32_t(std::countr_zero(lanes));
      warp.barrierId = code.barrierId ? warp.at<uint32_t>(code.barrierId)[first] : 0;
      warp.barrierThreads = code.barrierCount ? warp.at<uint32_t>(code.barrierCount)[first] : 0;
      if (warp.barrierId > 15 || warp.barrierThreads % warp.width)
        throw Fault{first, "barrier " + std::to_string(warp.barrierId) + " of " + std::to_string(warp.barrierThreads) +
                               " threads; barriers are 0 to 15, and their threads whole warps"};
      top.block = program.edges[code.edges].block;
      warp.waiting = true;
      warp.polling = false;
      return;
    }
    }
    if (warp.polling) {
      warp.polling = false;
      return;
    }
  }
}

void Machine::takeEdge(Warp &warp, const Edge &edge, uint64_t lanes) {
  if (!edge.copyCount)
    return;
  const Program &program = *warp.program;
  const Copy *copies = &program.copies[edge.copies];
  uint32_t width = warp.width;
  if (edge.overlapping) {
    copyBuffer.resize(size_t(edge.copyCount) * width * 8);
    for (uint32_t i = 0; i < edge.copyCount; ++i)
      std::memcpy(&copyBuffer[size_t(i) * width * 8], warp.frame + copies[i].from, copies[i].bytes * width);
  }
  bool all = lanes == warp.live;
  for (uint32_t i = 0; i < edge.copyCount; ++i) {
    const uint8_t *from = edge.overlapping ? &copyBuffer[size_t(i) * width * 8] : warp.frame + copies[i].from;
    uint8_t *to = warp.frame + copies[i].to;
    uint32_t bytes = copies[i].bytes;
    if (all) {
      std::memcpy(to, from, size_t(bytes) * width);
      continue;
    }
    for (uint64_t rest = lanes; rest; rest &= rest - 1) {
      uint32_t lane = uint32_t(std::countr_zero(rest));
      std::memcpy(to + lane * bytes, from + lane * bytes, bytes);
    }
  }
}

void Machine::branch(Warp &warp, const BlockCode &code) {
  const Program &program = *warp.program;
  const Edge *edges = &program.edges[code.edges];
  StackEntry top = warp.stack.back();
  uint64_t lanes = warp.mask;
  uint64_t parts[2] = {0, 0};
  if (code.kind == End::Branch) {
    const uint8_t *condition = warp.at<uint8_t>(code.condition);
    uint64_t taken = 0;
    for (uint32_t lane = 0; lane < warp.width; ++lane)
      taken |= uint64_t(condition[lane] & 1) << lane;
    parts[0] = lanes & taken;
    parts[1] = lanes & ~taken;
    if (!parts[0] || !parts[1]) {
      const Edge &edge = edges[parts[0] ? 0 : 1];
      takeEdge(warp, edge, lanes);
      warp.stack.back().block = edge.block;
      return;
    }
  }
  ++counters.divergentBranches;
  if (code.reconvergence == BlockCode::NONE || code.reconvergence == top.reconvergence)
    warp.stack.pop_back(); // nobody waits here that does not wait below
  else
    warp.stack.back().block = code.reconvergence;
  if (code.kind == End::Branch) {
    for (int side : {1, 0}) {
      takeEdge(warp, edges[side], parts[side]);
      warp.stack.push_back({parts[side], edges[side].block, code.reconvergence});
    }
    return;
  }
  std::vector<uint64_t> masks(code.edgeCount, 0);
  warp.eachLane([&](uint32_t lane) {
    uint64_t value = 0;
    std::memcpy(&value, warp.frame + code.condition + lane * code.conditionBytes, code.conditionBytes);
    uint32_t edge = 0;
    for (uint32_t i = 1; i < code.edgeCount; ++i)
      if (program.caseValues[code.cases + i - 1] == value)
        edge = i;
    masks[edge] |= uint64_t(1) << lane;
  });
  for (uint32_t i = 0; i < code.edgeCount; ++i)
    if (masks[i]) {
      takeEdge(warp, edges[i], masks[i]);
      warp.stack.push_back({masks[i], edges[i].block, code.reconvergence});
    }
}

std::string Machine::describe(const Program &program, const Warp &warp, const Fault &fault) const {
  std::string text;
  llvm::raw_string_ostream out(text);
  uint32_t thread = warp.thread(fault.lane);
  out << "kernel " << program.name << ": " << fault.what << "; block (" << blockIndex[0] << ", " << blockIndex[1]
      << ", " << blockIndex[2] << "), thread (" << thread % shape.block[0] << ", "
      << thread / shape.block[0] % shape.block[1] << ", " << thread / shape.block[0] / shape.block[1] << ")";
  const llvm::Instruction *origin = nullptr;
  if (warp.pc)
    origin = program.origins[size_t(warp.pc - program.insts.data())];
  else if (!warp.stack.empty() || warp.live)
    origin = program.origins[program.blocks[warp.barrierAt].terminator];
  if (origin) {
    std::string line;
    llvm::raw_string_ostream lineOut(line);
    origin->print(lineOut);
    out << ", at `" << line.substr(line.find_first_not_of(' ')) << "`";
    if (const llvm::DebugLoc &location = origin->getDebugLoc())
      out << " (" << location->getFilename() << ":" << location.getLine() << ")";
  }
  return text;
}

std::string Machine::report() const {
  Counters sum = counters;
  std::string text;
  llvm::raw_string_ostream out(text);
  for (const auto &[program, entry] : counts)
    for (size_t block = 0; block < entry.warps.size(); ++block)
      for (size_t kind = 0; kind < size_t(Kind::Count); ++kind) {
        sum.warpInstructions[kind] += entry.warps[block] * program->blocks[block].kinds[kind];
        sum.laneInstructions[kind] += entry.lanes[block] * program->blocks[block].kinds[kind];
      }
  out << "simulated " << architecture.name << ": " << sum.launches << " launches, " << sum.blocks << " blocks\n";
  for (size_t kind = 0; kind < size_t(Kind::Count); ++kind)
    if (sum.warpInstructions[kind])
      out << "  " << KIND_NAMES[kind] << ": " << sum.warpInstructions[kind] << " of warps, "
          << sum.laneInstructions[kind] << " of lanes\n";
  out << "  global memory: " << sum.globalSectors << " sectors of 32 bytes for " << sum.globalBytes << " bytes\n";
  out << "  shared memory: " << sum.sharedPasses << " passes, " << sum.bankConflicts << " more for bank conflicts\n";
  out << "  divergent branches: " << sum.divergentBranches << "\n";
  return text;
}

} // namespace whit::sim
