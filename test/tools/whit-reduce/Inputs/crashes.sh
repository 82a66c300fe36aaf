#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# whit-reduce keeps what makes this script exit with 1: here, whatever whit-opt cannot bufferize.
! whit-opt --allow-unregistered-dialect --one-shot-bufferize="bufferize-function-boundaries" "$1" 2>&1 | grep -q "op was not bufferized"
