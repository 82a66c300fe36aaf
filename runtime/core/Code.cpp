// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a path to sealed, checked, and at last mapped code.
#include "runtime/core/Code.h"

#include "runtime/trust/Elf.h"
#include "runtime/trust/Manifest.h"
#include "runtime/trust/Seal.h"
#include "runtime/trust/TrustStore.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace whit {
namespace {

constexpr uint64_t kMaxCodeBytes = uint64_t(1) << 30;
constexpr unsigned kMemfdExecutable = 0x10; // MFD_EXEC, Linux 6.3

const ElfSection *findSection(const std::vector<ElfSection> &sections, const char *name) {
  for (const ElfSection &section : sections)
    if (section.name == name)
      return &section;
  return nullptr;
}

whit_status refused(const std::string &path, const std::string &why) {
  return fail(WHIT_REFUSED, "artifact '%.*s' is damaged or not an artifact: %s", WHIT_NAME(path), why.c_str());
}

/// Where the code part ends: at the embedded weights, or at the end of the file.
whit_status codeBytes(const std::string &path, const File &file, uint64_t fileBytes, uint64_t &codeSize) {
  FileMap whole;
  if (whit_status status = FileMap::map(file, 0, fileBytes, path, whole))
    return status;
  std::vector<ElfSection> sections;
  std::string why;
  if (!readSections(whole.bytes(), fileBytes, sections, &why))
    return refused(path, why);
  const ElfSection *weights = findSection(sections, kWeightsSection);
  codeSize = weights ? weights->offset : fileBytes;
  if (codeSize > kMaxCodeBytes)
    return fail(WHIT_LIMIT, "artifact '%.*s' has %llu bytes of code; at most %llu are allowed", WHIT_NAME(path),
                (unsigned long long)codeSize, (unsigned long long)kMaxCodeBytes);
  return WHIT_OK;
}

whit_status sealCopy(const std::string &path, const File &file, uint64_t size, File &sealed) {
  std::string name = "whit:" + path.substr(path.rfind('/') + 1).substr(0, 200);
  int descriptor = memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | kMemfdExecutable);
  if (descriptor < 0 && errno == EINVAL)
    descriptor = memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  File copy(descriptor);
  if (descriptor < 0)
    return fail(WHIT_LIMIT, "cannot create memory for the code of '%.*s': %s", WHIT_NAME(path), std::strerror(errno));
  std::vector<uint8_t> block(std::min<uint64_t>(size, 1 << 20));
  for (uint64_t offset = 0; offset < size;) {
    ssize_t got = pread(file.get(), block.data(), std::min<uint64_t>(block.size(), size - offset), off_t(offset));
    if (got <= 0)
      return fail(WHIT_IO, "cannot read '%.*s' at byte %llu: %s", WHIT_NAME(path), (unsigned long long)offset,
                  got ? std::strerror(errno) : "the file became shorter");
    for (ssize_t done = 0; done < got;) {
      ssize_t put = write(descriptor, block.data() + done, size_t(got - done));
      if (put <= 0)
        return fail(WHIT_LIMIT, "no memory for the code of '%.*s': %s", WHIT_NAME(path), std::strerror(errno));
      done += put;
    }
    offset += uint64_t(got);
  }
  if (fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
    return fail(WHIT_LIMIT, "cannot seal the code of '%.*s': %s", WHIT_NAME(path), std::strerror(errno));
  sealed = std::move(copy);
  return WHIT_OK;
}

/// The images that the manifest's variants name.
bool findImages(CodeImage &image, const std::vector<ElfSection> &sections, std::string &why) {
  for (const Variant &variant : image.manifest.variants)
    for (const VariantImage &each : variant.images) {
      const ElfSection *section = findSection(sections, each.section.c_str());
      if (!section || section->loaded || int64_t(section->size) != each.bytes) {
        why = "its manifest speaks of " + std::to_string(each.bytes) + " bytes of kernels in section " + each.section +
              ", " + (!section ? "which it does not have" : "which is another section");
        return false;
      }
      image.images[each.section] = image.bytes.bytes().subspan(section->offset, section->size);
    }
  return true;
}

/// Sections, manifest and self-check of the sealed bytes. Sets `why` on refusal.
bool checkImage(CodeImage &image, uint64_t fileBytes, std::string &why) {
  std::span<const uint8_t> bytes = image.bytes.bytes();
  std::vector<ElfSection> sections;
  if (!readSections(bytes, fileBytes, sections, &why))
    return false;
  const ElfSection *manifest = findSection(sections, kManifestSection),
                   *weights = findSection(sections, kWeightsSection);
  if (!manifest || manifest->loaded) {
    why = std::string("it has no section ") + kManifestSection + "; whit-compile writes one";
    return false;
  }
  uint64_t end = 0;
  for (const ElfSection &section : sections)
    if (&section != weights) {
      end = std::max(end, section.offset + section.size);
      if (section.offset + section.size > bytes.size()) {
        why = "section '" + section.name.substr(0, 120) + "' lies behind the weights";
        return false;
      }
    }
  if (manifest->size > uint64_t(kMaxManifestBytes)) {
    why = "its manifest has " + std::to_string(manifest->size) + " bytes; at most " +
          std::to_string(kMaxManifestBytes) + " are allowed";
    return false;
  }
  image.text.assign(reinterpret_cast<const char *>(bytes.data()) + manifest->offset, manifest->size);
  if (!parseManifest(image.text, image.manifest, &why))
    return false;
  Digest digest;
  if (!maskedCodeHash(bytes, manifest->offset, manifest->size, digest) || toHex(digest) != image.manifest.codeSha256) {
    why = "its bytes do not have the hash that its manifest states; copy or compile it again";
    return false;
  }
  if (!findImages(image, sections, why))
    return false;
  if (weights) {
    if (weights->loaded || weights->offset != bytes.size() || weights->offset % 4096 != 0 ||
        weights->offset + weights->size != fileBytes) {
      why = std::string("section ") + kWeightsSection + " does not end the file; " +
            std::to_string(weights->offset + weights->size) + " bytes are required, " + std::to_string(fileBytes) +
            " found";
      return false;
    }
    image.weightsOffset = weights->offset;
    image.weightsBytes = weights->size;
  }
  bool embedded = image.manifest.weights.file.empty() && image.manifest.weights.bytes > 0;
  if (embedded != (weights != nullptr) || (weights && int64_t(weights->size) != image.manifest.weights.bytes)) {
    why = "its manifest speaks of " + std::to_string(image.manifest.weights.bytes) + " bytes of " +
          (embedded ? "embedded" : "separate") + " weights, which is not what it has";
    return false;
  }
  return true;
}

} // namespace

whit_status readCode(const std::string &path, CodeImage &image) {
  uint64_t fileBytes, codeSize;
  if (whit_status status = File::open(path, image.original, fileBytes))
    return status;
  if (whit_status status = codeBytes(path, image.original, fileBytes, codeSize))
    return status;
  if (whit_status status = sealCopy(path, image.original, codeSize, image.sealed))
    return status;
  if (whit_status status = FileMap::map(image.sealed, 0, codeSize, path, image.bytes))
    return status;
  image.path = path;
  std::string why;
  if (!checkImage(image, fileBytes, why))
    return refused(path, why);
  image.identity = sha256(image.bytes.bytes());
  return WHIT_OK;
}

whit_status checkTrust(const CodeImage &image, bool given) {
  if (given)
    return WHIT_OK;
  std::string why;
  switch (askTrust(image.identity, &why)) {
  case TrustAnswer::Trusted:
    return WHIT_OK;
  case TrustAnswer::Unusable:
    return fail(WHIT_REFUSED, "%s", why.c_str());
  case TrustAnswer::Unknown:
    break;
  }
  return fail(WHIT_REFUSED,
              "artifact '%.*s' holds native code that was not compiled by this user (hash %s is not in '%s'); if you "
              "trust its origin as you would a program's, pass --trust once",
              WHIT_NAME(image.path), toHex(image.identity).c_str(), trustStorePath().c_str());
}

Library::~Library() {
  if (!handle)
    return;
  dlclose(handle);
  if (dlopen(source.c_str(), RTLD_LAZY | RTLD_NOLOAD)) // something in it keeps it mapped
    sealed.release();
}

whit_status Library::open(CodeImage &image) {
  path = image.path;
  sealed = std::move(image.sealed);
  source = "/proc/self/fd/" + std::to_string(sealed.get());
  handle = dlopen(source.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char *why = dlerror();
    return fail(WHIT_REFUSED, "the code of '%.*s' cannot be loaded: %s", WHIT_NAME(path),
                why ? why : "no reason was given");
  }
  return WHIT_OK;
}

whit_status Library::find(const std::string &symbol, void **address) const {
  *address = dlsym(handle, symbol.c_str());
  if (!*address)
    return fail(WHIT_REFUSED, "artifact '%.*s' does not export '%.*s', which its manifest names", WHIT_NAME(path),
                WHIT_NAME(symbol));
  return WHIT_OK;
}

} // namespace whit
