// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A place as people can read it (whit-opt --print-place).

#pragma once

#include "whit/Encoding.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"

namespace mlir::whit {

/// Prints one block of an n x k matrix, bit by bit, and how its codes come out on every target.
void printPlace(llvm::raw_ostream &out, const ::whit::Encoding &encoding, int64_t n, int64_t k);

/// What --print-place asks for: FORMAT[,NxK], by default 16 rows and two of the largest blocks of K; or `all`, the text of
/// runtime/encoding/Places.def. False, and a line in `error`, if there is no such format.
bool printPlaceOf(llvm::StringRef request, llvm::raw_ostream &out, std::string &error);

} // namespace mlir::whit
