// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The note NT_AMDGPU_METADATA is a document in MessagePack: amdhsa.kernels is a list of maps (LLVM's AMDGPUUsage describes the keys).

#include "Emit/Amdgpu.h"

#include "Emit/Failure.h"
#include "Emit/Link.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/BinaryFormat/MsgPackDocument.h"
#include "llvm/MC/MCAsmBackend.h"
#include "llvm/MC/MCAsmInfo.h"
#include "llvm/MC/MCCodeEmitter.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCDisassembler/MCDisassembler.h"
#include "llvm/MC/MCInst.h"
#include "llvm/MC/MCInstrAnalysis.h"
#include "llvm/MC/MCInstrInfo.h"
#include "llvm/MC/MCObjectFileInfo.h"
#include "llvm/MC/MCObjectWriter.h"
#include "llvm/MC/MCParser/MCAsmParser.h"
#include "llvm/MC/MCParser/MCTargetAsmParser.h"
#include "llvm/MC/MCRegisterInfo.h"
#include "llvm/MC/MCStreamer.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/MCTargetOptions.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ELF.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/TargetParser/Triple.h"

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

/// Finds the loops of machine code: what lies between a branch back and where it leads.
class LoopReader {
public:
  explicit LoopReader(StringRef architecture) {
    Triple triple("amdgcn-amd-amdhsa");
    std::string why;
    const llvm::Target *known = TargetRegistry::lookupTarget(triple, why);
    registers.reset(known->createMCRegInfo(triple));
    syntax.reset(known->createMCAsmInfo(*registers, triple, MCTargetOptions()));
    subtarget.reset(known->createMCSubtargetInfo(triple, architecture, ""));
    names.reset(known->createMCInstrInfo());
    analysis.reset(known->createMCInstrAnalysis(names.get()));
    context = std::make_unique<MCContext>(triple, syntax.get(), registers.get(), subtarget.get());
    disassembler.reset(known->createMCDisassembler(*subtarget, *context));
  }

  void read(ArrayRef<uint8_t> code, KernelFacts &facts) const {
    std::vector<uint64_t> copies;
    std::vector<std::pair<uint64_t, uint64_t>> loops;
    for (uint64_t at = 0, size = 0; at < code.size(); at += size) {
      MCInst instruction;
      if (disassembler->getInstruction(instruction, size, code.drop_front(at), at, nulls()) == MCDisassembler::Fail) {
        size = 4;
        continue;
      }
      if (names->getName(instruction.getOpcode()).starts_with("V_ACCVGPR_"))
        copies.push_back(at);
      uint64_t to = 0;
      if (analysis->isBranch(instruction) && analysis->evaluateBranch(instruction, at, size, to) && to <= at)
        loops.push_back({to, at + size});
    }
    facts.loop = facts.copies = 0;
    for (auto [begin, end] : loops)
      facts.loop = std::max(facts.loop, int64_t(end - begin));
    for (uint64_t at : copies)
      facts.copies += any_of(loops, [&](auto loop) { return loop.first <= at && at < loop.second; });
  }

private:
  std::unique_ptr<MCRegisterInfo> registers;
  std::unique_ptr<MCAsmInfo> syntax;
  std::unique_ptr<MCSubtargetInfo> subtarget;
  std::unique_ptr<MCInstrInfo> names;
  std::unique_ptr<MCInstrAnalysis> analysis;
  std::unique_ptr<MCContext> context;
  std::unique_ptr<MCDisassembler> disassembler;
};

Error readSymbols(const Elf &elf, const LoopReader &loops, StringMap<KernelFacts> &kernels) {
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
      auto found = kernels.find(*name);
      if (found == kernels.end() || symbol.getType() != ELF::STT_FUNC)
        continue;
      found->second.code = symbol.st_size;
      auto holder = elf.getSection(symbol.st_shndx);
      if (!holder)
        return holder.takeError();
      auto bytes = elf.getSectionContents(**holder);
      if (!bytes)
        return bytes.takeError();
      uint64_t begin = symbol.st_value - (*holder)->sh_addr;
      if (begin > bytes->size() || symbol.st_size > bytes->size() - begin)
        return malformed("a kernel @" + *name + " outside of its section");
      loops.read(bytes->slice(begin, symbol.st_size), found->second);
    }
  }
  return Error::success();
}

} // namespace

Expected<std::vector<uint8_t>> assembleAmdgpu(StringRef text, StringRef architecture) {
  Triple triple("amdgcn-amd-amdhsa");
  std::string why;
  const llvm::Target *known = TargetRegistry::lookupTarget(triple, why);
  if (!known)
    return fail(Exit::Bug, "LLVM has no assembler for AMD GPUs: " + why);
  MCTargetOptions options;
  std::unique_ptr<MCRegisterInfo> registers(known->createMCRegInfo(triple));
  std::unique_ptr<MCAsmInfo> syntax(known->createMCAsmInfo(*registers, triple, options));
  std::unique_ptr<MCSubtargetInfo> subtarget(known->createMCSubtargetInfo(triple, architecture, ""));
  std::unique_ptr<MCInstrInfo> instructions(known->createMCInstrInfo());
  SourceMgr sources;
  std::string problems;
  sources.setDiagHandler(
      [](const SMDiagnostic &problem, void *texts) {
        auto &all = *static_cast<std::string *>(texts);
        if (problem.getKind() == SourceMgr::DK_Error && all.size() < 4000)
          all += (all.empty() ? "" : "; ") + problem.getMessage().str() + ": " + problem.getLineContents().trim().str();
      },
      &problems);
  sources.AddNewSourceBuffer(MemoryBuffer::getMemBufferCopy(text), SMLoc());
  MCContext context(triple, syntax.get(), registers.get(), subtarget.get(), &sources, &options);
  std::unique_ptr<MCObjectFileInfo> sections(known->createMCObjectFileInfo(context, /*PIC=*/true));
  context.setObjectFileInfo(sections.get());
  SmallVector<char, 0> bytes;
  raw_svector_ostream out(bytes);
  std::unique_ptr<MCAsmBackend> backend(known->createMCAsmBackend(*subtarget, *registers, options));
  std::unique_ptr<MCObjectWriter> writer = backend->createObjectWriter(out);
  std::unique_ptr<MCCodeEmitter> emitter(known->createMCCodeEmitter(*instructions, context));
  std::unique_ptr<MCStreamer> streamer(known->createMCObjectStreamer(
      triple, context, std::move(backend), std::move(writer), std::move(emitter), *subtarget));
  std::unique_ptr<MCAsmParser> parser(createMCAsmParser(sources, context, *streamer, *syntax));
  std::unique_ptr<MCTargetAsmParser> target(known->createMCAsmParser(*subtarget, *parser, *instructions, options));
  parser->setTargetParser(*target);
  if (parser->Run(/*NoInitialTextSection=*/false) || context.hadError())
    return fail(Exit::Bug, "LLVM refuses its own assembly for " + architecture + ": " + problems);
  return std::vector<uint8_t>(bytes.begin(), bytes.end());
}

Expected<std::vector<uint8_t>> linkHsaco(ArrayRef<uint8_t> object) { return linkShared({object}, {}); }

Expected<StringMap<KernelFacts>> readCodeObject(ArrayRef<uint8_t> object, StringRef architecture) {
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
  if (Error error = readSymbols(*elf, LoopReader(architecture), kernels))
    return error;
  return kernels;
}

} // namespace whit
