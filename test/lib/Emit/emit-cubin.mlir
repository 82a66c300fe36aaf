// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What ptxas makes of the kernels of emit-nvptx.mlir for every NVIDIA architecture, and what it says of them.

// REQUIRES: ptxas
// RUN: split-file %S/emit-nvptx.mlir %t && cd %t
// RUN: whit-compile kernels.mlir --start-from=lowered --target=sm_80 --emit=cubin -o 80.cubin --quiet
// RUN: whit-compile kernels.mlir --start-from=lowered --target=sm_89 --emit=cubin -o 89.cubin --quiet
// RUN: whit-compile kernels.mlir --start-from=lowered --target=sm_90a --emit=cubin -o 90.cubin --quiet
// RUN: whit-compile kernels.mlir --start-from=lowered --target=sm_100a --emit=cubin -o 100.cubin --quiet
// RUN: llvm-readelf -h -S 80.cubin 89.cubin 90.cubin 100.cubin | FileCheck %s
// CHECK-COUNT-4: .text.multiply

// RUN: env XDG_CONFIG_HOME=%t whit-compile kernels.mlir --start-from=lowered --target=sm_90a --target=sm_80 -o k.so --explain --quiet | FileCheck %s --check-prefix=FACTS
// FACTS: emit: sm_90a turn: 128 threads, {{[0-9]+}} registers, 0 bytes spilled, 0 bytes stack, 1536 bytes shared, {{[1-9][0-9]*}} bytes code, occupancy 1.00,
// FACTS: emit: sm_90a multiply: 32 threads, {{.*}} 0 bytes shared, {{.*}} occupancy 0.50, 1 matrix
// FACTS: emit: sm_80 turn:

// Without it the rest is as before, and a sentence says what is missing.
// RUN: env WHIT_PTXAS= XDG_CONFIG_HOME=%t whit-compile kernels.mlir --start-from=lowered --target=sm_90a -o k.so --explain 2>&1 | FileCheck %s --check-prefix=PTX
// PTX: no ptxas is installed: the artifact holds PTX alone
// PTX: emit: sm_90a turn: 128 threads, 1536 bytes shared, 1 load

// A program that fails is quoted; one that is not there is said to be so.
// RUN: env WHIT_PTXAS=%t/refuse not whit-compile kernels.mlir --start-from=lowered --target=sm_90a --emit=cubin -o x --quiet 2>&1 | FileCheck %s --check-prefix=ABSENT
// ABSENT: cannot run ptxas: {{.*}}
// RUN: not whit-compile refused.mlir --start-from=lowered --target=sm_80 --emit=cubin -o x --quiet 2>&1 | FileCheck %s --check-prefix=REFUSED
// REFUSED: ptxas refuses the kernels for sm_80: ptxas kernels.ptx, line {{[0-9]+}}; error : {{.*}}bogus
// REFUSED: --emit=ptx prints what it was given
