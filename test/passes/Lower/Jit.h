// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs a kernel written as MLIR text: the passes under test, upstream lowering, LLVM, and a call. The instruction set is a
// parameter, so that one host tests the code of every machine below it.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace llvm {
class Module;
} // namespace llvm

namespace whit::test {

/// A name for messages, and features as LLVM and `whit.target` spell them. A GPU has its architecture for a name.
struct Machine {
  std::string name, features;
  std::function<void(llvm::Module &)> change = nullptr; ///< of kernels of a GPU, before the simulator reads them
  bool isGpu() const { return features.empty(); }
};

/// Those that are simulated.
std::vector<Machine> simulatedMachines();

/// The machines whose features this host has, best first; the last one is any x86-64.
std::vector<Machine> machinesOfHost();

/// Those for kernels that add no products of bytes: machines that differ in these alone would get the same code.
std::vector<Machine> machinesWithoutByteDots();

/// A strided memref descriptor of any rank.
class MemRef {
public:
  template <typename T>
  MemRef(T *data, std::vector<int64_t> sizes, std::vector<int64_t> strides = {}, int64_t offset = 0)
      : MemRef(data, sizeof(T), std::move(sizes), std::move(strides), offset) {}
  void *descriptor() { return words.data(); }

  void *data() const { return reinterpret_cast<void *>(words[0]); }
  /// From `data` to the end of the last element.
  int64_t bytes() const { return span * each; }
  /// The same memory of elements of so many bytes: what bytes hold.
  MemRef of(int64_t elementBytes) const;
  /// The same elements in memory that begins at `data`.
  MemRef at(void *data) const;

private:
  MemRef(void *data, int64_t elementBytes, std::vector<int64_t> sizes, std::vector<int64_t> strides, int64_t offset);
  std::vector<int64_t> words;
  int64_t span, each; ///< elements, and bytes of one
};

/// A compiled module. Functions to call are marked `llvm.emit_c_interface`. On a GPU each of them is a region whose loops are kernels; these
/// run in the simulator, on copies of what the arguments refer to.
class Kernel {
public:
  /// Null after a diagnostic on stderr. `whit.target` is set from `machine`.
  static std::unique_ptr<Kernel> compile(const std::string &text, const std::string &passes, const Machine &machine);
  virtual ~Kernel() = default;
  virtual void call(const std::string &function, std::vector<MemRef> arguments) = 0;
};

/// What `compile` calls for a GPU.
std::unique_ptr<Kernel> compileForDevice(const std::string &text, const std::string &passes, const Machine &machine);

} // namespace whit::test
