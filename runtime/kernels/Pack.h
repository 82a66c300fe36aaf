// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Packing the weights of an exported kernel.
#ifndef WHIT_RUNTIME_KERNELS_PACK_H
#define WHIT_RUNTIME_KERNELS_PACK_H

#include "whit/KernelTable.h"

#include <cstddef>

extern "C" {
/// Quantizes (unless the format is plain) and packs values[n][k]. `why` (if not null) gets what is wrong, as text of at most `size` bytes.
int32_t whit_kernels_pack(const whit::KernelArgument *argument, const float *values, void *packed, char *why,
                          size_t size);
/// Packs codes[n][k] of a simple format with their scales and zeros (null if the format has none), each [n][groups].
int32_t whit_kernels_pack_codes(const whit::KernelArgument *argument, const uint8_t *codes, const float *scales,
                                const float *zeros, void *packed, char *why, size_t size);
}

#endif // WHIT_RUNTIME_KERNELS_PACK_H
