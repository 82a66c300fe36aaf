// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs a kernel written as MLIR text: the passes under test, upstream lowering, LLVM, and a call. The instruction set is a
// parameter, so that one host tests the code of every machine below it.

#pragma once

#include "mlir/ExecutionEngine/ExecutionEngine.h"
#include "mlir/IR/MLIRContext.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace whit::test {

/// A name for messages, and features as LLVM and `whit.target` spell them.
struct Machine {
  std::string name, features;
};

/// The machines whose features this host has, best first; the last one is any x86-64.
std::vector<Machine> machinesOfHost();

/// Those for kernels that add no products of bytes: machines that differ in these alone would get the same code.
std::vector<Machine> machinesWithoutByteDots();

/// A strided memref descriptor of any rank.
class MemRef {
public:
  MemRef(void *data, std::vector<int64_t> sizes, std::vector<int64_t> strides = {}, int64_t offset = 0);
  void *descriptor() { return words.data(); }

private:
  std::vector<int64_t> words;
};

/// A compiled module. Functions to call are marked `llvm.emit_c_interface`.
class Kernel {
public:
  /// Null after a diagnostic on stderr. `whit.target` is set from `machine`.
  static std::unique_ptr<Kernel> compile(const std::string &text, const std::string &passes, const Machine &machine);
  void call(const std::string &function, std::vector<MemRef> arguments);

private:
  Kernel();
  mlir::MLIRContext context;
  std::unique_ptr<mlir::ExecutionEngine> engine;
};

} // namespace whit::test
