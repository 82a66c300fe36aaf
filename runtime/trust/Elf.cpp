// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every number read from the file is compared with what is left of the file before it is used; sums are written as
// differences, so that nothing wraps.
#include "runtime/trust/Elf.h"

#include <algorithm>
#include <cstring>
#include <elf.h>

namespace whit {
namespace {

constexpr uint64_t kMaxSections = 4096;
constexpr uint64_t kMaxAlignment = 1 << 16;

bool refuse(std::string *why, std::string text) {
  if (why)
    *why = std::move(text);
  return false;
}

template <typename Record> Record readAt(std::span<const uint8_t> bytes, uint64_t offset) {
  Record record;
  std::memcpy(&record, bytes.data() + offset, sizeof(Record));
  return record;
}

bool inside(uint64_t offset, uint64_t size, uint64_t total) { return offset <= total && size <= total - offset; }

/// The header and all section headers, bounds checked against the prefix we hold.
bool readHeaders(std::span<const uint8_t> bytes, Elf64_Ehdr &header, std::vector<Elf64_Shdr> &table, std::string *why) {
  if (bytes.size() < sizeof(Elf64_Ehdr))
    return refuse(why, "the file has " + std::to_string(bytes.size()) + " bytes; an ELF file has at least " +
                           std::to_string(sizeof(Elf64_Ehdr)));
  header = readAt<Elf64_Ehdr>(bytes, 0);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return refuse(why, "byte 0: not an ELF file");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN)
    return refuse(why, "byte 4: not a 64-bit little-endian shared object");
  if (header.e_machine != EM_X86_64)
    return refuse(why, "byte 18: machine is " + std::to_string(header.e_machine) + "; this runtime runs x86-64 (" +
                           std::to_string(EM_X86_64) + ")");
  if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum == 0 || header.e_shnum > kMaxSections)
    return refuse(why, "byte 58: " + std::to_string(header.e_shnum) + " sections of " +
                           std::to_string(header.e_shentsize) + " bytes; from 1 to " + std::to_string(kMaxSections) +
                           " of " + std::to_string(sizeof(Elf64_Shdr)) + " are allowed");
  if (!inside(header.e_shoff, uint64_t(header.e_shnum) * sizeof(Elf64_Shdr), bytes.size()))
    return refuse(why, "byte 40: the section table at " + std::to_string(header.e_shoff) +
                           " lies outside of the file; it may be truncated");
  if (header.e_shstrndx >= header.e_shnum)
    return refuse(why, "byte 62: section names are in section " + std::to_string(header.e_shstrndx) + " of " +
                           std::to_string(header.e_shnum));
  for (uint64_t i = 0; i < header.e_shnum; ++i)
    table.push_back(readAt<Elf64_Shdr>(bytes, header.e_shoff + i * sizeof(Elf64_Shdr)));
  const Elf64_Shdr &names = table[header.e_shstrndx];
  if (names.sh_type != SHT_STRTAB || !inside(names.sh_offset, names.sh_size, bytes.size()) || names.sh_size == 0 ||
      bytes[names.sh_offset + names.sh_size - 1] != 0)
    return refuse(why, "byte " + std::to_string(names.sh_offset) + ": the section names are damaged");
  return true;
}

void alignTo(std::vector<uint8_t> &file, uint64_t alignment) {
  file.resize((file.size() + alignment - 1) / alignment * alignment);
}

template <typename Record> void append(std::vector<uint8_t> &file, const Record *records, size_t count) {
  const uint8_t *bytes = reinterpret_cast<const uint8_t *>(records);
  file.insert(file.end(), bytes, bytes + count * sizeof(Record));
}

} // namespace

bool readSections(std::span<const uint8_t> bytes, uint64_t fileBytes, std::vector<ElfSection> &sections,
                  std::string *why) {
  Elf64_Ehdr header;
  std::vector<Elf64_Shdr> table;
  if (!readHeaders(bytes, header, table, why))
    return false;
  const Elf64_Shdr &names = table[header.e_shstrndx];
  for (size_t i = 0; i < table.size(); ++i) {
    const Elf64_Shdr &section = table[i];
    if (section.sh_name >= names.sh_size)
      return refuse(why, "section " + std::to_string(i) + " has a name outside of the name table");
    const char *name = reinterpret_cast<const char *>(bytes.data()) + names.sh_offset + section.sh_name;
    if (section.sh_type == SHT_NOBITS || section.sh_type == SHT_NULL)
      continue;
    if (!inside(section.sh_offset, section.sh_size, fileBytes))
      return refuse(why, "section '" + std::string(name).substr(0, 120) + "' takes bytes " +
                             std::to_string(section.sh_offset) + " to +" + std::to_string(section.sh_size) +
                             " of a file of " + std::to_string(fileBytes) + "; it may be truncated");
    sections.push_back({name, section.sh_offset, section.sh_size, (section.sh_flags & SHF_ALLOC) != 0});
  }
  return true;
}

bool addSections(std::vector<uint8_t> &file, std::span<const NewSection> added, std::string *why) {
  Elf64_Ehdr header;
  std::vector<Elf64_Shdr> table;
  std::vector<ElfSection> present;
  if (!readHeaders(file, header, table, why) || !readSections(file, file.size(), present, why))
    return false;
  for (const NewSection &each : added) {
    if (each.alignment == 0 || each.alignment > kMaxAlignment || (each.alignment & (each.alignment - 1)))
      return refuse(why, "section '" + each.name + "' asks for alignment " + std::to_string(each.alignment));
    if (std::any_of(present.begin(), present.end(), [&](const ElfSection &old) { return old.name == each.name; }))
      return refuse(why, "the file already has a section '" + each.name + "'");
  }

  const Elf64_Shdr &oldNames = table[header.e_shstrndx];
  std::vector<uint8_t> names(file.begin() + oldNames.sh_offset, file.begin() + oldNames.sh_offset + oldNames.sh_size);
  auto place = [&](const NewSection &each) {
    Elf64_Shdr section{};
    section.sh_name = uint32_t(names.size());
    section.sh_type = SHT_PROGBITS;
    section.sh_size = std::max<uint64_t>(each.declared, each.data.size());
    section.sh_addralign = each.alignment;
    append(names, each.name.c_str(), each.name.size() + 1);
    table.push_back(section);
  };
  for (const NewSection &each : added)
    place(each);

  size_t first = table.size() - added.size();
  for (size_t i = 0; i + 1 < added.size(); ++i) {
    alignTo(file, added[i].alignment);
    table[first + i].sh_offset = file.size();
    append(file, added[i].data.data(), added[i].data.size());
    file.resize(table[first + i].sh_offset + table[first + i].sh_size);
  }
  table[header.e_shstrndx].sh_offset = file.size();
  table[header.e_shstrndx].sh_size = names.size();
  append(file, names.data(), names.size());
  alignTo(file, alignof(Elf64_Shdr));
  header.e_shoff = file.size();
  header.e_shnum = uint16_t(table.size());
  uint64_t end = file.size() + table.size() * sizeof(Elf64_Shdr);
  if (!added.empty()) {
    uint64_t alignment = added.back().alignment;
    table.back().sh_offset = end = (end + alignment - 1) / alignment * alignment;
  }
  append(file, table.data(), table.size());
  file.resize(end);
  if (!added.empty())
    append(file, added.back().data.data(), added.back().data.size());
  std::memcpy(file.data(), &header, sizeof header);
  return true;
}

} // namespace whit
