// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The weights file: safetensors (Hugging Face) with the stricter rules of include/whit/Artifact.h, so that other tools
// can read it and a memory map of it can be used in place.
#ifndef WHIT_RUNTIME_TRUST_SAFETENSORS_H
#define WHIT_RUNTIME_TRUST_SAFETENSORS_H

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace whit {

/// A tensor's name and the bytes of the file that hold it.
struct StoredTensor {
  std::string name;
  uint64_t offset = 0, size = 0; ///< from the start of the file
};

/// `bytes` rounded up to what a tensor takes in the file.
uint64_t paddedBytes(uint64_t bytes);

/// The start of a file for tensors of these names and sizes (size: unpadded; offset is filled in): the 8-byte length
/// and the header, padded so that the first tensor is aligned. The tensors follow in order, each padded with zeros to
/// paddedBytes(size).
std::string writeSafetensorsHeader(std::vector<StoredTensor> &tensors);

/// Reads the header from the first bytes of a file of `fileBytes` bytes; `bytes` must hold the whole header. Refused,
/// with `why`: a header over 100 MB or not JSON, duplicate names, types other than U8, sizes that do not match,
/// overlaps, holes, missing alignment, trailing bytes.
bool readSafetensorsHeader(std::span<const uint8_t> bytes, uint64_t fileBytes, std::vector<StoredTensor> &tensors,
                           std::string *why);

} // namespace whit

#endif // WHIT_RUNTIME_TRUST_SAFETENSORS_H
