// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `stablehlo` dialect: the part of StableHLO that inference programs of JAX are written in, as Whit reads it.

#ifndef STABLEHLO_DIALECT
#define STABLEHLO_DIALECT

include "mlir/IR/OpBase.td"

def StableHLO_Dialect : Dialect {
  let name = "stablehlo";
  let cppNamespace = "::mlir::stablehlo";
  let summary = "The operations of StableHLO that inference programs use";
  let description = [{
    Operation names, attributes and assembly are those that JAX prints. The meaning of each operation is defined by the StableHLO
    specification; `lib/Import/StableHLO` turns it into the dialects that Whit compiles. No pass works on this dialect.
  }];
  let useDefaultAttributePrinterParser = 1;
}

#endif // STABLEHLO_DIALECT
