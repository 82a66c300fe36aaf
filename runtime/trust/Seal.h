// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Turning a linked shared object and packed weights into an artifact, and the two hashes that hold it together
// (include/whit/Artifact.h).
//
//   WeightsHasher hasher;
//   hasher.update(...);                                      // all bytes of the safetensors file, header included
//   manifest.weights = hasher.finish("model.safetensors");   // "" when the weights are embedded
//   Digest identity;
//   sealCode(so, manifest, identity, &why);                  // so: the linked file, now with its manifest
//
// Then write `so`, and right behind it the weights if they are embedded, and recordTrust(identity).
#ifndef WHIT_RUNTIME_TRUST_SEAL_H
#define WHIT_RUNTIME_TRUST_SEAL_H

#include "runtime/trust/Elf.h"
#include "runtime/trust/Sha256.h"
#include "whit/Artifact.h"

#include <span>
#include <string>
#include <vector>

namespace whit {

/// Hashes the bytes of a weights file as they are written.
class WeightsHasher {
public:
  void update(std::span<const uint8_t> bytes);
  /// The manifest's entry for a file of the bytes seen so far.
  Weights finish(std::string file);

private:
  Sha256 whole, chunk;
  int64_t total = 0;
  std::vector<std::string> chunks;
};

/// Adds the manifest to a linked file and seals it: sets manifest.codeSha256 and gives the identity hash. If
/// manifest.weights.file is empty and manifest.weights.bytes is not 0, a .whit.weights section is declared; its bytes
/// must then be written directly behind `so`.
/// `images` are more sections to add, those that the manifest's variants name.
bool sealCode(std::vector<uint8_t> &so, Manifest &manifest, Digest &identity, std::string *why,
              std::span<const NewSection> images = {});

/// The self-check: the hash of `code` (all bytes before .whit.weights) with the digits of code_sha256 taken as '0'.
/// `manifestOffset` and `manifestSize` say where the manifest is. False if that is outside or holds no such digits.
bool maskedCodeHash(std::span<const uint8_t> code, uint64_t manifestOffset, uint64_t manifestSize, Digest &digest);

} // namespace whit

#endif // WHIT_RUNTIME_TRUST_SEAL_H
