// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The only source of a library whose room has none yet.
