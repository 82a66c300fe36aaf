// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The reference map of the panel stream (include/whit/Encoding.h): for one bit of one code, the one place it has in the
// packed bytes. Slow and obvious; the packer, the unpacker and the code generator are all tested against it.
#ifndef WHIT_RUNTIME_ENCODING_PLACE_H
#define WHIT_RUNTIME_ENCODING_PLACE_H

#include "whit/Encoding.h"

namespace whit {

/// Bit `bit` (0 = lowest) of byte `byte` of the packed matrix.
struct BitPosition {
  int64_t byte;
  int32_t bit;

  bool operator==(const BitPosition &) const = default;
};

/// Where bit `bit` of the code of row n, element k of a term lies. Codes exist for n < 16 * panels and k < groups * paddedGroup
/// in the padded sense: pass k as group * groupSize + offset for real elements. Plain formats: bit `bit` of the stored
/// value.
BitPosition codeBit(const Place &place, size_t term, int64_t n, int64_t k, int32_t bit);

/// First byte of what is stored of a factor (of TermPlace::factors, choice or Place::offset) for row n, group g.
int64_t factorByte(const Place &place, const FactorPlace &factor, int64_t n, int64_t group);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_PLACE_H
