// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ONNX files become modules of stage `imported`: named linalg, tensor, arith and whit operations, each with the name of
// its node as location, and weights as references to the bytes of the files they came from.

#pragma once

#include "Import/Diagnostics.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>
#include <utility>
#include <vector>

namespace whit {

struct ImportOptions {
  /// Sizes of symbolic dimensions that the caller fixes.
  std::vector<std::pair<std::string, int64_t>> dims;
  /// A GGUF file whose tensors take the place of the model's weights, and a JSON object from initializers to tensors.
  std::string params, paramNames;
};

/// Imports the ONNX file `path`. The context needs the dialects of whit::registerDialects. Null if errors were found;
/// then `diagnostics` has all of them. The file is untrusted: whatever it holds, this returns.
mlir::OwningOpRef<mlir::ModuleOp> importOnnx(llvm::StringRef path, mlir::MLIRContext &context,
                                             const ImportOptions &options, Diagnostics &diagnostics);

} // namespace whit
