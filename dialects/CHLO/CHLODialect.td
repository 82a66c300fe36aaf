// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `chlo` dialect: functions of the client library that JAX writes beside StableHLO.

#ifndef CHLO_DIALECT
#define CHLO_DIALECT

include "mlir/IR/OpBase.td"

def CHLO_Dialect : Dialect {
  let name = "chlo";
  let cppNamespace = "::mlir::chlo";
  let summary = "The operations that JAX leaves to a client library";
}

#endif // CHLO_DIALECT
