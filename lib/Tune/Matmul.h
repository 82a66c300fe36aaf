// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A matmul whose schedule is to be chosen: what a cost model is asked about it, its kernel as MLIR, and data to run it on.

#pragma once

#include "Tune/Kernel.h"
#include "runtime/encoding/Matrix.h"
#include "whit/CostModel.h"
#include "whit/Target.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace whit::tune {

/// y[rows, n] = x[rows, k] * w[n, k], for any number of rows.
struct Matmul {
  std::string format;
  Products activations = Products::Float; ///< what rows of x are multiplied as
  int64_t n = 0, k = 0;

  bool operator==(const Matmul &) const = default;
};

/// "int8", "bf16" or "f32", and back.
llvm::StringRef nameOfActivations(Products products);
std::optional<Products> parseActivations(std::string_view name);

/// Why there is no kernel for it; empty if there is.
std::string whyNotMatmul(const Matmul &matmul);

/// What the compiler would ask a cost model for so many rows on such a machine.
MatmulWork workOf(const Matmul &matmul, int64_t rows, const Target &target);

/// A module with the kernel, tile by tile: @kernel(codes, scales, sums, w, y) for int8 activations, @kernel(x, w, y) for others.
std::string kernelText(const Matmul &matmul, const MatmulTile &tile);

/// Weights, rows of x and results. Weights are random codes of their format, with scales that are powers of two.
class MatmulData {
public:
  /// Copies of the weight that fill `coldBytes`, for runs that find nothing in caches.
  MatmulData(const Matmul &matmul, int64_t rows, int64_t coldBytes);

  /// Calls `kernel` for the first `rows` rows with a copy of the weight.
  void run(const LoadedKernel &kernel, int64_t rows, size_t copy = 0);
  size_t copies() const { return coldCopies ? coldCopies : 1; }
  int64_t weightBytes() const { return place.bytes(); }

  /// The results of the last run.
  const std::vector<float> &results() const { return y; }
  /// What is wrong with the results of so many rows in a few columns, by plain loops in f64; empty if nothing is.
  std::string check(int64_t rows) const;

private:
  struct Free {
    void operator()(void *memory) const;
  };
  template <typename T> using Memory = std::unique_ptr<T, Free>;

  Matmul matmul;
  Place place;
  size_t coldCopies;
  Memory<uint8_t> packed;
  Memory<int8_t> codes;
  Memory<float> scales, x;
  Memory<int32_t> sums;
  Memory<uint16_t> halves; ///< x in bf16
  std::vector<float> y;
  std::vector<int64_t> columns; ///< that are checked
  std::vector<float> weights;   ///< of these
};

} // namespace whit::tune
