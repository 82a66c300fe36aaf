// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What tiling needs to know of an operation: which dimension of which operand moves with which loop.

#ifndef WHIT_INTERFACES
#define WHIT_INTERFACES

include "mlir/IR/OpBase.td"

def Whit_RowwiseOpInterface : OpInterface<"RowwiseOpInterface"> {
  let cppNamespace = "::mlir::whit";
  let description = [{
    The parallel loops of a `whit` operation and how they move its operands. Dimensions that no loop moves (the contracted
    or normalized one, tables) are always taken whole. TilingInterface is implemented once, from this.
  }];
  let methods = [
    InterfaceMethod<"The loops of operand dimensions: element [i][d] belongs to dimension d of operand i.",
      "::llvm::SmallVector<::llvm::SmallVector<::mlir::whit::DimUse>>", "getDimUses", (ins)>,
    InterfaceMethod<"Number of parallel loops.", "int64_t", "getLoopCount", (ins)>,
    InterfaceMethod<[{The loop whose offset is the position of a row in its sequence, -1 if positions do not matter. Such an
      operation has an index operand `first` that tiling advances.}],
      "int64_t", "getPositionLoop", (ins), "", "return -1;">
  ];
}

#endif // WHIT_INTERFACES
