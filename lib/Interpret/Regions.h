// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Replay: every fused region is run again, on the inputs that the compiled region had, and its results are compared
// element by element within the bound that its own operations give. Errors do not add up from region to region, so no
// tolerance for a whole model has to be found, and a wrong kernel is named.

#pragma once

#include "Interpret/Models.h"

#include "runtime/encoding/CacheBlock.h"

#include <map>

namespace whit::interpret {

/// What one region of compiled code had before it ran and after: one tensor per captured value, in their order. Empty
/// tensors stand for weights, which are read from the module, and afterwards for what is no result.
struct RegionRecord {
  bool seen = false;
  std::vector<Tensor> before, after;
};

/// A difference between compiled code and the interpreter, or the largest part of a bound that one region used.
struct RegionReport {
  int32_t id = 0;
  std::string name;
  std::vector<std::string> nodes;
  int64_t elements = 0, wrong = 0, unlimited = 0; ///< unlimited: elements without a finite bound
  // The worst element: where the error is the largest part of its bound.
  unsigned result = 0;
  std::vector<int64_t> index;
  double found = 0, expected = 0, bound = 0, used = 0; ///< used: |found - expected| / bound

  std::string text() const;
};

/// A memref that a region is called with.
struct BufferShape {
  mlir::Type element;
  int64_t rank = 0;
  bool isWeight = false, isResult = false;
  /// How compiled code keeps a cache that the module calls [B, H, T, D]: blocked, [B, H, T/16, D, 16], or in bytes.
  bool isBlocked = false;
  std::optional<CacheBlock> packed = {};
};

/// The same for the states of a module, by the names of their past tensors; others are kept as they are.
using StateShapes = std::map<std::string, std::optional<CacheBlock>>;

/// Regions of a module of stage fused, in the order of their ids.
class Regions {
public:
  /// `states`: those that compiled code keeps in blocks, and of which bytes if it does.
  Regions(LoadedModule &loaded, const StateShapes &states);

  int64_t count() const { return regions.size(); }
  /// The buffers of a region, in the order of its captured values.
  const std::vector<BufferShape> &buffers(int64_t id) const { return shapes[id]; }

  /// Runs @main around the records: outside regions as it is, inside on what compiled code had. `inputs` are the
  /// model's, `sizes` the values of its symbolic dimensions. Reports come in order of ids; `records` are used up.
  llvm::Expected<std::vector<RegionReport>> replay(const NamedTensors &inputs, const Sizes &sizes,
                                                   std::vector<RegionRecord> &records, int threads);

private:
  mlir::FailureOr<std::vector<Datum>> replayOne(mlir::whit::RegionOp op, Frame &frame, RegionRecord &record,
                                                RegionReport &report);

  LoadedModule &loaded;
  mlir::func::FuncOp function;
  std::vector<mlir::whit::RegionOp> regions;
  std::vector<std::vector<BufferShape>> shapes;
};

/// Reads a strided memref descriptor of compiled code.
Tensor readBuffer(const BufferShape &shape, const void *descriptor);

} // namespace whit::interpret
