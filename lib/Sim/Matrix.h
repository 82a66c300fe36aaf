// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of small matrices that a whole warp holds in its registers. What differs between machines is which lane holds which element;
// a layout says that once for each operand, and one function multiplies.
#ifndef SIM_MATRIX_H
#define SIM_MATRIX_H

#include "Sim/Lowering.h"

namespace whit::sim {

enum class Element : uint8_t { F16, BF16, TF32, F32, S8, U8, S32, E4M3, E5M2, E4M3Fnuz, E5M2Fnuz };
uint32_t bitsOf(Element element);
/// The number that lies at `at`; and the other way, rounded once.
double decodeElement(Element element, const uint8_t *at);
void encodeElement(Element element, double value, bool saturate, uint8_t *at);
/// ".bf16" and the like, as NVIDIA names types.
std::optional<Element> nvidiaElement(llvm::StringRef name);

/// Where element `index` of `lane` lies in the matrix.
struct Position {
  uint16_t row, column;
};

/// d = a * b + c. Matrices are m x k, k x n, m x n.
struct MatrixShape {
  uint32_t m, n, k;
  Element a, b, c, d;
  bool saturate = false; ///< of s32 sums
  /// Elements of each lane in the order of its registers, [lane * count + index].
  std::vector<Position> aPlaces, bPlaces, cPlaces;
  /// Lanes of the upper half repeat those of the lower (gfx11); it is checked that they do.
  bool repeated = false;
};

/// Emits d = a * b + c on the slots of registers, elements packed from the lowest bits. The shape lives as long as the library.
void emitMatrix(Lowering &lowering, const MatrixShape &shape, const char *what, llvm::ArrayRef<Slot> d,
                llvm::ArrayRef<Slot> a, llvm::ArrayRef<Slot> b, llvm::ArrayRef<Slot> c,
                llvm::ArrayRef<uint32_t> registerBytes);

/// NVIDIA's `mma.sync`: `name` is "m16n8k16.row.col.f32.f16.f16.f32" as PTX has it, or as NVVM's functions shorten it. False: not known.
bool emitWarpMatrix(Lowering &lowering, const llvm::CallInst &call, llvm::StringRef name, llvm::ArrayRef<Slot> a,
                    llvm::ArrayRef<Slot> b, llvm::ArrayRef<Slot> c);

/// AMD's mfma with scales, by what follows "llvm.amdgcn.mfma.scale.".
bool lowerScaledMfma(Lowering &lowering, const llvm::CallInst &call, llvm::StringRef name);

} // namespace whit::sim

#endif // SIM_MATRIX_H
