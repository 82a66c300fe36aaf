// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Links objects to a shared object with LLD, in this process. LLD reads and writes files: objects pass through memory files, the result
// through a temporary folder. Undefined symbols are looked at before, where they can be named: an artifact may use the memory functions of
// libc and the functions of libm, which every process has, and nothing else.

#include "Emit/Link.h"

#include "Emit/Cpu.h"
#include "Emit/Failure.h"
#include "Emit/SoftHalf.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ObjCopy/CommonConfig.h"
#include "llvm/ObjCopy/ConfigManager.h"
#include "llvm/ObjCopy/ObjCopy.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cerrno>
#include <cstring>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

LLD_HAS_DRIVER(elf)

using namespace llvm;

namespace whit {
namespace {

constexpr StringLiteral kMemoryFunctions[] = {"memcpy", "memmove", "memset", "memcmp", "bcmp"};
constexpr StringLiteral kMathFunctions[] = {
    "acos",      "acosh", "asin",   "asinh", "atan", "atan2",     "atanh", "cbrt",   "ceil",
    "copysign",  "cos",   "cosh",   "erf",   "erfc", "exp",       "exp10", "exp2",   "expm1",
    "fabs",      "floor", "fma",    "fmax",  "fmin", "fmod",      "frexp", "ldexp",  "lgamma",
    "log",       "log10", "log1p",  "log2",  "modf", "nearbyint", "pow",   "rint",   "round",
    "roundeven", "sin",   "sincos", "sinh",  "sqrt", "tan",       "tanh",  "tgamma", "trunc"};

bool isAllowed(StringRef symbol) {
  if (is_contained(kMemoryFunctions, symbol) || is_contained(kMathFunctions, symbol))
    return true;
  return symbol.consume_back("f") && is_contained(kMathFunctions, symbol);
}

/// Bytes as a file that LLD can open by name.
class MemoryFile {
public:
  explicit MemoryFile(ArrayRef<uint8_t> bytes) : descriptor(memfd_create("whit-object", MFD_CLOEXEC)) {
    while (descriptor >= 0 && !bytes.empty()) {
      ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
      if (count < 0 && errno != EINTR) {
        close(descriptor);
        descriptor = -1;
      }
      bytes = bytes.drop_front(std::max<ssize_t>(count, 0));
    }
  }
  MemoryFile(const MemoryFile &) = delete;
  ~MemoryFile() {
    if (descriptor >= 0)
      close(descriptor);
  }
  bool isUsable() const { return descriptor >= 0; }
  std::string name() const { return "/proc/self/fd/" + std::to_string(descriptor); }

private:
  int descriptor;
};

/// Adds the conversions that this machine lacks, if they are used; `half` keeps their bytes.
Error addSoftHalf(ArrayRef<std::string> undefined, std::vector<ArrayRef<uint8_t>> &objects,
                  std::vector<uint8_t> &half) {
  if (none_of(undefined, isSoftHalf))
    return Error::success();
  auto object = softHalfObject();
  if (!object)
    return object.takeError();
  half = std::move(*object);
  objects.push_back(half);
  return Error::success();
}

} // namespace

Expected<std::vector<std::string>> undefinedSymbols(ArrayRef<ArrayRef<uint8_t>> objects) {
  std::set<std::string> undefined;
  for (ArrayRef<uint8_t> code : objects) {
    StringRef bytes(reinterpret_cast<const char *>(code.data()), code.size());
    auto object = object::ObjectFile::createObjectFile(MemoryBufferRef(bytes, "object"));
    if (!object)
      return object.takeError();
    for (const object::SymbolRef &symbol : (*object)->symbols()) {
      auto flags = symbol.getFlags();
      auto name = symbol.getName();
      if (!flags || !name)
        return flags ? name.takeError() : flags.takeError();
      if ((*flags & object::SymbolRef::SF_Undefined) && !name->empty())
        undefined.insert(name->str());
    }
  }
  return std::vector<std::string>(undefined.begin(), undefined.end());
}

bool isLibraryFunction(StringRef name) { return isAllowed(name); }

Expected<std::vector<uint8_t>> linkCode(ArrayRef<CpuCode> variants) {
  std::vector<ArrayRef<uint8_t>> objects;
  for (const CpuCode &code : variants)
    objects.push_back(code.object);
  auto undefined = undefinedSymbols(objects);
  if (!undefined)
    return undefined.takeError();
  std::vector<std::string> foreign;
  for (const std::string &symbol : *undefined)
    if (!isSoftHalf(symbol) && !isAllowed(symbol))
      foreign.push_back("'" + symbol + "'");
  if (!foreign.empty())
    return fail(Exit::Bug, "compiled code calls " + join(foreign, ", ") +
                               "; only memcpy, memmove, memset, memcmp and libm are allowed");
  std::vector<uint8_t> half;
  if (Error error = addSoftHalf(*undefined, objects, half))
    return error;
  return linkShared(objects, {"--hash-style=gnu", "-z", "noexecstack", "-z", "now", "-soname", "model.so"});
}

Expected<std::vector<uint8_t>> linkKernels(ArrayRef<ArrayRef<uint8_t>> objects, ArrayRef<std::string> exported) {
  auto undefined = undefinedSymbols(objects);
  if (!undefined)
    return undefined.takeError();
  std::vector<ArrayRef<uint8_t>> all(objects.begin(), objects.end());
  std::vector<uint8_t> half;
  if (Error error = addSoftHalf(*undefined, all, half))
    return error;
  std::string script = "{ global: " + join(exported, "; ") + "; local: *; };\n";
  MemoryFile scriptFile(ArrayRef<uint8_t>(reinterpret_cast<const uint8_t *>(script.data()), script.size()));
  if (!scriptFile.isUsable())
    return fail(Exit::Limit, Twine("cannot hold the linker's script in memory: ") + std::strerror(errno));
  // Programs that load the library need not have libm. What it is linked with here has no more than the name.
  LLVMContext context;
  llvm::Module nothing("nothing", context);
  auto empty = objectOf(nothing, Target());
  if (!empty)
    return empty.takeError();
  static constexpr StringRef kLibraries[] = {"libm.so.6", "libc.so.6"};
  std::vector<std::vector<uint8_t>> libraries(std::size(kLibraries));
  for (auto [name, library] : zip_equal(kLibraries, libraries)) {
    auto linked = linkShared({*empty}, {"-soname", name});
    if (!linked)
      return linked.takeError();
    library = std::move(*linked);
    all.push_back(library);
  }
  std::string scriptFlag = "--version-script=" + scriptFile.name();
  return linkShared(all, {"--hash-style=gnu", "-z", "noexecstack", "-z", "now", "-soname", "kernels.so",
                          "--no-as-needed", "--gc-sections", "--eh-frame-hdr", "-s", scriptFlag});
}

static Expected<std::vector<uint8_t>> link(StringRef kind, ArrayRef<ArrayRef<uint8_t>> objects,
                                           ArrayRef<StringRef> flags) {
  std::vector<std::unique_ptr<MemoryFile>> files;
  for (ArrayRef<uint8_t> object : objects)
    files.push_back(std::make_unique<MemoryFile>(object));
  for (const auto &file : files)
    if (!file->isUsable())
      return fail(Exit::Limit, Twine("cannot hold an object in memory: ") + std::strerror(errno));

  SmallString<128> folder;
  if (std::error_code code = sys::fs::createUniqueDirectory("whit-link", folder))
    return fail(Exit::Files, "cannot make a folder for the linker: " + code.message(), "",
                "set TMPDIR to a folder that can be written");
  SmallString<128> result(folder);
  sys::path::append(result, "model.so");
  auto cleanup = make_scope_exit([&] {
    sys::fs::remove(result);
    sys::fs::remove(folder);
  });

  std::vector<std::string> arguments = {
      "ld.lld", kind.str(), "--build-id=none", "--threads=1", "--no-undefined-version", "-o", result.str().str()};
  for (StringRef flag : flags)
    arguments.push_back(flag.str());
  for (const auto &file : files)
    arguments.push_back(file->name());
  std::vector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());

  // LLD keeps global state.
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  std::string output, problems;
  raw_string_ostream outputStream(output), problemStream(problems);
  lld::Result status = lld::lldMain(pointers, outputStream, problemStream, {{lld::Gnu, &lld::elf::link}});
  if (status.retCode != 0)
    return fail(Exit::Bug, "linking failed: " + StringRef(problems).rtrim());
  auto linked = MemoryBuffer::getFile(result, /*IsText=*/false, /*RequiresNullTerminator=*/false, /*IsVolatile=*/true);
  if (!linked)
    return fail(Exit::Files, "cannot read the linked code: " + linked.getError().message(), result);
  StringRef bytes = (*linked)->getBuffer();
  return std::vector<uint8_t>(bytes.bytes_begin(), bytes.bytes_end());
}

Expected<std::vector<uint8_t>> linkShared(ArrayRef<ArrayRef<uint8_t>> objects, ArrayRef<StringRef> flags) {
  return link("-shared", objects, flags);
}

// Other programs have parts of the C++ library too: names that are not exported become local, and there are no groups of sections left of
// which their linker would keep only one.
Expected<std::vector<uint8_t>> joinKernels(ArrayRef<ArrayRef<uint8_t>> objects, ArrayRef<std::string> exported) {
  auto joined = link("-r", objects, {"--force-group-allocation"});
  if (!joined)
    return joined.takeError();
  StringRef bytes(reinterpret_cast<const char *>(joined->data()), joined->size());
  auto object = object::ObjectFile::createObjectFile(MemoryBufferRef(bytes, "kernels.o"));
  if (!object)
    return object.takeError();
  objcopy::ConfigManager config;
  for (const std::string &name : exported)
    if (Error error = config.Common.SymbolsToKeepGlobal.addMatcher(
            objcopy::NameOrPattern::create(name, objcopy::MatchStyle::Literal, [](Error problem) { return problem; })))
      return error;
  SmallVector<char, 0> result;
  raw_svector_ostream out(result);
  if (Error error = objcopy::executeObjcopyOnBinary(config, **object, out))
    return error;
  return std::vector<uint8_t>(result.begin(), result.end());
}

} // namespace whit
