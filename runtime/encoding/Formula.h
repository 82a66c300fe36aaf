// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Formulas without names: what Encoding.h shows at its top. Internal to the room.
#ifndef WHIT_RUNTIME_ENCODING_FORMULA_H
#define WHIT_RUNTIME_ENCODING_FORMULA_H

#include "whit/Encoding.h"

namespace whit {

/// Reads a formula; on error nothing, and in `why` what was found, where, and what must stand there.
std::optional<Encoding> parseFormula(std::string_view text, std::string *why);

/// Why an encoding cannot be stored or means nothing, or "".
std::string misfitOf(const Encoding &encoding);

/// U1..U8 and I2..I8.
bool isInteger(ScaleType type);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_FORMULA_H
