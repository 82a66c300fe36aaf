// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From floats to codes. Which scale a group gets is the quantizer's choice; which code a value gets for a given scale is
// always the nearest one, ties to even. The same bits on every machine, and for any number of rows at a time.
#ifndef WHIT_RUNTIME_ENCODING_QUANTIZE_H
#define WHIT_RUNTIME_ENCODING_QUANTIZE_H

#include "runtime/encoding/Matrix.h"

#include <optional>
#include <string_view>

namespace whit {

/// How the scale of a group is found.
///   Nearest       from its extreme values, as ONNX Runtime and ggml do:
///                   Constant  (the element of largest magnitude, first if several) / -2^(bits-1); it may be negative
///                   others    (max - min) / (2^bits - 1) over the group's elements and 0; zero = -min / scale,
///                             minimum = min
///   LeastSquares  the one found with the least squared error, never more than Nearest has (LeastSquares.h)
enum class Quantizer : uint8_t { Nearest, LeastSquares };

/// "nearest" and "least-squares": the names in flags and IR.
std::string_view nameOf(Quantizer quantizer);
std::optional<Quantizer> parseQuantizer(std::string_view name);

/// Encodes w ([n][k], row-major). Scales are rounded to their stored type before codes are chosen. A group of zeros gets
/// scale 0. Per-tensor scales look at all rows given, so pass them all. Plain formats round each value. False with `why`
/// for NaN or infinity, and for a scale or minimum that its type cannot hold; row and column are named.
bool quantize(const Encoding &encoding, const float *w, int64_t n, int64_t k, Matrix &result, std::string *why,
              Quantizer quantizer = Quantizer::Nearest);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_QUANTIZE_H
