// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Everything that a tool of Whit can parse, print and run: one list for whit-opt, whit-reduce, the language server and the
// compiler, so that none of them knows less than another.

#pragma once

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace whit {
/// Adds every dialect that occurs at any stage, with the interface implementations that upstream keeps apart from it.
void registerDialects(mlir::DialectRegistry &registry);
/// Makes the passes of Whit and the upstream passes its pipeline uses known by their flags.
void registerPasses();
/// Both.
void registerAll(mlir::DialectRegistry &registry);
} // namespace whit
