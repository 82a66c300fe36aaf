// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What sizes are called that follow from others.

#pragma once

#include "mlir/IR/Attributes.h"

#include <string>

namespace whit {

/// How an expression of SizeAlgebra::expressionOf reads, as the name of a dimension.
std::string textOfSize(mlir::Attribute expression);

} // namespace whit
