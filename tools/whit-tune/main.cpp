// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-tune: measures schedules of matmuls on this CPU and trains the model that chooses among them (docs/tuning.md).

#include "Commands.h"

int main(int argc, char **argv) { return whit::tune::runCommandLine(argc, argv); }
