// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Packs weights for the artifact. Each whit.weight is read from its blobs a few panels at a time, brought into the canonical form of
// runtime/encoding, and packed to its place: memory use does not grow with the model.
//
//   source layout            canonical rows                          what is written
//   blocks, same format  ->  codes, scales, zeros as they are    ->  panel stream of #whit.place
//   blocks, another one  ->  values, quantized                   ->  panel stream
//   coded rows, columns  ->  codes, scales, zeros as they are    ->  panel stream
//   rows, columns        ->  values, quantized                   ->  panel stream, or row-major values if there is no place
//   low_rank_*           ->  a factor of what quantizing loses   ->  panel stream
//
// Values are quantized as the weight's quantizer says, and what that loses is measured on the way.

#pragma once

#include "Emit/Blobs.h"
#include "Emit/WeightLoss.h"
#include "Whit/Whit.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <map>
#include <memory>

namespace whit {

/// Bytes that a weight takes in the artifact, before padding.
llvm::Expected<int64_t> storedBytes(mlir::whit::WeightOp weight);

/// Corrections of matrices: two weights, left and right factor, need one each.
struct Correction {
  LowRankFactors factors;
  WeightLoss loss; ///< of the corrected matrix
};
using Corrections = std::map<std::string, std::shared_ptr<const Correction>>;

/// Gives the stored bytes of `weight` to `sink`, piece by piece in order, and adds one entry per part to `losses` unless it is null. What
/// is computed for a correction is kept in `corrections`.
llvm::Error streamWeight(mlir::whit::WeightOp weight, BlobFiles &files,
                         llvm::function_ref<llvm::Error(llvm::ArrayRef<uint8_t>)> sink,
                         std::vector<WeightLoss> *losses = nullptr, Corrections *corrections = nullptr);

} // namespace whit
