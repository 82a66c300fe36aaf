// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The compact form that kernels are run in. Every scalar of LLVM's IR becomes a slot of a warp's frame: one number for each lane, side by
// side, so that an instruction is one loop over 32 or 64 numbers. Vectors and structs are lists of slots, known when the program is made;
// taking them apart and putting them together therefore costs nothing at run time (`extractelement` is the slot of an element).
//
//   %v = load <2 x float>, ptr addrspace(1) %p      ->   load   slots {256, 384}  address slot 0
//   %x = extractelement <2 x float> %v, i32 1       ->   (nothing: %x is slot 384)
//   %y = fmul float %x, 2.0                         ->   fmul   slot 512          slots 384, 64
#ifndef SIM_PROGRAM_H
#define SIM_PROGRAM_H

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace llvm {
class BasicBlock;
class Function;
class Instruction;
} // namespace llvm

namespace whit::sim {

class Warp;
struct Inst;
struct Architecture;
using Slot = uint32_t; ///< byte offset into the frame of a warp
using Handler = void (*)(Warp &, const Inst &);

enum class Space : uint8_t { Generic, Global, Shared, Private };

/// What instructions are counted as.
enum class Kind : uint8_t {
  Integer,
  Float,
  Convert,
  Move,
  Branch,
  Barrier,
  Matrix,
  Exchange,
  LoadGlobal,
  StoreGlobal,
  LoadShared,
  StoreShared,
  LoadPrivate,
  StorePrivate,
  LoadGeneric,
  StoreGeneric,
  Atomic,
  AsyncCopy,
  Other,
  Count
};
inline constexpr const char *KIND_NAMES[] = {
    "integer",      "float",         "convert",      "move",        "branch",       "barrier",      "matrix",
    "exchange",     "load global",   "store global", "load shared", "store shared", "load private", "store private",
    "load generic", "store generic", "atomic",       "async copy",  "other"};
static_assert(std::size(KIND_NAMES) == size_t(Kind::Count));

/// How the number of one slot looks: storage of 1, 2, 4 or 8 bytes; integers of other widths are kept extended by zeros.
struct Scalar {
  enum Class : uint8_t { Int, Half, BFloat, Float, Double } cls = Int;
  uint8_t bytes = 4;
  uint16_t bits = 32;
  bool isFloat() const { return cls != Int; }
};

/// One scalar of a value in memory: where it is kept, and at which offset of the address it lies.
struct Component {
  Slot slot;
  uint32_t offset;
  uint32_t bytes;
};

struct Inst {
  Handler run = nullptr;
  Slot d = 0, a = 0, b = 0, c = 0;
  uint64_t imm = 0;
  uint32_t list = 0; ///< first of `count` entries in Program::components (memory) or Program::slots (all others)
  uint32_t count = 0;
  uint32_t size = 0; ///< memory: bytes of one lane; integers: bits
  uint16_t aux = 0;
  Space space = Space::Generic;
};

struct Copy {
  Slot to, from;
  uint32_t bytes; ///< of a lane
};

/// An edge of the flow graph: where it leads, and what the phis there take along it.
struct Edge {
  uint32_t block = 0;
  uint32_t copies = 0, copyCount = 0;
  bool overlapping = false; ///< a copy's source is another's destination: all are read before any is written
};

enum class End : uint8_t { Jump, Branch, Switch, Return, Barrier, Unreachable };

struct BlockCode {
  uint32_t begin = 0, end = 0; ///< instructions
  End kind = End::Return;
  Slot condition = 0; ///< of Branch (1 byte) and Switch
  uint32_t conditionBytes = 1;
  uint32_t edges = 0, edgeCount = 0; ///< Branch: taken if true, if false; Switch: default, then cases
  uint32_t cases = 0;                ///< Switch: first value in Program::caseValues
  uint32_t reconvergence = NONE;     ///< where lanes that part here meet again
  // Barriers: number and threads (0: all) as slots; 0: constants below.
  Slot barrierId = 0, barrierCount = 0;
  uint32_t terminator = 0; ///< index into origins
  std::array<uint16_t, size_t(Kind::Count)> kinds = {};
  static constexpr uint32_t NONE = ~0u;
};

struct Broadcast {
  Slot slot;
  uint32_t bytes;
  uint64_t value;
};

/// A kernel that is ready to run.
struct Program {
  std::string name;
  const Architecture *architecture = nullptr;
  uint32_t width = 32; ///< lanes
  std::vector<Inst> insts;
  std::vector<const llvm::Instruction *> origins; ///< of insts, then of terminators
  std::vector<BlockCode> blocks;
  std::vector<Edge> edges;
  std::vector<uint64_t> caseValues;
  std::vector<Copy> copies;
  std::vector<Component> components;
  std::vector<Slot> slots;
  std::vector<Broadcast> constants;
  std::vector<Slot> arguments;
  std::array<uint32_t, 3> requiredBlock = {0, 0, 0}; ///< 0: any
  uint32_t maxThreads = 0;                           ///< 0: any
  uint32_t frameBytes = 0, privateBytes = 0, sharedBytes = 0;
  /// The kernel has atomics or fences by which its blocks may know of each other (BlockOrder.h).
  bool ordersBlocks = false;
};

} // namespace whit::sim

#endif // SIM_PROGRAM_H
