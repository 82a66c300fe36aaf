// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tables of operators that are not in Node.h.

#pragma once

#include "Import/ONNX/Node.h"

namespace whit {

llvm::ArrayRef<Operator> channelOperators();
llvm::ArrayRef<Operator> generatorOperators();
llvm::ArrayRef<Operator> resizeOperators();

} // namespace whit
