// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From what users write behind --target= to the facts of include/whit/Target.h, and from there to attributes and manifests. LLVM's tables
// know which CPU has what; the host is asked with cpuid.

#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "whit/Target.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace whit {

/// `host`, or a CPU name of LLVM (x86-64-v3 and its like included), then any number of +feature and -feature, with or without commas
/// between; or a GPU architecture of GpuTargets.def, then `:` and a product of GpuMachines.def if it is known. An unknown name is a usage
/// error that lists the nearest known ones.
llvm::Expected<Target> resolveTarget(llvm::StringRef text);

/// Sorts so that each target stands before those whose features it includes: CPUs first, wider vectors first, then more features; GPUs by
/// capability, the newest first.
void sortBestFirst(std::vector<Target> &targets);

/// What a machine must have to run code compiled for `target`: its features without those that code from the pipeline never touches
/// (system instructions, cryptography, prefetch hints). For a GPU: nothing, since the code that runs on the CPU is for any x86-64.
std::vector<std::string> requiredFeatures(const Target &target);

/// Features for LLVM's code generator: all that the target has with a `+`, all of its CPU that it lacks with a `-`.
std::string codegenFeatures(const Target &target);

/// Sets `whit.target` on a module; reads it back (plain x86-64 if it is absent).
void setTarget(mlir::ModuleOp module, const Target &target);
Target getTarget(mlir::ModuleOp module);

/// The CPU that the host part of a GPU's code is compiled for.
Target hostOf(const Target &target);

} // namespace whit
