// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The identity by which llvm::Error tells a Failure from other errors.

#include "Emit/Failure.h"

namespace whit {
char Failure::ID;
} // namespace whit
