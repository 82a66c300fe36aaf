// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One element of an array whose type is known only at run time.
#ifndef WHIT_RUNTIME_CORE_ELEMENTS_H
#define WHIT_RUNTIME_CORE_ELEMENTS_H

#include "runtime/encoding/Half.h"
#include "runtime/trust/Manifest.h"

namespace whit {

/// Element i as f64.
inline double elementAt(ElementType type, const void *data, int64_t i) {
  switch (type) {
  case ElementType::F32:
    return static_cast<const float *>(data)[i];
  case ElementType::F16:
    return halfToFloat(static_cast<const uint16_t *>(data)[i]);
  case ElementType::BF16:
    return bfloatToFloat(static_cast<const uint16_t *>(data)[i]);
  case ElementType::F64:
    return static_cast<const double *>(data)[i];
  case ElementType::I64:
    return double(static_cast<const int64_t *>(data)[i]);
  case ElementType::U64:
    return double(static_cast<const uint64_t *>(data)[i]);
  case ElementType::I32:
    return static_cast<const int32_t *>(data)[i];
  case ElementType::U32:
    return static_cast<const uint32_t *>(data)[i];
  case ElementType::I16:
    return static_cast<const int16_t *>(data)[i];
  case ElementType::U16:
    return static_cast<const uint16_t *>(data)[i];
  case ElementType::I8:
    return static_cast<const int8_t *>(data)[i];
  case ElementType::U8:
  case ElementType::Bool:
    return static_cast<const uint8_t *>(data)[i];
  }
  return 0;
}

/// Writes element i. `Number` is int64_t or double: not every integer is a double.
template <typename Number> void setElement(ElementType type, void *data, int64_t i, Number value) {
  switch (type) {
  case ElementType::F32:
    static_cast<float *>(data)[i] = float(value);
    return;
  case ElementType::F16:
    static_cast<uint16_t *>(data)[i] = floatToHalf(float(value));
    return;
  case ElementType::BF16:
    static_cast<uint16_t *>(data)[i] = floatToBfloat(float(value));
    return;
  case ElementType::F64:
    static_cast<double *>(data)[i] = double(value);
    return;
  case ElementType::I64:
    static_cast<int64_t *>(data)[i] = int64_t(value);
    return;
  case ElementType::U64:
    static_cast<uint64_t *>(data)[i] = uint64_t(value);
    return;
  case ElementType::I32:
    static_cast<int32_t *>(data)[i] = int32_t(value);
    return;
  case ElementType::U32:
    static_cast<uint32_t *>(data)[i] = uint32_t(value);
    return;
  case ElementType::I16:
    static_cast<int16_t *>(data)[i] = int16_t(value);
    return;
  case ElementType::U16:
    static_cast<uint16_t *>(data)[i] = uint16_t(value);
    return;
  case ElementType::I8:
    static_cast<int8_t *>(data)[i] = int8_t(value);
    return;
  case ElementType::U8:
  case ElementType::Bool:
    static_cast<uint8_t *>(data)[i] = uint8_t(value);
    return;
  }
}

} // namespace whit

#endif // WHIT_RUNTIME_CORE_ELEMENTS_H
