// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// numpy's files (NEP 1): .npy arrays and .npz archives of them, as numpy.savez and savez_compressed write them. Files
// are untrusted: sizes are compared with the bytes that are there before memory is taken, checksums are checked.
#ifndef WHIT_RUNTIME_TOOL_NPZ_H
#define WHIT_RUNTIME_TOOL_NPZ_H

#include "runtime/core/Status.h"
#include "whit/Artifact.h"

#include <string>
#include <vector>

namespace whit {

/// A contiguous row-major array.
struct Array {
  std::string name;
  ElementType type = ElementType::F32; ///< 16-bit unsigned integers are read as BF16, for which numpy has no name;
                                       ///< collectInputs knows which of them the model takes
  std::vector<int64_t> dims;
  std::vector<uint8_t> data;

  int64_t count() const;
};

/// WHIT_IO if a file cannot be read or written, WHIT_INVALID if it is damaged or holds a type without a row in
/// ElementTypes.def.
whit_status readNpy(const std::string &path, Array &array);
whit_status readNpz(const std::string &path, std::vector<Array> &arrays);

/// An array to write; the data is borrowed.
struct ArrayView {
  std::string name;
  ElementType type;
  std::vector<int64_t> dims;
  const void *data;
};

/// Writes an uncompressed archive. The file appears whole or not at all.
whit_status writeNpz(const std::string &path, const std::vector<ArrayView> &arrays);

} // namespace whit

#endif // WHIT_RUNTIME_TOOL_NPZ_H
