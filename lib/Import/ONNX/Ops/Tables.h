// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tables of operators that are not in Node.h.

#pragma once

#include "Import/ONNX/Node.h"

namespace whit {

llvm::ArrayRef<Operator> channelOperators();
llvm::ArrayRef<Operator> algebraOperators();
llvm::ArrayRef<Operator> expertOperators();
llvm::ArrayRef<Operator> featureOperators();
llvm::ArrayRef<Operator> flexAttentionOperators();
llvm::ArrayRef<Operator> foldOperators();
llvm::ArrayRef<Operator> generatorOperators();
llvm::ArrayRef<Operator> integerProductOperators();
llvm::ArrayRef<Operator> iterationOperators();
llvm::ArrayRef<Operator> quantizedOperators();
llvm::ArrayRef<Operator> recurrentOperators();
llvm::ArrayRef<Operator> resizeOperators();
llvm::ArrayRef<Operator> samplingOperators();
llvm::ArrayRef<Operator> signalOperators();
llvm::ArrayRef<Operator> stateOperators();
llvm::ArrayRef<Operator> trainingOperators();

} // namespace whit
