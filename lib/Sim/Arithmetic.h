// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Handlers of instructions that compute lane by lane, found by what they do and the type of their numbers. Null: there is none.
#ifndef SIM_ARITHMETIC_H
#define SIM_ARITHMETIC_H

#include "Sim/Program.h"

#include "llvm/ADT/StringRef.h"

namespace whit::sim {

/// LLVM's opcodes of BinaryOperator. Inst: d = a op b; imm: mask of the integer's bits, size: their number.
Handler binaryHandler(unsigned opcode, Scalar type);
/// LLVM's predicates. d (1 byte) = a op b; size: bits.
Handler compareHandler(unsigned predicate, Scalar type);
/// LLVM's opcodes of casts. d = a; size: bits of the source, imm: mask of the destination's bits, aux: bits of the destination.
Handler castHandler(unsigned opcode, Scalar from, Scalar to);
/// d = c (1 byte) ? a : b.
Handler selectHandler(uint32_t bytes);
/// d = a + imm, and d = a + b * imm, for pointers of `bytes` and an index of `indexBytes` (signed; size: its bits).
Handler addConstantHandler(uint32_t bytes);
Handler addIndexHandler(uint32_t bytes, uint32_t indexBytes);
/// d = all of a, b[, c], for intrinsics by the name that follows "llvm." ("fma", "smax", "ctpop"), with their first type.
Handler functionHandler(llvm::StringRef name, Scalar type);
/// d, of other width than a: the bytes of `count` slots in `slots`, lane by lane, cut again. imm: bytes of a source, aux: of a destination;
/// slots: `size` sources, then the destinations.
Handler bitcastHandler();
/// Splits d = a[b] of a vector whose index is known at run time. slots: the elements; d; b: index of 4 or 8 bytes (imm); size: bytes.
Handler extractHandler();
/// slots: the new elements, then the old ones; a: what is put in, b: index. count: of both together.
Handler insertHandler();

} // namespace whit::sim

#endif // SIM_ARITHMETIC_H
