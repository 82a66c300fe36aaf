// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sections of 64-bit little-endian ELF files: found in untrusted bytes without mapping code, and added to a linked
// file. Only what an artifact needs; the loader of the system reads program headers, which are left as they are.
#ifndef WHIT_RUNTIME_TRUST_ELF_H
#define WHIT_RUNTIME_TRUST_ELF_H

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace whit {

/// A section's name and the range of the file it occupies. All ranges given out lie inside the file.
struct ElfSection {
  std::string name;
  uint64_t offset = 0, size = 0;
  bool loaded = false;
};

/// The part of a file that holds headers and code may be mapped alone: `fileBytes` is the size of the whole file,
/// `bytes` a prefix of it that must hold all headers. False with `why` naming the byte at fault.
bool readSections(std::span<const uint8_t> bytes, uint64_t fileBytes, std::vector<ElfSection> &sections,
                  std::string *why);

/// A section to add. Data is borrowed; `declared` bytes may be more than data holds when the rest is written to the
/// file later (0: data's size).
struct NewSection {
  std::string name;
  std::span<const uint8_t> data;
  uint64_t alignment = 1;
  uint64_t declared = 0;
};

/// Appends sections that are never loaded to a linked file, behind everything it holds, with a new section table before
/// the last of them. The data of the last section ends the file: [file][sections but the last][names][section
/// table][last section]. False with `why` if `file` is not such an ELF file or already has a section of that name.
bool addSections(std::vector<uint8_t> &file, std::span<const NewSection> added, std::string *why);

} // namespace whit

#endif // WHIT_RUNTIME_TRUST_ELF_H
