// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The values of a `whit.weight`, a few rows at a time: a model's weights in f64 would need eight bytes for what the
// file holds in half a byte. Bytes come from memory-mapped files, codes and their values from the reference codecs of
// runtime/encoding. A weight that is quantized while compiling has, here as in the artifact, the codes that the quantizer
// named on it gives: what is computed is what the compiled model means, not what the file held.

#pragma once

#include "Import/DataFiles.h"
#include "Interpret/Values.h"
#include "Whit/Whit.h"

#include "runtime/encoding/Quantize.h"

#include <mutex>

namespace whit::interpret {

/// One weight. Rows run along dimension 0; a weight that is not a matrix has rows of all its other dimensions together.
class Weight {
public:
  /// Opens the bytes of `op` and checks that they are as many as its type needs; failure with an error at `op`.
  static mlir::FailureOr<std::shared_ptr<const Weight>> load(mlir::whit::WeightOp op, DataFiles &files);

  int64_t n = 0, k = 0;
  Encoding encoding; ///< plain f32 for builtin tensors
  Quantizer quantizer = Quantizer::Nearest;
  mlir::Type element;         ///< logical element type
  std::vector<int64_t> shape; ///< logical shape

  /// Rows [begin, end) in canonical form, quantized here if the file holds them in another format. Safe to call from
  /// any thread.
  Matrix matrix(int64_t begin, int64_t end) const;
  /// The values of rows [begin, end). `magnitude`, if given, is |scale * code| + |minimum|: what the roundings of
  /// decoding are relative to.
  void rows(int64_t begin, int64_t end, double *values, double *magnitude = nullptr) const;
  /// All of it.
  Tensor tensor() const;

private:
  struct Part {
    mlir::StringRef layout;
    int64_t begin, count; ///< rows
    mlir::Type element;   ///< of the first blob
    llvm::ArrayRef<uint8_t> bytes, scales, zeros;
    ScaleType scaleType = ScaleType::F32, zeroType = ScaleType::F32;
    bool hasZeros = false, floatZeros = false, isUnscaled = false;
    llvm::ArrayRef<uint8_t> indices = {}; ///< of the group of each element, i32; empty: they are in order
    std::shared_ptr<const std::vector<float>> factor = {}; ///< values of a correction's factor
    bool isCoded() const { return layout.starts_with("coded_"); }
  };
  mlir::LogicalResult addPart(mlir::whit::WeightOp op, mlir::whit::SourceAttr source, DataFiles &files);
  void readRows(const Part &part, int64_t begin, int64_t end, Matrix &out, int64_t outRow) const;
  void readFloats(const Part &part, int64_t begin, int64_t end, std::vector<float> &out) const;
  bool readGgufRows(const Part &part, int64_t begin, int64_t end, Matrix &out, int64_t outRow, std::string *why) const;
  bool readCodes(const Part &part, int64_t begin, int64_t end, Matrix &out, int64_t outRow, std::string *why) const;
  mlir::LogicalResult addFactor(mlir::whit::WeightOp op, mlir::whit::SourceAttr source, DataFiles &files);
  mlir::LogicalResult checkCoded(const Part &part, llvm::function_ref<mlir::LogicalResult(const llvm::Twine &)> refuse);
  void readCoded(const Part &part, int64_t begin, int64_t end, Matrix &out, int64_t outRow) const;

  std::vector<Part> parts;
  mutable std::once_flag wholeOnce; ///< per-tensor scales of floats need all rows at once
  mutable Matrix whole;
};

} // namespace whit::interpret
