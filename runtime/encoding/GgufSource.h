// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads the blocks of a GGUF file (ggml) into canonical rows. A row of the table in GgufSource.cpp says where the fields of a
// type's block lie; what they mean is the format with the alias `gguf:N` in Formats.def, N being ggml's number of the type.
//
// Rows of some matrices are in another order than the model's: llama.cpp turns pairs of rows of a head, whose halves are rotated
// against one another, from (half, pair) into (pair, half). `headRows` undoes that.
#ifndef WHIT_RUNTIME_ENCODING_GGUFSOURCE_H
#define WHIT_RUNTIME_ENCODING_GGUFSOURCE_H

#include "runtime/encoding/Matrix.h"

#include <span>

namespace whit {

/// How a GGUF tensor is stored: the layout `gguf:TYPE` of #whit.source, or `gguf:TYPE:ROWS` with rows of heads to put in order.
struct GgufLayout {
  int32_t type = 0;
  int64_t headRows = 0; ///< rows of a head whose pairs are interleaved; 0: rows are in order
};

/// Whether a layout of #whit.source is one of GGUF.
bool isGgufLayout(std::string_view layout);
/// Reads the text of a layout; nothing, with `why`, if it is none or Whit does not read the type.
std::optional<GgufLayout> parseGgufLayout(std::string_view layout, std::string *why);
std::string textOf(const GgufLayout &layout);

/// Elements and bytes of a block.
struct GgufBlock {
  int64_t elements, bytes;
};

/// The block of a type; nothing if Whit does not read it.
std::optional<GgufBlock> blockOfGguf(int32_t type);
/// The format that holds a type exactly; nothing if Whit does not read it.
std::optional<Encoding> encodingOfGguf(int32_t type);
/// The types that Whit reads, by number.
std::vector<int32_t> ggufTypes();

/// Borrowed bytes of a tensor. The caller has checked nothing.
struct GgufSource {
  int64_t n, k; ///< logical shape
  GgufLayout layout;
  std::span<const uint8_t> bytes;
};

/// Reads rows [rowBegin, rowEnd) into rows `outRow`.. of `out`, whose encoding must be encodingOfGguf. False with `why` if the
/// source is too short or does not fit.
bool readGguf(const GgufSource &source, int64_t rowBegin, int64_t rowEnd, Matrix &out, int64_t outRow,
              std::string *why);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_GGUFSOURCE_H
