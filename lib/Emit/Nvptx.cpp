// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ptxas reads and writes files: they lie in a folder that only this user can look into, and are removed with it. No shell is involved.

#include "Emit/Nvptx.h"

#include "Emit/Failure.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Object/ELF.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace whit {
namespace {

Error cannotWrite(std::error_code code) {
  return fail(Exit::Files, "cannot make files for ptxas: " + code.message(), "",
              "set TMPDIR to a folder that can be written");
}

/// Machine code of each kernel is a section ".text.NAME".
Error readCode(Cubin &cubin) {
  StringRef bytes(reinterpret_cast<const char *>(cubin.bytes.data()), cubin.bytes.size());
  auto elf = object::ELFFile<object::ELF64LE>::create(bytes);
  if (!elf)
    return elf.takeError();
  auto sections = elf->sections();
  if (!sections)
    return sections.takeError();
  for (const auto &section : *sections) {
    auto name = elf->getSectionName(section);
    if (!name)
      return name.takeError();
    if (name->consume_front(".text."))
      if (auto found = cubin.facts.find(*name); found != cubin.facts.end())
        found->second.code = section.sh_size;
  }
  return Error::success();
}

Expected<Cubin> runPtxas(const std::string &ptxas, StringRef ptx, StringRef architecture) {
  SmallString<128> folder;
  if (std::error_code code = sys::fs::createUniqueDirectory("whit-ptxas", folder))
    return cannotWrite(code);
  auto cleanup = make_scope_exit([&] { sys::fs::remove_directories(folder); });
  if (std::error_code code = sys::fs::setPermissions(folder, sys::fs::owner_all))
    return cannotWrite(code);
  auto inFolder = [&](StringRef name) {
    SmallString<128> path(folder);
    sys::path::append(path, name);
    return path.str().str();
  };
  std::string source = inFolder("kernels.ptx"), result = inFolder("kernels.cubin"), said = inFolder("said");
  {
    std::error_code code;
    raw_fd_ostream out(source, code);
    if (!code) {
      out << ptx;
      out.close();
      code = out.error();
    }
    if (code) {
      out.clear_error();
      return cannotWrite(code);
    }
  }
  std::string arch = ("-arch=" + architecture).str();
  StringRef arguments[] = {ptxas, arch, "-v", "-O3", source, "-o", result};
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(said), StringRef(said)};
  std::string why;
  bool failed = false;
  int status = sys::ExecuteAndWait(ptxas, arguments, /*Env=*/std::nullopt, redirects, /*SecondsToWait=*/0,
                                   /*MemoryLimit=*/0, &why, &failed);
  auto output = MemoryBuffer::getFile(said, /*IsText=*/true);
  StringRef text = output ? (*output)->getBuffer() : StringRef();
  if (failed)
    return fail(Exit::Files, "cannot run ptxas: " + why, ptxas, "set WHIT_PTXAS to an empty text to do without");
  if (status != 0) {
    // Lines of -v about kernels that went well are not the reason, and the folder is gone when somebody reads this.
    std::string problems;
    SmallVector<StringRef> lines;
    text.split(lines, '\n', -1, /*KeepEmpty=*/false);
    for (StringRef line : lines)
      if (!line.contains("info") && problems.size() < 4000)
        problems += (problems.empty() ? "" : "; ") + line.trim().str();
    std::string prefix = (folder + "/").str();
    for (size_t at; (at = problems.find(prefix)) != std::string::npos;)
      problems.erase(at, prefix.size());
    return fail(Exit::Bug,
                "ptxas refuses the kernels for " + architecture + ": " +
                    (problems.empty() ? why.empty() ? "exit code " + std::to_string(status) : why : problems),
                ptxas, "--emit=ptx prints what it was given; an old ptxas may not know this architecture");
  }
  auto cubin = MemoryBuffer::getFile(result, /*IsText=*/false, /*RequiresNullTerminator=*/false, /*IsVolatile=*/true);
  if (!cubin)
    return fail(Exit::Files, "cannot read what ptxas wrote: " + cubin.getError().message(), result);
  StringRef bytes = (*cubin)->getBuffer();
  Cubin made{std::vector<uint8_t>(bytes.bytes_begin(), bytes.bytes_end()), ptx.str(), parsePtxasOutput(text), {}};
  for (StringRef line : split(text, '\n'))
    if (line.contains("Potential Performance Loss") || line.contains("warpgroup.wait is injected"))
      made.losses.push_back(line.trim().str());
  if (Error error = readCode(made))
    return error;
  return made;
}

int64_t spillsOf(const Cubin &cubin) {
  int64_t bytes = 0;
  for (const auto &entry : cubin.facts)
    bytes += std::max<int64_t>(entry.second.spills, 0);
  return bytes;
}

} // namespace

std::optional<std::string> findPtxas() {
  if (auto named = sys::Process::GetEnv("WHIT_PTXAS")) {
    if (named->empty())
      return std::nullopt;
    return *named;
  }
  if (auto found = sys::findProgramByName("ptxas"))
    return *found;
  if (auto found = sys::findProgramByName("ptxas", {"/usr/local/cuda/bin"}))
    return *found;
  return std::nullopt;
}

std::string promiseOneBlock(StringRef ptx, const StringSet<> &kernels) {
  std::string result;
  bool chosen = false, asks = false;
  while (!ptx.empty()) {
    auto [line, rest] = ptx.split('\n');
    ptx = rest;
    if (size_t at = line.find(".entry"); at != StringRef::npos) {
      StringRef name = line.drop_front(at + 6).ltrim().take_until([](char c) { return c == '(' || isSpace(c); });
      chosen = kernels.contains(name);
      asks = false;
    }
    asks |= line.starts_with(".minnctapersm") || line.starts_with(".maxnreg");
    if (chosen && line.starts_with("{")) {
      if (!asks)
        result += ".minnctapersm 1\n";
      chosen = false;
    }
    result += line.str() + "\n";
  }
  return result;
}

Expected<Cubin> assemblePtx(const std::string &ptxas, StringRef ptx, StringRef architecture) {
  auto cubin = runPtxas(ptxas, ptx, architecture);
  if (!cubin || spillsOf(*cubin) == 0)
    return cubin;
  StringSet<> spilling;
  for (const auto &entry : cubin->facts)
    if (entry.second.spills > 0)
      spilling.insert(entry.first());
  auto again = runPtxas(ptxas, promiseOneBlock(ptx, spilling), architecture);
  if (!again)
    return again;
  return spillsOf(*again) < spillsOf(*cubin) ? std::move(again) : std::move(cubin);
}

} // namespace whit
