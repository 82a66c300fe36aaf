// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Packs weights for the artifact. Each whit.weight is read from its blobs a few panels at a time, brought into the canonical form of
// runtime/encoding, and packed to its place: memory use does not grow with the model.
//
//   source layout            canonical rows                          what is written
//   blocks, same format  ->  codes, scales, zeros as they are    ->  panel stream of #whit.place
//   blocks, another one  ->  values, quantized to nearest        ->  panel stream
//   rows, columns        ->  values, quantized to nearest        ->  panel stream, or row-major values if there is no place

#pragma once

#include "Emit/Blobs.h"
#include "Whit/Whit.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace whit {

/// Bytes that a weight takes in the artifact, before padding.
llvm::Expected<int64_t> storedBytes(mlir::whit::WeightOp weight);

/// Gives the stored bytes of `weight` to `sink`, piece by piece in order.
llvm::Error streamWeight(mlir::whit::WeightOp weight, BlobFiles &files,
                         llvm::function_ref<llvm::Error(llvm::ArrayRef<uint8_t>)> sink);

} // namespace whit
