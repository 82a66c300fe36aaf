// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Packing a weight for an exported kernel: the quantizer and the packer with which whit-compile writes weights, so that the two cannot
// drift apart.
#include "runtime/kernels/Pack.h"

#include "runtime/encoding/Half.h"
#include "runtime/encoding/Pack.h"
#include "runtime/encoding/Quantize.h"

#include <cmath>
#include <cstring>
#include <new>

using namespace whit;

namespace {

int32_t refuse(int32_t status, std::string_view message, char *why, size_t size) {
  if (why && size) {
    size_t length = std::min(message.size(), size - 1);
    std::memcpy(why, message.data(), length);
    why[length] = 0;
  }
  return status;
}

/// Calls `body(argument, encoding)` for a packed weight; what it throws becomes a status.
template <typename Body>
int32_t withEncoding(const KernelArgument *argument, const void *packed, char *why, size_t size, Body body) {
  if (!packed)
    return refuse(kKernelNull, "the memory for packed weights is null", why, size);
  try {
    std::string problem;
    std::optional<Encoding> encoding = parseEncoding(argument->format, &problem);
    int32_t status = encoding ? body(*encoding, problem) : int32_t(kKernelValue);
    return status ? refuse(status, problem, why, size) : kKernelDone;
  } catch (const std::bad_alloc &) {
    return refuse(kKernelMemory, "out of memory", why, size);
  }
}

int32_t packRows(const Encoding &encoding, const Matrix &rows, void *packed) {
  Place place = solvePlace(encoding, rows.n, rows.k);
  std::memset(packed, 0, place.bytes());
  packPanels(place, rows, static_cast<uint8_t *>(packed));
  return kKernelDone;
}

/// Factors as their type stores them, or where one is not.
bool copyFactors(const float *from, ScaleType type, std::string_view what, FactorValues &into, std::string &problem) {
  for (size_t i = 0; i < into.size(); ++i) {
    if (!std::isfinite(from[i]) || roundToScale(type, from[i]) != from[i]) {
      problem = std::string(what) + " " + std::to_string(i) + " is " + std::to_string(from[i]) +
                "; it must be a finite number of " + std::string(nameOf(type));
      return false;
    }
    into[i] = from[i];
  }
  return true;
}

} // namespace

int32_t whit_kernels_pack(const KernelArgument *argument, const float *values, void *packed, char *why, size_t size) {
  return withEncoding(argument, packed, why, size, [&](const Encoding &encoding, std::string &problem) -> int32_t {
    if (!values)
      return problem = "the weights are null", kKernelNull;
    Matrix rows;
    if (!quantize(encoding, values, argument->n, argument->k, rows, &problem, Quantizer(argument->quantizer)))
      return kKernelValue;
    return packRows(encoding, rows, packed);
  });
}

int32_t whit_kernels_pack_codes(const KernelArgument *argument, const uint8_t *codes, const float *scales,
                                const float *zeros, void *packed, char *why, size_t size) {
  return withEncoding(argument, packed, why, size, [&](const Encoding &encoding, std::string &problem) -> int32_t {
    if (!codes || !scales || (!zeros && !encoding.offset.empty()))
      return problem = !codes    ? "the codes are null"
                       : !scales ? "the scales are null"
                                 : "the zeros are null; this format has them",
             kKernelNull;
    Matrix rows = makeMatrix(encoding, argument->n, argument->k);
    for (size_t i = 0, count = rows.codes().size(); i < count; ++i) {
      if (codes[i] >> encoding.bits())
        return problem = "code " + std::to_string(i) + " is " + std::to_string(codes[i]) + "; codes have " +
                         std::to_string(encoding.bits()) + " bits",
               kKernelValue;
      rows.codes()[i] = codes[i];
    }
    if (!copyFactors(scales, encoding.scaleType(), "scale", rows.scales(), problem))
      return kKernelValue;
    if (!encoding.offset.empty() && !copyFactors(zeros, encoding.offset.front().type, "zero", rows.zeros(), problem))
      return kKernelValue;
    return packRows(encoding, rows, packed);
  });
}
