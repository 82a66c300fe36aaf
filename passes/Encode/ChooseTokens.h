// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The next token of a language model, chosen where the logits are: a program then asks a device for 8 bytes, not for a row of logits.
#ifndef WHIT_PASSES_ENCODE_CHOOSETOKENS_H
#define WHIT_PASSES_ENCODE_CHOOSETOKENS_H

#include "mlir/IR/Builders.h"

namespace mlir::whit {

/// Unit attribute of a module whose logits come with the tokens that they speak for.
inline constexpr char kChooseTokens[] = "whit.choose_tokens";
/// The output with these tokens; the runtime knows it by that name (runtime/core/Module.h).
inline constexpr char kNextTokens[] = "whit.next_tokens";

/// The place of the largest of each row of `logits`, [batch, rows, vocabulary] of f32, as [batch, rows] of i64: the first such place,
/// and -1 if the row has a NaN.
Value mostProbableTokens(OpBuilder &builder, Location loc, Value logits);

} // namespace mlir::whit

#endif
