// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights of a GGUF file in the place of an ONNX model's own. The graph comes from ONNX, the numbers and their formats from the file.

#pragma once

#include "Import/Gguf.h"
#include "Import/ONNX/Graph.h"

namespace whit {

/// Replaces the float initializers of `model`'s graph that `file` has a tensor for: by `names` (initializer to tensor) where they
/// are given, else by the names that llama.cpp's converter gives to what transformers calls the weight or the node that uses it.
/// False if something does not fit, which is reported, or nothing was replaced.
bool takeGgufWeights(OnnxModel &model, const GgufFile &file, llvm::ArrayRef<uint8_t> bytes,
                     const llvm::StringMap<std::string> &names, Diagnostics &diagnostics);

/// Reads a JSON object from names of initializers to names of tensors.
llvm::Error readGgufNames(llvm::StringRef path, llvm::StringMap<std::string> &names);

/// What llama.cpp calls a weight that transformers calls `name`; empty if it is none of a decoder that it converts.
std::string ggufNameOf(llvm::StringRef name);

} // namespace whit
