// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The .so of an artifact: read, checked, and only then mapped as code. The file's code part is first copied to
// anonymous memory that is sealed against change; hash, manifest and the dynamic loader all see that copy, so what was
// checked is what runs.
#ifndef WHIT_RUNTIME_CORE_CODE_H
#define WHIT_RUNTIME_CORE_CODE_H

#include "runtime/core/Memory.h"
#include "runtime/trust/Sha256.h"
#include "whit/Artifact.h"

#include <map>
#include <span>
#include <string>

namespace whit {

/// A checked file whose code is not mapped.
struct CodeImage {
  File sealed;      ///< the bytes of the file before .whit.weights
  FileMap bytes;    ///< the same, mapped as data
  std::string path; ///< for messages
  Digest identity;  ///< what the trust store knows
  std::string text; ///< the manifest as it is in the file
  Manifest manifest;
  std::map<std::string, std::span<const uint8_t>> images; ///< of kernels, by section; they lie in `bytes`
  uint64_t weightsOffset = 0, weightsBytes = 0; ///< embedded weights in the original file; 0, 0 if there are none
  File original;
};

/// Reads and checks `path`: ELF structure, nothing behind the last section, the manifest, the self-check hash. Maps no
/// code. WHIT_IO if it cannot be read, WHIT_REFUSED if anything about it is wrong.
whit_status readCode(const std::string &path, CodeImage &image);

/// WHIT_REFUSED unless the trust store knows the image or `given` is set.
whit_status checkTrust(const CodeImage &image, bool given);

/// Mapped code. The dynamic loader knows libraries by name, here the number of a descriptor: the descriptor must stay
/// open as long as the library may be mapped, or a later one with the same number would be taken for it.
class Library {
public:
  Library() = default;
  Library(const Library &) = delete;
  Library &operator=(const Library &) = delete;
  ~Library();

  /// Maps the sealed copy and takes its descriptor.
  whit_status open(CodeImage &image);
  /// The address of a symbol; WHIT_REFUSED if it is missing.
  whit_status find(const std::string &symbol, void **address) const;

private:
  void *handle = nullptr;
  std::string path, source;
  File sealed;
};

} // namespace whit

#endif // WHIT_RUNTIME_CORE_CODE_H
