// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The note NT_AMDGPU_METADATA is a document in MessagePack: amdhsa.kernels is a list of maps (LLVM's AMDGPUUsage describes the keys).

#include "Emit/Amdgpu.h"

#include "Emit/Failure.h"
#include "Emit/Link.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/BinaryFormat/MsgPackDocument.h"
#include "llvm/Object/ELF.h"

using namespace llvm;

namespace whit {
namespace {

using Elf = object::ELFFile<object::ELF64LE>;

int64_t numberOf(msgpack::MapDocNode &map, StringRef key) {
  auto found = map.find(key);
  if (found == map.end())
    return 0;
  msgpack::DocNode &node = found->second;
  return node.getKind() == msgpack::Type::UInt  ? int64_t(node.getUInt())
         : node.getKind() == msgpack::Type::Int ? node.getInt()
                                                : 0;
}

std::string textOf(msgpack::MapDocNode &map, StringRef key) {
  auto found = map.find(key);
  return found != map.end() && found->second.isString() ? found->second.getString().str() : "";
}

Error malformed(const Twine &what) { return fail(Exit::Bug, "the code object of LLVM has " + what); }

Error readKernel(msgpack::MapDocNode &kernel, StringMap<KernelFacts> &kernels) {
  KernelFacts facts;
  facts.name = textOf(kernel, ".name");
  facts.registers = numberOf(kernel, ".vgpr_count");
  facts.accumulators = numberOf(kernel, ".agpr_count");
  facts.scalars = numberOf(kernel, ".sgpr_count");
  facts.spills = 4 * (numberOf(kernel, ".vgpr_spill_count") + numberOf(kernel, ".sgpr_spill_count"));
  facts.stack = numberOf(kernel, ".private_segment_fixed_size");
  facts.shared = numberOf(kernel, ".group_segment_fixed_size");
  int64_t declared = 0;
  if (auto list = kernel.find(".args"); list != kernel.end() && list->second.isArray())
    for (msgpack::DocNode &entry : list->second.getArray()) {
      if (!entry.isMap())
        return malformed("an argument that is no map");
      std::string kind = textOf(entry.getMap(), ".value_kind");
      if (StringRef(kind).starts_with("hidden_"))
        return fail(Exit::Bug,
                    "kernel @" + facts.name + " needs the argument '" + kind + "', which launches do not pass", "",
                    "sizes of blocks must be constants in the code");
      declared = std::max(declared, numberOf(entry.getMap(), ".offset") + numberOf(entry.getMap(), ".size"));
    }
  if (numberOf(kernel, ".kernarg_segment_size") != declared)
    return malformed("a kernel @" + facts.name + " with " + Twine(numberOf(kernel, ".kernarg_segment_size")) +
                     " bytes of arguments where " + Twine(declared) + " are declared");
  kernels[facts.name] = std::move(facts);
  return Error::success();
}

Error readMetadata(StringRef text, StringMap<KernelFacts> &kernels) {
  msgpack::Document document;
  if (!document.readFromBlob(text, /*Multi=*/false) || !document.getRoot().isMap())
    return malformed("metadata that cannot be read");
  auto &root = document.getRoot().getMap();
  auto list = root.find("amdhsa.kernels");
  if (list == root.end() || !list->second.isArray())
    return malformed("no list of kernels");
  for (msgpack::DocNode &entry : list->second.getArray()) {
    if (!entry.isMap())
      return malformed("a kernel that is no map");
    if (Error error = readKernel(entry.getMap(), kernels))
      return error;
  }
  return Error::success();
}

Error readSymbols(const Elf &elf, StringMap<KernelFacts> &kernels) {
  auto sections = elf.sections();
  if (!sections)
    return sections.takeError();
  for (const auto &section : *sections) {
    if (section.sh_type != ELF::SHT_SYMTAB && section.sh_type != ELF::SHT_DYNSYM)
      continue;
    auto symbols = elf.symbols(&section);
    auto names = elf.getStringTableForSymtab(section);
    if (!symbols || !names)
      return symbols ? names.takeError() : symbols.takeError();
    for (const auto &symbol : *symbols) {
      auto name = symbol.getName(*names);
      if (!name)
        return name.takeError();
      if (auto found = kernels.find(*name); found != kernels.end() && symbol.getType() == ELF::STT_FUNC)
        found->second.code = symbol.st_size;
    }
  }
  return Error::success();
}

} // namespace

Expected<std::vector<uint8_t>> linkHsaco(ArrayRef<uint8_t> object) { return linkShared({object}, {}); }

Expected<StringMap<KernelFacts>> readCodeObject(ArrayRef<uint8_t> object) {
  StringRef bytes(reinterpret_cast<const char *>(object.data()), object.size());
  auto elf = Elf::create(bytes);
  if (!elf)
    return elf.takeError();
  auto sections = elf->sections();
  if (!sections)
    return sections.takeError();
  StringMap<KernelFacts> kernels;
  bool found = false;
  for (const auto &section : *sections) {
    if (section.sh_type != ELF::SHT_NOTE)
      continue;
    Error error = Error::success();
    for (const auto &note : elf->notes(section, error))
      if (note.getName() == "AMDGPU" && note.getType() == ELF::NT_AMDGPU_METADATA && !found) {
        found = true;
        ArrayRef<uint8_t> description = note.getDesc(section.sh_addralign);
        StringRef text(reinterpret_cast<const char *>(description.data()), description.size());
        if (Error problem = readMetadata(text, kernels)) {
          consumeError(std::move(error));
          return problem;
        }
      }
    if (error)
      return error;
  }
  if (!found)
    return malformed("no metadata");
  if (Error error = readSymbols(*elf, kernels))
    return error;
  return kernels;
}

} // namespace whit
