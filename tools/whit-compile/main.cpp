// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-compile: a model file in, a shared object and its packed weights out. --help says how.

#include "Driver/Compile.h"

int main(int argc, char **argv) { return whit::compileMain(argc, argv); }
