// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Softmax in any form.

#pragma once

#include "Raise/Match.h"

namespace mlir::whit::raise {

struct Softmax {
  Element scores;
  bool guarded = false; ///< NaN, which a row of -infinity gives, is replaced by 0
};

/// The softmax over dimension `loop` of the frame that makes `element`. Where it is a softmax but for one thing, `why`
/// says what.
std::optional<Softmax> softmaxOf(const Element &element, unsigned loop, std::string *why = nullptr);

} // namespace mlir::whit::raise
