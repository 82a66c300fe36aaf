// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Codes of sparse terms back among the elements that have none: two of a column's bytes become four.

#pragma once

#include "Lower/KernelBuilder.h"

namespace mlir::whit {

/// `codes` holds, for each of 16 columns, those of elements 8*p .. 8*p+7 that are kept, four bytes; `kept` has bit 4*q+i where
/// element i of the q-th four is kept. The result holds the bytes of elements 4*quad .. 4*quad+3, 0 where there is none;
/// quad / 2 == p, or p and the quads that `kept` begins with.
Value expandKept(KernelBuilder &k, Value codes, Value kept, int64_t quad);

/// Numbers of element `element` of what `kept` is about, 0 where it is not kept.
Value onlyKept(KernelBuilder &k, Value numbers, Value kept, int64_t element);

} // namespace mlir::whit
