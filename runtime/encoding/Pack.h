// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Canonical rows to and from the panel stream, a range of panels at a time, so that a matrix larger than memory can be
// streamed.
#ifndef WHIT_RUNTIME_ENCODING_PACK_H
#define WHIT_RUNTIME_ENCODING_PACK_H

#include "runtime/encoding/Matrix.h"

namespace whit {

/// Packs rows into whole panels: `rows` holds consecutive rows of the matrix starting at a panel's first row (a
/// multiple of 16 rows, or fewer at the matrix's end). `place` is solved for the whole matrix or for these rows; only k
/// and the block shape matter. Writes ceil(rows.n / 16) * place.panelBytes bytes. Missing columns and missing k get
/// code 0, missing columns scale 0 and zero 0.
void packPanels(const Place &place, const Matrix &rows, uint8_t *out);

/// The inverse: reads `rowCount` rows from the panels at `bytes`. Padding is ignored.
Matrix unpackPanels(const Encoding &encoding, const Place &place, int64_t rowCount, const uint8_t *bytes);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_PACK_H
